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
mod limits;
mod listen;
mod operation;
mod shared;
mod streaming;
mod websocket;

use std::sync::{Arc, atomic::Ordering};

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
pub use limits::TransportLimits;
pub use listen::listener::serve;
pub use listen::tls::{Tls, TlsError, TlsFiles};
pub use shared::{Rules, Shared};

use crate::{
    protocol::Subscribe,
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
