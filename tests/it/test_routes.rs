//! What a test of an application does with a server: it sets the clock, and begins again.

use std::{net::SocketAddr, time::Duration};

use serde_json::{Value, json};
use switchboard::{domain::Timestamp, testing::TestServer};

use crate::support::{
    Folder,
    app::TestApp,
    client::Client,
    http::{exchange, post},
    stream::StreamedResponse,
};

const SSE: (&str, &str) = ("accept", "text/event-stream");
const YEAR: &str = "2030-01-01T00:00:00Z";

fn seed() -> Value {
    json!({
        "users": [
            { "name": "Ada", "token": "ada" },
            { "name": "Bob", "token": "bob" },
        ],
        "rooms": [{
            "id": "team",
            "owner": "Ada",
            "members": [{ "user": "Bob" }],
            "messages": [{ "sender": "Ada", "text": "from the seed" }],
        }],
    })
}

/// Posts a text to a path. Returns the status and the body.
async fn post_text(address: SocketAddr, path: &str, body: &str) -> (u16, String) {
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    );
    let reply = exchange(address, &request).await;
    (reply.status, reply.body)
}

async fn texts(server: &TestServer) -> Vec<String> {
    let query = r#"{ messages(roomId: "team") { nodes { text } } }"#;
    let answer = server.request("bob", query, json!({})).await;
    let nodes = answer["data"]["messages"]["nodes"].as_array().unwrap();
    let text = |node: &Value| node["text"].as_str().unwrap().to_owned();
    nodes.iter().map(text).collect()
}

