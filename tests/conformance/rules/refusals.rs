//! Requests that are refused before they run: one `error`, and nothing after it.

use serde_json::{Value, json};

use crate::{
    documents::{
        BAD_CURSOR, BAD_ROOTS, NEW_MESSAGE, NO_SUCH_ROOM, NODE, SYNTAX, TWO_QUERIES, TYPENAME,
        UNKNOWN_FIELD, WITH_VARIABLES, typename,
    },
    expect::{completed, event, next, refused},
    scenario::{
        Scenario, Step, complete, publish, ready, ready_in_a_slow_world, receive, subscribe,
        subscribe_with, together,
    },
};

pub(crate) fn scenarios() -> Vec<Scenario> {
    [
        documents(),
        roots(),
        variables(),
        others_continue(),
        operations_max(),
    ]
    .concat()
}

fn refusal(name: &str, payload: Value, code: &'static str) -> Scenario {
    ready(
        name,
        [
            subscribe_with("a", payload),
            receive([refused("a", code)]),
            Step::Silence,
        ],
    )
}

fn documents() -> Vec<Scenario> {
    let (parse, validation) = ("GRAPHQL_PARSE_FAILED", "GRAPHQL_VALIDATION_FAILED");
    let named = |query: &str, name: Value| json!({ "query": query, "operationName": name });
    vec![
        refusal(
            "a document that is not GraphQL",
            json!({ "query": SYNTAX }),
            parse,
        ),
        refusal("an empty document", json!({ "query": "" }), parse),
        refusal(
            "a document that does not match the schema",
            json!({ "query": UNKNOWN_FIELD }),
            validation,
        ),
        refusal(
            "an unknown operation name",
            named(TWO_QUERIES, json!("C")),
            validation,
        ),
        refusal(
            "an operation name for an anonymous operation",
            named(TYPENAME, json!("A")),
            validation,
        ),
        refusal(
            "several operations without an operation name",
            named(TWO_QUERIES, Value::Null),
            validation,
        ),
        refusal(
            "a subscription to an unknown room",
            json!({ "query": NO_SUCH_ROOM }),
            "NOT_FOUND",
        ),
        refusal(
            "a subscription after an invalid cursor",
            json!({ "query": BAD_CURSOR }),
            "BAD_USER_INPUT",
        ),
    ]
}

fn roots() -> Vec<Scenario> {
    let root = |(what, query): (&str, &str)| {
        let name = format!("the root of a subscription is one plain field, not {what}");
        refusal(
            &name,
            json!({ "query": query }),
            "GRAPHQL_VALIDATION_FAILED",
        )
    };
    BAD_ROOTS.map(root).to_vec()
}

fn variables() -> Vec<Scenario> {
    let wrong = "BAD_USER_INPUT";
    let of = |query: &str, variables: Value| json!({ "query": query, "variables": variables });
    vec![
        refusal("a missing variable", of(NODE, Value::Null), wrong),
        refusal(
            "a variable with another name",
            of(NODE, json!({ "ID": "a" })),
            wrong,
        ),
        refusal(
            "a null for a non-null variable",
            of(NODE, json!({ "id": null })),
            wrong,
        ),
        refusal(
            "a variable of a wrong type",
            of(NODE, json!({ "id": { "a": 1 } })),
            wrong,
        ),
        refusal(
            "a list for a variable that is not a list",
            of(NODE, json!({ "id": ["a", "b"] })),
            wrong,
        ),
        refusal(
            "a missing variable of a subscription",
            of(WITH_VARIABLES, json!({ "after": null })),
            wrong,
        ),
    ]
}

fn others_continue() -> Vec<Scenario> {
    vec![
        ready(
            "an operation continues when another is refused",
            [
                subscribe("a", NEW_MESSAGE),
                subscribe("b", SYNTAX),
                receive([refused("b", "GRAPHQL_PARSE_FAILED")]),
                publish("still"),
                receive([event("a", "still")]),
            ],
        ),
        ready(
            "refusals of requests sent together are each answered once",
            [
                together([
                    subscribe("a", SYNTAX),
                    subscribe("b", UNKNOWN_FIELD),
                    subscribe("c", NO_SUCH_ROOM),
                ]),
                receive([
                    refused("a", "GRAPHQL_PARSE_FAILED"),
                    refused("b", "GRAPHQL_VALIDATION_FAILED"),
                    refused("c", "NOT_FOUND"),
                ]),
                Step::Silence,
            ],
        ),
        ready_in_a_slow_world(
            "a refusal after the client's complete is not sent",
            [
                subscribe("a", SYNTAX),
                complete("a"),
                Step::Settle,
                Step::Silence,
            ],
        ),
    ]
}

/// An operation beyond the limit is refused. The running operations and the socket continue.
fn operations_max() -> Vec<Scenario> {
    let two: &[&str] = &["--operations-max", "2"];
    let both_run = || together([subscribe("a", NEW_MESSAGE), subscribe("b", NEW_MESSAGE)]);
    let beyond_the_limit = || {
        [
            subscribe("c", TYPENAME),
            receive([refused("c", "TOO_MANY_OPERATIONS")]),
            Step::Silence,
        ]
    };
    let begin = || std::iter::once(both_run()).chain(beyond_the_limit());
    vec![
        ready(
            "an operation beyond the limit is refused, and the others continue",
            begin().chain([
                publish("still"),
                receive([event("a", "still"), event("b", "still")]),
            ]),
        )
        .with(two),
        ready(
            "an operation may start when another has ended",
            begin().chain([
                complete("a"),
                subscribe("c", TYPENAME),
                receive([next("c", typename()), completed("c")]),
            ]),
        )
        .with(two),
        ready(
            "the id of an operation beyond the limit is not taken",
            begin().chain(beyond_the_limit()),
        )
        .with(two),
        ready(
            "queries that have ended do not count",
            (0..5).flat_map(|_| {
                [
                    subscribe("q", TYPENAME),
                    receive([next("q", typename()), completed("q")]),
                ]
            }),
        )
        .with(two),
        ready(
            "a limit of 0 operations means no limit",
            [
                together((0..150).map(|id| subscribe(&id.to_string(), NEW_MESSAGE))),
                publish("to all"),
                receive((0..150).map(|id| event(&id.to_string(), "to all"))),
            ],
        )
        .with(&["--operations-max", "0"]),
    ]
}
