//! The legacy protocol: the connection. The reference is subscriptions-transport-ws 0.11, without
//! its bugs.

use serde_json::{Value, json};
use switchboard::protocol::{Close, Subprotocol};

use crate::{
    documents::{NEW_MESSAGE, TYPENAME, typename},
    expect::{Expect, ack, completed, connection_error, event, keep_alive, next, stray_error},
    scenario::{
        LEGACY, Opening, Reach, Reason, Scenario, Step, closed, init, init_with, legacy,
        legacy_ready, publish, receive, send, start, stop, terminate, together,
    },
};

/// Texts that are not JSON objects.
const NOT_JSON: [&str; 7] = [
    "",
    "hello",
    "{",
    "null",
    "[]",
    r#"["connection_init"]"#,
    r#"{"type":"start","id":"a","payload":{"query":"{ __typename }"}} {}"#,
];

/// Objects that are not messages of a client.
const STRAY: [&str; 18] = [
    "{}",
    r#"{"payload":{}}"#,
    r#"{"id":"a"}"#,
    r#"{"type":null}"#,
    r#"{"type":0}"#,
    r#"{"type":"START","id":"a","payload":{"query":"{ __typename }"}}"#,
    r#"{"type":"subscribe","id":"a","payload":{"query":"{ __typename }"}}"#,
    r#"{"type":"complete","id":"a"}"#,
    r#"{"type":"ping"}"#,
    r#"{"type":"ka"}"#,
    r#"{"type":"connection_ack"}"#,
    r#"{"type":"data","id":"a","payload":{}}"#,
    r#"{"type":"start","payload":{"query":"{ __typename }"}}"#,
    r#"{"type":"start","id":null,"payload":{"query":"{ __typename }"}}"#,
    r#"{"type":"start","id":"","payload":{"query":"{ __typename }"}}"#,
    r#"{"type":"stop"}"#,
    r#"{"type":"stop","id":{}}"#,
    r#"{"type":"connection_init","payload":7}"#,
];

pub(crate) fn scenarios() -> Vec<Scenario> {
    [
        acknowledgements(),
        credentials(),
        malformed(),
        heartbeats(),
        too_late(),
        leaving(),
        closing(),
    ]
    .concat()
}

fn bad() -> Expect {
    connection_error("BAD_USER_INPUT")
}

fn forbidden() -> [Step; 2] {
    [
        receive([connection_error("UNAUTHENTICATED")]),
        closed(4403, "Forbidden"),
    ]
}

fn acknowledgements() -> Vec<Scenario> {
    vec![
        legacy(
            "an init is acknowledged, and a heartbeat follows at once",
            [init(), receive([ack(), keep_alive()])],
        )
        .exactly(),
        legacy(
            "an init with a payload is acknowledged",
            [init_with(json!({ "theme": "dark" })), receive([ack()])],
        ),
        legacy(
            "a null payload of an init counts as absent",
            [init_with(Value::Null), receive([ack()])],
        ),
        legacy("the server sends nothing before init", [Step::Silence]).exactly(),
        legacy_ready(
            "a second init is an error, and running operations continue",
            [
                start("a", NEW_MESSAGE),
                init(),
                receive([stray_error()]),
                publish("still"),
                receive([event("a", "still")]),
            ],
        ),
        legacy(
            "a second init while the first is pending is an error",
            [
                init(),
                init(),
                receive([stray_error()]),
                Step::Settle,
                receive([ack()]),
            ],
        )
        .slowly(),
        legacy_ready(
            "a second init with an invalid token is an error and changes nothing",
            [
                init_with(json!({ "authorization": "Bearer bad" })),
                receive([stray_error()]),
                start("q", TYPENAME),
                receive([next("q", typename()), completed("q")]),
            ],
        ),
    ]
}

fn credentials() -> Vec<Scenario> {
    let good = |name: &str, payload: Value| legacy(name, [init_with(payload), receive([ack()])]);
    let rejected = |name: &str, payload: Value| {
        legacy(name, [init_with(payload)].into_iter().chain(forbidden()))
    };
    let header = Opening {
        offers: &[LEGACY],
        authorization: Some("Bearer bad"),
        spoken: Some(Subprotocol::Legacy),
    };
    vec![
        good(
            "a valid token is accepted",
            json!({ "authorization": "Bearer TOKEN" }),
        ),
        good(
            "authorization may be written like a header",
            json!({ "Authorization": "Bearer TOKEN" }),
        ),
        rejected(
            "a bad token is a connection_error, then a close",
            json!({ "authorization": "Bearer bad" }),
        ),
        rejected(
            "an authorization that is a number is rejected",
            json!({ "authorization": 7 }),
        ),
        legacy("nothing is served after a rejection", {
            let bad = init_with(json!({ "authorization": "Bearer bad" }));
            [together([bad, start("a", TYPENAME)])]
                .into_iter()
                .chain(forbidden())
        }),
        legacy("a slow check of an invalid token ends in a rejection", {
            let asked = [
                init_with(json!({ "authorization": "Bearer bad" })),
                Step::Silence,
                Step::Settle,
            ];
            asked.into_iter().chain(forbidden())
        })
        .slowly(),
        legacy(
            "an invalid token in the upgrade is rejected at the init",
            [init()].into_iter().chain(forbidden()),
        )
        .opened(header),
    ]
}

