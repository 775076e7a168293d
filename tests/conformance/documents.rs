//! The documents that scenarios run, and the behaviour that they cause. The world around the pure
//! machine behaves as [`behaviour`] says. A server must behave in the same way.

use serde_json::{Value, json};
use switchboard::protocol::Subscribe;

pub(crate) const TYPENAME: &str = "{ __typename }";
pub(crate) const TWO_QUERIES: &str = "query A { __typename } query B { viewer { id } }";
pub(crate) const NODE: &str = "query ($id: ID!) { node(id: $id) { id } }";
pub(crate) const NO_MESSAGES: &str = r#"{ messages(roomId: "no-such-room") { nodes { id } } }"#;
pub(crate) const SYNTAX: &str = "query {";
pub(crate) const UNKNOWN_FIELD: &str = "{ nope }";

pub(crate) const SIGN_IN: &str = r#"mutation { signIn(name: "x") { viewer { name } } }"#;
pub(crate) const SEND: &str =
    r#"mutation { sendMessage(roomId: "ROOM", text: "from inside") { text } }"#;

pub(crate) const NEW_MESSAGE: &str =
    r#"subscription { newMessage(roomId: "ROOM", after: "HEAD") { text } }"#;
pub(crate) const ALIASED: &str =
    r#"subscription { alias: newMessage(roomId: "ROOM", after: "HEAD") { text } }"#;
pub(crate) const ROOM_1: &str = r#"subscription { newMessage(roomId: "room-1") { text } }"#;
pub(crate) const WITH_VARIABLES: &str = "subscription ($room: ID!, $after: Cursor) { newMessage(roomId: $room, after: $after) { text } }";
pub(crate) const IN_FRAGMENT: &str = r#"subscription { ...F }
    fragment F on Subscription { newMessage(roomId: "ROOM", after: "HEAD") { text } }"#;
pub(crate) const WRITTEN_TWICE: &str = r#"subscription {
    newMessage(roomId: "ROOM", after: "HEAD") { text } newMessage(roomId: "ROOM", after: "HEAD") { text } }"#;

pub(crate) const NO_SUCH_ROOM: &str =
    r#"subscription { newMessage(roomId: "no-such-room") { text } }"#;
pub(crate) const BAD_CURSOR: &str =
    r#"subscription { newMessage(roomId: "room-1", after: "junk") { text } }"#;

/// Subscriptions whose root is not one plain field.
pub(crate) const BAD_ROOTS: [(&str, &str); 10] = [
    ("an unknown field", "subscription { nope { text } }"),
    (
        "two fields",
        r#"subscription { a: newMessage(roomId: "room-1") { text } b: newMessage(roomId: "room-1") { text } }"#,
    ),
    (
        "two fields, one of them in a fragment",
        r#"subscription { a: newMessage(roomId: "room-1") { text } ... { b: newMessage(roomId: "room-1") { text } } }"#,
    ),
    (
        "@skip",
        r#"subscription { newMessage(roomId: "room-1") @skip(if: false) { text } }"#,
    ),
    (
        "@include",
        r#"subscription { newMessage(roomId: "room-1") @include(if: true) { text } }"#,
    ),
    (
        "@include on a fragment",
        r#"subscription { ... @include(if: true) { newMessage(roomId: "room-1") { text } } }"#,
    ),
    (
        "@defer",
        r#"subscription { ... @defer { newMessage(roomId: "room-1") { text } } }"#,
    ),
    (
        "@stream",
        r#"subscription { newMessage(roomId: "room-1") @stream { text } }"#,
    ),
    ("__typename", "subscription { __typename }"),
    (
        "__typename beside a field",
        r#"subscription { newMessage(roomId: "room-1") { text } __typename }"#,
    ),
];

/// The server's reaction to an operation.
pub(crate) enum Behaviour {
    /// The operation has this result.
    Answer(Value),
    /// The operation is refused with an error of this code.
    Refuse(&'static str),
    /// The operation is a subscription that runs. Its results have this response key. If it is
    /// `replayed`, it first receives the messages that were sent since the room was created.
    Run { key: &'static str, replayed: bool },
}

/// The result of the query `{ __typename }`.
pub(crate) fn typename() -> Value {
    json!({ "data": { "__typename": "Query" } })
}

/// The reaction to this request from a viewer or an anonymous caller.
pub(crate) fn behaviour(request: &Subscribe, signed_in: bool) -> Behaviour {
    let is_given = |name| {
        request
            .variables
            .as_ref()
            .is_some_and(|variables| variables.contains_key(name))
    };
    let is_text = |name| {
        request
            .variables
            .as_ref()
            .is_some_and(|variables| variables[name].is_string())
    };
    match (request.query.as_str(), request.operation_name.as_deref()) {
        (TYPENAME, None) | (TWO_QUERIES, Some("A")) => Behaviour::Answer(typename()),
        (TYPENAME | TWO_QUERIES | UNKNOWN_FIELD, _) => {
            Behaviour::Refuse("GRAPHQL_VALIDATION_FAILED")
        }
        (SYNTAX | "", _) => Behaviour::Refuse("GRAPHQL_PARSE_FAILED"),
        (NODE, _) if is_given("id") && is_text("id") => {
            Behaviour::Answer(json!({ "data": { "node": null } }))
        }
        (NODE, _) => Behaviour::Refuse("BAD_USER_INPUT"),
        (NO_MESSAGES, _) => Behaviour::Answer(with_error(&Value::Null, "NOT_FOUND")),
        (SIGN_IN, _) => {
            Behaviour::Answer(json!({ "data": { "signIn": { "viewer": { "name": "x" } } } }))
        }
        (SEND, _) if signed_in => {
            Behaviour::Answer(json!({ "data": { "sendMessage": { "text": "from inside" } } }))
        }
        (SEND, _) => Behaviour::Answer(with_error(
            &json!({ "sendMessage": null }),
            "UNAUTHENTICATED",
        )),
        (NO_SUCH_ROOM, _) => Behaviour::Refuse("NOT_FOUND"),
        (BAD_CURSOR, _) => Behaviour::Refuse("BAD_USER_INPUT"),
        (WITH_VARIABLES, _) if !is_given("room") => Behaviour::Refuse("BAD_USER_INPUT"),
        (NEW_MESSAGE | ROOM_1 | WITH_VARIABLES | IN_FRAGMENT | WRITTEN_TWICE, _) => {
            Behaviour::Run {
                key: "newMessage",
                replayed: request.query.contains("HEAD") || is_given("after"),
            }
        }
        (ALIASED, _) => Behaviour::Run {
            key: "alias",
            replayed: true,
        },
        (bad, _) if BAD_ROOTS.iter().any(|(_, root)| *root == bad) => {
            Behaviour::Refuse("GRAPHQL_VALIDATION_FAILED")
        }
        (unknown, _) => panic!("the world does not know {unknown}"),
    }
}

/// A list of one error with this code, in the form of GraphQL's `errors`.
pub(crate) fn errors(code: &str) -> Value {
    json!([{ "message": "a sentence", "extensions": { "code": code } }])
}

fn with_error(data: &Value, code: &str) -> Value {
    json!({ "data": data, "errors": errors(code) })
}
