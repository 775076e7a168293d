//! Clients that mean harm, or do it all the same: the process lives on and others are served.

use futures::{SinkExt, StreamExt};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_tungstenite::tungstenite::Message;

use crate::support::{
    app::TestApp,
    client::{Client, Closed},
    http, soon,
};

#[tokio::test]
async fn half_a_handshake_and_half_a_frame_harm_nobody() {
    let app = TestApp::start().await;
    let mut half = Vec::new();
    for bytes in
        [&b"GET /graphql HTTP/1.1\r\nhost: x\r\nupgrade: webso"[..], b"\0\xff\xfe", b"POST /graphql HTTP/1.1\r\n"]
    {
        let mut stream = TcpStream::connect(app.address()).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        half.push(stream);
    }
    let client = Client::open(app.address()).await;
    let mut raw = client.socket.into_inner();
    // A masked text frame that promises 100 bytes and brings three.
    raw.write_all(&[0x81, 0xe4, 1, 2, 3, 4, b'a', b'b', b'c']).await.unwrap();
    let mut other = app.client(None).await;
    other.fence().await;
    drop((half, raw, other));
    app.finish().await;
}

#[tokio::test]
async fn deep_json_and_deep_documents_are_refused() {
    let app = TestApp::start().await;
    let deep = "[".repeat(100_000);
    assert_eq!(
        http::post(app.address(), &format!("{{\"query\":\"{{a}}\",\"variables\":{deep}"), &[]).await.status,
        400
    );
    let body = json!({ "query": format!("{{ a(x: {deep} }}") }).to_string();
    assert_eq!(http::post(app.address(), &body, &[]).await.code(), "TOO_COMPLEX");
    let braces = json!({ "query": "{a".repeat(30_000) }).to_string();
    assert_eq!(http::post(app.address(), &braces, &[]).await.code(), "TOO_COMPLEX");
    let mut client = Client::open(app.address()).await;
    client.socket.send(Message::text(format!("{{\"type\":\"ping\",\"payload\":{deep}"))).await.unwrap();
    assert_eq!(client.next().await, Err(Closed(4400, "Invalid message received".to_owned())));
    drop(client);
    app.finish().await;
}

#[tokio::test]
async fn a_message_past_the_bound_is_refused_and_one_at_it_is_read() {
    let app = TestApp::with(&["--message-bytes-max", "4096"]).await;
    let mut client = app.client(None).await;
    let ping = |bytes: usize| {
        let empty = json!({ "type": "ping", "payload": { "x": "" } }).to_string().len();
        json!({ "type": "ping", "payload": { "x": "x".repeat(bytes - empty) } }).to_string()
    };
    client.socket.send(Message::text(ping(4096))).await.unwrap();
    assert_eq!(client.heard().await["type"], "pong");
    client.socket.send(Message::text(ping(4097))).await.unwrap();
    assert_eq!(client.next().await, Err(Closed(1009, "Message too big".to_owned())));
    drop(client);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn t1_a_flood_of_pings_from_one_that_does_not_read_stays_bounded() {
    let app = TestApp::with(&["--write-timeout", "500ms"]).await;
    let mut flood = app.client(None).await;
    let ping = json!({ "type": "ping", "payload": { "x": "x".repeat(60_000) } }).to_string();
    // The server stops reading at its bound on unsent replies, so that sending gets stuck; then it lets go.
    let stuck = async {
        loop {
            if flood.socket.send(Message::text(ping.clone())).await.is_err() {
                break;
            }
        }
    };
    soon("the end of the flood", stuck).await;
    while let Some(Ok(_)) = soon("the rest", flood.socket.next()).await {}
    let mut other = app.client(None).await;
    other.fence().await;
    drop((flood, other));
    app.finish().await;
}

#[tokio::test]
async fn thousands_of_operations_come_and_go() {
    let app = TestApp::start().await;
    let mut client = app.client(None).await;
    for _ in 0..50 {
        let mut ids = std::collections::HashSet::new();
        for _ in 0..100 {
            ids.insert(client.subscribe("room-1", "").await);
        }
        // An empty cursor is refused, in whatever order the refusals come.
        for _ in 0..100 {
            let error = client.heard().await;
            assert_eq!(error["type"], "error", "{error}");
            assert!(ids.remove(error["id"].as_str().unwrap()));
        }
    }
    client.fence().await;
    drop(client);
    app.finish().await;
}

#[tokio::test]
async fn a_socket_that_was_upgraded_without_the_protocol_is_told() {
    let app = TestApp::start().await;
    let mut stream = TcpStream::connect(app.address()).await.unwrap();
    let request = "GET /graphql HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                   sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                   sec-websocket-protocol: graphql-sse\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut reply = vec![0; 4096];
    let mut read = 0;
    while !reply[..read].windows(2).any(|bytes| bytes == 4406_u16.to_be_bytes()) {
        let more = soon("a close frame", stream.read(&mut reply[read..])).await.unwrap();
        assert_ne!(more, 0, "the connection ended without a close: {:?}", &reply[..read]);
        read += more;
    }
    let head = String::from_utf8_lossy(&reply[..read]).to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 101") && !head.contains("sec-websocket-protocol"), "{head}");
    drop(stream);
    app.finish().await;
}
