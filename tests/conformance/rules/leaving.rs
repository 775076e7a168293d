//! Reasons to end a connection other than a message of the client.

use serde_json::json;
use switchboard::protocol::Close;

use crate::{
    documents::{ALIASED, NEW_MESSAGE},
    expect::{event, pong_with},
    scenario::{
        Reach, Reason, Scenario, Step, closed, ping, ping_with, publish, ready,
        ready_in_a_slow_world, receive, scenario, subscribe, together,
    },
};

/// The maximum length of a message in the scenarios about lengths.
const MESSAGE_BYTES_MAX: usize = 4096;

pub(crate) fn scenarios() -> Vec<Scenario> {
    [
        closed_by_the_server(),
        too_big(),
        full_and_stopped(),
        closed_by_the_client(),
    ]
    .concat()
}

/// The server closes for a reason of its own, in each state of the machine.
fn closed_by_the_server() -> Vec<Scenario> {
    let reasons = [
        (Close::GoingAway, 1001, "Going away"),
        (Close::MessageTooBig, 1009, "Message too big"),
        (Close::ServiceRestart, 1012, "Service restart"),
        (Close::TryAgainLater, 1013, "Try again later"),
        (Close::TooManyConnections, 1013, "Too many connections"),
        (Close::TooManyMessages, 1013, "Too many messages"),
    ];
    let scenarios = reasons.into_iter().flat_map(|(close, code, reason)| {
        let leave = [Step::ServerLeaves(close), closed(code, reason)];
        let runs = std::iter::once(subscribe("a", NEW_MESSAGE)).chain(leave.clone());
        [
            scenario(format!("{reason}, before init"), leave),
            ready(format!("{reason}, while an operation runs"), runs),
        ]
    });
    let prepared = ready_in_a_slow_world(
        "nothing follows a close while operations are prepared",
        [
            subscribe("a", NEW_MESSAGE),
            Step::ServerLeaves(Close::ServiceRestart),
            closed(1012, "Service restart"),
        ],
    );
    scenarios
        .map(|scenario| scenario.only(Reach::Machine))
        .chain([prepared])
        .collect()
}

/// The payload of a ping message that has exactly this many bytes.
fn padded(bytes: usize) -> serde_json::Value {
    let around = json!({ "type": "ping", "payload": { "pad": "" } })
        .to_string()
        .len();
    json!({ "pad": "x".repeat(bytes - around) })
}

fn too_big() -> Vec<Scenario> {
    let bound: &[&str] = &["--message-bytes-max", "4096"];
    let too_big = |name: &str, bytes: usize| {
        let steps = [
            subscribe("a", NEW_MESSAGE),
            ping_with(padded(bytes)),
            closed(1009, "Message too big"),
        ];
        ready(name, steps).only(Reach::Sockets).with(bound)
    };
    let longest = padded(MESSAGE_BYTES_MAX);
    vec![
        ready(
            "a message at the size limit is accepted",
            [ping_with(longest.clone()), receive([pong_with(longest)])],
        )
        .only(Reach::Sockets)
        .with(bound),
        too_big(
            "a message one byte beyond the limit is refused",
            MESSAGE_BYTES_MAX + 1,
        ),
        too_big(
            "a message far beyond the limit is refused",
            64 * MESSAGE_BYTES_MAX,
        ),
        scenario(
            "nothing follows the close for an oversized message",
            [
                together([ping_with(padded(2 * MESSAGE_BYTES_MAX)), ping()]),
                closed(1009, "Message too big"),
            ],
        )
        .only(Reach::Sockets)
        .with(bound),
    ]
}

fn full_and_stopped() -> Vec<Scenario> {
    let later = || Reason::Exactly("Try again later".to_owned());
    vec![
        ready(
            "a full server closes further connections with 1013",
            [
                Step::AnotherIsClosed(1013, later()),
                subscribe("a", NEW_MESSAGE),
                publish("still"),
                receive([event("a", "still")]),
            ],
        )
        .only(Reach::Sockets)
        .with(&["--connections-max", "1"]),
        ready(
            "a server that stops closes its connections with 1012",
            [
                together([subscribe("a", NEW_MESSAGE), subscribe("b", ALIASED)]),
                Step::Silence,
                Step::ServerStops,
                closed(1012, "Service restart"),
            ],
        )
        .only(Reach::Sockets)
        .with(&["--drain-window", "100ms"]),
        scenario(
            "a server that stops does not wait for an init",
            [Step::ServerStops, closed(1012, "Service restart")],
        )
        .only(Reach::Sockets)
        .with(&["--drain-window", "100ms"]),
    ]
}

fn closed_by_the_client() -> Vec<Scenario> {
    let closing_client = |name: &str, steps: Vec<Step>| {
        let steps = steps.into_iter().chain([Step::ClientLeaves]);
        ready(name, steps).only(Reach::Sockets)
    };
    let many = || (0..20).map(|id| subscribe(&id.to_string(), NEW_MESSAGE));
    vec![
        scenario("a client may close before init", [Step::ClientLeaves]).only(Reach::Sockets),
        closing_client("a client may close after init", vec![]),
        closing_client(
            "a client may close with running operations",
            vec![together(many()), Step::Silence],
        ),
        closing_client(
            "a client may close with operations in preparation",
            vec![together(many())],
        ),
        closing_client(
            "a client may close after it received everything",
            vec![
                subscribe("a", NEW_MESSAGE),
                publish("one"),
                receive([event("a", "one")]),
            ],
        ),
    ]
}
