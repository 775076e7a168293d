//! Texts that are not messages of the protocol, or not messages that a client may send.

use serde_json::{Value, json};

use crate::{
    documents::{NEW_MESSAGE, TYPENAME, typename},
    expect::{ack, completed, event, next, pong, refused},
    scenario::{
        Scenario, Step, closed, init, invalid, ping, publish, ready, receive, scenario, send,
        subscribe, taken, together,
    },
};

/// Texts that are invalid both before and after init.
const INVALID: [&str; 39] = [
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
    r#"{"type":"complete"}"#,
    r#"{"type":"complete","id":""}"#,
    r#"{"type":"complete","id":null}"#,
    r#"{"type":"complete","id":1}"#,
    r#"{"type":"complete","id":{}}"#,
];

/// Values that are invalid where the protocol requires an object or nothing.
fn no_objects() -> [Value; 4] {
    [json!("text"), json!(1), json!(false), json!([{}])]
}

pub(crate) fn scenarios() -> Vec<Scenario> {
    let inits = no_objects()
        .map(|payload| json!({ "type": "connection_init", "payload": payload }).to_string());
    let texts = INVALID.into_iter().map(str::to_owned).chain(inits);
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
        .chain(unreadable_content())
        .chain(nesting_and_spelling())
        .collect()
}

/// Texts of payloads that are not an object, or that no reader of JSON accepts.
fn no_payloads() -> Vec<String> {
    let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(200), "]".repeat(200));
    let unreadable = [
        r#"{"a":1e999}"#.to_owned(),
        r#"{"a":-1e999}"#.to_owned(),
        deep,
    ];
    no_objects()
        .map(|value| value.to_string())
        .into_iter()
        .chain(unreadable)
        .collect()
}

/// Payloads of `subscribe` that are no request.
fn no_requests() -> Vec<String> {
    let query = "{ __typename }";
    let with = |field: &str, value: &str| format!(r#"{{"query":"{query}","{field}":{value}}}"#);
    let fields = ["variables", "extensions"];
    let fields = fields
        .iter()
        .flat_map(|field| no_payloads().into_iter().map(|value| with(field, &value)));
    let names = [json!(1), json!({}), json!(["A"]), json!(true)]
        .map(|name| with("operationName", &name.to_string()));
    let queries = [
        json!({}),
        json!({ "query": null }),
        json!({ "query": 1 }),
        json!({ "query": [query] }),
        Value::Null,
        json!([]),
        json!([query]),
        json!([query, null, null, null]),
    ];
    let queries = queries.iter().map(Value::to_string);
    no_payloads()
        .into_iter()
        .chain(fields)
        .chain(names)
        .chain(queries)
        .collect()
}

/// Messages with a type and an id that can be read, and content that cannot. They end neither the
/// connection nor another operation.
fn unreadable_content() -> Vec<Scenario> {
    let no_request = |payload: String| {
        let text = format!(r#"{{"type":"subscribe","id":"b","payload":{payload}}}"#);
        let before = scenario(
            format!("unauthorized before init: {text}"),
            [send(text.clone()), closed(4401, "Unauthorized")],
        );
        let after = ready(
            format!("an error of the operation: {text}"),
            [
                subscribe("a", NEW_MESSAGE),
                send(text),
                receive([refused("b", "BAD_USER_INPUT")]),
                subscribe("b", TYPENAME),
                receive([next("b", typename()), completed("b")]),
                publish("still"),
                receive([event("a", "still")]),
            ],
        );
        [before, after]
    };
    let odd = |payload: String| {
        let ping = format!(r#"{{"type":"ping","payload":{payload}}}"#);
        let others = [
            format!(r#"{{"type":"pong","payload":{payload}}}"#),
            format!(r#"{{"type":"complete","id":"b","payload":{payload}}}"#),
        ];
        let [ponged, completing] = others.map(|text| {
            ready(
                format!("its payload does not matter: {text}"),
                [send(text), Step::Silence],
            )
        });
        let ping = ready(
            format!("the pong has no payload: {ping}"),
            [send(ping), receive([pong()])],
        );
        [ping, ponged, completing]
    };
    let cut = ready(
        "half a surrogate pair is read as the replacement character",
        [
            send(
                r#"{"type":"subscribe","id":"\udE00","payload":{"query":"{ __typename }","variables":{"\ud83d":"\ud83d"}}}"#,
            ),
            receive([next("\u{fffd}", typename()), completed("\u{fffd}")]),
        ],
    );
    let missing = ready(
        "a subscribe without a payload is an error of the operation",
        [
            send(r#"{"type":"subscribe","id":"b"}"#),
            receive([refused("b", "BAD_USER_INPUT")]),
        ],
    );
    let running = ready(
        "the id of a running operation is taken, whatever the payload",
        [
            subscribe("a", NEW_MESSAGE),
            send(r#"{"type":"subscribe","id":"a","payload":{"query":1}}"#),
            taken("a"),
        ],
    );
    let surrogates = [(r#"text \ud83d"#, "half a surrogate pair")];
    let _ = surrogates;
    let all = no_requests().into_iter().flat_map(no_request);
    let all = all.chain(no_payloads().into_iter().flat_map(odd));
    all.chain([cut, missing, running]).collect()
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
