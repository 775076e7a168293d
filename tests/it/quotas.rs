//! What one user, and all users at one address, may store in a day.

use serde_json::{Value, json};

use crate::support::{app::TestApp, client::Client};

/// The code of the error of a mutation, and the time to wait in seconds.
async fn refusal(client: &mut Client, mutation: &str) -> (String, u64) {
    let answer = client
        .execute(&format!("mutation {{ {mutation} }}"), json!({}))
        .await;
    let extensions = &answer["errors"][0]["extensions"];
    let code = extensions["code"].as_str().unwrap_or_default();
    let wait = extensions["retryAfter"].as_u64().unwrap_or_default();
    (code.to_owned(), wait)
}

fn create(id: &str) -> String {
    format!(r#"createRoom(id: "{id}", name: "x", visibility: PRIVATE) {{ id }}"#)
}

/// Checks that a user may do `allowed`, then not `refused`; that the user can still read; and that
/// another user at the address may do `allowed` once more, and nobody else anything.
async fn assert_quota(flags: &[&str], allowed: [&str; 2], refused: &str) {
    let app = TestApp::with_flags(flags).await;
    let fine = (String::new(), 0);
    for (name, steps) in [("ann", &allowed[..1]), ("bob", &allowed[1..])] {
        let mut user = app.client(Some(&app.sign_in(name).await)).await;
        for step in steps {
            assert_eq!(refusal(&mut user, step).await, fine, "{flags:?} {name}");
        }
        let (code, wait) = refusal(&mut user, refused).await;
        assert_eq!(code, "RATE_LIMITED", "{flags:?} {name}");
        assert!((1..=24 * 60 * 60).contains(&wait), "{wait}");
        assert!(!user.head("room-1").await.is_empty());
    }
    let mut cid = app.client(Some(&app.sign_in("cid").await)).await;
    assert_eq!(refusal(&mut cid, refused).await.0, "RATE_LIMITED");
    drop(cid);
    app.finish().await;
}

#[tokio::test]
async fn rooms_are_limited_per_day_by_user_and_by_address() {
    let flags = [
        "--rooms-per-day-per-user-max",
        "1",
        "--rooms-per-day-per-address-max",
        "2",
    ];
    assert_quota(&flags, [&create("a"), &create("b")], &create("c")).await;
}

#[tokio::test]
async fn memberships_are_limited_per_day_by_user_and_by_address() {
    let flags = [
        "--memberships-per-day-per-user-max",
        "1",
        "--memberships-per-day-per-address-max",
        "2",
    ];
    let join = r#"joinRoom(roomId: "room-1") { id }"#;
    assert_quota(&flags, [join, join], join).await;
    assert_quota(&flags, [&create("a"), join], &create("b")).await;
}

#[tokio::test]
async fn stored_bytes_are_limited_per_day_by_user_and_by_address() {
    let flags = [
        "--stored-bytes-per-day-per-user-max",
        "6000",
        "--stored-bytes-per-day-per-address-max",
        "12000",
    ];
    let text = "x".repeat(5000);
    let send = format!(r#"sendMessage(roomId: "room-1", text: "{text}") {{ id }}"#);
    assert_quota(&flags, [&send, &send], &send).await;
}

#[tokio::test]
async fn users_are_limited_per_day_by_address() {
    let app = TestApp::with_flags(&["--sign-ins-per-day-per-address-max", "3"]).await;
    let mut client = app.client(None).await;
    let sign_in = r#"signIn(name: "ann") { token }"#;
    for _ in 0..3 {
        assert_eq!(refusal(&mut client, sign_in).await, (String::new(), 0));
    }
    let (code, wait) = refusal(&mut client, sign_in).await;
    // A third of a day.
    assert_eq!((code.as_str(), wait), ("RATE_LIMITED", 8 * 60 * 60));
    drop(client);
    app.finish().await;
}

#[tokio::test]
async fn a_query_names_the_quota_that_is_used_up() {
    let app = TestApp::with_flags(&["--rooms-per-day-per-user-max", "1"]).await;
    let mut ann = app.client(Some(&app.sign_in("ann").await)).await;
    let both = format!("mutation {{ a: {} b: {} }}", create("a"), create("b"));
    let answer: Value = ann.execute(&both, json!({})).await;
    assert_eq!(answer["data"]["a"]["id"], "a");
    let message = answer["errors"][0]["message"].as_str().unwrap();
    assert!(message.contains("Too many rooms"), "{message}");
    drop(ann);
    app.finish().await;
}