fn malformed() -> Vec<Scenario> {
    let not_json = NOT_JSON.map(|text| (text, bad as fn() -> Expect));
    let stray = STRAY.map(|text| (text, stray_error as fn() -> Expect));
    let at_both_times = not_json
        .into_iter()
        .chain(stray)
        .flat_map(|(text, answer)| {
            let before = legacy(
                &format!("malformed before init: {text}"),
                [send(text), receive([answer()]), init(), receive([ack()])],
            );
            let name = format!("malformed after it: {text}");
            let after = legacy_ready(
                &name,
                [
                    start("a", NEW_MESSAGE),
                    send(text),
                    receive([answer()]),
                    publish("still"),
                    receive([event("a", "still")]),
                ],
            );
            [before, after]
        });
    let others = [
        legacy(
            "an empty array as the payload of an init counts as absent",
            [
                send(r#"{"type":"connection_init","payload":[]}"#),
                receive([ack()]),
            ],
        ),
        legacy_ready(
            "deeply nested arrays are an error",
            [send("[".repeat(100_000)), receive([bad()])],
        ),
    ];
    at_both_times.chain(others).chain(binary()).collect()
}

/// Apollo Kotlin 3.0 to 3.2 sends binary messages.
fn binary() -> [Scenario; 3] {
    let bytes = |text: &str| Step::SendBytes(text.as_bytes().to_vec());
    [
        legacy(
            "a binary message is read as text",
            [
                bytes(r#"{"type":"connection_init","payload":{}}"#),
                receive([ack()]),
                bytes(r#"{"type":"start","id":"a","payload":{"query":"{ __typename }"}}"#),
                receive([next("a", typename()), completed("a")]),
            ],
        ),
        legacy(
            "a binary start waits for the acknowledgement",
            [
                bytes(r#"{"type":"start","id":"a","payload":{"query":"{ __typename }"}}"#),
                init(),
                receive([ack(), next("a", typename()), completed("a")]),
            ],
        ),
        legacy_ready(
            "a binary message that is not UTF-8 is an error",
            [
                Step::SendBytes(b"{\"type\":\"\xff\"}".to_vec()),
                receive([bad()]),
            ],
        ),
    ]
}

fn heartbeats() -> Vec<Scenario> {
    let soon: &[&str] = &["--heartbeat-interval", "100ms"];
    let beats = || {
        [
            Step::Beat,
            receive([keep_alive()]),
            Step::Beat,
            receive([keep_alive()]),
        ]
    };
    vec![
        legacy_ready("heartbeats continue", beats()).with(soon),
        legacy_ready("heartbeats continue while operations run", {
            let after = [publish("one"), receive([event("a", "one")])];
            [start("a", NEW_MESSAGE)]
                .into_iter()
                .chain(beats())
                .chain(after)
        })
        .with(soon),
        legacy(
            "there is no heartbeat before the acknowledgement",
            [Step::Beat, Step::Silence],
        )
        .exactly()
        .slowly(),
        legacy(
            "heartbeats can be turned off",
            [init(), receive([ack()]), Step::Silence],
        )
        .exactly()
        .only(Reach::Sockets)
        .with(&["--heartbeat-interval", "0s"]),
    ]
}

fn too_late() -> Vec<Scenario> {
    let timeout = || closed(4408, "Connection initialisation timeout");
    let soon: &[&str] = &["--init-timeout", "200ms"];
    vec![
        legacy(
            "a client that sends nothing is closed after the init timeout",
            [Step::InitTimePasses, timeout()],
        )
        .with(soon),
        legacy(
            "a start does not stop the init timeout",
            [start("a", TYPENAME), Step::InitTimePasses, timeout()],
        )
        .with(soon),
        legacy_ready(
            "a client that sent init is not closed by the init timeout",
            [Step::InitTimePasses, Step::Silence],
        )
        .with(soon),
        legacy(
            "a slow check does not count for the init timeout",
            [
                init(),
                Step::InitTimePasses,
                Step::Silence,
                Step::Settle,
                receive([ack()]),
            ],
        )
        .slowly(),
    ]
}

fn leaving() -> Vec<Scenario> {
    let normal = || closed(1000, "Normal closure");
    let leave = |close: Close, code, reason: &'static str| {
        legacy_ready(
            &format!("the server closes: {reason}"),
            [
                start("a", NEW_MESSAGE),
                Step::ServerLeaves(close),
                closed(code, reason),
            ],
        )
        .only(Reach::Machine)
    };
    vec![
        legacy(
            "connection_terminate is answered by a close",
            [terminate(), normal()],
        ),
        legacy_ready(
            "connection_terminate ends running operations",
            [start("a", NEW_MESSAGE), terminate(), normal()],
        ),
        legacy_ready(
            "nothing follows connection_terminate",
            [
                together([terminate(), start("a", TYPENAME), stop("a"), send("junk")]),
                normal(),
            ],
        ),
        legacy(
            "connection_terminate ends waiting operations",
            [init(), start("a", TYPENAME), terminate(), normal()],
        )
        .slowly(),
        leave(Close::ServiceRestart, 1012, "Service restart"),
        leave(Close::TryAgainLater, 1013, "Try again later"),
    ]
}

fn closing() -> Vec<Scenario> {
    vec![
        legacy_ready(
            "a server that stops closes its connections with 1012",
            [
                start("a", NEW_MESSAGE),
                Step::Silence,
                Step::ServerStops,
                closed(1012, "Service restart"),
            ],
        )
        .only(Reach::Sockets)
        .with(&["--drain-window", "100ms"]),
        legacy_ready(
            "a full server closes further connections with 1013",
            [
                Step::AnotherIsClosed(1013, Reason::Exactly("Try again later".to_owned())),
                start("a", NEW_MESSAGE),
                publish("still"),
                receive([event("a", "still")]),
            ],
        )
        .only(Reach::Sockets)
        .with(&["--connections-max", "1"]),
        legacy_ready(
            "a client may close with running operations",
            [start("a", NEW_MESSAGE), Step::Silence, Step::ClientLeaves],
        )
        .only(Reach::Sockets),
    ]
}
