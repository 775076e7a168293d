//! The legacy protocol: operations, from `start` to their end.

use serde_json::{Value, json};

use crate::{
    documents::{
        ALIASED, BAD_CURSOR, NEW_MESSAGE, NO_MESSAGES, NO_SUCH_ROOM, ROOM_1, SEND, SIGN_IN, SYNTAX,
        TWO_QUERIES, TYPENAME, UNKNOWN_FIELD, typename,
    },
    expect::{Expect, ack, completed, event, event_as, failed, next, refused, stray_error},
    scenario::{
        Scenario, Step, init, init_with, legacy, legacy_ready, publish, receive, send, start, stop,
        together,
    },
};

pub(crate) fn scenarios() -> Vec<Scenario> {
    [
        results(),
        refusals(),
        malformed_starts(),
        numbers(),
        streams(),
        stops(),
        crossing_stops(),
        repeated(),
        waiting(),
        changed_while_waiting(),
        bounds(),
        bytes_bounds(),
    ]
    .concat()
}

fn answered(id: &str) -> Step {
    receive([next(id, typename()), completed(id)])
}

fn start_with(id: &str, payload: &Value) -> Step {
    send(json!({ "id": id, "type": "start", "payload": payload }).to_string())
}

fn results() -> Vec<Scenario> {
    let signed_in = [
        init_with(json!({ "authorization": "Bearer TOKEN" })),
        receive([ack()]),
    ];
    let sent = json!({ "data": { "sendMessage": { "text": "from inside" } } });
    let viewer = json!({ "data": { "signIn": { "viewer": { "name": "x" } } } });
    let full =
        json!({ "query": TWO_QUERIES, "operationName": "A", "variables": {}, "extensions": {} });
    let null =
        json!({ "query": TYPENAME, "operationName": null, "variables": null, "extensions": null });
    vec![
        legacy_ready(
            "a query is answered by data, then complete",
            [start("q", TYPENAME), answered("q"), Step::Silence],
        ),
        legacy_ready(
            "a mutation is answered",
            [
                start("m", SIGN_IN),
                receive([next("m", viewer), completed("m")]),
            ],
        ),
        legacy_ready(
            "the operation is chosen by its name",
            [start_with("q", &full), answered("q")],
        ),
        legacy_ready(
            "null members count as absent",
            [start_with("q", &null), answered("q")],
        ),
        legacy_ready(
            "a field that fails is a result with errors",
            [
                start("m", SEND),
                receive([
                    failed("m", json!({ "sendMessage": null }), "UNAUTHENTICATED"),
                    completed("m"),
                ]),
            ],
        ),
        legacy_ready(
            "a failure that leaves no data is a result with errors",
            [
                start("q", NO_MESSAGES),
                receive([failed("q", Value::Null, "NOT_FOUND"), completed("q")]),
            ],
        ),
        legacy(
            "a mutation runs once, and a subscription on the same socket receives it",
            signed_in.into_iter().chain([
                start("s", NEW_MESSAGE),
                start("m", SEND),
                receive([next("m", sent), completed("m"), event("s", "from inside")]),
            ]),
        ),
    ]
}

fn refusals() -> Vec<Scenario> {
    let refusal = |name: &str, query: &str, code| {
        legacy_ready(
            name,
            [
                start("a", query),
                receive([refused("a", code)]),
                Step::Silence,
            ],
        )
    };
    vec![
        refusal(
            "a document that is not GraphQL is an error",
            SYNTAX,
            "GRAPHQL_PARSE_FAILED",
        ),
        refusal(
            "a document that does not match the schema is an error",
            UNKNOWN_FIELD,
            "GRAPHQL_VALIDATION_FAILED",
        ),
        refusal(
            "a subscription to an unknown room is an error",
            NO_SUCH_ROOM,
            "NOT_FOUND",
        ),
        refusal(
            "a subscription after an invalid cursor is an error",
            BAD_CURSOR,
            "BAD_USER_INPUT",
        ),
    ]
}

fn malformed_starts() -> Vec<Scenario> {
    let malformed = |name: &str, payload: Value| {
        legacy_ready(
            name,
            [
                start_with("a", &payload),
                receive([refused("a", "BAD_USER_INPUT")]),
                Step::Silence,
            ],
        )
    };
    vec![
        malformed(
            "a start without a payload is an error of its operation",
            Value::Null,
        ),
        malformed(
            "a start without a query is an error of its operation",
            json!({}),
        ),
        malformed(
            "a query that is not a string is an error of its operation",
            json!({ "query": 7 }),
        ),
        malformed(
            "variables that are not an object are an error of its operation",
            json!({
                "query": TYPENAME, "variables": [1]
            }),
        ),
        malformed(
            "a payload that is not an object is an error of its operation",
            json!([TYPENAME]),
        ),
        legacy_ready(
            "an id is free after an error",
            [
                start("a", SYNTAX),
                receive([refused("a", "GRAPHQL_PARSE_FAILED")]),
                start("a", TYPENAME),
                answered("a"),
            ],
        ),
        legacy_ready(
            "an operation continues when another is refused",
            [
                start("a", NEW_MESSAGE),
                start("b", SYNTAX),
                receive([refused("b", "GRAPHQL_PARSE_FAILED")]),
                publish("still"),
                receive([event("a", "still")]),
            ],
        ),
    ]
}

