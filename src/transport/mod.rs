//! Bytes in, bytes out: HTTP, WebSocket, pages. The only module that knows axum.
//!
//! - **T1** One task per socket; its read side is served while a write waits, until the bound on unsent replies is
//!   reached; then reading stops, and the write timeout ends what does not move.
//! - **T2** All frames that are ready go out in one flush, up to `flush_bytes_max` per operation and turn; the
//!   operations of a socket take turns.
//! - **T3** Every limit is set explicitly.
//! - **T4** A quiet healthy client is pinged, a dead one is cut.
//! - **T5** A rejection belongs after the upgrade (4403), not before it: clients take a failed upgrade as final.
//!
//! Proved in `tests/it/`.

mod admission;
mod browser;
mod http;
mod listen;
mod operation;
mod shared;
mod streaming;
mod websocket;

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use axum::{
    Router,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::from_fn_with_state,
    routing::get,
};

pub use browser::hosts::{Host, HostError, Site};
pub use browser::origin::{Origin, OriginError};
pub use http::persisted::{BadOperations, Operations};
pub use listen::listener::serve;
pub use listen::tls::{Tls, TlsError, TlsFiles};
pub use shared::{Rules, Shared};

use crate::{
    protocol::{MachineLimits, Subscribe},
    quota::Rate,
    transport::{
        admission::request_limits,
        browser::{guard, pages},
        http::{compression, endpoint, negotiate},
        streaming::{
            sse::{LAST_EVENT_ID, Seen},
            sse_shared,
        },
        websocket::handshake,
    },
};

/// What sockets and requests may take. 0 is no limit.
#[derive(Clone, Copy, Debug)]
pub struct TransportLimits {
    /// Bytes of a request's body. Cannot be without limit.
    pub body_bytes_max: usize,
    /// WebSockets, event streams and reservations of one at the same time.
    pub connections_max: usize,
    /// The same, of one address; of IPv6 a network of 64 bits is one.
    pub connections_per_address_max: usize,
    /// The same, of one user.
    pub connections_per_user_max: usize,
    /// Connections that one address may make.
    pub connects_per_address: Rate,
    /// Connections of HTTP, asking or idle. One that became a WebSocket is none any more.
    pub http_connections_max: usize,
    /// The same, of one address.
    pub http_connections_per_address_max: usize,
    /// Connections that have not asked for anything yet.
    pub handshakes_max: usize,
    /// The same, of one address.
    pub handshakes_per_address_max: usize,
    /// So many proxies in front of this server write down whom they hear.
    pub proxies_trusted: usize,
    /// Requests in one body.
    pub batch_max: usize,
    /// Bytes of documents that are kept to be named by their hash.
    pub persisted_bytes_max: u64,
    /// How long a reserved event stream may stay unopened.
    pub reservation_timeout: Duration,
    /// Bytes of answers that are kept for an event stream of many operations until it takes them. 0 is no limit.
    pub reservation_bytes_max: usize,
    /// How often a stream in parts is told that the server lives.
    pub multipart_heartbeat_interval: Duration,
    /// Bytes of a WebSocket message. Cannot be without limit.
    pub message_bytes_max: usize,
    /// Messages that a client may send on one WebSocket, control frames included.
    pub messages: Rate,
    /// Requests that a client may send on one connection of HTTP.
    pub requests: Rate,
    /// Requests and messages on WebSockets that one address may send, on all its connections together.
    pub requests_per_address: Rate,
    /// Guests that may be signed in from one address.
    pub sign_ins_per_address: Rate,
    /// What the protocol bounds.
    pub machine: MachineLimits,
    /// How long a client may take to say `connection_init`.
    pub init_timeout: Duration,
    /// After how long a silence a client is pinged.
    pub ping_interval: Duration,
    /// How long it may take to answer.
    pub pong_timeout: Duration,
    /// How long a client may refuse to take what is sent.
    pub write_timeout: Duration,
    /// How often an event stream, or a client of the legacy protocol, is told that the server lives.
    pub heartbeat_interval: Duration,
    /// How long a client may take for the head of a request, its first one or the next on a kept connection; and, before
    /// that, for the handshake of TLS.
    pub header_timeout: Duration,
    /// Bytes of the head of a request. Cannot be without limit.
    pub header_bytes_max: usize,
    /// Headers of a request.
    pub headers_max: usize,
    /// Bytes of the path and the query of a request.
    pub uri_bytes_max: usize,
    /// How long a client may take for the body of a request.
    pub body_timeout: Duration,
    /// How long a connection over which nothing is asked and nothing is answered is kept.
    pub idle_timeout: Duration,
    /// Requests at the same time on one connection of HTTP/2, WebSockets included. Cannot be without limit.
    pub streams_max: u32,
    /// Bytes of frames that one operation may put out before the next one has its turn.
    pub flush_bytes_max: usize,
    /// Bytes of replies that wait for a client to read; reading from it stops at this bound.
    pub unsent_bytes_max: usize,
    /// Buffer for reading, in bytes per socket.
    pub read_buffer_bytes: usize,
    /// Buffer for writing, in bytes per socket.
    pub write_buffer_bytes: usize,
    /// Bytes that are read and thrown away so that a client which broke the framing hears the close.
    pub linger_bytes_max: usize,
    /// Over how long the closes of a drain are spread.
    pub drain_window: Duration,
    /// How often the certificate's files are looked at. Zero is never.
    pub tls_check_interval: Duration,
}

