//! The wall clock is set forward or back under a running server.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use serde_json::json;
use switchboard::domain::{Clock, Timestamp};

use crate::support::{
    app::TestApp,
    client::{Client, Closed, NEW_MESSAGE},
    stream::StreamedResponse,
    wait_for,
};

const HOUR: i64 = 3_600_000_000;
const SECOND: i64 = 1_000_000;

/// A clock that a test sets. It starts in 2023.
#[derive(Clone)]
struct WallClock(Arc<AtomicI64>);

impl WallClock {
    fn new() -> Self {
        Self(Arc::new(AtomicI64::new(1_700_000_000_000_000)))
    }

    fn set(&self, by_micros: i64) {
        self.0.fetch_add(by_micros, Ordering::SeqCst);
    }

    fn clock(&self) -> Clock {
        let moment = self.0.clone();
        Arc::new(move || Timestamp(moment.load(Ordering::SeqCst)))
    }
}

/// The code of the error of a mutation.
async fn code(client: &mut Client, mutation: &str) -> String {
    let answer = client
        .execute(&format!("mutation {{ {mutation} }}"), json!({}))
        .await;
    let code = &answer["errors"][0]["extensions"]["code"];
    code.as_str().unwrap_or_default().to_owned()
}

const SEND: &str = r#"sendMessage(roomId: "a", text: "x") { id }"#;

#[tokio::test]
async fn connections_of_expired_tokens_end_when_the_clock_is_set_forward() {
    let wall = WallClock::new();
    let app = TestApp::with_clock(wall.clock(), &["--session-lifetime", "1h"]).await;
    let token = app.sign_in("ann").await;
    // No ping and no heartbeat is due before the test ends.
    let mut socket = app.client(Some(&token)).await;
    let authorization = format!("Bearer {token}");
    let headers = [
        ("connection", "close"),
        ("accept", "text/event-stream"),
        ("authorization", &authorization),
    ];
    let body = json!({ "query": NEW_MESSAGE, "variables": { "room": "room-1" } }).to_string();
    let mut stream = StreamedResponse::post(app.address(), &body, &headers).await;
    let mut other = app.client(None).await;
    wall.set(2 * HOUR);
    let forbidden = Closed(4403, "Forbidden".to_owned());
    assert_eq!(socket.try_receive().await, Err(forbidden));
    stream.read_to_end().await;
    // A connection without a token stays.
    assert!(!other.head("room-1").await.is_empty());
    drop((socket, other));
    app.finish().await;
}

/// An owner and a member of the room `a`.
async fn owner_and_member(app: &TestApp) -> (Client, Client) {
    let mut ann = app.client(Some(&app.sign_in("ann").await)).await;
    let mut bob = app.client(Some(&app.sign_in("bob").await)).await;
    assert_eq!(
        code(&mut ann, r#"createRoom(id: "a", name: "a") { id }"#).await,
        ""
    );
    assert_eq!(code(&mut bob, r#"joinRoom(roomId: "a") { id }"#).await, "");
    (ann, bob)
}

#[tokio::test]
async fn slow_mode_does_not_wait_longer_when_the_clock_is_set_back() {
    let wall = WallClock::new();
    let app = TestApp::with_clock(wall.clock(), &[]).await;
    let (mut ann, mut bob) = owner_and_member(&app).await;
    let slow = r#"updateRoom(id: "a", slowModeSeconds: 30) { id }"#;
    assert_eq!(code(&mut ann, slow).await, "");
    assert_eq!(code(&mut bob, SEND).await, "");
    assert_eq!(code(&mut bob, SEND).await, "RATE_LIMITED");
    wall.set(-HOUR);
    assert_eq!(code(&mut bob, SEND).await, "");
    assert_eq!(code(&mut bob, SEND).await, "RATE_LIMITED");
    wall.set(30 * SECOND);
    assert_eq!(code(&mut bob, SEND).await, "");
    drop((ann, bob));
    app.finish().await;
}

#[tokio::test]
async fn a_mute_does_not_last_longer_when_the_clock_is_set_back() {
    let wall = WallClock::new();
    let app = TestApp::with_clock(wall.clock(), &[]).await;
    let (mut ann, mut bob) = owner_and_member(&app).await;
    let viewer = bob.execute("{ viewer { id } }", json!({})).await;
    let id = viewer["data"]["viewer"]["id"].as_str().unwrap();
    // 2023-11-14T22:15:00Z is about a minute after the present time of the clock.
    let until = "2023-11-14T22:15:00Z";
    let mute = format!(r#"muteMember(roomId: "a", userId: "{id}", until: "{until}") {{ id }}"#);
    assert_eq!(code(&mut ann, &mute).await, "");
    wall.set(-HOUR);
    let noticed = async {
        let query = "{ room(id: \"a\") { members(last: 1) { nodes { mutedUntil } } } }";
        loop {
            let answer = bob.execute(query, json!({})).await;
            let until = &answer["data"]["room"]["members"]["nodes"][0]["mutedUntil"];
            if until
                .as_str()
                .is_some_and(|until| until.starts_with("2023-11-14T21:15:00"))
            {
                return;
            }
        }
    };
    wait_for("the shorter mute", noticed).await;
    assert_eq!(code(&mut bob, SEND).await, "FORBIDDEN");
    wall.set(120 * SECOND);
    assert_eq!(code(&mut bob, SEND).await, "");
    drop((ann, bob));
    app.finish().await;
}
