//! The commands `send` and `tail`: a small client of a running server, over `graphql-transport-ws`.

use std::{io::Write, process::ExitCode, time::Duration};

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream,
    tungstenite::{self, ClientRequestBuilder, Message, protocol::CloseFrame},
};

mod guests;

use crate::{
    config::{Secret, ServerFlags},
    protocol::Subprotocol,
};

/// The first wait after a broken connection. Each further wait is twice as long.
const BACKOFF_MIN: Duration = Duration::from_millis(250);

/// The longest wait between two attempts to connect.
const BACKOFF_MAX: Duration = Duration::from_secs(8);

const SIGN_IN: &str = "mutation ($name: String!) { signIn(name: $name) { token } }";
const SEND: &str = "mutation ($room: ID!, $text: String!, $nonce: String!) {
    sendMessage(roomId: $room, text: $text, nonce: $nonce) { id cursor } }";
const TAIL: &str = "subscription ($room: ID!, $after: Cursor) {
    newMessage(roomId: $room, after: $after) { text createdAt sender { name } } }";
const HEAD: &str = "query ($room: ID!) { room(id: $room) { head } }";

/// Why the client failed.
#[derive(Debug, thiserror::Error)]
enum ClientError {
    /// The connection could not be opened.
    #[error("{0}")]
    Unreachable(String),
    /// The connection broke. The client may reconnect.
    #[error("{0}")]
    Broken(String),
    /// The request failed for a reason that a retry does not remove.
    #[error("{0}")]
    Refused(String),
}

