//! Queries and mutations: one `next`, then `complete`.

use serde_json::{Value, json};

use crate::{
    documents::{NEW_MESSAGE, NO_MESSAGES, NODE, SEND, SIGN_IN, TWO_QUERIES, TYPENAME, typename},
    expect::{ack, completed, event, failed, next},
    scenario::{
        Scenario, Step, complete, init_with, ready, ready_in_a_slow_world, receive, scenario, send,
        subscribe, subscribe_with, together,
    },
};

pub(crate) fn scenarios() -> Vec<Scenario> {
    [
        answers(),
        answers_in_parallel(),
        shapes(),
        failures(),
        races(),
    ]
    .concat()
}

fn answered(id: &str) -> Step {
    receive([next(id, typename()), completed(id)])
}

fn node(id: &str) -> Value {
    json!({ "query": NODE, "variables": { "id": id } })
}

fn answers() -> Vec<Scenario> {
    let signed_in = [
        init_with(json!({ "authorization": "Bearer TOKEN" })),
        receive([ack()]),
    ];
    let sent = || {
        next(
            "m",
            json!({ "data": { "sendMessage": { "text": "from inside" } } }),
        )
    };
    let viewer = json!({ "data": { "signIn": { "viewer": { "name": "x" } } } });
    vec![
        ready(
            "a query is answered and completed",
            [subscribe("q", TYPENAME), answered("q"), Step::Silence],
        ),
        ready(
            "a mutation is answered and completed",
            [
                subscribe("m", SIGN_IN),
                receive([next("m", viewer), completed("m")]),
                Step::Silence,
            ],
        ),
        ready(
            "a query with variables is answered",
            [
                subscribe_with("q", node("nobody")),
                receive([
                    next("q", json!({ "data": { "node": null } })),
                    completed("q"),
                ]),
            ],
        ),
        scenario(
            "a mutation runs once, and a subscription on the same socket receives it",
            signed_in.into_iter().chain([
                subscribe("s", NEW_MESSAGE),
                subscribe("m", SEND),
                receive([sent(), completed("m"), event("s", "from inside")]),
            ]),
        ),
    ]
}

fn answers_in_parallel() -> Vec<Scenario> {
    vec![
        ready(
            "several queries are each answered once",
            [
                together(["a", "b", "c", "d"].map(|id| subscribe(id, TYPENAME))),
                receive(
                    ["a", "b", "c", "d"]
                        .into_iter()
                        .flat_map(|id| [next(id, typename()), completed(id)]),
                ),
            ],
        ),
        ready(
            "a query is answered beside a subscription",
            [
                subscribe("s", NEW_MESSAGE),
                subscribe("q", TYPENAME),
                answered("q"),
            ],
        ),
    ]
}

/// The forms that the payload of `subscribe` may have.
fn shapes() -> Vec<Scenario> {
    let null =
        json!({ "query": TYPENAME, "operationName": null, "variables": null, "extensions": null });
    let full = json!({ "query": TWO_QUERIES, "operationName": "A", "variables": {}, "extensions": { "a": [1] } });
    let more = json!({ "query": TYPENAME, "more": 7, "operation_name": 7, "id": 7, "type": 7 });
    let unused =
        json!({ "query": TYPENAME, "variables": { "nobody": { "asked": ["for", null] } } });
    vec![
        ready(
            "null members count as absent",
            [subscribe_with("q", null), answered("q")],
        ),
        ready(
            "the operation is chosen by its name",
            [subscribe_with("q", full), answered("q")],
        ),
        ready(
            "unknown keys of a payload are ignored",
            [subscribe_with("q", more), answered("q")],
        ),
        ready(
            "undefined variables are ignored",
            [subscribe_with("q", unused), answered("q")],
        ),
        ready(
            "unknown keys of a subscribe are ignored",
            [
                send(
                    r#"{"more":[],"type":"subscribe","payload":{"query":"{ __typename }"},"id":"q","extensions":7}"#,
                ),
                answered("q"),
            ],
        ),
        ready(
            "the type may be the last key",
            [
                send(r#"{"payload":{"query":"{ __typename }"},"id":"q","type":"subscribe"}"#),
                answered("q"),
            ],
        ),
    ]
}

/// Errors of fields are part of a result: it is a `next` and never an `error`.
fn failures() -> Vec<Scenario> {
    vec![
        ready(
            "a field that fails is a result with errors",
            [
                subscribe("m", SEND),
                receive([
                    failed("m", json!({ "sendMessage": null }), "UNAUTHENTICATED"),
                    completed("m"),
                ]),
            ],
        ),
        ready(
            "a failure that leaves no data is a result with errors",
            [
                subscribe("q", NO_MESSAGES),
                receive([failed("q", Value::Null, "NOT_FOUND"), completed("q")]),
            ],
        ),
        ready(
            "a failure ends neither the socket nor other operations",
            [
                subscribe("m", SEND),
                receive([
                    failed("m", json!({ "sendMessage": null }), "UNAUTHENTICATED"),
                    completed("m"),
                ]),
                subscribe("m", TYPENAME),
                answered("m"),
            ],
        ),
    ]
}

fn races() -> Vec<Scenario> {
    vec![
        ready_in_a_slow_world(
            "a query that is completed before its result sends nothing",
            [
                subscribe("q", TYPENAME),
                complete("q"),
                Step::Settle,
                Step::Silence,
            ],
        ),
        ready(
            "a result and the client's complete may cross",
            [
                together([subscribe("q", TYPENAME), complete("q")]),
                Step::AllOrNothing("q".to_owned(), typename()),
                Step::Silence,
            ],
        ),
        ready(
            "a slow result and the client's complete may cross",
            [
                together([subscribe_with("q", node("nobody")), complete("q")]),
                Step::AllOrNothing("q".to_owned(), json!({ "data": { "node": null } })),
                Step::Silence,
            ],
        ),
        ready_in_a_slow_world(
            "results arrive when they are ready, in any order",
            [
                subscribe("a", TYPENAME),
                Step::Silence,
                Step::Settle,
                answered("a"),
            ],
        ),
    ]
}
