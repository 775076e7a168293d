//! A server that begins with the data of a file.

use serde_json::{Value, json};

use crate::support::{Folder, app::TestApp};

/// A file of two users, a private room and messages.
fn file() -> Value {
    json!({
        "users": [
            { "name": "Ada", "id": "usr_000000000000000000000000000000ad", "token": "ada-token" },
            { "name": "Bob", "token": "bob-token" },
            { "name": "Eve", "token": "eve-token" },
        ],
        "rooms": [
            {
                "id": "team",
                "name": "The team",
                "visibility": "PRIVATE",
                "owner": "Ada",
                "members": [{ "user": "Bob", "role": "MODERATOR" }],
                "messages": [
                    { "sender": "Ada", "text": "Hello" },
                    { "sender": "Bob", "text": "Hello Ada" },
                ],
            },
            { "id": "room-1", "messages": [{ "sender": "Eve", "text": "in public" }] },
        ],
    })
}

fn write(folder: &Folder, seed: &Value) -> String {
    let path = folder.path().join("seed.json");
    std::fs::write(&path, seed.to_string()).unwrap();
    path.to_str().unwrap().to_owned()
}

const TEAM: &str = "{ viewer { id name } room(id: \"team\") { name
    members { nodes { role user { name } } } messages { nodes { text sender { name } } } } }";

#[tokio::test]
async fn a_server_begins_with_the_data_of_a_file_and_seeding_again_adds_nothing() {
    let mut folder = Folder::new();
    let seed = write(&folder, &file());
    let mut seen = Vec::new();
    for _ in 0..2 {
        let app = TestApp::in_folder(folder, &["--seed", &seed]).await;
        let mut bob = app.client(Some("bob-token")).await;
        let data = bob.execute(TEAM, json!({})).await["data"].take();
        assert_eq!(data["viewer"]["name"], "Bob");
        assert_eq!(
            data["room"],
            json!({
                "name": "The team",
                "members": { "nodes": [
                    { "role": "OWNER", "user": { "name": "Ada" } },
                    { "role": "MODERATOR", "user": { "name": "Bob" } },
                ] },
                "messages": { "nodes": [
                    { "text": "Hello", "sender": { "name": "Ada" } },
                    { "text": "Hello Ada", "sender": { "name": "Bob" } },
                ] },
            })
        );
        let mut eve = app.client(Some("eve-token")).await;
        let hidden = eve.execute(TEAM, json!({})).await;
        assert_eq!(hidden["data"]["room"], Value::Null);
        let mut ada = app.client(Some("ada-token")).await;
        let id = ada.execute("{ viewer { id } }", json!({})).await;
        assert_eq!(
            id["data"]["viewer"]["id"],
            "usr_000000000000000000000000000000ad"
        );
        let public = "{ room(id: \"room-1\") { messages { nodes { id text } } } }";
        seen.push(ada.execute(public, json!({})).await["data"]["room"].take());
        drop((ada, bob, eve));
        folder = app.finish().await;
    }
    assert_eq!(seen[0]["messages"]["nodes"][0]["text"], "in public");
    assert_eq!(seen[0], seen[1]);
    // Without the file, its tokens mean nothing.
    let app = TestApp::in_folder(folder, &[]).await;
    assert_eq!(app.whoami("bob-token").await.0, 401);
    app.finish().await;
}

#[tokio::test]
async fn a4_a_token_of_the_file_can_be_signed_out() {
    let folder = Folder::new();
    let seed = write(&folder, &file());
    let app = TestApp::in_folder(folder, &["--seed", &seed]).await;
    let mut bob = app.client(Some("bob-token")).await;
    bob.execute("mutation { signOut }", json!({})).await;
    assert_eq!(app.whoami("bob-token").await.0, 401);
    assert_eq!(app.whoami("ada-token").await.0, 200);
    drop(bob);
    app.finish().await;
}

#[tokio::test]
async fn an_invalid_file_is_refused_with_the_place_of_the_error() {
    let folder = Folder::new();
    for (path, value, reason) in [
        ("/users/0/id", json!("ada"), "users[0]: this is not an id"),
        ("/users/0/name", json!("\u{200b}"), "users[0]: "),
        (
            "/users/1/name",
            json!("Ada"),
            "users[1]: another user of the file has this name",
        ),
        ("/rooms/0/id", json!("No Room"), "rooms[0]: "),
        (
            "/rooms/0/owner",
            json!("Zoe"),
            "rooms[0]: Zoe is no user of the file",
        ),
        (
            "/rooms/0/members/0/user",
            json!("Zoe"),
            "rooms[0].members[0]: Zoe is no user",
        ),
        (
            "/rooms/0/members/0/role",
            json!("KING"),
            "unknown variant `KING`",
        ),
        (
            "/rooms/0/messages/1/sender",
            json!("Eve"),
            "rooms[0].messages[1]: ",
        ),
        (
            "/rooms/0/messages/1/text",
            json!(""),
            "rooms[0].messages[1]: ",
        ),
        (
            "/rooms/0/messages/1",
            json!({ "words": 1 }),
            "unknown field `words`",
        ),
    ] {
        let mut seed = file();
        *seed.pointer_mut(path).unwrap() = value;
        let seed = write(&folder, &seed);
        let Err(error) = TestApp::try_start(&["--ephemeral", "--seed", &seed]).await else {
            panic!("{path} was accepted");
        };
        let error = error.to_string();
        assert!(
            error.starts_with("--seed: ") && error.contains(reason),
            "{path}: {error}"
        );
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}
