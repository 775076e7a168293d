//! What stands between every request and the routes, because browsers send requests that nobody meant: for a name that
//! is not this server's, or for a page that has no business here.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{Method, StatusCode},
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::{
    schema::{ApiError, Code},
    transport::{
        Shared,
        browser::{cors, hosts::Site, origin::Sender, security_headers},
        http::{negotiate::Accepts, reply::Reply},
    },
};

/// Says the same to whoever gave the server a name.
const MISDIRECTED: &str = "This server does not go by the host that the request names; whoever runs it can add the host \
                           with --allow-host.\n";

/// Answers a request, or has the routes answer it.
pub(crate) async fn guard(
    State(shared): State<Arc<Shared>>,
    request: Request,
    next: Next,
) -> Response {
    let sender = shared.site.sender(request.headers(), request.uri());
    let pinned = shared.site.is_pinned(request.headers(), request.uri());
    let mut response = match refusal(&shared.site, &request, &sender) {
        Some(response) => response,
        None => next.run(request).await,
    };
    // What becomes a WebSocket is no answer that anybody keeps or shows.
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        cors::share(&sender, response.headers_mut());
        security_headers::put_on(response.headers_mut(), pinned);
    }
    response
}

/// The answer to what does not reach the routes.
fn refusal(site: &Site, request: &Request, sender: &Sender) -> Option<Response> {
    let (method, headers, uri) = (request.method(), request.headers(), request.uri());
    // A page whose name was bound to this machine's address is of the same origin as whatever it asks here, so that only
    // its name gives it away. It gets no socket to be closed either.
    if !site.is_meant(headers, uri) {
        return Some((StatusCode::MISDIRECTED_REQUEST, MISDIRECTED).into_response());
    }
    if cors::is_preflight(method, headers) {
        return Some(cors::preflight(sender));
    }
    if may_change(method) && sender.is_foreign(headers) {
        let error = ApiError::new(Code::Forbidden, cors::FOREIGN);
        return Some(
            Reply::error(StatusCode::FORBIDDEN, Accepts::read(headers).media(), error)
                .into_response(),
        );
    }
    None
}

/// GET changes nothing. What becomes a WebSocket (which over HTTP/2 is CONNECT) is told by a close instead.
fn may_change(method: &Method) -> bool {
    !matches!(
        *method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::CONNECT
    )
}
