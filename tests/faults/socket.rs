//! A client of graphql-transport-ws. A broken connection is an error that its user handles.

use std::{net::SocketAddr, time::Duration};

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{
    net::{TcpSocket, TcpStream},
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{ClientRequestBuilder, Message, protocol::frame::coding::CloseCode},
};

/// How long a client waits for an answer before it connects again.
const ANSWER_MAX: Duration = Duration::from_secs(1);

/// How long a client waits that compares the records when the load has ended.
const PATIENT: Duration = Duration::from_secs(20);

/// Pause before a client connects again, and before it repeats a refused write.
pub(crate) const AWAY: Duration = Duration::from_millis(10);

/// Pause after a server has announced its restart (1012). Clients have such a pause so that they do
/// not connect to the same server again.
const RESTART: Duration = Duration::from_millis(200);

/// Why a client has to connect again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// The connection broke, or an answer did not arrive in time.
    Lost,
    /// The server restarts.
    Restarts,
}

/// A client that has been acknowledged.
pub(crate) struct Socket {
    stream: WebSocketStream<TcpStream>,
    next_id: u32,
    answer_max: Duration,
}

/// Maps an error of any kind.
fn broken<E>(_: E) -> Broken {
    Broken::Lost
}

impl Socket {
    /// Connects and initializes the connection. `unread_max` bounds the bytes that the system
    /// receives before the client reads them.
    pub(crate) async fn connect(
        address: SocketAddr,
        token: Option<&str>,
        unread_max: Option<u32>,
    ) -> Result<Self, Broken> {
        let connecting = async {
            let socket = TcpSocket::new_v4().map_err(broken)?;
            if let Some(bytes) = unread_max {
                socket.set_recv_buffer_size(bytes).map_err(broken)?;
            }
            let stream = socket.connect(address).await.map_err(broken)?;
            stream.set_nodelay(true).map_err(broken)?;
            let uri = format!("ws://{address}/graphql").parse().unwrap();
            let request = ClientRequestBuilder::new(uri).with_sub_protocol("graphql-transport-ws");
            let upgraded = tokio_tungstenite::client_async(request, stream).await;
            let (stream, _) = upgraded.map_err(broken)?;
            let mut client = Self {
                stream,
                next_id: 1,
                answer_max: ANSWER_MAX,
            };
            let payload = token.map(|token| json!({ "authorization": format!("Bearer {token}") }));
            let init = json!({ "type": "connection_init", "payload": payload });
            client.send(&init).await?;
            match client.receive().await?["type"].as_str() {
                Some("connection_ack") => Ok(client),
                _ => Err(Broken::Lost),
            }
        };
        timeout(ANSWER_MAX, connecting).await.map_err(broken)?
    }

    /// Connects again after a pause, and tries again until the server answers.
    pub(crate) async fn reconnect(
        address: SocketAddr,
        token: Option<&str>,
        broken: Broken,
    ) -> Self {
        match broken {
            Broken::Lost => tokio::time::sleep(AWAY).await,
            Broken::Restarts => tokio::time::sleep(RESTART).await,
        }
        Self::connect_at_last(address, token).await
    }

    /// Connects, and tries again until the server answers.
    pub(crate) async fn connect_at_last(address: SocketAddr, token: Option<&str>) -> Self {
        loop {
            match Self::connect(address, token, None).await {
                Ok(client) => return client,
                Err(Broken::Lost) => tokio::time::sleep(AWAY).await,
                Err(Broken::Restarts) => tokio::time::sleep(RESTART).await,
            }
        }
    }

    /// Waits longer for answers.
    pub(crate) fn patient(mut self) -> Self {
        self.answer_max = PATIENT;
        self
    }

    pub(crate) async fn send(&mut self, message: &Value) -> Result<(), Broken> {
        let text = Message::text(message.to_string());
        timeout(ANSWER_MAX, self.stream.send(text))
            .await
            .map_err(broken)?
            .map_err(broken)
    }

    /// The next message of the protocol. Waits as long as it takes.
    pub(crate) async fn receive(&mut self) -> Result<Value, Broken> {
        loop {
            match self.stream.next().await {
                Some(Ok(Message::Text(text))) => {
                    return serde_json::from_str(&text).map_err(broken);
                }
                Some(Ok(Message::Close(Some(frame)))) if frame.code == CloseCode::Restart => {
                    // Answers the close, and waits until the server has ended its side.
                    let _ = timeout(ANSWER_MAX, self.stream.next()).await;
                    return Err(Broken::Restarts);
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Err(Broken::Lost),
                Some(Ok(_)) => {}
            }
        }
    }

    /// The next message of the protocol. If nothing arrives, a ping asks whether the server still
    /// answers.
    pub(crate) async fn receive_alive(&mut self) -> Result<Value, Broken> {
        if let Ok(message) = timeout(ANSWER_MAX, self.receive()).await {
            return message;
        }
        self.send(&json!({ "type": "ping" })).await?;
        timeout(ANSWER_MAX, self.receive()).await.map_err(broken)?
    }

    /// Starts an operation and returns its id.
    pub(crate) async fn start(&mut self, query: &str, variables: Value) -> Result<String, Broken> {
        let id = self.next_id.to_string();
        self.next_id += 1;
        let payload = json!({ "query": query, "variables": variables });
        let subscribe = json!({ "id": id, "type": "subscribe", "payload": payload });
        self.send(&subscribe).await?;
        Ok(id)
    }

    /// Runs a query or a mutation. Returns its result; of a refused one, its errors.
    pub(crate) async fn execute(&mut self, query: &str, variables: Value) -> Result<Value, Broken> {
        let answer_max = self.answer_max;
        let answering = async {
            let id = self.start(query, variables).await?;
            let mut result = None;
            loop {
                let message = self.receive().await?;
                if message["id"] != id.as_str() {
                    continue;
                }
                match (message["type"].as_str(), result.take()) {
                    (Some("next"), None) => result = Some(message["payload"].clone()),
                    (Some("complete"), Some(result)) => return Ok(result),
                    (Some("error"), None) => return Ok(json!({ "errors": message["payload"] })),
                    _ => return Err(Broken::Lost),
                }
            }
        };
        timeout(answer_max, answering).await.map_err(broken)?
    }
}
