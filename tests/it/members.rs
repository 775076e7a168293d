//! Rooms and their members over real sockets, and what a removed member still receives.

use serde_json::{Value, json};

use crate::support::{
    app::TestApp,
    client::{Client, NEW_MESSAGE},
    stream::StreamedResponse,
};

const MEMBER: &str = "id role user { name } room { id } mutedUntil";

fn code(result: &Value) -> &str {
    result["errors"][0]["extensions"]["code"]
        .as_str()
        .unwrap_or_default()
}

async fn mutate(client: &mut Client, field: &str) -> Value {
    client
        .execute(&format!("mutation {{ answer: {field} }}"), json!({}))
        .await
}

async fn viewer_id(client: &mut Client) -> String {
    client.execute("{ viewer { id } }", json!({})).await["data"]["viewer"]["id"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn v5_the_operation_of_a_removed_member_ends_and_the_socket_stays_open() {
    let app = TestApp::start().await;
    let mut ann = app.client(Some(&app.sign_in("ann").await)).await;
    let mut bob = app.client(Some(&app.sign_in("bob").await)).await;
    let bob_id = viewer_id(&mut bob).await;
    mutate(
        &mut ann,
        r#"createRoom(id: "p", name: "P", visibility: PRIVATE) { id }"#,
    )
    .await;
    mutate(
        &mut ann,
        &format!(r#"addMember(roomId: "p", userId: "{bob_id}") {{ id }}"#),
    )
    .await;
    let head = bob.head("p").await;
    let id = bob.subscribe("p", &head).await;
    let before = ann.send_message("p", "before").await;
    mutate(
        &mut ann,
        &format!(r#"removeMember(roomId: "p", userId: "{bob_id}") {{ id }}"#),
    )
    .await;
    ann.send_message("p", "after").await;
    assert_eq!(
        bob.next_message().await,
        ("before".to_owned(), before.clone())
    );
    let error = bob.receive().await;
    assert_eq!(
        (&error["type"], &error["id"]),
        (&json!("error"), &json!(id)),
        "{error}"
    );
    assert_eq!(error["payload"][0]["extensions"]["code"], "FORBIDDEN");
    // The socket stays open, and the room looks as if it did not exist.
    let errors = bob
        .execute_refused(NEW_MESSAGE, json!({ "room": "p", "after": before }))
        .await;
    assert_eq!(errors[0]["extensions"]["code"], "NOT_FOUND");
    bob.fence().await;
    drop((ann, bob));
    app.finish().await;
}

/// Creates a private room, owned by Ann, with Bob as a member. Returns Ann's client, the token and
/// the id of Bob, and the head of the room.
async fn private_room(app: &TestApp) -> (Client, String, String, String) {
    let mut ann = app.client(Some(&app.sign_in("ann").await)).await;
    let token = app.sign_in("bob").await;
    let mut bob = app.client(Some(&token)).await;
    let bob_id = viewer_id(&mut bob).await;
    mutate(
        &mut ann,
        r#"createRoom(id: "p", name: "P", visibility: PRIVATE) { id }"#,
    )
    .await;
    mutate(
        &mut ann,
        &format!(r#"addMember(roomId: "p", userId: "{bob_id}") {{ id }}"#),
    )
    .await;
    let head = ann.head("p").await;
    (ann, token, bob_id, head)
}

#[tokio::test]
async fn v5_the_streams_of_a_removed_member_end_with_forbidden() {
    let app = TestApp::start().await;
    let (mut ann, token, bob_id, head) = private_room(&app).await;
    let body =
        json!({ "query": NEW_MESSAGE, "variables": { "room": "p", "after": head } }).to_string();
    let bearer = format!("Bearer {token}");
    let open = async |accept: &str| {
        StreamedResponse::post(
            app.address(),
            &body,
            &[("accept", accept), ("authorization", &bearer)],
        )
        .await
    };
    let mut events = open("text/event-stream").await;
    let mut parts = open("multipart/mixed;subscriptionSpec=1.0").await;
    ann.send_message("p", "before").await;
    let (next, _) = events.next_result().await;
    assert_eq!(next["data"]["newMessage"]["text"], "before");
    parts.read_until("before").await;
    mutate(
        &mut ann,
        &format!(r#"removeMember(roomId: "p", userId: "{bob_id}") {{ id }}"#),
    )
    .await;
    ann.send_message("p", "after").await;
    let (last, id) = events.next_result().await;
    assert_eq!((code(&last), id.as_deref()), ("FORBIDDEN", Some("end")));
    assert_eq!(events.read_to_end().await, "event: complete\ndata:\n\n");
    let rest = parts.read_to_end().await;
    assert!(
        rest.contains("FORBIDDEN") && !rest.contains("after") && rest.ends_with("--graphql--\r\n"),
        "{rest}"
    );
    let again = open("text/event-stream").await.next_result().await.0;
    assert_eq!(code(&again), "NOT_FOUND");
    drop((events, parts, ann));
    app.finish().await;
}

#[tokio::test]
async fn v5_a_waiting_poll_of_a_removed_member_returns_no_messages() {
    let app = TestApp::start().await;
    let (mut ann, token, bob_id, head) = private_room(&app).await;
    let mut bob = app.client(Some(&token)).await;
    let poll = "query ($after: Cursor!) { pollMessages(roomId: \"p\", after: $after) { messages { text } } }";
    bob.start(poll, json!({ "after": head })).await;
    bob.fence().await;
    mutate(
        &mut ann,
        &format!(r#"removeMember(roomId: "p", userId: "{bob_id}") {{ id }}"#),
    )
    .await;
    ann.send_message("p", "after").await;
    let answer = bob.receive().await;
    assert_eq!(code(&answer["payload"]), "NOT_FOUND", "{answer}");
    drop((ann, bob));
    app.finish().await;
}

async fn assert_role_can_be_set(ann: &mut Client, bob_id: &str) {
    let raise =
        format!(r#"setRole(roomId: "p", userId: "{bob_id}", role: MODERATOR) {{ {MEMBER} }}"#);
    let member = mutate(ann, &raise).await["data"]["answer"].clone();
    assert_eq!(
        (&member["role"], &member["room"]["id"]),
        (&json!("MODERATOR"), &json!("p"))
    );
    let found = ann.execute(
        "query ($id: ID!) { node(id: $id) { ... on Member { role } } }",
        json!({ "id": member["id"] }),
    );
    assert_eq!(found.await["data"]["node"]["role"], "MODERATOR");
}

async fn assert_member_can_be_muted(ann: &mut Client, bob: &mut Client, bob_id: &str) {
    let until = "2999-01-01T00:00:00Z";
    let mute =
        format!(r#"muteMember(roomId: "p", userId: "{bob_id}", until: "{until}") {{ {MEMBER} }}"#);
    assert_eq!(
        mutate(ann, &mute).await["data"]["answer"]["mutedUntil"],
        until
    );
    assert_eq!(
        code(&bob.send_with_nonce("p", "mmh", "n").await),
        "FORBIDDEN"
    );
    let unmute = format!(r#"muteMember(roomId: "p", userId: "{bob_id}") {{ {MEMBER} }}"#);
    assert_eq!(
        mutate(ann, &unmute).await["data"]["answer"]["mutedUntil"],
        Value::Null
    );
}

async fn assert_slow_mode_limits_members(ann: &mut Client, bob: &mut Client, bob_id: &str) {
    let slowed = mutate(
        ann,
        r#"updateRoom(id: "p", name: "Slow", slowModeSeconds: 60) { name slowModeSeconds }"#,
    );
    assert_eq!(
        slowed.await["data"]["answer"],
        json!({ "name": "Slow", "slowModeSeconds": 60 })
    );
    mutate(
        ann,
        &format!(r#"setRole(roomId: "p", userId: "{bob_id}", role: MEMBER) {{ id }}"#),
    )
    .await;
    assert_eq!(code(&bob.send_with_nonce("p", "one", "1").await), "");
    let hasty = bob.send_with_nonce("p", "two", "2").await;
    assert_eq!(
        (
            code(&hasty),
            &hasty["errors"][0]["extensions"]["retryAfter"]
        ),
        ("RATE_LIMITED", &json!(60))
    );
}

async fn assert_invalid_changes_are_refused(ann: &mut Client) {
    for (field, expected) in [
        (r#"leaveRoom(roomId: "p")"#, "CONFLICT"),
        (
            r#"updateRoom(id: "p", slowModeSeconds: -1) { id }"#,
            "BAD_USER_INPUT",
        ),
        (r#"updateRoom(id: "p", name: "") { id }"#, "BAD_USER_INPUT"),
        (
            r#"addMember(roomId: "p", userId: "nobody") { id }"#,
            "NOT_FOUND",
        ),
        (
            r#"removeMember(roomId: "p", userId: "nobody") { id }"#,
            "NOT_FOUND",
        ),
        (r#"deleteMessage(id: "nothing") { id }"#, "NOT_FOUND"),
        (r#"joinRoom(roomId: "NO ROOM") { id }"#, "NOT_FOUND"),
    ] {
        let result = mutate(ann, field).await;
        assert_eq!(
            (code(&result), &result["data"]["answer"]),
            (expected, &Value::Null),
            "{field}"
        );
    }
}

#[tokio::test]
async fn a_room_can_be_managed_through_the_api() {
    let app = TestApp::start().await;
    let mut ann = app.client(Some(&app.sign_in("ann").await)).await;
    let mut bob = app.client(Some(&app.sign_in("bob").await)).await;
    let bob_id = viewer_id(&mut bob).await;
    mutate(&mut ann, r#"createRoom(id: "p", name: "P") { id }"#).await;
    let own = "viewerMembership { role } members { nodes { role user { name } } pageInfo { hasNextPage } }";
    let joined = mutate(&mut bob, &format!(r#"joinRoom(roomId: "p") {{ {own} }}"#)).await;
    assert_eq!(
        joined["data"]["answer"]["viewerMembership"],
        json!({ "role": "MEMBER" })
    );
    let members = joined["data"]["answer"]["members"]["nodes"]
        .as_array()
        .unwrap();
    assert_eq!(
        members
            .iter()
            .map(|member| &member["user"]["name"])
            .collect::<Vec<_>>(),
        ["ann", "bob"]
    );

    assert_role_can_be_set(&mut ann, &bob_id).await;
    assert_member_can_be_muted(&mut ann, &mut bob, &bob_id).await;
    assert_slow_mode_limits_members(&mut ann, &mut bob, &bob_id).await;
    assert_invalid_changes_are_refused(&mut ann).await;
    assert_eq!(
        mutate(&mut bob, r#"leaveRoom(roomId: "p")"#).await["data"]["answer"],
        "p"
    );
    assert_eq!(
        mutate(&mut ann, r#"deleteRoom(id: "p")"#).await["data"]["answer"],
        "p"
    );
    assert_eq!(
        ann.execute(r#"{ room(id: "p") { id } }"#, json!({})).await["data"]["room"],
        Value::Null
    );
    drop((ann, bob));
    app.finish().await;
}

#[tokio::test]
async fn v6_a_deleted_message_keeps_its_seq_and_loses_its_text() {
    let app = TestApp::start().await;
    let mut ann = app.client(Some(&app.sign_in("ann").await)).await;
    let mut bob = app.client(Some(&app.sign_in("bob").await)).await;
    let start = ann.head("room-1").await;
    let sent = ann.send_with_nonce("room-1", "regret", "n").await;
    let id = sent["data"]["sendMessage"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let reply = "mutation ($to: ID) { sendMessage(roomId: \"room-1\", text: \"what?\", replyTo: $to) { replyTo { text } } }";
    assert_eq!(
        bob.execute(reply, json!({ "to": id })).await["data"]["sendMessage"]["replyTo"]["text"],
        "regret"
    );
    let delete = format!(r#"deleteMessage(id: "{id}") {{ id text deletedAt }}"#);
    assert_eq!(code(&mutate(&mut bob, &delete).await), "FORBIDDEN");
    for _ in 0..2 {
        let deleted = mutate(&mut ann, &delete).await["data"]["answer"].clone();
        assert_eq!((&deleted["id"], &deleted["text"]), (&json!(id), &json!("")));
        assert!(deleted["deletedAt"].is_string());
    }
    bob.subscribe("room-1", &start).await;
    assert_eq!(bob.next_texts(2).await, ["", "what?"]);
    drop((ann, bob));
    app.finish().await;
}
