//! The handshake of a WebSocket, over HTTP/1.1 (RFC 6455) and over HTTP/2 (RFC 8441).
//!
//! This does not use axum's WebSocket support, because a connection needs two things that axum does
//! not expose: the client's order of subprotocols, and the stream below the frames. The stream is
//! needed to read on from a client whose frames cannot be read.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Version, header, request::Parts},
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        handshake::derive_accept_key,
        protocol::{Role, WebSocketConfig},
    },
};

use crate::{
    protocol::Subprotocol,
    transport::{TransportLimits, websocket::fragments::FragmentCounter},
};

/// The only version of the protocol.
const VERSION: HeaderValue = HeaderValue::from_static("13");

/// Bytes of a client's key, decoded.
const KEY_BYTES: usize = 16;

/// The server's end of a WebSocket.
pub(super) type Socket = WebSocketStream<FragmentCounter<TokioIo<Upgraded>>>;

/// A well-formed request for a WebSocket.
pub(crate) struct Upgrade {
    /// The first of the client's subprotocols that the server speaks.
    pub(super) subprotocol: Option<Subprotocol>,
    /// The key that the response is derived from. HTTP/2 has none.
    key: Option<HeaderValue>,
    upgrading: OnUpgrade,
}

/// Why an upgrade request is malformed: a status, and a sentence for the client's author.
#[derive(Debug)]
pub(crate) struct UpgradeError(StatusCode, &'static str);

impl IntoResponse for UpgradeError {
    fn into_response(self) -> Response {
        let mut response = (self.0, format!("{}\n", self.1)).into_response();
        if self.0 == StatusCode::UPGRADE_REQUIRED {
            response
                .headers_mut()
                .insert(header::SEC_WEBSOCKET_VERSION, VERSION);
        }
        response
    }
}

impl Upgrade {
    /// Whether a request asks for a WebSocket.
    pub(crate) fn is_requested<B>(request: &Request<B>) -> bool {
        match *request.method() {
            Method::CONNECT => request
                .extensions()
                .get::<hyper::ext::Protocol>()
                .is_some_and(|name| name.as_str() == "websocket"),
            _ => has_item(request.headers(), header::UPGRADE, "websocket"),
        }
    }

    /// Reads a request for a WebSocket, over either version of HTTP.
    pub(crate) fn read(parts: &mut Parts) -> Result<Self, UpgradeError> {
        let bad = |message| UpgradeError(StatusCode::BAD_REQUEST, message);
        let headers = &parts.headers;
        if headers.get(header::SEC_WEBSOCKET_VERSION) != Some(&VERSION) {
            return Err(UpgradeError(
                StatusCode::UPGRADE_REQUIRED,
                "A WebSocket needs `Sec-WebSocket-Version: 13`.",
            ));
        }
        let key = match parts.version {
            Version::HTTP_2 => None,
            _ if parts.method != Method::GET => return Err(bad("A WebSocket is opened by GET.")),
            _ if !has_item(headers, header::CONNECTION, "upgrade") => {
                return Err(bad("A WebSocket needs `Connection: Upgrade`."));
            }
            _ => {
                let key = headers
                    .get(header::SEC_WEBSOCKET_KEY)
                    .filter(|key| is_key(key));
                Some(
                    key.ok_or(bad(
                        "A WebSocket needs a `Sec-WebSocket-Key` of 16 bytes in base64.",
                    ))?
                    .clone(),
                )
            }
        };
        let subprotocol = Subprotocol::choose(list_items(headers, header::SEC_WEBSOCKET_PROTOCOL));
        let upgrading = parts
            .extensions
            .remove()
            .ok_or(bad("This connection cannot become a WebSocket."))?;
        Ok(Self {
            subprotocol,
            key,
            upgrading,
        })
    }

    /// The response that completes the handshake. It names the subprotocol, and nothing else.
    pub(super) fn response(&self) -> Response {
        let mut response = Response::new(Body::empty());
        let headers = response.headers_mut();
        if let Some(subprotocol) = self.subprotocol {
            headers.insert(
                header::SEC_WEBSOCKET_PROTOCOL,
                HeaderValue::from_static(subprotocol.name()),
            );
        }
        if let Some(key) = &self.key {
            let accept = derive_accept_key(key.as_bytes());
            headers.insert(
                header::SEC_WEBSOCKET_ACCEPT,
                HeaderValue::try_from(accept).expect("base64 is plain text"),
            );
            headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        }
        response
    }

    /// The socket, when the response was sent. None if the client disconnected before that.
    pub(super) async fn open(self, limits: &TransportLimits) -> Option<Socket> {
        let config = WebSocketConfig::default()
            .max_message_size(Some(limits.message_bytes_max))
            .max_frame_size(Some(limits.message_bytes_max))
            .read_buffer_size(limits.read_buffer_bytes)
            .write_buffer_size(limits.write_buffer_bytes)
            // No bound here: the connection passes no message on before the last one was written.
            .max_write_buffer_size(usize::MAX);
        let upgraded = self.upgrading.await.ok()?;
        Some(
            WebSocketStream::from_raw_socket(
                FragmentCounter::new(TokioIo::new(upgraded)),
                Role::Server,
                Some(config),
            )
            .await,
        )
    }
}

/// The items of a comma-separated header, which may be given several times.
fn list_items(headers: &HeaderMap, name: header::HeaderName) -> impl Iterator<Item = &str> {
    let values = headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

fn has_item(headers: &HeaderMap, name: header::HeaderName, item: &str) -> bool {
    list_items(headers, name).any(|found| found.eq_ignore_ascii_case(item))
}

fn is_key(value: &HeaderValue) -> bool {
    BASE64
        .decode(value.as_bytes())
        .is_ok_and(|key| key.len() == KEY_BYTES)
}
