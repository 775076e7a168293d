//! What stands between every request and the routes, because browsers send requests that nobody meant: for a name that
//! is not this server's, or for a page that has no business here.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{Method, StatusCode},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{Shared, accept::Accepts, reply::Reply};
use crate::schema::{ApiError, Code};

/// Says how a page can come to be let in.
const FOREIGN: &str =
    "Pages of this origin may not do this here; whoever runs this server can name the origin with --allow-origin.";

/// Says the same to whoever gave the server a name.
const MISDIRECTED: &str = "This server does not go by the host that the request names; whoever runs it can add the host \
                           with --allow-host.\n";

/// Lets a request through, or answers it at once.
pub(super) async fn guard(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let (headers, uri) = (request.headers(), request.uri());
    // A page whose name was bound to this machine's address is of the same origin as whatever it asks here, so that only
    // its name gives it away. It gets no socket to be closed either.
    if !shared.site.is_meant(headers, uri) {
        return (StatusCode::MISDIRECTED_REQUEST, MISDIRECTED).into_response();
    }
    if may_change(request.method()) && shared.site.is_foreign(headers, uri) {
        let error = ApiError::new(Code::Forbidden, FOREIGN);
        return Reply::error(StatusCode::FORBIDDEN, Accepts::read(headers).media(), error).into_response();
    }
    next.run(request).await
}

/// GET changes nothing. What becomes a WebSocket (which over HTTP/2 is CONNECT) is told by a close instead.
fn may_change(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::CONNECT)
}
