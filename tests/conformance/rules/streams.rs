//! Subscriptions: a `next` for each message, until the client or the server ends the subscription.

use serde_json::json;

use crate::{
    documents::{
        ALIASED, IN_FRAGMENT, NEW_MESSAGE, ROOM_1, TYPENAME, WITH_VARIABLES, WRITTEN_TWICE,
        typename,
    },
    expect::{completed, event, event_as, next},
    scenario::{
        Scenario, Step, complete, publish, ready, ready_in_a_slow_world, receive, subscribe,
        subscribe_with, together,
    },
};

pub(crate) fn scenarios() -> Vec<Scenario> {
    [messages(), side_by_side(), ended_by_the_client()].concat()
}

fn messages() -> Vec<Scenario> {
    let variables =
        json!({ "query": WITH_VARIABLES, "variables": { "room": "ROOM", "after": "HEAD" } });
    let one = |name: &str, start: Step| {
        ready(
            name,
            [
                start,
                publish("one"),
                receive([event("s", "one")]),
                Step::Silence,
            ],
        )
    };
    vec![
        ready(
            "a subscription sends nothing before the first message",
            [subscribe("s", ROOM_1), Step::Silence],
        ),
        one(
            "a message is received once, with its cursor",
            subscribe("s", NEW_MESSAGE),
        ),
        one(
            "a subscription may have variables",
            subscribe_with("s", variables),
        ),
        one(
            "the root may stand in a fragment",
            subscribe("s", IN_FRAGMENT),
        ),
        one(
            "a root that is written twice is one field",
            subscribe("s", WRITTEN_TWICE),
        ),
        ready(
            "messages arrive in order",
            [
                subscribe("s", NEW_MESSAGE),
                publish("one"),
                publish("two"),
                publish("three"),
                receive([event("s", "one"), event("s", "two"), event("s", "three")]),
            ],
        ),
        ready(
            "any text arrives unchanged",
            [
                subscribe("s", NEW_MESSAGE),
                publish("\"quoted\" \\ {} \u{2603}\u{1F4E8}\nand more"),
                receive([event("s", "\"quoted\" \\ {} \u{2603}\u{1F4E8}\nand more")]),
            ],
        ),
    ]
}

fn side_by_side() -> Vec<Scenario> {
    vec![
        ready(
            "each operation receives its own results",
            [
                together([
                    subscribe("a", NEW_MESSAGE),
                    subscribe("b", ALIASED),
                    subscribe("c", NEW_MESSAGE),
                ]),
                publish("one"),
                receive([
                    event("a", "one"),
                    event_as("b", "alias", "one"),
                    event("c", "one"),
                ]),
                publish("two"),
                receive([
                    event("a", "two"),
                    event_as("b", "alias", "two"),
                    event("c", "two"),
                ]),
            ],
        ),
        ready(
            "queries are answered while a subscription runs",
            [
                together([
                    subscribe("a", NEW_MESSAGE),
                    subscribe("q", TYPENAME),
                    subscribe("b", ALIASED),
                ]),
                publish("one"),
                receive([
                    next("q", typename()),
                    completed("q"),
                    event("a", "one"),
                    event_as("b", "alias", "one"),
                ]),
                subscribe("q", TYPENAME),
                receive([next("q", typename()), completed("q")]),
                publish("two"),
                receive([event("a", "two"), event_as("b", "alias", "two")]),
            ],
        ),
    ]
}

/// A second operation, `w`, receives each message at the moment at which the ended one would. So
/// its message and the fence after it prove that the ended operation sends nothing.
fn ended_by_the_client() -> Vec<Scenario> {
    let witnessed =
        |text: &'static str| [publish(text), receive([event("w", text)]), Step::Silence];
    let both = || together([subscribe("w", NEW_MESSAGE), subscribe("a", NEW_MESSAGE)]);
    vec![
        ready(
            "the client's complete is not answered",
            [subscribe("a", NEW_MESSAGE), complete("a"), Step::Silence],
        ),
        ready(
            "nothing arrives after the client's complete",
            [
                both(),
                publish("one"),
                receive([event("w", "one"), event("a", "one")]),
                complete("a"),
                Step::Silence,
            ]
            .into_iter()
            .chain(witnessed("two"))
            .chain(witnessed("three")),
        ),
        ready(
            "an operation completed during preparation sends nothing",
            [
                together([
                    subscribe("a", NEW_MESSAGE),
                    complete("a"),
                    subscribe("w", NEW_MESSAGE),
                ]),
                Step::Silence,
            ]
            .into_iter()
            .chain(witnessed("one")),
        ),
        ready_in_a_slow_world(
            "a source that opens after the client's complete is dropped",
            [
                subscribe("a", NEW_MESSAGE),
                complete("a"),
                Step::Settle,
                publish("one"),
                Step::Silence,
            ],
        ),
    ]
}
