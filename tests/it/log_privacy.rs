//! The log of the executable shows nothing that clients send, at any level.

use std::{fs, net::SocketAddr, process::Stdio};

use serde_json::json;

use crate::{
    crash::{Process, token},
    http2::Http2,
    support::{Folder, client::Client, http},
};

/// A text that only this test sends.
const TEXT: &str = "only this test says heliotrope";

/// Sends a token and a text over every transport, closes the clients, and returns the token.
async fn send_secrets(address: SocketAddr) -> String {
    let token = token(address).await;
    let bearer = format!("Bearer {token}");
    let post = json!({ "query": "{ viewer { name } }" }).to_string();
    assert_eq!(
        http::post(address, &post, &[("authorization", &bearer)])
            .await
            .status,
        200
    );
    let mut client = Client::connect(address, Some(&token)).await;
    client.send_message("room-1", TEXT).await;
    client
        .send(&json!({ "type": "ping", "payload": { "authorization": bearer } }))
        .await;
    assert_eq!(client.receive().await["type"], "pong");
    client.close().await;
    let mut http2 = Http2::connect(address).await;
    assert_eq!(
        http2.post(&post, &bearer).await["data"]["viewer"]["name"],
        "ann"
    );
    let mut socket = http2.socket().await;
    socket
        .send(json!({ "type": "connection_init", "payload": { "authorization": bearer } }))
        .await;
    assert_eq!(
        socket.try_receive().await.unwrap()["type"],
        "connection_ack"
    );
    token
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn a3_no_log_level_shows_what_clients_send() {
    for (filter, format) in [
        ("trace", "text"),
        ("tungstenite=trace,h2=trace,hyper=trace,info", "json"),
    ] {
        let folder = Folder::new();
        let log = folder.path().join("log");
        let flags = [
            "--listen",
            "127.0.0.1:0",
            "--log",
            filter,
            "--log-format",
            format,
        ];
        let process = Process::start_with(
            &folder,
            &flags,
            Stdio::from(fs::File::create(&log).unwrap()),
        );
        let token = send_secrets(process.address).await;
        process.kill();
        let logged = fs::read_to_string(&log).unwrap();
        // The header is the same in every token, and not secret. No other part of a token may
        // appear, neither as text nor in hex.
        let secret: Vec<char> = token.split_once('.').unwrap().1.chars().collect();
        for part in secret
            .chunks_exact(12)
            .map(|part| part.iter().collect::<String>())
        {
            assert!(
                !logged.contains(&part) && !logged.contains(&hex(&part)),
                "{filter}: the log has a part of the token"
            );
        }
        assert!(
            !logged.contains("heliotrope") && !logged.contains(&hex("heliotrope")),
            "{filter}: the log has the text of a message"
        );
        // The log is not simply empty.
        let expected = if filter == "trace" {
            "DEBUG"
        } else {
            "\"DEBUG\""
        };
        assert!(logged.contains(expected), "{filter}: nothing was logged");
    }
}