impl From<tungstenite::Error> for ClientError {
    fn from(error: tungstenite::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

/// A connection to the server, with one operation at a time.
struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Client {
    /// Connects and waits until the server has acknowledged the connection.
    async fn connect(url: &str, token: Option<&str>) -> Result<Self, ClientError> {
        let address = url
            .parse()
            .map_err(|_| ClientError::Refused(format!("{url} is not a URL")))?;
        let request =
            ClientRequestBuilder::new(address).with_sub_protocol(Subprotocol::TransportWs.name());
        let connected = tokio_tungstenite::connect_async(request).await;
        let (socket, _) = connected
            .map_err(|error| ClientError::Unreachable(format!("cannot reach {url}: {error}")))?;
        let mut client = Self { socket };
        let payload = token.map(|token| json!({ "authorization": format!("Bearer {token}") }));
        client
            .send(&json!({ "type": "connection_init", "payload": payload }))
            .await?;
        client.receive().await?;
        Ok(client)
    }

    async fn send(&mut self, message: &Value) -> Result<(), ClientError> {
        Ok(self.socket.send(Message::text(message.to_string())).await?)
    }

    async fn subscribe(&mut self, query: &str, variables: Value) -> Result<(), ClientError> {
        let payload = json!({ "query": query, "variables": variables });
        self.send(&json!({ "id": "1", "type": "subscribe", "payload": payload }))
            .await
    }

    /// The next message of the protocol.
    async fn receive(&mut self) -> Result<Value, ClientError> {
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

    /// The payload of the next result, or `None` when the operation is complete.
    async fn result(&mut self) -> Result<Option<Value>, ClientError> {
        loop {
            let message = self.receive().await?;
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
                Some("ping") => self.send(&json!({ "type": "pong" })).await?,
                _ => {}
            }
        }
    }

    /// Runs a query or a mutation. Returns its data.
    async fn execute(&mut self, query: &str, variables: Value) -> Result<Value, ClientError> {
        self.subscribe(query, variables).await?;
        let data = self
            .result()
            .await?
            .map(|mut payload| payload["data"].take());
        while self.result().await?.is_some() {}
        data.ok_or_else(|| ClientError::Refused("the server sent no result".to_owned()))
    }
}

/// The error for a close by the server. The codes 4000 to 4999 are final.
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

/// The error for the first GraphQL error of a response.
fn refused(errors: &Value) -> ClientError {
    let error = &errors[0];
    let text = |value: &Value| value.as_str().unwrap_or("an unknown error").to_owned();
    ClientError::Refused(format!(
        "{} ({})",
        text(&error["message"]),
        text(&error["extensions"]["code"])
    ))
}

/// `switchboard send`: sends one message and prints its cursor. Without a token it signs in as a
/// guest, and remembers the guest's token for the next time.
pub async fn send(server: &ServerFlags, room: &str, text: &str, nonce: Option<String>) -> ExitCode {
    finish(try_send(server, room, text, nonce).await)
}

async fn try_send(
    server: &ServerFlags,
    room: &str,
    text: &str,
    nonce: Option<String>,
) -> Result<(), ClientError> {
    let mut client = match &server.token {
        Some(token) => Client::connect(&server.url, Some(token.reveal())).await?,
        None => as_guest(server).await?,
    };
    let nonce = nonce.unwrap_or_else(|| uuid::Uuid::now_v7().to_string());
    let sent = client
        .execute(SEND, json!({ "room": room, "text": text, "nonce": nonce }))
        .await?;
    println!(
        "{}",
        sent["sendMessage"]["cursor"].as_str().unwrap_or_default()
    );
    Ok(())
}

/// A connection of the guest that this user has been at this server before, or of a new one.
async fn as_guest(server: &ServerFlags) -> Result<Client, ClientError> {
    let remembered = guests::token(&server.url, &server.name);
    if let Some(token) = remembered {
        match Client::connect(&server.url, Some(&token)).await {
            // The token has expired, or the server has another database.
            Err(ClientError::Refused(_)) => {}
            result => return result,
        }
    }
    let session = Client::connect(&server.url, None)
        .await?
        .execute(SIGN_IN, json!({ "name": server.name }))
        .await?;
    let token = session["signIn"]["token"].as_str().unwrap_or_default();
    if let Err(error) = guests::remember(&server.url, &server.name, token) {
        eprintln!("switchboard: the guest is not remembered: {error}");
    }
    Client::connect(&server.url, Some(token)).await
}

/// `switchboard tail`: prints the messages of a room until it is interrupted. After a broken
/// connection it reconnects and resumes after the last message, so it misses none.
pub async fn tail(
    server: &ServerFlags,
    room: &str,
    after: Option<String>,
    prints_cursors: bool,
) -> ExitCode {
    let (mut wait, mut ever_connected) = (BACKOFF_MIN, false);
    let mut follower = TailCommand {
        server,
        room,
        cursor: after,
        prints_cursors,
    };
    loop {
        let mut connected = false;
        let followed = follower.follow(&mut connected).await;
        ever_connected |= connected;
        if connected {
            wait = BACKOFF_MIN;
        }
        match followed {
            // If the first connection fails, the address may be wrong, and a retry would not help.
            Err(ClientError::Unreachable(reason)) if !ever_connected => {
                return finish(Err(ClientError::Unreachable(reason)));
            }
            Err(ClientError::Unreachable(reason) | ClientError::Broken(reason)) => {
                // A random part of the wait, so that many clients do not reconnect at the same
                // time.
                let pause = wait.mul_f64(rand::random_range(0.5..1.0));
                eprintln!("{reason}; reconnecting");
                tokio::time::sleep(pause).await;
                wait = (wait * 2).min(BACKOFF_MAX);
            }
            result => return finish(result),
        }
    }
}

/// The state of `switchboard tail`.
struct TailCommand<'a> {
    server: &'a ServerFlags,
    room: &'a str,
    /// The position after the messages that were printed.
    cursor: Option<String>,
    prints_cursors: bool,
}

impl TailCommand<'_> {
    /// Connects and prints messages until the connection breaks. `connected` is set once there is a
    /// connection.
    async fn follow(&mut self, connected: &mut bool) -> Result<(), ClientError> {
        let server = self.server;
        let token = server.token.as_ref().map(Secret::reveal);
        let mut client = Client::connect(&server.url, token).await?;
        *connected = true;
        if self.cursor.is_none() {
            // Without a cursor, a break before the first message would lose messages. So the
            // present head becomes the cursor.
            let room = client.execute(HEAD, json!({ "room": self.room })).await?;
            self.cursor = room["room"]["head"].as_str().map(str::to_owned);
        }
        client
            .subscribe(TAIL, json!({ "room": self.room, "after": self.cursor }))
            .await?;
        eprintln!("connected to {}; following {}", server.url, self.room);
        while let Some(payload) = client.result().await? {
            self.print(&payload)?;
        }
        Ok(())
    }

    /// Prints a result, and moves the cursor after it.
    fn print(&mut self, payload: &Value) -> Result<(), ClientError> {
        let message = &payload["data"]["newMessage"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let cursor = text(&payload["extensions"]["cursor"]);
        let begin = if self.prints_cursors {
            format!("{cursor}  ")
        } else {
            String::new()
        };
        let line = writeln!(
            std::io::stdout(),
            "{begin}{}  {}: {}",
            text(&message["createdAt"]),
            printable(&text(&message["sender"]["name"])),
            printable(&text(&message["text"]))
        );
        line.map_err(|error| ClientError::Refused(format!("standard output is closed: {error}")))?;
        self.cursor = Some(cursor);
        Ok(())
    }
}

/// Escapes control characters and changes of the text direction. The text comes from other users,
/// and must not control the terminal.
fn printable(text: &str) -> String {
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
