//! `send` and `tail`: a small client of a running server, over graphql-transport-ws.

use std::{io::Write, process::ExitCode, time::Duration};

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream,
    tungstenite::{self, ClientRequestBuilder, Message, protocol::CloseFrame},
};

use crate::{
    config::{Secret, ServerFlags},
    protocol::Subprotocol,
};

/// After a connection broke: how long to wait at first, and at most.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(8));

const SIGN_IN: &str = "mutation ($name: String!) { signIn(name: $name) { token } }";
const SEND: &str = "mutation ($room: ID!, $text: String!, $nonce: String!) {
    sendMessage(roomId: $room, text: $text, nonce: $nonce) { id cursor } }";
const TAIL: &str = "subscription ($room: ID!, $after: Cursor) {
    newMessage(roomId: $room, after: $after) { text createdAt sender { name } } }";
const HEAD: &str = "query ($room: ID!) { room(id: $room) { head } }";

/// Why the client stops.
#[derive(Debug, thiserror::Error)]
enum ClientError {
    /// Nobody answers there.
    #[error("{0}")]
    Unreachable(String),
    /// The connection broke; it may be made again.
    #[error("{0}")]
    Broken(String),
    /// The server said no; trying again would not help.
    #[error("{0}")]
    Refused(String),
}

impl From<tungstenite::Error> for ClientError {
    fn from(error: tungstenite::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Client {
    async fn connect(url: &str, token: Option<&str>) -> Result<Self, ClientError> {
        let address = url
            .parse()
            .map_err(|_| ClientError::Refused(format!("{url} is no address")))?;
        let request =
            ClientRequestBuilder::new(address).with_sub_protocol(Subprotocol::TransportWs.name());
        let connected = tokio_tungstenite::connect_async(request).await;
        let (socket, _) = connected
            .map_err(|error| ClientError::Unreachable(format!("cannot reach {url}: {error}")))?;
        let mut client = Self { socket };
        let payload = token.map(|token| json!({ "authorization": format!("Bearer {token}") }));
        client
            .say(&json!({ "type": "connection_init", "payload": payload }))
            .await?;
        client.heard().await?;
        Ok(client)
    }

    async fn say(&mut self, message: &Value) -> Result<(), ClientError> {
        Ok(self.socket.send(Message::text(message.to_string())).await?)
    }

    async fn subscribe(&mut self, query: &str, variables: Value) -> Result<(), ClientError> {
        let payload = json!({ "query": query, "variables": variables });
        self.say(&json!({ "id": "1", "type": "subscribe", "payload": payload }))
            .await
    }

    /// The next message that says something.
    async fn heard(&mut self) -> Result<Value, ClientError> {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => {
                    return serde_json::from_str(&text)
                        .map_err(|error| ClientError::Broken(error.to_string()));
                }
                Some(Ok(Message::Close(Some(frame)))) => return Err(closed(&frame)),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.into()),
                None => return Err(ClientError::Broken("the connection was closed".to_owned())),
            }
        }
    }

    /// The payload of the next result; none when the operation is complete.
    async fn result(&mut self) -> Result<Option<Value>, ClientError> {
        loop {
            let message = self.heard().await?;
            match message["type"].as_str() {
                Some("next") => {
                    let payload = message["payload"].clone();
                    return match payload.get("errors") {
                        Some(errors) => Err(refused(errors)),
                        None => Ok(Some(payload)),
                    };
                }
                Some("error") => return Err(refused(&message["payload"])),
                Some("complete") => return Ok(None),
                Some("ping") => self.say(&json!({ "type": "pong" })).await?,
                _ => {}
            }
        }
    }

    /// The data of a query or a mutation.
    async fn ask(&mut self, query: &str, variables: Value) -> Result<Value, ClientError> {
        self.subscribe(query, variables).await?;
        let data = self
            .result()
            .await?
            .map(|mut payload| payload["data"].take());
        while self.result().await?.is_some() {}
        data.ok_or_else(|| ClientError::Refused("the server gave no answer".to_owned()))
    }
}

