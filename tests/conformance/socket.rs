//! A WebSocket whose upgrade is written by hand, because a client library refuses some of the
//! openings and frames that the scenarios need.

use std::{fmt::Write, time::Duration};

use futures::{SinkExt, StreamExt};
use switchboard::protocol::Subprotocol;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        self, Message,
        protocol::{CloseFrame, Role, frame::coding::CloseCode},
    },
};

use crate::{expect::Received, play::Outcome, scenario::Opening};

/// The time limit for each expected event. A scenario that passes never waits this long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// The error of an event that did not happen within [`PATIENCE`].
pub(crate) const SILENCE: &str = "nothing happened in time";

/// The example key of RFC 6455, and the value that a server computes from it.
const KEY: (&str, &str) = ("dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");

/// The address of a GraphQL endpoint.
#[derive(Clone, Debug)]
pub(crate) struct Address {
    /// `host:port`.
    pub(crate) host: String,
    pub(crate) path: String,
}

impl Address {
    /// Reads `ws://host:port/path`.
    pub(crate) fn parse(url: &str) -> Result<Self, String> {
        let rest = url
            .strip_prefix("ws://")
            .ok_or_else(|| format!("{url} does not begin with ws://"))?;
        let (host, path) = rest.split_once('/').unwrap_or((rest, "graphql"));
        let host = if host.contains(':') {
            host.to_owned()
        } else {
            format!("{host}:80")
        };
        Ok(Self {
            host,
            path: format!("/{path}"),
        })
    }
}

/// Waits at most [`PATIENCE`] for an event that must happen.
pub(crate) async fn in_time<T>(work: impl Future<Output = T>) -> Result<T, String> {
    tokio::time::timeout(PATIENCE, work)
        .await
        .map_err(|_| SILENCE.to_owned())
}

/// The client's end of a WebSocket.
pub(crate) struct Socket {
    stream: WebSocketStream<TcpStream>,
}

impl Socket {
    /// Opens a socket. The server must name exactly the subprotocol that the opening demands.
    pub(crate) async fn open(address: &Address, opening: &Opening) -> Result<Self, String> {
        let (stream, head) = in_time(upgrade(address, opening))
            .await?
            .map_err(|error| format!("cannot open a socket at {}: {error}", address.host))?;
        let spoken = header(&head, "sec-websocket-protocol");
        if !head.starts_with("HTTP/1.1 101 ")
            || header(&head, "sec-websocket-accept") != Some(KEY.1)
        {
            return Err(format!("answers the upgrade with {head}"));
        }
        if spoken != opening.spoken.map(Subprotocol::name) {
            let or_none = |name: Option<&str>| name.unwrap_or("no subprotocol").to_owned();
            return Err(format!(
                "names {} instead of {}",
                or_none(spoken),
                or_none(opening.spoken.map(Subprotocol::name))
            ));
        }
        Ok(Self {
            stream: WebSocketStream::from_raw_socket(stream, Role::Client, None).await,
        })
    }

    /// Sends messages in one write. Errors are ignored: a server that closes the connection need
    /// not read all of them, and the next answer shows how it reacted.
    pub(crate) async fn send(&mut self, messages: impl IntoIterator<Item = Message>) -> Outcome {
        for message in messages {
            let _ = in_time(self.stream.feed(message)).await?;
        }
        let _ = in_time(self.stream.flush()).await?;
        Ok(())
    }

    /// Sends bytes as they are, without a frame.
    pub(crate) async fn send_raw(&mut self, bytes: &[u8]) -> Outcome {
        // The error is ignored: the next answer shows how the server reacted.
        let _ = in_time(self.stream.get_mut().write_all(bytes)).await?;
        Ok(())
    }

    pub(crate) async fn receive(&mut self) -> Result<Received, String> {
        loop {
            match in_time(self.stream.next()).await? {
                Some(Ok(Message::Text(text))) => {
                    let message = serde_json::from_str(&text)
                        .map_err(|error| format!("{text} is not JSON: {error}"))?;
                    return Ok(Received::Message(message));
                }
                Some(Ok(Message::Close(Some(frame)))) => {
                    return Ok(Received::Close(
                        frame.code.into(),
                        frame.reason.as_str().to_owned(),
                    ));
                }
                // Tungstenite answers the control frames of the WebSocket itself.
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                other => return Err(format!("the socket returned {other:?}")),
            }
        }
    }

    /// Reads the end of the connection. No message may come before it. A reset is an error, because
    /// it could discard the close before the client has read it.
    pub(crate) async fn ended(&mut self) -> Outcome {
        match in_time(self.stream.next()).await? {
            Some(Ok(message)) => Err(format!("received {message:?} after the close")),
            Some(Err(tungstenite::Error::Io(error))) => {
                Err(format!("the connection broke: {error}"))
            }
            Some(Err(_)) | None => Ok(()),
        }
    }

    pub(crate) async fn close(&mut self) -> Outcome {
        let frame = CloseFrame {
            code: CloseCode::Normal,
            reason: "".into(),
        };
        self.send([Message::Close(Some(frame))]).await
    }
}

async fn upgrade(address: &Address, opening: &Opening) -> std::io::Result<(TcpStream, String)> {
    let Address { host, path } = address;
    let mut request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {}\r\n",
        KEY.0
    );
    if !opening.offers.is_empty() {
        let _ = write!(
            request,
            "Sec-WebSocket-Protocol: {}\r\n",
            opening.offers.join(", ")
        );
    }
    if let Some(authorization) = opening.authorization {
        let _ = write!(request, "Authorization: {authorization}\r\n");
    }
    let mut stream = TcpStream::connect(host).await?;
    stream
        .write_all(format!("{request}\r\n").as_bytes())
        .await?;
    // The head is read byte by byte, because the bytes after it belong to the WebSocket.
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    Ok((stream, String::from_utf8_lossy(&head).into_owned()))
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut pairs = head.lines().filter_map(|line| line.split_once(':'));
    pairs
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}
