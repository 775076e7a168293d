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
mod limits;
mod listen;
mod operation;
mod persisted;
mod reservation;
mod response;
mod shared;
mod start;
mod streaming;
mod test_routes;
mod token_header;
mod websocket;

use std::sync::{Arc, atomic::Ordering};

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request, State},
    http::{HeaderMap, Method, StatusCode, Uri, header},
    middleware::from_fn_with_state,
    response::{IntoResponse, Response},
    routing::get,
};

pub use axum::http::HeaderName as RequestHeader;
pub use browser::base_path::{BasePath, BasePathError};
pub use browser::hosts::{Host, HostError, Site};
pub use browser::origin::{Origin, OriginError};
pub use http::read_request::{ReadRequest, read_request};
pub use limits::TransportLimits;
pub use listen::listener::serve;
pub use listen::tls::{Tls, TlsError, TlsFiles};
pub use persisted::{OperationList, OperationListError};
pub use shared::{ClientPolicy, Gatekeeper, Shared, WriteFaultProbe};
pub use test_routes::{CurrentApp, Reset, TestRoutes};
pub use token_header::{TokenHeader, TokenHeaderError};

use crate::transport::{
    browser::{guard, pages},
    http::{compression, endpoint, request_limits, sse_shared},
    websocket::{accept::accept, upgrade::Upgrade},
};

/// All routes of the server, and the checks that every request passes.
fn router(shared: Arc<Shared>) -> Router {
    let base = &shared.site.base_path;
    let routes = if base.is_given() {
        // A proxy may keep the prefix or remove it.
        let home = get(home).options(pages::options);
        let below = Router::new().route(&format!("{base}/"), home);
        routes().merge(below).nest(&base.to_string(), routes())
    } else {
        routes()
    };
    routes
        .layer(compression::requests())
        .layer(compression::layer())
        .layer(DefaultBodyLimit::max(shared.limits.body_bytes_max))
        .layer(from_fn_with_state(shared.clone(), request_limits::enforce))
        .layer(from_fn_with_state(shared.site.clone(), guard::guard))
        .with_state(shared)
}

fn routes() -> Router<Arc<Shared>> {
    let graphql = get(upgrade_or_query)
        .post(post)
        // The single connection mode of graphql-sse.
        .put(sse_shared::reserve)
        .delete(sse_shared::stop)
        // A WebSocket over HTTP/2 (RFC 8441).
        .connect(upgrade_or_query)
        .fallback(endpoint::method_not_allowed);
    let health = get(|| async { "ok\n" }).options(pages::options);
    Router::new()
        .route("/graphql", graphql.clone())
        .route("/graphql/", graphql)
        .route("/graphiql", get(pages::playground))
        .route("/assets/{*path}", get(pages::asset))
        .route("/", get(home).options(pages::options))
        .route("/healthz", health)
        .route("/readyz", get(readiness).options(pages::options))
}

/// `GET /`.
async fn home(State(shared): State<Arc<Shared>>, uri: Uri, headers: HeaderMap) -> Response {
    pages::home(&shared.site.base_path, &uri, &headers)
}

/// `GET /graphql`, or `CONNECT` over HTTP/2: a WebSocket if the client asks for one, else a query.
async fn upgrade_or_query(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    if Upgrade::is_requested(&request) {
        let (mut parts, _) = request.into_parts();
        return match Upgrade::read(&mut parts) {
            Ok(upgrade) => accept(shared, upgrade, parts),
            Err(error) => error.into_response(),
        };
    }
    if request.method() == Method::CONNECT {
        return endpoint::method_not_allowed(request.into_parts().0.headers).await;
    }
    match single_connection(&shared, request).await {
        Ok(response) => response,
        Err(request) => endpoint::get(shared, request.into_parts().0).await,
    }
}

/// `POST /graphql`.
async fn post(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    match single_connection(&shared, request).await {
        Ok(response) => response,
        Err(request) => endpoint::post(State(shared), request).await,
    }
}

/// The single connection mode of graphql-sse: serves a request that names a reserved event stream
/// by its token. Other requests are returned as the error. PUT and DELETE have handlers of their
/// own.
async fn single_connection(shared: &Arc<Shared>, request: Request) -> Result<Response, Request> {
    match sse_shared::stream_token(request.headers(), request.uri()) {
        // In a box, so that the future of every other request stays small.
        Some(token) => Box::pin(sse_shared::serve(shared, &token, request)).await,
        None => Err(request),
    }
}

/// `GET /readyz`: whether a load balancer may send new clients here.
async fn readiness(State(shared): State<Arc<Shared>>) -> Response {
    let reason = if shared.ready.load(Ordering::Acquire) {
        (shared.write_fault)()
    } else {
        Some("draining".to_owned())
    };
    match reason {
        None => "ready\n".into_response(),
        Some(reason) => {
            let retry = [(header::RETRY_AFTER, "1")];
            (
                StatusCode::SERVICE_UNAVAILABLE,
                retry,
                format!("{reason}\n"),
            )
                .into_response()
        }
    }
}
