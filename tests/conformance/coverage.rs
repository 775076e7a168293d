//! The rules of graphql-transport-ws and of its reference implementation, line by line. Each line
//! names the scenarios, or the tests elsewhere, that prove it.

use std::{fs, path::Path};

use crate::all;

/// A line of the protocol, and the scenarios that prove it. An entry that begins with `test:` names
/// a test instead.
type Line = (&'static str, &'static [&'static str]);

const COVERAGE: &[Line] = &[
    (
        "the subprotocol is graphql-transport-ws; the server names no other",
        &[
            "no subprotocol is offered",
            "an unknown subprotocol is not echoed",
            "the first supported subprotocol of the client is chosen",
            "the first supported subprotocol of the client is chosen, also the legacy one",
        ],
    ),
    (
        "messages are JSON text, each with a type",
        &[
            "invalid after init: hello",
            "invalid after init: {}",
            "a binary message is invalid",
            "a message may contain JSON escapes",
        ],
    ),
    (
        "operation messages have an id, a string that is not empty",
        &[
            r#"invalid after init: {"type":"complete","id":""}"#,
            r#"invalid after init: {"type":"complete"}"#,
        ],
    ),
    (
        "connection_init: its payload is an object, null, or left out",
        &[
            "an init with a payload is acknowledged",
            "a null payload of an init counts as absent",
            r#"invalid before init: {"type":"connection_init","payload":1}"#,
        ],
    ),
    (
        "connection_init must arrive in time",
        &[
            "a client that sends nothing is closed after the init timeout",
            "a ping does not stop the init timeout",
        ],
    ),
    (
        "connection_init is allowed once",
        &["a second init is refused"],
    ),
    (
        "connection_ack: a connection counts as acknowledged before the message is sent",
        &[
            "a subscribe right after the init is served",
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
        "pong returns the ping's payload; a pong without a ping is legal; a pong is never answered",
        &[
            "the payload of a ping is returned",
            "a pong is ignored",
            "a pong before init is ignored",
        ],
    ),
    (
        "subscribe only after the acknowledgement, for queries and mutations too",
        &[
            "subscribe before init is unauthorized",
            "a query is answered and completed",
            "a mutation is answered and completed",
        ],
    ),
    (
        "the payload of subscribe: query, operationName, variables, extensions, of these types",
        &[
            "null members count as absent",
            "the operation is chosen by its name",
            "unknown keys of a payload are ignored",
            r#"an error of the operation: {"type":"subscribe","id":"b","payload":{"query":1}}"#,
        ],
    ),
    (
        "a result with errors of fields is sent as next",
        &[
            "a field that fails is a result with errors",
            "a failure that leaves no data is a result with errors",
        ],
    ),
    (
        "error has a list of at least one error, ends the operation, and no complete follows",
        &[
            "a document that is not GraphQL",
            "an id is free after an error",
        ],
    ),
    (
        "the server's complete follows the last next",
        &[
            "a query is answered and completed",
            "several queries are each answered once",
        ],
    ),
    (
        "after the client's complete nothing is sent for the id, and no complete",
        &[
            "the client's complete is not answered",
            "nothing arrives after the client's complete",
        ],
    ),
    (
        "4400: invalid JSON, no object, unknown or missing type, an id that is no string, empty id, a message that only servers send",
        &[
            "invalid after init: {",
            "invalid after init: []",
            r#"invalid after init: {"type":""}"#,
            r#"invalid after init: {"id":"a"}"#,
            r#"invalid after init: {"type":"connection_ack"}"#,
            r#"invalid after init: {"type":"subscribe","id":1,"payload":{"query":"{ __typename }"}}"#,
        ],
    ),
    (
        "(beyond the protocol) content that cannot be read ends nothing else: the answer is an error of its operation",
        &[
            r#"an error of the operation: {"type":"subscribe","id":"b","payload":{"query":1}}"#,
            r#"an error of the operation: {"type":"subscribe","id":"b","payload":{"a":1e999}}"#,
            r#"the pong has no payload: {"type":"ping","payload":"text"}"#,
            "half a surrogate pair is read as the replacement character",
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
            "an invalid token is rejected",
            "an invalid token in the upgrade is rejected at the init",
        ],
    ),
    (
        "4406: the socket was opened without this subprotocol",
        &["an init without a subprotocol is not answered"],
    ),
    (
        "4408: no init in time; a slow check does not count",
        &[
            "a client that sends nothing is closed after the init timeout",
            "a slow check does not count for the init timeout",
        ],
    ),
    (
        "4409: the id is active, for any kind of operation, also while it is prepared",
        &[
            "the id of a running operation is taken",
            "the id of a subscription is taken for a query",
            "an id is taken while its operation is prepared",
            "the id of a query that is prepared is taken",
        ],
    ),
    (
        "4429: a second init, also while the first is pending",
        &[
            "a second init is refused",
            "a second init is refused while the first is pending",
        ],
    ),
    (
        "4500 is final, so it is not used: a temporary failure closes with 1013",
        &[
            "test: v7_a_panic_costs_one_execution_and_no_frame",
            "Try again later, while an operation runs",
        ],
    ),
    (
        "clients reconnect after 1001, 1012 and 1013",
        &["test: p5_clients_reconnect_after_each_close_that_may_heal"],
    ),
    (
        "a client may close with any of its codes",
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
        "no final code is used for a failure that may heal",
        &["test: p5_clients_reconnect_after_each_close_that_may_heal"],
    ),
    (
        "rejections come after the upgrade, not before",
        &[
            "an invalid token in the upgrade is rejected at the init",
            "a full server closes further connections with 1013",
        ],
    ),
    (
        "a restart is announced by its code",
        &[
            "a server that stops closes its connections with 1012",
            "test: s3_an_answered_write",
        ],
    ),
    (
        "a reason has at most 123 bytes",
        &[
            "a long id that is taken is truncated in the reason",
            "a long id is not truncated inside a character",
            "a very long id that is taken is truncated in the reason",
        ],
    ),
    (
        "complete for an unknown or finished id is ignored",
        &[
            "complete for an unknown id is ignored",
            "complete for an answered id is ignored",
            "complete for a refused id is ignored",
            "a second complete is ignored",
            "complete before init is ignored",
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
            "a query that is completed before its result sends nothing",
            "a result and the client's complete may cross",
        ],
    ),
    (
        "race: the client completes while subscribe stalls",
        &[
            "a source that opens after the client's complete is dropped",
            "an operation completed during preparation sends nothing",
        ],
    ),
    (
        "race: the socket closes while an operation is prepared",
        &[
            "a client may close with operations in preparation",
            "nothing follows a close while operations are prepared",
        ],
    ),
    (
        "all sources are dropped on close",
        &["a client may close with running operations"],
    ),
    (
        "a source that fails does not end the socket with a final code",
        &[
            "Try again later, while an operation runs",
            "test: v7_a_panic_costs_one_execution_and_no_frame",
        ],
    ),
    (
        "errors of the preparation are sent as error: syntax, validation, unknown operation, variables",
        &[
            "a document that is not GraphQL",
            "a document that does not match the schema",
            "an unknown operation name",
            "several operations without an operation name",
            "a missing variable",
            "a variable of a wrong type",
            "a missing variable of a subscription",
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
        "WebSocket pings keep a connection alive; a quiet healthy client is not disconnected",
        &[
            "a WebSocket ping is not a message of the protocol",
            "test: t4_a_quiet_client_is_pinged_and_a_dead_one_is_disconnected",
        ],
    ),
    (
        "a client that reconnects with the same id resumes after its cursor",
        &[
            "test: a_subscription_can_resume_from_the_cursor_of_the_live_ping",
            "test: a_restart_keeps_everything",
        ],
    ),
    (
        "ours: a subscription is reported live once, after the earlier messages",
        &[
            "a subscription from now on is live at once",
            "a subscription is live only after the earlier messages",
            "each subscription is reported live",
            "a completed subscription is not reported live again",
            "the client's pong is ignored, with and without the payload",
        ],
    ),
    (
        "ours: the client receives a close after an oversized message, or a message that breaks RFC 6455",
        &[
            "a message one byte beyond the limit is refused",
            "the rest of an oversized message is read before the close",
            "a reserved bit violates the WebSocket protocol",
            "a byte that is never UTF-8 is not valid text",
        ],
    ),
];

/// The text of all files in a folder and its subfolders.
fn tests(folder: &Path) -> String {
    let entries = fs::read_dir(folder)
        .expect("the folder of the tests can be read")
        .map(|entry| entry.expect("readable").path());
    let text = |path: std::path::PathBuf| match path.is_dir() {
        true => tests(&path),
        false => fs::read_to_string(path).unwrap_or_default(),
    };
    entries.map(text).collect()
}

#[test]
fn every_line_of_the_protocol_names_existing_proofs() {
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
