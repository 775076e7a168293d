//! How a client learns that its subscription is live: the server sends one ping after the earlier
//! messages.

use serde_json::json;

use crate::{
    documents::{ALIASED, NEW_MESSAGE, NO_SUCH_ROOM, ROOM_1, TYPENAME, WITH_VARIABLES, typename},
    expect::{completed, event, event_as, live, next, refused},
    scenario::{
        Scenario, Step, complete, publish, ready, ready_in_a_slow_world, receive, send, subscribe,
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
            [subscribe("s", ROOM_1), receive([live("s")])],
        ),
        ready(
            "a subscription after the head is live at once",
            [subscribe("s", NEW_MESSAGE), receive([live("s")])],
        ),
        ready(
            "a subscription is live only after the earlier messages",
            [
                publish("one"),
                publish("two"),
                subscribe("s", NEW_MESSAGE),
                receive([event("s", "one"), event("s", "two"), live("s")]),
                publish("three"),
                receive([event("s", "three")]),
            ],
        ),
        ready(
            "a long history arrives before the live ping",
            (0..150).map(|number| publish(&number.to_string())).chain([
                subscribe_with("s", after),
                receive(
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
                receive([live("s")]),
                publish("one"),
                receive([event("s", "one")]),
                publish("two"),
                receive([event("s", "two")]),
            ],
        ),
        ready(
            "each subscription is reported live",
            [
                publish("one"),
                together([subscribe("a", NEW_MESSAGE), subscribe("b", ALIASED)]),
                receive([
                    event("a", "one"),
                    live("a"),
                    event_as("b", "alias", "one"),
                    live("b"),
                ]),
            ],
        ),
        ready(
            "an id that is used again is reported live again",
            [
                subscribe("s", NEW_MESSAGE),
                receive([live("s")]),
                complete("s"),
                subscribe("s", ALIASED),
                receive([live("s")]),
            ],
        ),
        ready(
            "the client's pong is ignored, with and without the payload",
            [
                subscribe("s", NEW_MESSAGE),
                receive([live("s")]),
                send(r#"{"type":"pong","payload":{"subscribed":"s","cursor":"c"}}"#),
                send(r#"{"type":"pong"}"#),
                Step::Silence,
                publish("one"),
                receive([event("s", "one")]),
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
                receive([next("q", typename()), completed("q")]),
            ],
        ),
        ready(
            "a refused subscription is never reported live",
            [
                subscribe("s", NO_SUCH_ROOM),
                receive([refused("s", "NOT_FOUND")]),
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
                receive([live("s")]),
                complete("s"),
                publish("one"),
                Step::Silence,
            ],
        ),
    ]
}
