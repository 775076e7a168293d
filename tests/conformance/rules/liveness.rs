//! Ping and pong, at any time and in both directions.

use serde_json::{Value, json};

use crate::{
    documents::NEW_MESSAGE,
    expect::{ack, event, pong, pong_with},
    scenario::{
        Scenario, Step, closed, complete, init_with, ping, ping_with, publish, ready, receive,
        scenario, send, subscribe, together,
    },
};

pub(crate) fn scenarios() -> Vec<Scenario> {
    [at_any_time(), payloads(), credentials(), pongs()].concat()
}

fn at_any_time() -> Vec<Scenario> {
    vec![
        scenario(
            "a ping is answered before init",
            [ping(), receive([pong()])],
        ),
        ready("a ping is answered after init", [ping(), receive([pong()])]),
        ready(
            "a ping is answered while operations run",
            [
                subscribe("a", NEW_MESSAGE),
                ping(),
                receive([pong()]),
                publish("still here"),
                receive([event("a", "still here")]),
            ],
        ),
        ready(
            "each ping is answered",
            [
                together([ping(), ping(), ping()]),
                receive([pong(), pong(), pong()]),
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
                receive([
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
            [ping_with(deep.clone()), receive([pong_with(deep.clone())])],
        ),
        ready(
            "the payload of a ping is returned",
            [ping_with(deep.clone()), receive([pong_with(deep)])],
        ),
        ready(
            "an empty payload is returned",
            [ping_with(json!({})), receive([pong_with(json!({}))])],
        ),
        ready(
            "a large payload is returned",
            [ping_with(large.clone()), receive([pong_with(large)])],
        ),
        ready(
            "a null payload counts as absent",
            [ping_with(Value::Null), receive([pong()])],
        ),
        ready(
            "the id of a ping is ignored",
            [
                send(r#"{"type":"ping","id":7,"more":null}"#),
                receive([pong()]),
            ],
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
                receive([ack()]),
                ping_with(invalid.clone()),
                receive([pong_with(invalid.clone())]),
                forbidden(),
            ],
        ),
        ready(
            "an anonymous caller stays anonymous",
            [
                ping_with(invalid.clone()),
                receive([pong_with(invalid.clone())]),
                forbidden(),
            ],
        ),
        ready(
            "a null token counts as absent",
            [
                ping_with(null.clone()),
                receive([pong_with(null)]),
                ping(),
                receive([pong()]),
            ],
        ),
        scenario(
            "a token in a ping before init is only its payload",
            [
                ping_with(invalid.clone()),
                receive([pong_with(invalid)]),
                init_with(signed_in),
                receive([ack()]),
            ],
        ),
    ]
}

/// A pong is never answered, even if no ping asked for it.
fn pongs() -> Vec<Scenario> {
    vec![
        scenario(
            "a pong before init is ignored",
            [send(r#"{"type":"pong"}"#), Step::Silence],
        ),
        ready(
            "a pong is ignored",
            [send(r#"{"type":"pong"}"#), Step::Silence],
        ),
        ready(
            "a pong with a payload is ignored",
            [send(r#"{"type":"pong","payload":{"a":1}}"#), Step::Silence],
        ),
        ready(
            "a pong with a null payload is ignored",
            [send(r#"{"type":"pong","payload":null}"#), Step::Silence],
        ),
    ]
}
