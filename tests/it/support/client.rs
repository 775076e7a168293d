//! A client of graphql-transport-ws. It sends only the messages that a test sends.

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream,
    tungstenite::{ClientRequestBuilder, Message},
};

use super::{endpoint::Endpoint, wait_for};

pub(crate) const NEW_MESSAGE: &str = "subscription ($room: ID!, $after: Cursor) {
    newMessage(roomId: $room, after: $after) { text sender { name } } }";
const SEND: &str = "mutation ($room: ID!, $text: String!, $nonce: String) {
    sendMessage(roomId: $room, text: $text, nonce: $nonce) { id text cursor } }";

pub(crate) struct Client {
    pub(crate) socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    next_id: u32,
}

/// How a connection ended: the close code and the reason.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Closed(pub(crate) u16, pub(crate) String);

impl Client {
    /// Connects and initializes the connection.
    pub(crate) async fn connect(endpoint: impl Into<Endpoint>, token: Option<&str>) -> Self {
        let mut client = Self::open(endpoint).await;
        client.init(token).await;
        client
    }

    async fn init(&mut self, token: Option<&str>) {
        let payload = token.map(|token| json!({ "authorization": format!("Bearer {token}") }));
        self.send(&json!({ "type": "connection_init", "payload": payload }))
            .await;
        assert_eq!(self.receive().await, json!({ "type": "connection_ack" }));
    }

    /// Connects and initializes the connection. Returns `None` if the server does not answer.
    pub(crate) async fn try_connect(
        endpoint: impl Into<Endpoint>,
        token: Option<&str>,
    ) -> Option<Self> {
        let mut client = Self::try_open(endpoint).await?;
        let payload = token.map(|token| json!({ "authorization": format!("Bearer {token}") }));
        let init = json!({ "type": "connection_init", "payload": payload });
        client
            .socket
            .send(Message::text(init.to_string()))
            .await
            .ok()?;
        client.try_receive().await.ok()?;
        Some(client)
    }

    /// Connects over an open stream.
    pub(crate) async fn over_stream(
        stream: MaybeTlsStream<TcpStream>,
        host: &str,
        token: Option<&str>,
    ) -> Self {
        let request = ClientRequestBuilder::new(format!("wss://{host}/graphql").parse().unwrap());
        let request = request.with_sub_protocol("graphql-transport-ws");
        let (socket, _) = wait_for(
            "the upgrade",
            tokio_tungstenite::client_async(request, stream),
        )
        .await
        .unwrap();
        let mut client = Self { socket, next_id: 1 };
        client.init(token).await;
        client
    }

    /// Opens a WebSocket and sends nothing on it.
    pub(crate) async fn open(endpoint: impl Into<Endpoint>) -> Self {
        Self::try_open(endpoint).await.expect("a connection")
    }

    /// Opens a WebSocket. Returns `None` if the server does not answer.
    pub(crate) async fn try_open(endpoint: impl Into<Endpoint>) -> Option<Self> {
        let endpoint = endpoint.into();
        let scheme = if endpoint.certificate.is_some() {
            "wss"
        } else {
            "ws"
        };
        let uri = format!("{scheme}://{}/graphql", endpoint.address)
            .parse()
            .unwrap();
        let request = ClientRequestBuilder::new(uri).with_sub_protocol("graphql-transport-ws");
        let stream = endpoint.connect().await.ok()?;
        let (socket, _) = wait_for(
            "the upgrade",
            tokio_tungstenite::client_async(request, stream),
        )
        .await
        .ok()?;
        Some(Self { socket, next_id: 1 })
    }

    /// Sends one message of the protocol.
    pub(crate) async fn send(&mut self, message: &Value) {
        self.socket
            .send(Message::text(message.to_string()))
            .await
            .unwrap();
    }

    /// The next message of the protocol. Panics if the connection closes.
    pub(crate) async fn receive(&mut self) -> Value {
        match self.try_receive().await {
            Ok(message) => message,
            Err(closed) => panic!("closed: {closed:?}"),
        }
    }

    /// The next message of the protocol, or how the connection ended. The pings that say that a
    /// subscription is live are skipped.
    pub(crate) async fn try_receive(&mut self) -> Result<Value, Closed> {
        loop {
            let message = self.receive_any().await?;
            if message["type"] != "ping" {
                return Ok(message);
            }
        }
    }

