//! The network side of the server: HTTP, WebSocket and the built-in pages. The only module that
//! knows axum.
//!
//! - **T1** Each WebSocket is one task. It reads on while a write waits, until the bound on unsent
//!   bytes is reached. Then it stops reading, and the write timeout ends a connection that takes
//!   nothing.
//! - **T2** All results that are ready leave in one flush: up to `flush_bytes_max` per operation
//!   and turn. The operations of a connection take turns.
//! - **T3** Every limit is set explicitly.
//! - **T4** A quiet client is pinged, and a client that does not answer is disconnected.
//! - **T5** A WebSocket is refused after the upgrade, by a close code, and never by a failed
//!   upgrade: clients treat a failed upgrade as final.
//!
//! Proved in `tests/it/`.

mod admission;
mod browser;
mod http;
mod listen;
mod operation;
mod shared;
mod start;
mod streaming;
mod websocket;

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request, State},
    http::{Method, StatusCode},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::get,
};

pub use browser::hosts::{Host, HostError, Site};
pub use browser::origin::{Origin, OriginError};
pub use http::persisted::{OperationList, OperationListError};
pub use http::read_request::{ReadRequest, read_request};
pub use listen::listener::serve;
pub use listen::tls::{Tls, TlsError, TlsFiles};
pub use shared::{ClientPolicy, Shared};

use crate::{
    protocol::MachineLimits,
    quota::Rate,
    transport::{
        admission::request_limits,
        browser::{guard, pages},
        http::{compression, endpoint},
        streaming::sse_shared,
        websocket::{accept::accept, upgrade::Upgrade},
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

/// All routes of the server, and the checks that every request passes.
pub fn router(shared: Arc<Shared>) -> Router {
    let graphql = get(upgrade_or_query)
        .post(endpoint::post)
        // The single connection mode of graphql-sse.
        .put(sse_shared::reserve)
        .delete(sse_shared::stop)
        // A WebSocket over HTTP/2 (RFC 8441).
        .connect(upgrade_or_query)
        .fallback(endpoint::method_not_allowed)
        .layer(from_fn_with_state(shared.clone(), route_by_stream_token));
    Router::new()
        .route("/graphql", graphql)
        .route("/graphiql", get(pages::playground))
        .route("/assets/{*path}", get(pages::asset))
        .route("/", get(pages::home))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readiness))
        .layer(compression::layer())
        .layer(DefaultBodyLimit::max(shared.limits.body_bytes_max))
        .layer(from_fn_with_state(shared.clone(), request_limits::enforce))
        .layer(from_fn_with_state(shared.clone(), guard::guard))
        .with_state(shared)
}

/// `GET /graphql`, or `CONNECT` over HTTP/2: a WebSocket if the client asks for one, else a query.
async fn upgrade_or_query(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let is_upgrade = Upgrade::is_requested(&request);
    let (mut parts, _) = request.into_parts();
    if is_upgrade {
        return match Upgrade::read(&mut parts) {
            Ok(upgrade) => accept(shared, upgrade, parts),
            Err(error) => error.into_response(),
        };
    }
    if parts.method == Method::CONNECT {
        return endpoint::method_not_allowed(parts.headers).await;
    }
    endpoint::get(shared, parts).await
}

/// Sends requests that name a reserved event stream by its token to the single connection mode of
/// graphql-sse. PUT and DELETE have handlers of their own.
async fn route_by_stream_token(
    State(shared): State<Arc<Shared>>,
    request: Request,
    next: Next,
) -> Response {
    let is_query = matches!(*request.method(), Method::GET | Method::HEAD | Method::POST);
    if !is_query || Upgrade::is_requested(&request) {
        return next.run(request).await;
    }
    match sse_shared::stream_token(request.headers(), request.uri()) {
        Some(token) => sse_shared::serve(shared, &token, request, next).await,
        None => next.run(request).await,
    }
}

/// `GET /readyz`: whether a load balancer may send new clients here.
async fn readiness(State(shared): State<Arc<Shared>>) -> (StatusCode, &'static str) {
    if shared.ready.load(Ordering::Acquire) {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "draining\n")
    }
}
