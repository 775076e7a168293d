//! Operation ids: an id is taken from `subscribe` until the client or the server ends the
//! operation.

use serde_json::json;

use crate::{
    documents::{ALIASED, NEW_MESSAGE, NO_SUCH_ROOM, ROOM_1, SYNTAX, TYPENAME, typename},
    expect::{completed, event, event_as, next, refused},
    scenario::{
        Scenario, Step, complete, invalid, publish, ready, ready_in_a_slow_world, receive, send,
        subscribe, subscribe_with, taken, together,
    },
};

/// The maximum length of an id in the scenarios about lengths.
const ID_BYTES_MAX: usize = 128;

pub(crate) fn scenarios() -> Vec<Scenario> {
    [
        taken_ids(),
        ids_taken_in_preparation(),
        free_ids(),
        reused_ids(),
        spellings(),
        lengths(),
        unknown_ids(),
    ]
    .concat()
}

fn answered(id: &str) -> Step {
    receive([next(id, typename()), completed(id)])
}

fn taken_ids() -> Vec<Scenario> {
    vec![
        ready(
            "the id of a running operation is taken",
            [
                subscribe("a", NEW_MESSAGE),
                Step::Silence,
                subscribe("a", ALIASED),
                taken("a"),
            ],
        ),
        ready(
            "the id of a subscription is taken for a query",
            [
                subscribe("a", NEW_MESSAGE),
                subscribe("a", TYPENAME),
                taken("a"),
            ],
        ),
        ready(
            "an id is taken for an invalid document too",
            [
                subscribe("a", NEW_MESSAGE),
                subscribe("a", SYNTAX),
                taken("a"),
            ],
        ),
    ]
}

fn ids_taken_in_preparation() -> Vec<Scenario> {
    vec![
        ready(
            "an id is taken while its operation is prepared",
            [
                together([subscribe("a", NEW_MESSAGE), subscribe("a", NEW_MESSAGE)]),
                taken("a"),
            ],
        ),
        ready_in_a_slow_world(
            "the id of a query that is prepared is taken",
            [
                subscribe("a", TYPENAME),
                subscribe("a", TYPENAME),
                taken("a"),
            ],
        ),
        ready_in_a_slow_world(
            "the id of a query that is prepared is taken for a subscription",
            [subscribe("a", TYPENAME), subscribe("a", ROOM_1), taken("a")],
        ),
        ready(
            "other ids are not taken",
            [
                together([
                    subscribe("a", NEW_MESSAGE),
                    subscribe("A", NEW_MESSAGE),
                    subscribe("a ", NEW_MESSAGE),
                ]),
                publish("to all"),
                receive([
                    event("a", "to all"),
                    event("A", "to all"),
                    event("a ", "to all"),
                ]),
            ],
        ),
        ready(
            "nothing follows the close for a taken id",
            [
                subscribe("a", NEW_MESSAGE),
                together([
                    subscribe("a", NEW_MESSAGE),
                    subscribe("b", TYPENAME),
                    complete("a"),
                ]),
                taken("a"),
            ],
        ),
    ]
}

fn free_ids() -> Vec<Scenario> {
    vec![
        ready(
            "an id is free after the server's complete",
            [
                subscribe("a", TYPENAME),
                answered("a"),
                subscribe("a", TYPENAME),
                answered("a"),
            ],
        ),
        ready(
            "an id is free after an error",
            [
                subscribe("a", SYNTAX),
                receive([refused("a", "GRAPHQL_PARSE_FAILED")]),
                subscribe("a", TYPENAME),
                answered("a"),
            ],
        ),
        ready(
            "an id is free after a subscription was refused",
            [
                subscribe("a", NO_SUCH_ROOM),
                receive([refused("a", "NOT_FOUND")]),
                subscribe("a", NEW_MESSAGE),
                publish("now"),
                receive([event("a", "now")]),
            ],
        ),
        ready(
            "an id is free after the client's complete",
            [
                subscribe("a", NEW_MESSAGE),
                publish("one"),
                receive([event("a", "one")]),
                together([complete("a"), subscribe("a", TYPENAME)]),
                answered("a"),
            ],
        ),
    ]
}

