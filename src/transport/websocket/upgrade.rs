//! The handshake of a WebSocket, over HTTP/1.1 (RFC 6455) and over HTTP/2 (RFC 8441).
//!
//! By hand, because the connection needs two things that axum's keeps to itself: the client's order of subprotocols, and
//! the stream below the frames, to hear a client out whose frames cannot be read.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, Method, StatusCode, Version, header, request::Parts},
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
    transport::{TransportLimits, websocket::fragments::Counted},
};

/// The only version there is.
const VERSION: HeaderValue = HeaderValue::from_static("13");

/// Bytes of a client's key, decoded.
const KEY_BYTES: usize = 16;

/// One end of a WebSocket.
pub(crate) type Socket = WebSocketStream<Counted<TokioIo<Upgraded>>>;

/// A client's wish to speak WebSocket, well-formed.
pub(crate) struct Upgrade {
    /// What will be spoken: the first that we speak, in the client's order.
    pub(crate) subprotocol: Option<Subprotocol>,
    /// What the answer is made from. HTTP/2 needs none.
    key: Option<HeaderValue>,
    upgrading: OnUpgrade,
}

/// Why it is refused: a sentence for whoever wrote the client.
#[derive(Debug)]
pub(crate) struct Refusal(StatusCode, &'static str);

impl IntoResponse for Refusal {
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
    /// The wish of this request, if it has one.
    pub(crate) fn asked_for(parts: &mut Parts) -> Option<Result<Self, Refusal>> {
        let asks = match parts.method {
            Method::CONNECT => parts
                .extensions
                .get::<hyper::ext::Protocol>()
                .is_some_and(|name| name.as_str() == "websocket"),
            _ => has_word(&parts.headers, header::UPGRADE, "websocket"),
        };
        asks.then(|| Self::read(parts))
    }

    fn read(parts: &mut Parts) -> Result<Self, Refusal> {
        let bad = |what| Refusal(StatusCode::BAD_REQUEST, what);
        let headers = &parts.headers;
        if headers.get(header::SEC_WEBSOCKET_VERSION) != Some(&VERSION) {
            return Err(Refusal(
                StatusCode::UPGRADE_REQUIRED,
                "A WebSocket needs `Sec-WebSocket-Version: 13`.",
            ));
        }
        let key = match parts.version {
            Version::HTTP_2 => None,
            _ if parts.method != Method::GET => return Err(bad("A WebSocket is opened by GET.")),
            _ if !has_word(headers, header::CONNECTION, "upgrade") => {
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
        let subprotocol = Subprotocol::choose(words(headers, header::SEC_WEBSOCKET_PROTOCOL));
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

    /// The answer that makes it a WebSocket. It names what is spoken, and nothing else.
    pub(crate) fn answer(&self) -> Response {
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

    /// The socket, once the answer has left; none if the client went away before.
    pub(crate) async fn open(self, limits: &TransportLimits) -> Option<Socket> {
        let config = WebSocketConfig::default()
            .max_message_size(Some(limits.message_bytes_max))
            .max_frame_size(Some(limits.message_bytes_max))
            .read_buffer_size(limits.read_buffer_bytes)
            .write_buffer_size(limits.write_buffer_bytes)
            // Room for one message beyond the buffer: the connection sends none before the last one has left.
            .max_write_buffer_size(usize::MAX);
        let upgraded = self.upgrading.await.ok()?;
        Some(
            WebSocketStream::from_raw_socket(
                Counted::new(TokioIo::new(upgraded)),
                Role::Server,
                Some(config),
            )
            .await,
        )
    }
}

/// The words of a header that is a list of them, however it was split.
fn words(headers: &HeaderMap, name: header::HeaderName) -> impl Iterator<Item = &str> {
    let values = headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

fn has_word(headers: &HeaderMap, name: header::HeaderName, word: &str) -> bool {
    words(headers, name).any(|found| found.eq_ignore_ascii_case(word))
}

fn is_key(value: &HeaderValue) -> bool {
    BASE64
        .decode(value.as_bytes())
        .is_ok_and(|key| key.len() == KEY_BYTES)
}
