//! What graphql-transport-ws and its reference implementation say, line by line, and where each line is proved: by the
//! scenarios of these names, or by a test of this name elsewhere.

use std::{fs, path::Path};

use crate::all;

/// A line of the protocol, and the scenarios (or, behind `test:`, the tests) that hold the server to it.
type Line = (&'static str, &'static [&'static str]);

const COVERAGE: &[Line] = &[
    (
        "the subprotocol is graphql-transport-ws; what is not spoken is not echoed",
        &[
            "no subprotocol is offered",
            "an unknown subprotocol is not echoed",
            "what is spoken is the first in the client's order",
            "what is spoken is the first in the client's order, also the legacy one",
        ],
    ),
    (
        "messages are JSON text, each with a type",
        &[
            "invalid after it: hello",
            "invalid after it: {}",
            "bytes are invalid",
            "a message may be escaped",
        ],
    ),
    (
        "operation messages have an id, a string that is not empty",
        &[
            r#"invalid after it: {"type":"complete","id":""}"#,
            r#"invalid after it: {"type":"complete"}"#,
        ],
    ),
    (
        "connection_init: its payload is an object, null, or left out",
        &[
            "an init with a payload is acknowledged",
            "a null payload of an init is none",
            r#"invalid before init: {"payload":[],"type":"connection_init"}"#,
        ],
    ),
    (
        "connection_init must come in time",
        &[
            "a client that says nothing is too late",
            "a ping is no init",
        ],
    ),
    (
        "connection_init is allowed once",
        &["a second init is one too many"],
    ),
    (
        "connection_ack: a connection counts as acknowledged before the message is sent",
        &[
            "what follows an init at once is served",
            "an init is acknowledged",
        ],
    ),
    (
        "ping is answered at any time after the socket opened",
        &[
            "a ping is answered before init",
            "a ping is answered while the check is pending",
            "each ping is answered",
        ],
    ),
    (
        "pong brings the ping's payload back; one that nobody asked for is legal; it is never answered",
        &[
            "a payload comes back",
            "a pong is ignored",
            "a pong before init is ignored",
        ],
    ),
    (
        "subscribe only after the acknowledgement, for queries and mutations too",
        &[
            "subscribe before init is unauthorized",
            "a query is answered and complete",
            "a mutation is answered and complete",
        ],
    ),
    (
        "the payload of subscribe: query, operationName, variables, extensions, of these types",
        &[
            "what is null is as if it was not there",
            "the operation is chosen by its name",
            "unknown keys of a payload are ignored",
            r#"invalid after it: {"id":"a","payload":{"query":1},"type":"subscribe"}"#,
        ],
    ),
    (
        "a result with errors of fields stays next",
        &[
            "a field that fails is a result with errors",
            "a failure that leaves no data is a result with errors",
        ],
    ),
    (
        "error has a list of at least one error, ends the operation, and no complete follows",
        &[
            "a document that is no GraphQL",
            "an id is free after an error",
        ],
    ),
    (
        "complete of the server's follows the last next",
        &[
            "a query is answered and complete",
            "several queries are each answered once",
        ],
    ),
    (
        "complete of the client's: nothing more for the id, and no complete back",
        &[
            "the client's complete is not answered",
            "nothing is heard after the client's complete",
        ],
    ),
    (
        "4400: bad JSON, no object, unknown or missing type, wrong types of fields, empty id, a message of the server's",
        &[
            "invalid after it: {",
            "invalid after it: []",
            r#"invalid after it: {"type":""}"#,
            r#"invalid after it: {"id":"a"}"#,
            r#"invalid after it: {"type":"connection_ack"}"#,
            r#"invalid after it: {"type":"subscribe","id":1,"payload":{"query":"{ __typename }"}}"#,
            r#"invalid after it: {"payload":"text","type":"ping"}"#,
        ],
    ),
    (
        "4401: subscribe before the acknowledgement, also while the check is pending",
        &[
            "subscribe before init is unauthorized",
            "subscribe while the check is pending is unauthorized",
        ],
    ),
    (
        "4403: init was rejected, after the upgrade",
        &[
            "a bad token is rejected",
            "a bad token in the upgrade's header is rejected at the init",
        ],
    ),
    (
        "4406: the socket was opened without this subprotocol",
        &["an init on a socket without subprotocol is not answered"],
    ),
    (
        "4408: no init in time; a slow check does not count",
        &[
            "a client that says nothing is too late",
            "a slow check is not the client's delay",
        ],
    ),
    (
        "4409: the id is active, whatever runs under it, also while it is prepared",
        &[
            "an id that runs is taken",
            "the id of a subscription is taken for a query",
            "an id is taken while its operation is prepared",
            "the id of a query that is prepared is taken",
        ],
    ),
    (
        "4429: a second init, also while the first is pending",
        &[
            "a second init is one too many",
            "a second init while the first is pending is one too many",
        ],
    ),
    (
        "4500 is final, so it is not used: what fails for a passing cause closes with 1013",
        &[
            "test: v7_a_panic_costs_one_execution_and_no_frame",
            "Try again later, while an operation runs",
        ],
    ),
    (
        "1001, 1012, 1013 heal",
        &["test: p5_a_close_after_which_clients_should_come_back_is_one_after_which_they_do"],
    ),
    (
        "a client closes with codes of its own",
        &[
            "a client may close with 1000 Normal Closure",
            "a client may close with 4499 Terminated",
            "a client may close with 4205 Client Restart",
            "a client may close with 4004 Bad response",
            "a client may close with 4005 Internal client error",
            "a client may close with 4504 Connection acknowledgement timeout",
            "test: a_client_that_closes_while_messages_wait_receives_the_close",
        ],
    ),
    (
        "no code that is final is used for what should heal",
        &["test: p5_a_close_after_which_clients_should_come_back_is_one_after_which_they_do"],
    ),
    (
        "rejections come after the upgrade, not before",
        &[
            "a bad token in the upgrade's header is rejected at the init",
            "a server that is full sends the next one away for a while",
        ],
    ),
    (
        "a restart is short, and told",
        &[
            "a server that stops sends its clients elsewhere",
            "test: s3_an_answered_write",
        ],
    ),
    (
        "a reason has at most 123 bytes",
        &[
            "a long id that is taken is cut",
            "a long id is not cut inside a character",
            "an endless id that is taken is cut",
        ],
    ),
    (
        "complete for an unknown or finished id is ignored",
        &[
            "complete for an unknown id is ignored",
            "complete for an id that was answered is ignored",
            "complete for an id that was refused is ignored",
            "a second complete is ignored",
            "complete before init is about an unknown id",
        ],
    ),
    (
        "an id is free after error, after the server's complete and after the client's",
        &[
            "an id is free after an error",
            "an id is free after the server's complete",
            "an id is free after the client's complete",
        ],
    ),
    (
        "race: the client completes before a long query has its result",
        &[
            "a query that is completed before its result is silent",
            "a result and the client's complete may cross",
        ],
    ),
    (
        "race: the client completes while subscribe stalls",
        &[
            "a source that appears after the client's complete is given back",
            "nothing is heard of what was completed while it was prepared",
        ],
    ),
    (
        "race: the socket closes while an operation is prepared",
        &[
            "a client may leave what is prepared",
            "a close while operations are prepared is the last word",
        ],
    ),
    (
        "all sources are given back on close",
        &["a client may leave what runs"],
    ),
    (
        "a source that fails does not end the socket with a final code",
        &[
            "Try again later, while an operation runs",
            "test: v7_a_panic_costs_one_execution_and_no_frame",
        ],
    ),
    (
        "errors of preparing are error: syntax, validation, unknown operation, variables",
        &[
            "a document that is no GraphQL",
            "a document that does not fit the schema",
            "a name that no operation has",
            "several operations and no name",
            "a variable that is missing",
            "a variable of a wrong type",
            "a subscription's variable that is missing",
        ],
    ),
    (
        "the root of a subscription is one field, without @skip and @include",
        &[
            "the root of a subscription is one plain field, not two fields",
            "the root of a subscription is one plain field, not @skip",
            "the root of a subscription is one plain field, not @include on a fragment",
            "the root of a subscription is one plain field, not @defer",
        ],
    ),
    (
        "keep-alive is by pings of the WebSocket; a quiet healthy client lives",
        &[
            "a WebSocket ping is no message",
            "test: t4_a_quiet_client_is_pinged_and_a_dead_one_is_disconnected",
        ],
    ),
    (
        "a client that comes back under the same id goes on after its cursor",
        &[
            "test: a_subscription_can_resume_from_the_cursor_of_the_live_ping",
            "test: a_restart_keeps_everything",
        ],
    ),
    (
        "ours: a subscription is said to be live, once, behind what there was",
        &[
            "a subscription from now on is live at once",
            "a subscription is live only after what there was",
            "each subscription is said to be live",
            "what was completed is not live again",
            "the client's pong is ignored, with and without the payload",
        ],
    ),
    (
        "ours: what is too big, or breaks RFC 6455, is told by a close that arrives",
        &[
            "a message of one byte more is too big",
            "the rest of what is too big is heard out",
            "a reserved bit breaks the protocol of WebSockets",
            "a byte that is never UTF-8 is no text",
        ],
    ),
];

/// The text of all tests in Rust.
fn tests(folder: &Path) -> String {
    let entries = fs::read_dir(folder)
        .expect("the tests are there")
        .map(|entry| entry.expect("readable").path());
    let text = |path: std::path::PathBuf| match path.is_dir() {
        true => tests(&path),
        false => fs::read_to_string(path).unwrap_or_default(),
    };
    entries.map(text).collect()
}

#[test]
fn every_line_of_the_protocol_is_proved_by_what_it_names() {
    let scenarios = all();
    let tests = tests(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests"));
    let is_there = |name: &str| match name.strip_prefix("test: ") {
        Some(test) => tests.contains(&format!("fn {test}")),
        None => scenarios.iter().any(|scenario| scenario.name == name),
    };
    for (line, proofs) in COVERAGE {
        assert!(!proofs.is_empty(), "nothing proves: {line}");
        let missing: Vec<_> = proofs.iter().filter(|name| !is_there(name)).collect();
        assert!(missing.is_empty(), "{line}: there is no {missing:?}");
    }
}