fn reused_ids() -> Vec<Scenario> {
    vec![
        ready(
            "an id that was completed during preparation belongs to the next operation",
            [
                together([
                    subscribe("a", NEW_MESSAGE),
                    complete("a"),
                    subscribe("a", ALIASED),
                ]),
                publish("one"),
                receive([event_as("a", "alias", "one")]),
                publish("two"),
                receive([event_as("a", "alias", "two")]),
            ],
        ),
        ready(
            "an id may be used a hundred times",
            (0..100).flat_map(|_| [subscribe("a", TYPENAME), answered("a")]),
        ),
        ready(
            "an id may be completed and reused a hundred times at once",
            {
                let change =
                    together((0..100).flat_map(|_| [subscribe("a", NEW_MESSAGE), complete("a")]));
                [
                    change,
                    Step::Silence,
                    subscribe("a", TYPENAME),
                    answered("a"),
                ]
            },
        ),
    ]
}

fn spellings() -> Vec<Scenario> {
    let same = |id: &str| {
        ready(
            format!("the id is returned as it was sent: {id:?}"),
            [
                subscribe(id, TYPENAME),
                answered(id),
                subscribe(id, SYNTAX),
                receive([refused(id, "GRAPHQL_PARSE_FAILED")]),
                subscribe(id, NEW_MESSAGE),
                publish("to it"),
                receive([event(id, "to it")]),
            ],
        )
    };
    [
        "1",
        " ",
        "\"",
        "\\\"}",
        "a\nb\u{0}",
        "\u{2603}\u{1F4E8}",
        "{}",
        "null",
        "</script>",
    ]
    .map(same)
    .to_vec()
}

fn lengths() -> Vec<Scenario> {
    let bound: &[&str] = &["--operation-id-bytes-max", "128"];
    let (longest, snow) = (
        "i".repeat(ID_BYTES_MAX),
        "\u{2603}".repeat(ID_BYTES_MAX / 3),
    );
    let too_long = "i".repeat(ID_BYTES_MAX + 1);
    let twice = |id: &str| {
        [
            subscribe(id, NEW_MESSAGE),
            subscribe(id, NEW_MESSAGE),
            taken(id),
        ]
    };
    vec![
        ready(
            "an id at the length limit is accepted",
            [subscribe(&longest, TYPENAME), answered(&longest)],
        )
        .with(bound),
        ready(
            "an id beyond the length limit is invalid",
            [subscribe(&too_long, TYPENAME), invalid()],
        )
        .with(bound),
        ready(
            "a long id that is taken is truncated in the reason",
            twice(&longest),
        )
        .with(bound),
        ready(
            "a long id is not truncated inside a character",
            twice(&snow),
        )
        .with(bound),
        ready(
            "an id that just fits is not truncated",
            twice(&"i".repeat(80)),
        )
        .with(bound),
        ready(
            "a limit of 0 means no limit",
            [
                subscribe(&"i".repeat(5_000), TYPENAME),
                answered(&"i".repeat(5_000)),
            ],
        )
        .with(&["--operation-id-bytes-max", "0"]),
        ready(
            "a very long id that is taken is truncated in the reason",
            twice(&"i".repeat(5_000)),
        )
        .with(&["--operation-id-bytes-max", "0"]),
    ]
}

fn unknown_ids() -> Vec<Scenario> {
    let payload = json!({ "query": TYPENAME });
    vec![
        ready(
            "complete for an unknown id is ignored",
            [complete("a"), Step::Silence],
        ),
        ready(
            "complete for an answered id is ignored",
            [
                subscribe("a", TYPENAME),
                answered("a"),
                complete("a"),
                Step::Silence,
            ],
        ),
        ready(
            "complete for a refused id is ignored",
            [
                subscribe("a", SYNTAX),
                receive([refused("a", "GRAPHQL_PARSE_FAILED")]),
                complete("a"),
                Step::Silence,
            ],
        ),
        ready(
            "a second complete is ignored",
            [
                subscribe("a", NEW_MESSAGE),
                together([complete("a"), complete("a")]),
                Step::Silence,
            ],
        ),
        ready(
            "complete for one id does not end another",
            [
                subscribe("a", NEW_MESSAGE),
                complete("b"),
                publish("still"),
                receive([event("a", "still")]),
            ],
        ),
        ready(
            "unknown keys of a complete are ignored",
            [
                subscribe_with("a", payload),
                answered("a"),
                send(r#"{"id":"a","type":"complete","payload":7,"more":{}}"#),
                Step::Silence,
            ],
        ),
    ]
}
