//! Floods from one address, over TCP and over TLS. Meanwhile messages between other clients are
//! delivered without delay, and afterwards the server holds nothing.

use futures::{SinkExt, StreamExt};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::Message;

use crate::support::{
    app::TestApp,
    client::{Client, Closed, NEW_MESSAGE},
    endpoint::{Transport, over_tcp_and_tls},
    http, wait_for,
};

over_tcp_and_tls!(
    a_flood_of_connections_delays_no_other_client,
    a_flood_of_subscriptions_delays_no_other_client,
    a_flood_of_large_messages_delays_no_other_client,
    a_flood_of_half_open_handshakes_delays_no_other_client,
);

/// Two clients that talk during a flood: Ann sends, and Bob receives everything.
struct Conversation {
    ann: Client,
    bob: Client,
    sent: usize,
}

impl Conversation {
    async fn begin(app: &TestApp) -> Self {
        let token = app.sign_in("ann").await;
        let (ann, mut bob) = (app.client(Some(&token)).await, app.client(None).await);
        let id = bob.start(NEW_MESSAGE, json!({ "room": "room-1" })).await;
        assert_eq!(bob.wait_until_live().await.0, id);
        Self { ann, bob, sent: 0 }
    }

    async fn exchange_messages(&mut self) {
        for _ in 0..3 {
            let text = self.sent.to_string();
            self.ann.send_message("room-1", &text).await;
            assert_eq!(self.bob.next_message().await.0, text);
            self.sent += 1;
        }
    }

    async fn end(self, app: TestApp) {
        self.ann.close().await;
        self.bob.close().await;
        app.finish().await;
    }
}

fn closed(code: u16, reason: &str) -> Closed {
    Closed(code, reason.to_owned())
}

/// An acknowledged client. Otherwise the close that the server sent, or `None` if it sent nothing.
async fn connect(app: &TestApp) -> Result<Client, Option<Closed>> {
    let mut client = Client::try_open(app.endpoint()).await.ok_or(None)?;
    let _ = client
        .socket
        .send(Message::text(r#"{"type":"connection_init"}"#))
        .await;
    match client.try_receive().await {
        Ok(_) => Ok(client),
        Err(close) => Err(Some(close)),
    }
}

async fn a_flood_of_connections_delays_no_other_client(transport: Transport) {
    let app = TestApp::start_over(
        transport,
        &[
            "--connections-per-address-max",
            "20",
            "--connects-per-second-per-address-max",
            "1",
            "--connects-burst-max",
            "60",
        ],
    )
    .await;
    let mut conversation = Conversation::begin(&app).await;
    let (mut open, mut refused, mut dropped) = (Vec::new(), 0, 0);
    // The burst is served, as many connections again get a close code, and all others are dropped.
    for number in 0..400 {
        match connect(&app).await {
            Ok(client) => open.push(client),
            Err(Some(close)) => {
                assert_eq!(close, closed(1013, "Too many connections"));
                refused += 1;
            }
            Err(None) => dropped += 1,
        }
        if number % 50 == 0 {
            conversation.exchange_messages().await;
        }
    }
    assert_eq!(
        open.len(),
        18,
        "together with the two that talk, these are all that the limit allows"
    );
    assert!(
        refused > 0 && dropped > 0,
        "{refused} were refused, {dropped} were dropped"
    );
    drop(open);
    conversation.exchange_messages().await;
    conversation.end(app).await;
}

async fn a_flood_of_subscriptions_delays_no_other_client(transport: Transport) {
    let app = TestApp::start_over(
        transport,
        &[
            "--messages-per-second-max",
            "10",
            "--messages-burst-max",
            "500",
        ],
    )
    .await;
    let mut conversation = Conversation::begin(&app).await;
    let mut flood = app.client(None).await;
    let mut ended = None;
    for id in 0..5_000 {
        let payload = json!({ "query": NEW_MESSAGE, "variables": { "room": "room-1" } });
        let message = json!({ "id": id.to_string(), "type": "subscribe", "payload": payload });
        if flood
            .socket
            .send(Message::text(message.to_string()))
            .await
            .is_err()
        {
            break;
        }
        if id % 1_000 == 0 {
            conversation.exchange_messages().await;
        }
    }
    let mut refused = 0;
    while ended.is_none() {
        match flood.try_receive().await {
            Ok(message) if message["type"] == "error" => {
                assert_eq!(
                    message["payload"][0]["extensions"]["code"], "TOO_MANY_OPERATIONS",
                    "{message}"
                );
                refused += 1;
            }
            Ok(message) => assert_eq!(message["type"], "next", "{message}"),
            Err(close) => ended = Some(close),
        }
    }
    assert_eq!(ended, Some(closed(1013, "Too many messages")));
    assert!(
        refused > 0,
        "no operation was refused for the limit per connection"
    );
    conversation.exchange_messages().await;
    conversation.end(app).await;
}

async fn a_flood_of_large_messages_delays_no_other_client(transport: Transport) {
    let app = TestApp::start_over(transport, &[]).await;
    let mut conversation = Conversation::begin(&app).await;
    let megabyte = Message::text("x".repeat(1024 * 1024));
    for _ in 0..10 {
        let mut flood = app.client(None).await;
        // The server may close while the rest of the message is on its way.
        while flood.socket.feed(megabyte.clone()).await.is_ok()
            && flood.socket.flush().await.is_ok()
        {
            if let Some(Some(Ok(Message::Close(_)))) =
                futures::FutureExt::now_or_never(flood.socket.next())
            {
                break;
            }
        }
        conversation.exchange_messages().await;
    }
    // A client that stops sending receives the reason.
    let mut flood = app.client(None).await;
    flood.socket.send(megabyte).await.unwrap();
    assert_eq!(
        flood.try_receive().await,
        Err(closed(1009, "Message too big"))
    );
    let body = json!({ "query": "x".repeat(1024 * 1024) }).to_string();
    assert_eq!(http::post(app.endpoint(), &body, &[]).await.status, 413);
    conversation.exchange_messages().await;
    conversation.end(app).await;
}

async fn a_flood_of_half_open_handshakes_delays_no_other_client(transport: Transport) {
    let app = TestApp::start_over(
        transport,
        &[
            "--handshakes-per-address-max",
            "50",
            "--header-timeout",
            "60s",
        ],
    )
    .await;
    let mut conversation = Conversation::begin(&app).await;
    let half_of_it = match transport {
        Transport::Tcp => &b"GET /graphql HTTP/1.1\r\nhost: localhost\r\nupgrade: webso"[..],
        // The beginning of a TLS record that announces 512 bytes of a ClientHello.
        Transport::Tls => b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    };
    let (mut half, mut dropped) = (Vec::new(), 0);
    for number in 0..500 {
        let mut stream = app.endpoint().connect_tcp().await.unwrap();
        let _ = stream.write_all(half_of_it).await;
        half.push(stream);
        if number % 100 == 0 {
            conversation.exchange_messages().await;
        }
    }
    for stream in half.iter_mut().skip(50) {
        let read = wait_for("the end of the connection", stream.read(&mut [0; 1])).await;
        dropped += usize::from(read.is_err() || read.is_ok_and(|read| read == 0));
    }
    assert_eq!((dropped, app.in_use().handshakes), (450, 50));
    conversation.exchange_messages().await;
    drop(half);
    // After the flood, new clients are accepted.
    let left = async {
        while app.in_use().handshakes > 0 {
            tokio::task::yield_now().await;
        }
    };
    wait_for("the end of the flood", left).await;
    app.client(None).await.close().await;
    conversation.end(app).await;
}