/// Old clients number their operations. An id is returned as it was sent.
fn numbers() -> Vec<Scenario> {
    let start = |id: Value, query: &str| {
        send(json!({ "type": "start", "id": id, "payload": { "query": query } }).to_string())
    };
    let answered = |id: Value| {
        let data = json!({ "id": id, "type": "data", "payload": typename() });
        let complete = json!({ "id": id, "type": "complete" });
        receive([Expect::Exactly(data), Expect::Exactly(complete)])
    };
    vec![
        legacy_ready(
            "an id may be a number",
            [start(json!(1), TYPENAME), answered(json!(1))],
        ),
        legacy(
            "an id that is a number waits for the acknowledgement",
            [
                start(json!(7), TYPENAME),
                init(),
                receive([ack()]),
                answered(json!(7)),
            ],
        ),
        legacy_ready(
            "a start with a number that cannot be read is an error of its number",
            [
                send(r#"{"type":"start","id":2,"payload":{"query":7}}"#),
                receive([Expect::Exactly(json!({
                    "id": 2,
                    "type": "error",
                    "payload": {
                        "message": "`query` must be a string.",
                        "extensions": { "code": "BAD_USER_INPUT" }
                    }
                }))]),
            ],
        ),
        legacy_ready(
            "a stop of a number is answered with the number",
            [
                start(json!(3), NEW_MESSAGE),
                send(r#"{"type":"stop","id":3}"#),
                receive([Expect::Exactly(json!({ "id": 3, "type": "complete" }))]),
            ],
        ),
        legacy_ready(
            "a number and the text of the number are one id",
            [
                start(json!(4), NEW_MESSAGE),
                start(json!("4"), TYPENAME),
                answered(json!("4")),
            ],
        ),
    ]
}

fn streams() -> Vec<Scenario> {
    vec![
        legacy_ready(
            "messages arrive in order, each with its cursor",
            [
                start("s", NEW_MESSAGE),
                publish("one"),
                publish("two"),
                receive([event("s", "one"), event("s", "two")]),
            ],
        ),
        legacy_ready(
            "no ping says that a subscription is live, because old clients do not know it",
            [start("s", ROOM_1), Step::Silence],
        )
        .exactly(),
        legacy_ready(
            "earlier messages arrive first",
            [
                publish("one"),
                start("s", NEW_MESSAGE),
                receive([event("s", "one")]),
                publish("two"),
                receive([event("s", "two")]),
            ],
        )
        .exactly(),
        legacy_ready(
            "each operation receives its own results",
            [
                together([start("a", NEW_MESSAGE), start("b", ALIASED)]),
                publish("one"),
                receive([event("a", "one"), event_as("b", "alias", "one")]),
            ],
        ),
    ]
}

/// The reference implementation answers `stop` with `complete`, and some clients wait for it.
fn stops() -> Vec<Scenario> {
    let witnessed = [publish("two"), receive([event("w", "two")]), Step::Silence];
    vec![
        legacy_ready(
            "a stop is answered by complete",
            [
                start("a", NEW_MESSAGE),
                stop("a"),
                receive([completed("a")]),
                Step::Silence,
            ],
        ),
        legacy_ready("nothing arrives after a stop", {
            let both = [
                together([start("w", NEW_MESSAGE), start("a", NEW_MESSAGE)]),
                publish("one"),
                receive([event("w", "one"), event("a", "one")]),
                stop("a"),
                receive([completed("a")]),
            ];
            both.into_iter().chain(witnessed)
        }),
        legacy_ready(
            "a stop for an unknown id is ignored",
            [stop("a"), Step::Silence],
        ),
        legacy_ready(
            "a second stop is ignored",
            [
                start("a", NEW_MESSAGE),
                together([stop("a"), stop("a")]),
                receive([completed("a")]),
                Step::Silence,
            ],
        ),
        legacy_ready(
            "a stop for an answered id is ignored",
            [
                start("a", TYPENAME),
                answered("a"),
                stop("a"),
                Step::Silence,
            ],
        ),
    ]
}

fn crossing_stops() -> Vec<Scenario> {
    vec![
        legacy_ready(
            "a result and a stop may cross",
            [
                together([start("q", TYPENAME), stop("q")]),
                Step::AllOrNothing("q".to_owned(), typename()),
                Step::Silence,
            ],
        ),
        legacy_ready(
            "an id is free after a stop",
            [
                start("a", NEW_MESSAGE),
                stop("a"),
                receive([completed("a")]),
                start("a", ALIASED),
                publish("one"),
                receive([event_as("a", "alias", "one")]),
            ],
        ),
        legacy(
            "a result after a stop is not sent",
            [
                init(),
                Step::Settle,
                receive([ack()]),
                start("q", TYPENAME),
                stop("q"),
                receive([completed("q")]),
                Step::Settle,
                Step::Silence,
            ],
        )
        .slowly(),
    ]
}

fn repeated() -> Vec<Scenario> {
    vec![
        legacy_ready(
            "a repeated id silently replaces the running operation",
            [
                start("a", NEW_MESSAGE),
                Step::Silence,
                start("a", ALIASED),
                publish("one"),
                receive([event_as("a", "alias", "one")]),
                publish("two"),
                receive([event_as("a", "alias", "two")]),
            ],
        ),
        legacy_ready(
            "a repeated id may become a query",
            [start("a", NEW_MESSAGE), start("a", TYPENAME), answered("a")],
        ),
        legacy_ready(
            "a repeated id replaces an operation in preparation",
            [
                together([start("a", NEW_MESSAGE), start("a", ALIASED)]),
                publish("one"),
                receive([event_as("a", "alias", "one")]),
            ],
        ),
        legacy_ready(
            "a malformed start ends the running operation with its id",
            [
                start("a", NEW_MESSAGE),
                start_with("a", &json!({ "query": 7 })),
                receive([refused("a", "BAD_USER_INPUT")]),
                publish("one"),
                Step::Silence,
            ],
        ),
    ]
}

/// Operations that start before the acknowledgement wait for it.
fn waiting() -> Vec<Scenario> {
    vec![
        legacy(
            "a start right after the init is served",
            [
                together([init(), start("a", TYPENAME)]),
                receive([ack()]),
                answered("a"),
            ],
        ),
        legacy(
            "a start before the init waits for it",
            [
                start("a", TYPENAME),
                Step::Silence,
                init(),
                receive([ack()]),
                answered("a"),
            ],
        ),
        legacy(
            "starts wait for the check and then run in order",
            [
                init(),
                start("a", NEW_MESSAGE),
                start("q", TYPENAME),
                Step::Silence,
                Step::Settle,
                receive([ack()]),
                Step::Settle,
                receive([next("q", typename()), completed("q")]),
                publish("one"),
                receive([event("a", "one")]),
            ],
        )
        .slowly(),
        legacy(
            "the caller is known before waiting operations run",
            [
                together([
                    init_with(json!({ "authorization": "Bearer TOKEN" })),
                    start("m", SEND),
                ]),
                receive([
                    ack(),
                    next(
                        "m",
                        json!({ "data": { "sendMessage": { "text": "from inside" } } }),
                    ),
                    completed("m"),
                ]),
            ],
        ),
    ]
}

fn changed_while_waiting() -> Vec<Scenario> {
    vec![
        legacy(
            "a waiting start can be stopped",
            [
                start("a", TYPENAME),
                stop("a"),
                receive([completed("a")]),
                init(),
                receive([ack()]),
                Step::Silence,
            ],
        ),
        legacy(
            "a waiting start can be replaced",
            [
                start("a", SYNTAX),
                start("a", TYPENAME),
                init(),
                receive([ack()]),
                answered("a"),
            ],
        ),
        legacy(
            "a malformed start does not wait",
            [
                start_with("a", &json!({})),
                receive([refused("a", "BAD_USER_INPUT")]),
                init(),
                receive([ack()]),
                Step::Silence,
            ],
        ),
    ]
}

fn bounds() -> Vec<Scenario> {
    let two: &[&str] = &["--operations-max", "2"];
    vec![
        legacy_ready(
            "an operation beyond the limit is refused, and the others continue",
            [
                together([start("a", NEW_MESSAGE), start("b", NEW_MESSAGE)]),
                start("c", TYPENAME),
                receive([refused("c", "TOO_MANY_OPERATIONS")]),
                publish("still"),
                receive([event("a", "still"), event("b", "still")]),
            ],
        )
        .with(two),
        legacy_ready(
            "a repeated id does not exceed the limit",
            [
                together([start("a", NEW_MESSAGE), start("b", NEW_MESSAGE)]),
                start("b", TYPENAME),
                answered("b"),
            ],
        )
        .with(two),
        legacy(
            "waiting operations count for the limit",
            [
                together([start("a", ROOM_1), start("b", ROOM_1), start("c", TYPENAME)]),
                receive([refused("c", "TOO_MANY_OPERATIONS")]),
                init(),
                receive([ack()]),
                Step::Silence,
            ],
        )
        .with(two),
    ]
}

fn bytes_bounds() -> Vec<Scenario> {
    let long = start_with(
        "b",
        &json!({ "query": TYPENAME, "extensions": { "pad": "x".repeat(600) } }),
    );
    vec![
        legacy(
            "the bytes of waiting operations are bounded",
            [
                start("a", TYPENAME),
                long.clone(),
                receive([refused("b", "TOO_COMPLEX")]),
                init(),
                receive([ack()]),
                answered("a"),
                long,
                answered("b"),
            ],
        )
        .with(&["--held-bytes-max", "256"]),
        legacy_ready(
            "an id beyond the length limit is malformed",
            [start(&"i".repeat(129), TYPENAME), receive([stray_error()])],
        )
        .with(&["--operation-id-bytes-max", "128"]),
    ]
}
