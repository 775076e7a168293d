//! Texts that are not messages of the protocol, or not messages that a client may send.

use serde_json::{Value, json};

use crate::{
    documents::NEW_MESSAGE,
    expect::ack,
    scenario::{
        Scenario, Step, init, invalid, ping, ready, receive, scenario, send, subscribe, together,
    },
};

/// Texts that are invalid both before and after init.
const INVALID: [&str; 40] = [
    "",
    "hello",
    "{",
    "nul",
    r#"{"type":"ping"} {"type":"ping"}"#,
    r#"{'type':'ping'}"#,
    r#"{"type":"ping",}"#,
    "null",
    "true",
    "42",
    r#""ping""#,
    "[]",
    r#"["ping"]"#,
    r#"["connection_init",null]"#,
    r#"[{"type":"ping"}]"#,
    "{}",
    r#"{"id":"a"}"#,
    r#"{"type":null}"#,
    r#"{"type":0}"#,
    r#"{"type":["ping"]}"#,
    r#"{"type":""}"#,
    r#"{"type":"PING"}"#,
    r#"{"type":"start","id":"a","payload":{"query":"{ __typename }"}}"#,
    r#"{"type":"stop","id":"a"}"#,
    r#"{"type":"connection_terminate"}"#,
    r#"{"type":"connection_ack"}"#,
    r#"{"type":"next","id":"a","payload":{"data":null}}"#,
    r#"{"type":"error","id":"a","payload":[{"message":"no"}]}"#,
    r#"{"type":"subscribe"}"#,
    r#"{"type":"subscribe","payload":{"query":"{ __typename }"}}"#,
    r#"{"type":"subscribe","id":"","payload":{"query":"{ __typename }"}}"#,
    r#"{"type":"subscribe","id":null,"payload":{"query":"{ __typename }"}}"#,
    r#"{"type":"subscribe","id":1,"payload":{"query":"{ __typename }"}}"#,
    r#"{"type":"subscribe","id":["a"],"payload":{"query":"{ __typename }"}}"#,
    r#"{"type":"subscribe","id":"a"}"#,
    r#"{"type":"complete"}"#,
    r#"{"type":"complete","id":""}"#,
    r#"{"type":"complete","id":null}"#,
    r#"{"type":"complete","id":1}"#,
    r#"{"type":"complete","id":{}}"#,
];

/// Values that are invalid where the protocol requires an object or nothing.
fn no_objects() -> [Value; 5] {
    [
        json!("text"),
        json!(1),
        json!(false),
        json!([]),
        json!([{}]),
    ]
}

pub(crate) fn scenarios() -> Vec<Scenario> {
    let texts = INVALID
        .into_iter()
        .map(str::to_owned)
        .chain(payloads())
        .chain(subscribes());
    let at_both_times = texts.flat_map(|text| {
        let before = scenario(
            format!("invalid before init: {text}"),
            [send(text.clone()), invalid()],
        );
        let after = ready(
            format!("invalid after init: {text}"),
            [send(text), invalid()],
        );
        [before, after]
    });
    at_both_times
        .chain(other_scenarios())
        .chain(nesting_and_spelling())
        .collect()
}

fn payloads() -> impl Iterator<Item = String> {
    ["connection_init", "ping", "pong"]
        .into_iter()
        .flat_map(|name| {
            no_objects().map(|payload| json!({ "type": name, "payload": payload }).to_string())
        })
}

/// Messages with a payload of `subscribe` that is not an object, or has a field of a wrong type.
fn subscribes() -> impl Iterator<Item = String> {
    let query = "{ __typename }";
    let fields = ["variables", "extensions"]
        .into_iter()
        .flat_map(move |field| no_objects().map(|value| json!({ "query": query, field: value })));
    let names = [json!(1), json!({}), json!(["A"]), json!(true)]
        .map(|name| json!({ "query": query, "operationName": name }));
    let queries = [
        json!({}),
        json!({ "query": null }),
        json!({ "query": 1 }),
        json!({ "query": [query] }),
    ];
    let not_objects = [
        Value::Null,
        json!(query),
        json!(1),
        json!([]),
        json!([query]),
        json!([query, null, null, null]),
    ];
    let all = fields.chain(names).chain(queries).chain(not_objects);
    all.map(|payload| json!({ "type": "subscribe", "id": "a", "payload": payload }).to_string())
}

fn other_scenarios() -> Vec<Scenario> {
    let bytes = || Step::SendBytes(br#"{"type":"ping"}"#.to_vec());
    vec![
        scenario(
            "a binary message before init is invalid",
            [bytes(), invalid()],
        ),
        ready("a binary message is invalid", [bytes(), invalid()]),
        ready(
            "an empty binary message is invalid",
            [Step::SendBytes(Vec::new()), invalid()],
        ),
        ready(
            "an invalid message ends running operations",
            [subscribe("a", NEW_MESSAGE), send("junk"), invalid()],
        ),
        scenario(
            "nothing after an invalid message is served",
            [together([send("junk"), init(), ping()]), invalid()],
        ),
        ready(
            "requests after an invalid message are not answered",
            [
                together([send("junk"), ping(), subscribe("a", NEW_MESSAGE), send("{")]),
                invalid(),
            ],
        ),
    ]
}

fn nesting_and_spelling() -> Vec<Scenario> {
    vec![
        ready(
            "deeply nested arrays are invalid",
            [send("[".repeat(100_000)), invalid()],
        ),
        ready(
            "deeply nested objects are invalid",
            [
                send(format!(
                    r#"{{"type":"ping","payload":{}"#,
                    r#"{"a":"#.repeat(20_000)
                )),
                invalid(),
            ],
        ),
        scenario(
            "a message is invalid also while an init is pending",
            [init(), send("junk"), invalid()],
        )
        .slowly(),
        scenario(
            "white space around a message is ignored",
            [
                send(" \r\n\t{ \"type\" : \"connection_init\" } \n"),
                receive([ack()]),
            ],
        ),
        scenario(
            "a message may contain JSON escapes",
            [
                send(r#"{"\u0074ype":"connection\u005finit"}"#),
                receive([ack()]),
            ],
        ),
    ]
}
