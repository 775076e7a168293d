//! Ping and pong, at any time and in both directions.

use serde_json::{Value, json};

use crate::{
    documents::NEW_MESSAGE,
    expect::{ack, event, pong, pong_with},
    scenario::{
        Scenario, Step, closed, complete, hear, init_with, ping, ping_with, publish, ready, say,
        scenario, subscribe, together,
    },
};

pub(crate) fn scenarios() -> Vec<Scenario> {
    [at_any_time(), payloads(), credentials(), pongs()].concat()
}

fn at_any_time() -> Vec<Scenario> {
    vec![
        scenario("a ping is answered before init", [ping(), hear([pong()])]),
        ready("a ping is answered after init", [ping(), hear([pong()])]),
        ready(
            "a ping is answered while operations run",
            [
                subscribe("a", NEW_MESSAGE),
                ping(),
                hear([pong()]),
                publish("still here"),
                hear([event("a", "still here")]),
            ],
        ),
        ready(
            "each ping is answered",
            [
                together([ping(), ping(), ping()]),
                hear([pong(), pong(), pong()]),
            ],
        ),
        ready(
            "pings are answered in order",
            [
                together([
                    ping_with(json!({ "n": 1 })),
                    ping_with(json!({ "n": 2 })),
                    complete("a"),
                    ping(),
                ]),
                hear([
                    pong_with(json!({ "n": 1 })),
                    pong_with(json!({ "n": 2 })),
                    pong(),
                ]),
            ],
        ),
    ]
}

fn payloads() -> Vec<Scenario> {
    let deep = json!({ "text": "a \"b\" \\ \u{2603}\u{0}", "list": [1, -2.5, null, true], "in": { "in": {} }, "": "" });
    let large = json!({ "pad": "x".repeat(10_000) });
    vec![
        scenario(
            "the payload of a ping is returned before init",
            [ping_with(deep.clone()), hear([pong_with(deep.clone())])],
        ),
        ready(
            "the payload of a ping is returned",
            [ping_with(deep.clone()), hear([pong_with(deep)])],
        ),
        ready(
            "an empty payload is returned",
            [ping_with(json!({})), hear([pong_with(json!({}))])],
        ),
        ready(
            "a large payload is returned",
            [ping_with(large.clone()), hear([pong_with(large)])],
        ),
        ready(
            "a null payload counts as absent",
            [ping_with(Value::Null), hear([pong()])],
        ),
        ready(
            "the id of a ping is ignored",
            [say(r#"{"type":"ping","id":7,"more":null}"#), hear([pong()])],
        ),
    ]
}

/// A token in a ping replaces the earlier one. The pong is sent at once, even if the token is
/// invalid.
fn credentials() -> Vec<Scenario> {
    let invalid = json!({ "Authorization": "Bearer bad" });
    let null = json!({ "authorization": null });
    let signed_in = json!({ "authorization": "Bearer TOKEN" });
    let forbidden = || closed(4403, "Forbidden");
    vec![
        scenario(
            "an invalid token in a ping ends the connection",
            [
                init_with(signed_in.clone()),
                hear([ack()]),
                ping_with(invalid.clone()),
                hear([pong_with(invalid.clone())]),
                forbidden(),
            ],
        ),
        ready(
            "an anonymous caller stays anonymous",
            [
                ping_with(invalid.clone()),
                hear([pong_with(invalid.clone())]),
                forbidden(),
            ],
        ),
        ready(
            "a null token counts as absent",
            [
                ping_with(null.clone()),
                hear([pong_with(null)]),
                ping(),
                hear([pong()]),
            ],
        ),
        scenario(
            "a token in a ping before init is only its payload",
            [
                ping_with(invalid.clone()),
                hear([pong_with(invalid)]),
                init_with(signed_in),
                hear([ack()]),
            ],
        ),
    ]
}

/// A pong is never answered, even if no ping asked for it.
fn pongs() -> Vec<Scenario> {
    vec![
        scenario(
            "a pong before init is ignored",
            [say(r#"{"type":"pong"}"#), Step::Silence],
        ),
        ready(
            "a pong is ignored",
            [say(r#"{"type":"pong"}"#), Step::Silence],
        ),
        ready(
            "a pong with a payload is ignored",
            [say(r#"{"type":"pong","payload":{"a":1}}"#), Step::Silence],
        ),
        ready(
            "a pong with a null payload is ignored",
            [say(r#"{"type":"pong","payload":null}"#), Step::Silence],
        ),
    ]
}
