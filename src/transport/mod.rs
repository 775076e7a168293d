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
mod limits;
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

pub use limits::TransportLimits;
pub use listener::serve;
pub use origin::{Origin, OriginError};
pub use persisted::{BadOperations, Operations};
pub use site::{Host, HostError, Site};
pub use tls::{Tls, TlsError, TlsFiles};

use self::{address::Address, crowd::Crowd, persisted::Persisted, reservation::Reservations};
use crate::{
    auth::{Auth, BadToken},
    domain::{Clock, Viewer},
    protocol::Subscribe,
    schema::{Notes, Schema},
    view::Views,
};

/// What clients may do here.
pub struct Rules {
    /// How much of it.
    pub limits: TransportLimits,
    /// The number of trusted proxies in front of this server. Each of them appends the address of
    /// its peer to `X-Forwarded-For`.
    pub proxies_trusted: usize,
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
    /// The number of trusted proxies in front of this server.
    proxies_trusted: usize,
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
        let Rules {
            limits,
            proxies_trusted,
            operations,
        } = rules;
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
            proxies_trusted,
            site,
            persisted,
            reservations: Reservations::default(),
            tasks,
            crowd: Crowd::new(&limits, proxies_trusted),
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
