//! Checks that every request passes before it is routed.
//!
//! A browser also sends requests that its user did not intend: for a host name that an attacker has
//! bound to this server's address, or on behalf of a page of a foreign origin.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderName, Method, StatusCode, Version, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use tracing::field::display;

use crate::{
    schema::{ApiError, Code},
    transport::{
        admission::address::Peer,
        browser::{
            cors,
            hosts::Site,
            origin::{SEC_FETCH_SITE, Sender},
            security_headers,
        },
        response::{negotiate::Accepts, reply::Reply},
    },
};

/// The error for a host that is not the server's. It tells the operator how to allow the host.
const MISDIRECTED: &str = "This server does not serve the host that the request names; its operator can add the host \
                           with --allow-host.\n";

/// The headers by which a browser tells what page has caused a request.
const TELLTALES: [HeaderName; 2] = [header::ORIGIN, SEC_FETCH_SITE];

const AMBIGUOUS: &str = "The request has two Origin or two Sec-Fetch-Site headers.\n";

/// Refuses a request, or passes it on. Adds CORS and security headers to the response.
pub(crate) async fn guard(State(site): State<Arc<Site>>, request: Request, next: Next) -> Response {
    let sender = site.sender(request.headers(), request.uri());
    if sender == Sender::Foreign {
        log_foreign(&request);
    }
    let sends_hsts = site.sends_hsts(request.headers(), request.uri());
    let mut response = match refusal(&site, &request, &sender) {
        Some(response) => response,
        None => next.run(request).await,
    };
    // A browser neither stores nor shows the response that opens a WebSocket.
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        cors::add_headers(&sender, response.headers_mut());
        security_headers::add(response.headers_mut(), sends_hsts);
    }
    response
}

/// The response to a request that is not routed.
fn refusal(site: &Site, request: &Request, sender: &Sender) -> Option<Response> {
    let (method, headers, uri) = (request.method(), request.headers(), request.uri());
    // Which of two values a proxy has checked is unknown.
    if TELLTALES
        .iter()
        .any(|name| headers.get_all(name).iter().nth(1).is_some())
    {
        return Some((StatusCode::BAD_REQUEST, AMBIGUOUS).into_response());
    }
    // DNS rebinding: the page's name was bound to this server's address, so the browser treats its
    // requests as same-origin. Only the host name gives it away. A WebSocket is refused too,
    // without the upgrade that T5 gives others.
    // A request without a host, which HTTP/1.0 allows, comes from no browser.
    let names_none = request.version() == Version::HTTP_10 && !headers.contains_key(header::HOST);
    if !names_none && !site.serves_host(headers, uri) {
        return Some((StatusCode::MISDIRECTED_REQUEST, MISDIRECTED).into_response());
    }
    if cors::is_preflight(method, headers) {
        return Some(cors::preflight(sender, &site.headers));
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

/// Tells the operator why a page cannot use the server.
fn log_foreign(request: &Request) {
    let address = request.extensions().get().map(|Peer(peer)| display(*peer));
    let origin = request.headers().get(header::ORIGIN);
    // Escapes what is no plain text.
    let origin = origin.map(|origin| origin.as_bytes().escape_ascii().to_string());
    let origin = origin.unwrap_or_default();
    tracing::info!(
        %origin, address,
        "a page of this origin may not use the server; --allow-origin would allow it"
    );
}

/// Whether a method may change something. GET changes nothing. CONNECT opens a WebSocket over
/// HTTP/2, which is refused by a close code instead.
fn may_change(method: &Method) -> bool {
    !matches!(
        *method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::CONNECT
    )
}
