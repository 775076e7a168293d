//! Lists of objects in memory are resolved in one loop, or by the executor if a field must wait.
//! Both give the same values.

use serde_json::{Value, json};

use crate::support::{app::TestApp, client::Client};

/// What documents select of a message. All of it is in memory.
const MESSAGES: [&str; 7] = [
    "id text createdAt deletedAt cursor sender { id name createdAt }",
    "a: id b: id id text text",
    "__typename sender { __typename me: name }",
    "... on Message { id ... on Node { id } } ... { text }",
    "...Parts sender { ...Person }",
    "id text @include(if: true) cursor @skip(if: true)",
    "sender { id } sender { name }",
];

const FRAGMENTS: &str =
    "fragment Parts on Message { id sender { id } text } fragment Person on User { name }";

/// The nodes and edges of a list, with one more field that the executor has to resolve, or without.
async fn list(client: &mut Client, list: &str, selection: &str, waits: Option<&str>) -> Value {
    let more = waits.unwrap_or_default();
    let fragments = if selection.contains("...P") || selection.contains("...Person") {
        FRAGMENTS
    } else {
        ""
    };
    let query = format!(
        "{{ list: {list} {{ nodes {{ {selection} {more} }} \
         edges {{ __typename cursor node {{ {selection} {more} }} }} }} }} {fragments}"
    );
    let mut answer = client.execute(&query, json!({})).await;
    assert_eq!(answer["errors"], Value::Null, "{query}: {answer}");
    let mut list = answer["data"]["list"].take();
    remove_waiting(&mut list);
    list
}

/// Removes the field that the executor had to resolve.
fn remove_waiting(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|key, _| key != "waits");
            fields.values_mut().for_each(remove_waiting);
        }
        Value::Array(items) => items.iter_mut().for_each(remove_waiting),
        _ => {}
    }
}

#[tokio::test]
async fn lists_have_the_same_values_whether_or_not_a_field_waits() {
    let app = TestApp::start().await;
    let mut ann = app.client(Some(&app.sign_in("ann \"A\"").await)).await;
    let create = "mutation { createRoom(id: \"a\", name: \"A\") { id } }";
    ann.execute(create, json!({})).await;
    let sent = ann.send_message("a", "gone").await;
    let delete = "mutation ($id: ID!) { deleteMessage(id: $id) { id } }";
    ann.execute(delete, json!({ "id": sent })).await;
    ann.send_message("a", "\u{1F600} \"quoted\"\n").await;
    let cases = MESSAGES.map(|selection| {
        (
            "messages(roomId: \"a\")",
            selection,
            "waits: replyTo { id }",
        )
    });
    let others = [
        ("rooms(first: 9)", "id createdAt __typename", "waits: name"),
        (
            "searchMessages(query: \"quoted\")",
            "id text",
            "waits: replyTo { id }",
        ),
    ];
    for (of, selection, waits) in cases.into_iter().chain(others) {
        let ready = list(&mut ann, of, selection, None).await;
        assert!(ready["nodes"][0].is_object(), "{selection}: {ready}");
        let resolved = list(&mut ann, of, selection, Some(waits)).await;
        assert_eq!(ready, resolved, "{selection}");
    }
    let members = "{ room(id: \"a\") { members { nodes { id joinedAt user { name } } } } }";
    let ready = ann.execute(members, json!({})).await;
    let waits = members.replace("joinedAt", "joinedAt waits: role");
    let mut resolved = ann.execute(&waits, json!({})).await;
    remove_waiting(&mut resolved);
    assert_eq!(ready, resolved);
    drop(ann);
    app.finish().await;
}
