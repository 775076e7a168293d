//! How a client learns that its subscription is live: the server sends one ping after the earlier
//! messages.

use serde_json::json;

use crate::{
    documents::{NEW_MESSAGE, NO_SUCH_ROOM, ROOM_1, SAID, TYPENAME, WITH_VARIABLES, typename},
    expect::{completed, event, event_as, live, next, refused},
    scenario::{
        Scenario, Step, complete, hear, publish, ready, ready_in_a_slow_world, say, subscribe,
        subscribe_with, together,
    },
};

pub(crate) fn scenarios() -> Vec<Scenario> {
    [when(), once(), never()]
        .concat()
        .into_iter()
        .map(Scenario::exactly)
        .collect()
}

fn when() -> Vec<Scenario> {
    let after =
        json!({ "query": WITH_VARIABLES, "variables": { "room": "ROOM", "after": "HEAD" } });
    vec![
        ready(
            "a subscription from now on is live at once",
            [subscribe("s", ROOM_1), hear([live("s")])],
        ),
        ready(
            "a subscription after the head is live at once",
            [subscribe("s", NEW_MESSAGE), hear([live("s")])],
        ),
        ready(
            "a subscription is live only after the earlier messages",
            [
                publish("one"),
                publish("two"),
                subscribe("s", NEW_MESSAGE),
                hear([event("s", "one"), event("s", "two"), live("s")]),
                publish("three"),
                hear([event("s", "three")]),
            ],
        ),
        ready(
            "a long history arrives before the live ping",
            (0..150).map(|number| publish(&number.to_string())).chain([
                subscribe_with("s", after),
                hear(
                    (0..150)
                        .map(|number| event("s", &number.to_string()))
                        .chain([live("s")]),
                ),
            ]),
        ),
    ]
}

fn once() -> Vec<Scenario> {
    vec![
        ready(
            "a subscription is reported live once",
            [
                subscribe("s", NEW_MESSAGE),
                hear([live("s")]),
                publish("one"),
                hear([event("s", "one")]),
                publish("two"),
                hear([event("s", "two")]),
            ],
        ),
        ready(
            "each subscription is reported live",
            [
                publish("one"),
                together([subscribe("a", NEW_MESSAGE), subscribe("b", SAID)]),
                hear([
                    event("a", "one"),
                    live("a"),
                    event_as("b", "said", "one"),
                    live("b"),
                ]),
            ],
        ),
        ready(
            "an id that is used again is reported live again",
            [
                subscribe("s", NEW_MESSAGE),
                hear([live("s")]),
                complete("s"),
                subscribe("s", SAID),
                hear([live("s")]),
            ],
        ),
        ready(
            "the client's pong is ignored, with and without the payload",
            [
                subscribe("s", NEW_MESSAGE),
                hear([live("s")]),
                say(r#"{"type":"pong","payload":{"subscribed":"s","cursor":"c"}}"#),
                say(r#"{"type":"pong"}"#),
                Step::Silence,
                publish("one"),
                hear([event("s", "one")]),
            ],
        ),
    ]
}

fn never() -> Vec<Scenario> {
    vec![
        ready(
            "a query is never reported live",
            [
                subscribe("q", TYPENAME),
                hear([next("q", typename()), completed("q")]),
            ],
        ),
        ready(
            "a refused subscription is never reported live",
            [
                subscribe("s", NO_SUCH_ROOM),
                hear([refused("s", "NOT_FOUND")]),
                Step::Silence,
            ],
        ),
        ready_in_a_slow_world(
            "a subscription completed during preparation is never reported live",
            [
                subscribe("s", NEW_MESSAGE),
                complete("s"),
                Step::Settle,
                Step::Silence,
            ],
        ),
        ready(
            "a completed subscription is not reported live again",
            [
                subscribe("s", NEW_MESSAGE),
                hear([live("s")]),
                complete("s"),
                publish("one"),
                Step::Silence,
            ],
        ),
    ]
}
