//! The example for Rust in docs/TESTING.md, which a test compares with this file.

use std::time::Duration;

use serde_json::json;
use switchboard::testing::TestServer;

#[tokio::test]
async fn a_message_is_stored() {
    let seed = json!({
        "users": [{ "name": "Ada", "token": "ada-token" }],
        "rooms": [{ "id": "team", "owner": "Ada" }],
    });
    let server = TestServer::start(&seed, &[]).await.unwrap();

    // Your application gets `server.url()`. Here the test sends the message itself.
    server.clock().advance(Duration::from_secs(3600)).unwrap();
    let send = r#"mutation { sendMessage(roomId: "team", text: "Hello") { text } }"#;
    let sent = server.request("ada-token", send, json!({})).await;
    assert_eq!(sent["data"]["sendMessage"]["text"], "Hello");

    // The next test begins with the seed.
    server.reset().await.unwrap();
    let texts = r#"{ messages(roomId: "team") { nodes { text } } }"#;
    let read = server.request("ada-token", texts, json!({})).await;
    assert_eq!(read["data"]["messages"]["nodes"], json!([]));
    server.stop().await;
}
