//! What a list of rooms beside a chat needs: the number of members, the newest message, and rooms
//! that are followed without being present in them.

use serde_json::{Value, json};

use crate::support::{
    app::TestApp,
    client::{Client, NEW_MESSAGE},
};

const ROOM: &str = "{ room(id: \"room-1\") {
    memberCount lastMessage { text deletedAt viewerNonce room { head } } head presence { user { name } } } }";

async fn room(client: &mut Client) -> Value {
    client.execute(ROOM, json!({})).await["data"]["room"].take()
}

async fn mutate(client: &mut Client, field: &str) -> Value {
    let answer = client
        .execute(&format!("mutation {{ {field} }}"), json!({}))
        .await;
    assert!(answer["errors"].is_null(), "{answer}");
    answer
}

#[tokio::test]
async fn a_room_shows_its_number_of_members_and_its_last_message() {
    let app = TestApp::start().await;
    let mut ann = app.client(Some(&app.sign_in("ann").await)).await;
    let mut bob = app.client(Some(&app.sign_in("bob").await)).await;
    let empty = room(&mut ann).await;
    assert_eq!(
        (&empty["memberCount"], &empty["lastMessage"]),
        (&json!(0), &Value::Null)
    );
    mutate(&mut ann, r#"joinRoom(roomId: "room-1") { id }"#).await;
    mutate(&mut ann, r#"joinRoom(roomId: "room-1") { id }"#).await;
    mutate(&mut bob, r#"joinRoom(roomId: "room-1") { id }"#).await;
    ann.send_message("room-1", "first").await;
    let sent = bob.send_with_nonce("room-1", "second", "1").await;
    let id = sent["data"]["sendMessage"]["id"].as_str().unwrap();
    // The last event is no message.
    mutate(&mut bob, r#"leaveRoom(roomId: "room-1")"#).await;
    let found = room(&mut ann).await;
    assert_eq!(found["memberCount"], 1);
    assert_eq!(found["lastMessage"]["text"], "second");
    assert_eq!(found["lastMessage"]["room"]["head"], found["head"]);
    let listed = bob
        .execute(
            "{ rooms { nodes { memberCount lastMessage { text } } } }",
            json!({}),
        )
        .await;
    let expected = json!([{ "memberCount": 1, "lastMessage": { "text": "second" } }]);
    assert_eq!(listed["data"]["rooms"]["nodes"], expected);
    mutate(&mut bob, &format!(r#"deleteMessage(id: "{id}") {{ id }}"#)).await;
    let last = room(&mut ann).await["lastMessage"].take();
    assert_eq!(last["text"], "");
    assert!(last["deletedAt"].is_string());
    drop((ann, bob));
    app.finish().await;
}

#[tokio::test]
async fn the_last_message_in_a_frame_is_the_message_of_its_event() {
    let app = TestApp::start().await;
    let mut ann = app.client(Some(&app.sign_in("ann").await)).await;
    let mut reader = app.client(None).await;
    let head = reader.head("room-1").await;
    for text in ["1", "2", "3"] {
        ann.send_message("room-1", text).await;
    }
    let query = "subscription ($after: Cursor) { newMessage(roomId: \"room-1\", after: $after) {
        text room { lastMessage { text } memberCount } } }";
    reader.start(query, json!({ "after": head })).await;
    for text in ["1", "2", "3"] {
        let result = reader.receive().await;
        let message = &result["payload"]["data"]["newMessage"];
        let expected =
            json!({ "text": text, "room": { "lastMessage": { "text": text }, "memberCount": 0 } });
        assert_eq!(*message, expected);
    }
    drop((ann, reader));
    app.finish().await;
}

#[tokio::test]
async fn v2_only_the_sender_sees_the_nonce_of_a_message() {
    let app = TestApp::start().await;
    let token = app.sign_in("ann").await;
    let mut ann = app.client(Some(&token)).await;
    let mut bob = app.client(Some(&app.sign_in("bob").await)).await;
    let mut nobody = app.client(None).await;
    let query = "subscription { newMessage(roomId: \"room-1\") { text viewerNonce } }";
    for client in [&mut ann, &mut bob, &mut nobody] {
        client.start(query, json!({})).await;
        client.wait_until_live().await;
    }
    let mut sender = app.client(Some(&token)).await;
    let mut reader = app.client(None).await;
    let sent = sender.send_with_nonce("room-1", "hello", "row-7").await;
    assert!(sent["errors"].is_null());
    for (client, nonce) in [
        (&mut ann, json!("row-7")),
        (&mut bob, Value::Null),
        (&mut nobody, Value::Null),
    ] {
        let result = client.receive().await;
        let expected = json!({ "text": "hello", "viewerNonce": nonce });
        assert_eq!(result["payload"]["data"]["newMessage"], expected);
    }
    assert_eq!(
        room(&mut sender).await["lastMessage"]["viewerNonce"],
        "row-7"
    );
    assert_eq!(
        room(&mut reader).await["lastMessage"]["viewerNonce"],
        Value::Null
    );
    drop((ann, bob, nobody, sender, reader));
    app.finish().await;
}

#[tokio::test]
async fn a_room_can_be_followed_without_being_present_in_it() {
    let app = TestApp::start().await;
    let mut ann = app.client(Some(&app.sign_in("ann").await)).await;
    let mut bob = app.client(Some(&app.sign_in("bob").await)).await;
    let quiet = NEW_MESSAGE.replace("after: $after", "after: $after, present: false");
    ann.start(&quiet, json!({ "room": "room-1" })).await;
    bob.start(NEW_MESSAGE, json!({ "room": "room-1" })).await;
    ann.wait_until_live().await;
    bob.wait_until_live().await;
    let mut reader = app.client(None).await;
    let names = room(&mut reader).await["presence"].take();
    assert_eq!(names, json!([{ "user": { "name": "bob" } }]));
    drop((ann, bob, reader));
    app.finish().await;
}