#[tokio::test]
async fn a_reset_begins_again_with_the_seed_and_closes_all_connections() {
    let server = TestServer::start(&seed(), &["--base-path", "/chat"])
        .await
        .unwrap();
    let address = server.address();
    for path in ["/test/reset", "/chat/test/reset"] {
        let mut socket = Client::connect(address, Some("bob")).await;
        socket.send_message("team", "soon gone").await;
        let head = socket.head("team").await;
        let subscription = r#"subscription { newMessage(roomId: "team") { text } }"#;
        let body = json!({ "query": subscription }).to_string();
        let mut stream = StreamedResponse::post(address, &body, &[SSE]).await;
        server.clock().set(Timestamp(0)).unwrap();

        let (reset, closed, _) = tokio::join!(
            post_text(address, path, ""),
            socket.try_receive(),
            stream.read_to_end(),
        );
        assert_eq!(reset, (204, String::new()));
        assert_eq!(closed.unwrap_err().0, 1012);

        assert_eq!(texts(&server).await, ["from the seed"]);
        assert!(server.clock().now() > Timestamp::from_seconds(1_700_000_000));
        // A position of before the reset is not mistaken for one in the new log.
        let query = "query ($after: Cursor) {
            messages(roomId: \"team\", first: 1, after: $after) { nodes { id } } }";
        let answer = server.request("bob", query, json!({ "after": head })).await;
        assert_eq!(answer["errors"][0]["extensions"]["code"], "CURSOR_EXPIRED");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_test_sets_the_clock_over_http() {
    let server = TestServer::start(&seed(), &[]).await.unwrap();
    let clock = async |change: Value| {
        let (status, text) = post_text(server.address(), "/test/clock", &change.to_string()).await;
        (
            status,
            serde_json::from_str(&text).unwrap_or(Value::String(text)),
        )
    };
    let frozen = |now: &str| (200, json!({ "now": now, "frozen": true }));
    assert_eq!(
        clock(json!({ "now": YEAR, "frozen": true })).await,
        frozen(YEAR)
    );
    let later = "2030-01-01T00:01:30Z";
    assert_eq!(clock(json!({ "advanceSeconds": 90 })).await, frozen(later));
    let send = r#"mutation { sendMessage(roomId: "team", text: "x") { createdAt } }"#;
    let sent = server.request("bob", send, json!({})).await;
    assert_eq!(sent["data"]["sendMessage"]["createdAt"], later);
    for wrong in [
        json!({ "now": "tomorrow" }),
        json!({ "now": "-0001-01-01T00:00:00Z" }),
        json!({ "advanceSeconds": -1 }),
        json!({ "advanceSeconds": 1e18 }),
        json!({ "now": YEAR, "advanceSeconds": 1 }),
        json!({ "hour": 1 }),
        json!(7),
    ] {
        assert_eq!(clock(wrong.clone()).await.0, 400, "{wrong}");
    }
    let (status, read) = clock(json!({ "frozen": false })).await;
    assert_eq!((status, &read["frozen"]), (200, &json!(false)));
    assert!(
        read["now"]
            .as_str()
            .unwrap()
            .starts_with("2030-01-01T00:01:3"),
        "{read}"
    );
    server.stop().await;
}

/// A mute, slow mode and a token end by this clock.
#[tokio::test]
async fn mutes_and_slow_mode_end_when_the_clock_is_advanced() {
    let server = TestServer::start(&seed(), &[]).await.unwrap();
    let bob = "{ viewer { id } }";
    let bob = server.request("bob", bob, json!({})).await["data"]["viewer"]["id"].take();
    let until = server.clock().now().plus(Duration::from_secs(3_600));
    let mute = "mutation ($user: ID!, $until: DateTime) {
        muteMember(roomId: \"team\", userId: $user, until: $until) { role } }";
    let until = switchboard::schema::format_time(until);
    let variables = json!({ "user": bob, "until": until });
    let muted = server.request("ada", mute, variables).await;
    assert_eq!(muted["errors"], Value::Null, "{muted}");
    let send = r#"mutation { sendMessage(roomId: "team", text: "x") { id } }"#;
    let code = async || {
        let sent = server.request("bob", send, json!({})).await;
        sent["errors"][0]["extensions"]["code"].clone()
    };
    assert_eq!(code().await, "FORBIDDEN");
    server.clock().advance(Duration::from_secs(3_601)).unwrap();
    assert_eq!(code().await, Value::Null);
    server.stop().await;
}

#[tokio::test]
async fn the_routes_exist_only_if_the_flags_ask_for_them_and_check_host_and_origin() {
    let plain = TestApp::start().await;
    for path in ["/test/clock", "/test/reset"] {
        assert_eq!(
            post_text(plain.address(), path, "{}").await.0,
            404,
            "{path}"
        );
    }
    plain.finish().await;

    let server = TestServer::start(&json!({}), &[]).await.unwrap();
    for (header, status) in [
        ("Origin: https://evil.example", 403),
        ("Host: evil.example", 421),
    ] {
        let host = if header.starts_with("Host") {
            ""
        } else {
            "Host: localhost\r\n"
        };
        let request = format!(
            "POST /test/reset HTTP/1.1\r\n{host}{header}\r\nContent-Length: 0\r\n\
             Connection: close\r\n\r\n"
        );
        assert_eq!(exchange(server.address(), &request).await.status, status);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_reset_that_fails_keeps_the_data() {
    let folder = Folder::new();
    let file = folder.path().join("seed.json");
    std::fs::write(&file, seed().to_string()).unwrap();
    let flags = ["--ephemeral", "--seed", file.to_str().unwrap()];
    let server = TestApp::try_start(&flags).await.unwrap();
    std::fs::write(&file, "{").unwrap();
    let (status, reason) = post_text(server.address(), "/test/reset", "").await;
    assert_eq!(status, 500);
    assert!(reason.starts_with("--seed: "), "{reason}");
    let query = json!({ "query": "{ viewer { name } }" }).to_string();
    let viewer = post(server.address(), &query, &[("authorization", "Bearer ada")]).await;
    assert_eq!(viewer.json()["data"]["viewer"]["name"], "Ada");
    server.stop().await;
}