    /// Waits until a subscription is live, and returns its id and its cursor. Panics if another
    /// message comes first.
    pub(crate) async fn wait_until_live(&mut self) -> (String, String) {
        let ping = self.receive_any().await.unwrap();
        let word = |key: &str| {
            ping["payload"][key]
                .as_str()
                .unwrap_or_else(|| panic!("{ping}"))
                .to_owned()
        };
        assert_eq!(ping["type"], "ping");
        (word("subscribed"), word("cursor"))
    }

    async fn receive_any(&mut self) -> Result<Value, Closed> {
        loop {
            match wait_for("a message", self.socket.next()).await {
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

    /// Starts an operation and returns its id, or `None` if the connection is broken.
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

    /// Runs a query or a mutation and returns its result.
    pub(crate) async fn execute(&mut self, query: &str, variables: Value) -> Value {
        let id = self.start(query, variables).await;
        let next = self.receive().await;
        assert_eq!(
            (&next["type"], &next["id"]),
            (&json!("next"), &json!(id)),
            "{next}"
        );
        assert_eq!(
            self.receive().await,
            json!({ "type": "complete", "id": id })
        );
        next["payload"].clone()
    }

    /// Starts an operation that the server must refuse, and returns the errors.
    pub(crate) async fn execute_refused(&mut self, query: &str, variables: Value) -> Value {
        let id = self.start(query, variables).await;
        let error = self.receive().await;
        assert_eq!(
            (&error["type"], &error["id"]),
            (&json!("error"), &json!(id)),
            "{error}"
        );
        error["payload"].clone()
    }

    /// Sends a chat message and returns its cursor.
    pub(crate) async fn send_message(&mut self, room: &str, text: &str) -> String {
        let result = self
            .execute(SEND, json!({ "room": room, "text": text }))
            .await;
        result["data"]["sendMessage"]["cursor"]
            .as_str()
            .unwrap_or_else(|| panic!("{result}"))
            .to_owned()
    }

    /// Sends a chat message with a nonce and returns the whole result.
    pub(crate) async fn send_with_nonce(&mut self, room: &str, text: &str, nonce: &str) -> Value {
        self.execute(SEND, json!({ "room": room, "text": text, "nonce": nonce }))
            .await
    }

    /// The head of a room, as a cursor.
    pub(crate) async fn head(&mut self, room: &str) -> String {
        let result = self
            .execute(
                "query ($room: ID!) { room(id: $room) { head } }",
                json!({ "room": room }),
            )
            .await;
        result["data"]["room"]["head"]
            .as_str()
            .unwrap_or_else(|| panic!("{result}"))
            .to_owned()
    }

    /// Subscribes to the messages after a cursor. With a cursor, no test depends on the moment at
    /// which the subscription becomes live.
    pub(crate) async fn subscribe(&mut self, room: &str, after: &str) -> String {
        self.start(NEW_MESSAGE, json!({ "room": room, "after": after }))
            .await
    }

    /// The text and the cursor of the next message of a subscription.
    pub(crate) async fn next_message(&mut self) -> (String, String) {
        let next = self.receive().await;
        assert_eq!(next["type"], "next", "{next}");
        let text = next["payload"]["data"]["newMessage"]["text"]
            .as_str()
            .unwrap_or_else(|| panic!("{next}"));
        let cursor = next["payload"]["extensions"]["cursor"].as_str().unwrap();
        (text.to_owned(), cursor.to_owned())
    }

    /// The texts of the next messages of a subscription.
    pub(crate) async fn next_texts(&mut self, count: usize) -> Vec<String> {
        let mut texts = Vec::with_capacity(count);
        for _ in 0..count {
            texts.push(self.next_message().await.0);
        }
        texts
    }

    /// Proves that the server sent nothing else: everything that it sent before arrives before the
    /// answer to this ping.
    pub(crate) async fn fence(&mut self) {
        self.send(&json!({ "type": "ping", "payload": { "fence": true } }))
            .await;
        assert_eq!(
            self.receive().await,
            json!({ "type": "pong", "payload": { "fence": true } })
        );
    }

    /// Closes the connection and waits until the server has closed it too.
    pub(crate) async fn close(mut self) {
        self.socket.close(None).await.unwrap();
        while let Some(Ok(_)) = wait_for("the answer to a close", self.socket.next()).await {}
    }
}
