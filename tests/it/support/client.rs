//! A client of graphql-transport-ws that says what it means and nothing by itself.

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream,
    tungstenite::{ClientRequestBuilder, Message},
};

use super::{soon, wire::Wire};

pub(crate) const NEW_MESSAGE: &str = "subscription ($room: ID!, $after: Cursor) {
    newMessage(roomId: $room, after: $after) { text sender { name } } }";
const SEND: &str = "mutation ($room: ID!, $text: String!, $nonce: String) {
    sendMessage(roomId: $room, text: $text, nonce: $nonce) { id text cursor } }";

pub(crate) struct Client {
    pub(crate) socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    next_id: u32,
}

/// How a connection ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Closed(pub(crate) u16, pub(crate) String);

impl Client {
    pub(crate) async fn connect(wire: impl Into<Wire>, token: Option<&str>) -> Self {
        let mut client = Self::open(wire).await;
        client.init(token).await;
        client
    }

    async fn init(&mut self, token: Option<&str>) {
        let payload = token.map(|token| json!({ "authorization": format!("Bearer {token}") }));
        self.say(&json!({ "type": "connection_init", "payload": payload }))
            .await;
        assert_eq!(self.heard().await, json!({ "type": "connection_ack" }));
    }

    /// The same, where the server may be away.
    pub(crate) async fn try_connect(wire: impl Into<Wire>, token: Option<&str>) -> Option<Self> {
        let mut client = Self::try_open(wire).await?;
        let payload = token.map(|token| json!({ "authorization": format!("Bearer {token}") }));
        let init = json!({ "type": "connection_init", "payload": payload });
        client
            .socket
            .send(Message::text(init.to_string()))
            .await
            .ok()?;
        client.next().await.ok()?;
        Some(client)
    }

    /// The same, over a connection that was made.
    pub(crate) async fn over(
        stream: MaybeTlsStream<TcpStream>,
        host: &str,
        token: Option<&str>,
    ) -> Self {
        let request = ClientRequestBuilder::new(format!("wss://{host}/graphql").parse().unwrap());
        let request = request.with_sub_protocol("graphql-transport-ws");
        let (socket, _) = soon(
            "the upgrade",
            tokio_tungstenite::client_async(request, stream),
        )
        .await
        .unwrap();
        let mut client = Self { socket, next_id: 1 };
        client.init(token).await;
        client
    }

    /// A socket on which nothing was said yet.
    pub(crate) async fn open(wire: impl Into<Wire>) -> Self {
        Self::try_open(wire).await.expect("a connection")
    }

    /// The same, where the server may be away.
    pub(crate) async fn try_open(wire: impl Into<Wire>) -> Option<Self> {
        let wire = wire.into();
        let scheme = if wire.certificate.is_some() {
            "wss"
        } else {
            "ws"
        };
        let uri = format!("{scheme}://{}/graphql", wire.address)
            .parse()
            .unwrap();
        let request = ClientRequestBuilder::new(uri).with_sub_protocol("graphql-transport-ws");
        let stream = wire.connect().await.ok()?;
        let (socket, _) = soon(
            "an answer",
            tokio_tungstenite::client_async(request, stream),
        )
        .await
        .ok()?;
        Some(Self { socket, next_id: 1 })
    }

    pub(crate) async fn say(&mut self, message: &Value) {
        self.socket
            .send(Message::text(message.to_string()))
            .await
            .unwrap();
    }

    /// The next message of the protocol's.
    pub(crate) async fn heard(&mut self) -> Value {
        match self.next().await {
            Ok(message) => message,
            Err(closed) => panic!("closed: {closed:?}"),
        }
    }

    /// The next message of the protocol's, or how the connection ended. That a subscription is live is passed over.
    pub(crate) async fn next(&mut self) -> Result<Value, Closed> {
        loop {
            let message = self.next_of_any_kind().await?;
            if message["type"] != "ping" {
                return Ok(message);
            }
        }
    }

    /// Waits until a subscription is live, and returns its id and where it stands. Nothing else may come before.
    pub(crate) async fn live(&mut self) -> (String, String) {
        let ping = self.next_of_any_kind().await.unwrap();
        let word = |key: &str| {
            ping["payload"][key]
                .as_str()
                .unwrap_or_else(|| panic!("{ping}"))
                .to_owned()
        };
        assert_eq!(ping["type"], "ping");
        (word("subscribed"), word("cursor"))
    }