impl Default for TransportLimits {
    fn default() -> Self {
        Self {
            body_bytes_max: 256 * 1024,
            connections_max: 100_000,
            connections_per_address_max: 10_000,
            connections_per_user_max: 1_000,
            // A burst lets all of an address come back at once after a restart.
            connects_per_address: Rate {
                per_second_max: 500,
                burst_max: 10_000,
            },
            http_connections_max: 100_000,
            http_connections_per_address_max: 10_000,
            handshakes_max: 10_000,
            handshakes_per_address_max: 1_000,
            proxies_trusted: 0,
            batch_max: 10,
            persisted_bytes_max: 8 * 1024 * 1024,
            reservation_timeout: Duration::from_secs(30),
            reservation_bytes_max: 1024 * 1024,
            multipart_heartbeat_interval: Duration::from_secs(5),
            message_bytes_max: 256 * 1024,
            // A burst is more than a client needs that comes back with all its operations.
            messages: Rate {
                per_second_max: 1_000,
                burst_max: 10_000,
            },
            requests: Rate {
                per_second_max: 1_000,
                burst_max: 10_000,
            },
            // Less than what keeps a core busy, and more than a few clients send that are behind one address.
            requests_per_address: Rate {
                per_second_max: 5_000,
                burst_max: 50_000,
            },
            // Each is a user for ever. A burst is a test suite, or everybody in a building at nine.
            sign_ins_per_address: Rate {
                per_second_max: 20,
                burst_max: 2_000,
            },
            machine: MachineLimits::default(),
            init_timeout: Duration::from_secs(10),
            ping_interval: Duration::from_secs(25),
            pong_timeout: Duration::from_secs(15),
            write_timeout: Duration::from_secs(30),
            heartbeat_interval: Duration::from_secs(12),
            header_timeout: Duration::from_secs(10),
            header_bytes_max: 16 * 1024,
            headers_max: 100,
            uri_bytes_max: 8 * 1024,
            body_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(60),
            streams_max: 128,
            flush_bytes_max: 64 * 1024,
            unsent_bytes_max: 64 * 1024,
            read_buffer_bytes: 4 * 1024,
            write_buffer_bytes: 4 * 1024,
            linger_bytes_max: 4 * 1024 * 1024,
            drain_window: Duration::from_secs(5),
            tls_check_interval: Duration::from_secs(60),
        }
    }
}

/// What stands in a request before anything is asked of GraphQL; none where it cannot be read.
#[derive(Debug)]
pub struct ReadRequest {
    /// Whether an answer can be given in a media type that the client takes.
    pub acceptable: bool,
    /// Whether a subscription is answered, as an event stream or in parts.
    pub streams: bool,
    /// Whether an event stream goes on where it was broken off, or is known to have ended.
    pub resumes: bool,
    /// What the query string asks for.
    pub by_query: Option<Subscribe>,
    /// What the body asks for.
    pub by_body: Option<Subscribe>,
}

/// Reads the parts of a request in the way of the handlers. It is here for the fuzz targets, which try any bytes.
pub fn read_request(accept: &[u8], last_event_id: &[u8], query: &str, body: &[u8]) -> ReadRequest {
    let mut headers = HeaderMap::new();
    for (name, value) in [(header::ACCEPT, accept), (LAST_EVENT_ID, last_event_id)] {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.insert(name, value);
        }
    }
    let accepts = negotiate::Accepts::read(&headers);
    let acceptable = !accepts.is_empty() || negotiate::wants_html(&headers);
    let (streams, resumes) = (
        accepts.for_stream().is_some(),
        Seen::read(&headers) != Seen::Nothing,
    );
    let by_body = serde_json::from_slice(body)
        .ok()
        .and_then(|body| Subscribe::from_object(body).ok());
    ReadRequest {
        acceptable,
        streams,
        resumes,
        by_query: endpoint::parameters(query).ok(),
        by_body,
    }
}

/// The table of contents.
pub fn router(shared: Arc<Shared>) -> Router {
    let endpoint = get(handshake::upgrade_or_query)
        .post(endpoint::post)
        // Single connections of graphql-sse.
        .put(sse_shared::reserve)
        .delete(sse_shared::stop)
        // A WebSocket over HTTP/2 (RFC 8441).
        .connect(handshake::upgrade_or_query)
        .fallback(endpoint::method_not_allowed);
    Router::new()
        .route("/graphql", endpoint)
        .route("/graphiql", get(pages::playground))
        .route("/assets/{*path}", get(pages::asset))
        .route("/", get(pages::home))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readiness))
        .layer(compression::layer())
        .layer(DefaultBodyLimit::max(shared.limits.body_bytes_max))
        .layer(from_fn_with_state(shared.clone(), request_limits::keep))
        .layer(from_fn_with_state(shared.clone(), guard::guard))
        .with_state(shared)
}

async fn readiness(State(shared): State<Arc<Shared>>) -> (StatusCode, &'static str) {
    if shared.ready.load(Ordering::Acquire) {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "draining\n")
    }
}
