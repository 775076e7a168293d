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
mod connection;
mod credentials;
mod graphql;
mod operation;
mod pages;
mod websocket;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    extract::{DefaultBodyLimit, State},
    http::StatusCode,
    routing::get,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    auth::{Auth, BadToken},
    domain::{Clock, Viewer},
    protocol::MachineLimits,
    schema::Schema,
    view::Views,
};

/// What sockets and requests may take. 0 is no limit.
#[derive(Clone, Copy, Debug)]
pub struct TransportLimits {
    /// Bytes of a request's body. Cannot be without limit.
    pub body_bytes_max: usize,
    /// WebSocket connections at the same time.
    pub connections_max: usize,
    /// Bytes of a WebSocket message. Cannot be without limit.
    pub message_bytes_max: usize,
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
    /// Bytes of frames that one operation may put out before the next one has its turn.
    pub flush_bytes_max: usize,
    /// Bytes of replies that wait for a client to read; reading from it stops at this bound.
    pub unsent_bytes_max: usize,
    /// Buffer for reading, in bytes per socket.
    pub read_buffer_bytes: usize,
    /// Buffer for writing, in bytes per socket.
    pub write_buffer_bytes: usize,
    /// Over how long the closes of a drain are spread.
    pub drain_window: Duration,
}

impl Default for TransportLimits {
    fn default() -> Self {
        Self {
            body_bytes_max: 256 * 1024,
            connections_max: 100_000,
            message_bytes_max: 256 * 1024,
            machine: MachineLimits::default(),
            init_timeout: Duration::from_secs(10),
            ping_interval: Duration::from_secs(25),
            pong_timeout: Duration::from_secs(15),
            write_timeout: Duration::from_secs(30),
            flush_bytes_max: 64 * 1024,
            unsent_bytes_max: 64 * 1024,
            read_buffer_bytes: 4 * 1024,
            write_buffer_bytes: 4 * 1024,
            drain_window: Duration::from_secs(5),
        }
    }
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
    /// Open WebSockets.
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
        limits: TransportLimits,
        tasks: TaskTracker,
    ) -> Arc<Self> {
        Arc::new(Self {
            schema,
            views,
            auth,
            clock,
            limits,
            tasks,
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

    /// How many WebSockets are open.
    pub fn connections_open(&self) -> usize {
        self.connections.load(Ordering::Acquire)
    }

    async fn bearer(&self, authorization: &str) -> Result<Viewer, BadToken> {
        self.auth.bearer(authorization, (self.clock)()).await
    }
}

/// The table of contents.
pub fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/graphql", get(websocket::upgrade_or_query).post(graphql::post).fallback(graphql::method_not_allowed))
        .route("/graphiql", get(pages::playground))
        .route("/assets/{*path}", get(pages::asset))
        .route("/", get(pages::home))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readiness))
        .layer(DefaultBodyLimit::max(shared.limits.body_bytes_max))
        .with_state(shared)
}

async fn readiness(State(shared): State<Arc<Shared>>) -> (StatusCode, &'static str) {
    if shared.ready.load(Ordering::Acquire) {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "draining\n")
    }
}
