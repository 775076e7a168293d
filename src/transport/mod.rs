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

mod accept;
mod activity;
mod address;
mod armour;
mod batch;
mod browsers;
mod compression;
mod connection;
mod cookie;
mod cors;
mod credentials;
mod crowd;
mod deadlines;
mod fragments;
mod gate;
mod graphql;
mod listener;
mod multipart;
mod operation;
mod origin;
mod pages;
mod persisted;
mod reply;
mod reservation;
mod single;
mod site;
mod sse;
mod stream;
mod streams;
mod tls;
mod upgrade;
mod validity;
mod websocket;
mod write_timeout;

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::from_fn_with_state,
    routing::get,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use listener::serve;
pub use origin::{Origin, OriginError};
pub use persisted::{BadOperations, Operations};
pub use site::{Host, HostError, Site};
pub use tls::{Tls, TlsError, TlsFiles};

use self::{address::Address, crowd::Crowd, persisted::Persisted, reservation::Reservations};
use crate::{
    auth::{Auth, BadToken},
    domain::{Clock, Viewer},
    protocol::{MachineLimits, Subscribe},
    quota::Rate,
    schema::{Notes, Schema},
    view::Views,
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

/// What clients may do here.
pub struct Rules {
    /// How much of it.
    pub limits: TransportLimits,
    /// The only documents that are run; none if any is.
    pub operations: Option<Operations>,
}

/// What the transports share.
pub struct Shared {
    /// The schema.
    pub schema: Schema,
    /// What subscriptions read.
    pub views: Arc<Views>,
    /// Tokens.
    pub auth: Arc<Auth>,
    /// The time.
    pub clock: Clock,
    /// Bounds.
    pub limits: TransportLimits,
    /// Every socket is a task here.
    pub tasks: TaskTracker,
    /// Its names, and whose pages may use it.
    site: Site,
    /// Documents by their hash.
    persisted: Persisted,
    /// Event streams that operations share.
    reservations: Reservations,
    /// Who is here.
    crowd: Crowd,
    /// Open WebSockets and streams.
    connections: AtomicUsize,
    ready: AtomicBool,
    /// Cancelled when the drain begins.
    drain: CancellationToken,
}

impl Shared {
    /// Ready to serve.
    pub fn new(
        schema: Schema,
        views: Arc<Views>,
        auth: Arc<Auth>,
        clock: Clock,
        rules: Rules,
        site: Site,
        tasks: TaskTracker,
    ) -> Arc<Self> {
        let Rules { limits, operations } = rules;
        let persisted = operations.map_or_else(
            || Persisted::learning(limits.persisted_bytes_max),
            Persisted::listed,
        );
        Arc::new(Self {
            schema,
            views,
            auth,
            clock,
            limits,
            site,
            persisted,
            reservations: Reservations::default(),
            tasks,
            crowd: Crowd::new(&limits),
            connections: AtomicUsize::new(0),
            ready: AtomicBool::new(true),
            drain: CancellationToken::new(),
        })
    }

    /// Readiness turns false; every socket closes with 1012 at a moment of its own within the window (R2).
    pub fn drain(&self) {
        self.ready.store(false, Ordering::Release);
        self.drain.cancel();
    }

    /// How long after the drain began one stream leaves: this share, from 0 to 1, of the window. A few need no window: a
    /// millisecond for each is spread enough.
    fn drain_delay(&self, share: f64) -> Duration {
        let crowd = Duration::from_millis(self.connections_open() as u64);
        self.limits.drain_window.min(crowd).mul_f64(share)
    }

    /// How many WebSockets and streams are open.
    pub fn connections_open(&self) -> usize {
        self.connections.load(Ordering::Acquire)
    }

    /// How many connections of HTTP there are.
    pub fn http_connections_open(&self) -> usize {
        self.crowd.https()
    }

    /// How many connections have not asked for anything yet.
    pub fn handshakes_open(&self) -> usize {
        self.crowd.handshakes()
    }

    /// How many places are counted by an address or a user.
    pub fn places_counted(&self) -> usize {
        self.crowd.counted()
    }

    /// What a request from there leaves behind, and may do.
    fn notes(&self, address: Option<Address>) -> Notes {
        Notes::with(self.crowd.sign_ins(address)).asked_from(address.map(IpAddr::from))
    }

    async fn bearer(&self, authorization: &str) -> Result<Viewer, BadToken> {
        self.auth.bearer(authorization, (self.clock)()).await
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
    for (name, value) in [
        (header::ACCEPT, accept),
        (sse::LAST_EVENT_ID, last_event_id),
    ] {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.insert(name, value);
        }
    }
    let accepts = accept::Accepts::read(&headers);
    let acceptable = !accepts.is_empty() || accept::wants_html(&headers);
    let (streams, resumes) = (
        accepts.for_stream().is_some(),
        sse::Seen::read(&headers) != sse::Seen::Nothing,
    );
    let by_body = serde_json::from_slice(body)
        .ok()
        .and_then(|body| Subscribe::from_object(body).ok());
    ReadRequest {
        acceptable,
        streams,
        resumes,
        by_query: graphql::parameters(query).ok(),
        by_body,
    }
}

/// The table of contents.
pub fn router(shared: Arc<Shared>) -> Router {
    let endpoint = get(websocket::upgrade_or_query)
        .post(graphql::post)
        // Single connections of graphql-sse.
        .put(single::reserve)
        .delete(single::stop)
        // A WebSocket over HTTP/2 (RFC 8441).
        .connect(websocket::upgrade_or_query)
        .fallback(graphql::method_not_allowed);
    Router::new()
        .route("/graphql", endpoint)
        .route("/graphiql", get(pages::playground))
        .route("/assets/{*path}", get(pages::asset))
        .route("/", get(pages::home))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readiness))
        .layer(compression::layer())
        .layer(DefaultBodyLimit::max(shared.limits.body_bytes_max))
        .layer(from_fn_with_state(shared.clone(), gate::keep))
        .layer(from_fn_with_state(shared.clone(), browsers::guard))
        .with_state(shared)
}

async fn readiness(State(shared): State<Arc<Shared>>) -> (StatusCode, &'static str) {
    if shared.ready.load(Ordering::Acquire) {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "draining\n")
    }
}