    async fn next_of_any_kind(&mut self) -> Result<Value, Closed> {
        loop {
            match soon("a message", self.socket.next()).await {
                Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Close(Some(frame)))) => {
                    return Err(Closed(frame.code.into(), frame.reason.to_string()));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(Closed(1006, String::new())),
            }
        }
    }

    /// Starts an operation and returns its id.
    pub(crate) async fn start(&mut self, query: &str, variables: Value) -> String {
        self.try_start(query, variables)
            .await
            .expect("the connection is open")
    }

    /// The same, where the server may be away.
    pub(crate) async fn try_start(&mut self, query: &str, variables: Value) -> Option<String> {
        let id = self.next_id.to_string();
        self.next_id += 1;
        let payload = json!({ "query": query, "variables": variables });
        let message = json!({ "id": id, "type": "subscribe", "payload": payload }).to_string();
        self.socket
            .send(Message::text(message))
            .await
            .ok()
            .map(|()| id)
    }

    /// The result of a query or a mutation.
    pub(crate) async fn ask(&mut self, query: &str, variables: Value) -> Value {
        let id = self.start(query, variables).await;
        let next = self.heard().await;
        assert_eq!(
            (&next["type"], &next["id"]),
            (&json!("next"), &json!(id)),
            "{next}"
        );
        assert_eq!(self.heard().await, json!({ "type": "complete", "id": id }));
        next["payload"].clone()
    }

    /// The errors of an operation that was refused.
    pub(crate) async fn refused(&mut self, query: &str, variables: Value) -> Value {
        let id = self.start(query, variables).await;
        let error = self.heard().await;
        assert_eq!(
            (&error["type"], &error["id"]),
            (&json!("error"), &json!(id)),
            "{error}"
        );
        error["payload"].clone()
    }

    /// Sends a message and returns its cursor.
    pub(crate) async fn send(&mut self, room: &str, text: &str) -> String {
        let result = self.ask(SEND, json!({ "room": room, "text": text })).await;
        result["data"]["sendMessage"]["cursor"]
            .as_str()
            .unwrap_or_else(|| panic!("{result}"))
            .to_owned()
    }

    /// Sends under a nonce and returns the whole result.
    pub(crate) async fn send_once(&mut self, room: &str, text: &str, nonce: &str) -> Value {
        self.ask(SEND, json!({ "room": room, "text": text, "nonce": nonce }))
            .await
    }

    /// The room's head.
    pub(crate) async fn head(&mut self, room: &str) -> String {
        let result = self
            .ask(
                "query ($room: ID!) { room(id: $room) { head } }",
                json!({ "room": room }),
            )
            .await;
        result["data"]["room"]["head"]
            .as_str()
            .unwrap_or_else(|| panic!("{result}"))
            .to_owned()
    }

    /// Subscribes after a cursor, so that nothing depends on when the subscription is live.
    pub(crate) async fn subscribe(&mut self, room: &str, after: &str) -> String {
        self.start(NEW_MESSAGE, json!({ "room": room, "after": after }))
            .await
    }

    /// The text and the cursor of the next message of a subscription.
    pub(crate) async fn message(&mut self) -> (String, String) {
        let next = self.heard().await;
        assert_eq!(next["type"], "next", "{next}");
        let text = next["payload"]["data"]["newMessage"]["text"]
            .as_str()
            .unwrap_or_else(|| panic!("{next}"));
        let cursor = next["payload"]["extensions"]["cursor"].as_str().unwrap();
        (text.to_owned(), cursor.to_owned())
    }

    pub(crate) async fn texts(&mut self, count: usize) -> Vec<String> {
        let mut texts = Vec::with_capacity(count);
        for _ in 0..count {
            texts.push(self.message().await.0);
        }
        texts
    }

    /// Proves silence: whatever was on its way comes before the answer to this ping.
    pub(crate) async fn fence(&mut self) {
        self.say(&json!({ "type": "ping", "payload": { "fence": true } }))
            .await;
        assert_eq!(
            self.heard().await,
            json!({ "type": "pong", "payload": { "fence": true } })
        );
    }

    pub(crate) async fn close(mut self) {
        self.socket.close(None).await.unwrap();
        while let Some(Ok(_)) = soon("the answer to a close", self.socket.next()).await {}
    }
}