fn closed(frame: &CloseFrame) -> ClientError {
    let text = format!(
        "the server closed the connection: {} {}",
        u16::from(frame.code),
        frame.reason
    );
    match u16::from(frame.code) {
        4000..5000 => ClientError::Refused(text),
        _ => ClientError::Broken(text),
    }
}

fn refused(errors: &Value) -> ClientError {
    let error = &errors[0];
    let text = |value: &Value| value.as_str().unwrap_or("an unknown error").to_owned();
    ClientError::Refused(format!(
        "{} ({})",
        text(&error["message"]),
        text(&error["extensions"]["code"])
    ))
}

/// `switchboard send`.
pub async fn send(server: &ServerFlags, room: &str, text: &str) -> ExitCode {
    finish(try_send(server, room, text).await)
}

async fn try_send(server: &ServerFlags, room: &str, text: &str) -> Result<(), ClientError> {
    let token = match &server.token {
        Some(token) => token.reveal().to_owned(),
        None => {
            let session = Client::connect(&server.url, None)
                .await?
                .ask(SIGN_IN, json!({ "name": server.name }))
                .await?;
            session["signIn"]["token"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        }
    };
    let mut client = Client::connect(&server.url, Some(&token)).await?;
    let nonce = uuid::Uuid::now_v7().to_string();
    let sent = client
        .ask(SEND, json!({ "room": room, "text": text, "nonce": nonce }))
        .await?;
    println!(
        "{}",
        sent["sendMessage"]["cursor"].as_str().unwrap_or_default()
    );
    Ok(())
}

/// `switchboard tail`: until it is interrupted. A broken connection is made again, and nothing is missed.
pub async fn tail(server: &ServerFlags, room: &str, after: Option<String>) -> ExitCode {
    let (mut cursor, mut wait, mut ever_connected) = (after, BACKOFF.0, false);
    loop {
        let mut connected = false;
        let followed = follow(server, room, &mut cursor, &mut connected).await;
        ever_connected |= connected;
        if connected {
            wait = BACKOFF.0;
        }
        match followed {
            // The first connection must succeed, or a wrong address would be tried for ever.
            Err(ClientError::Unreachable(reason)) if !ever_connected => {
                return finish(Err(ClientError::Unreachable(reason)));
            }
            Err(ClientError::Unreachable(reason) | ClientError::Broken(reason)) => {
                // Between half and all of the wait, so that many do not come back at the same time.
                let pause = wait.mul_f64(rand::random_range(0.5..1.0));
                eprintln!("{reason}; trying again");
                tokio::time::sleep(pause).await;
                wait = (wait * 2).min(BACKOFF.1);
            }
            result => return finish(result),
        }
    }
}

async fn follow(
    server: &ServerFlags,
    room: &str,
    cursor: &mut Option<String>,
    connected: &mut bool,
) -> Result<(), ClientError> {
    let mut client =
        Client::connect(&server.url, server.token.as_ref().map(Secret::reveal)).await?;
    *connected = true;
    if cursor.is_none() {
        // From now on, but known by its cursor: a break before the first message loses nothing either.
        let room = client.ask(HEAD, json!({ "room": room })).await?;
        *cursor = room["room"]["head"].as_str().map(str::to_owned);
    }
    client
        .subscribe(TAIL, json!({ "room": room, "after": cursor }))
        .await?;
    while let Some(payload) = client.result().await? {
        let message = &payload["data"]["newMessage"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (at, name) = (
            text(&message["createdAt"]),
            text(&message["sender"]["name"]),
        );
        let line = writeln!(
            std::io::stdout(),
            "{at}  {}: {}",
            visible(&name),
            visible(&text(&message["text"]))
        );
        line.map_err(|error| ClientError::Refused(format!("nobody reads any more: {error}")))?;
        *cursor = payload["extensions"]["cursor"].as_str().map(str::to_owned);
    }
    Ok(())
}

/// One line that a terminal takes for nothing but text: other people wrote it.
fn visible(text: &str) -> String {
    let harmful =
        |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if harmful(c) {
            line.extend(c.escape_default())
        } else {
            line.push(c)
        }
    }
    line
}

fn finish(result: Result<(), ClientError>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("switchboard: {error}");
            ExitCode::FAILURE
        }
    }
}
