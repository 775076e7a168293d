//! What browsers need to hear before they let pages of allowed origins ask, and read the answers.
//!
//! By hand, because who is allowed is decided in one place for everything (`site.rs`), by more than a list.

use axum::{
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};

use crate::transport::browser::origin::Sender;

/// Methods that a page may use; those of the endpoint.
const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, PUT, DELETE");

/// Headers that a page may set, beside those that every page may: ours, and what Apollo, urql, Relay and tracers send.
/// `Accept` is there because the quotes in Apollo's `subscriptionSpec="1.0"` make it one of these.
const HEADERS: HeaderValue = HeaderValue::from_static(
    "accept, authorization, content-type, last-event-id, x-graphql-event-stream-token, apollo-require-preflight, \
     apollographql-client-name, apollographql-client-version, graphql-preflight, x-apollo-operation-id, \
     x-apollo-operation-name, baggage, traceparent, tracestate",
);

/// Headers of answers that a page may read, beside those that every page may.
const EXPOSED: HeaderValue = HeaderValue::from_static("allow, retry-after, www-authenticate");

/// How many seconds a browser may remember what it was told. More than two hours is not heeded.
const MAX_AGE_SECONDS: HeaderValue = HeaderValue::from_static("7200");

const YES: HeaderValue = HeaderValue::from_static("true");

/// Says how a page can come to be let in.
pub(crate) const FOREIGN: &str = "Pages of this origin may not do this here; whoever runs this server can name the origin with --allow-origin.";

/// Whether a browser asks what a page may ask.
pub(crate) fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    *method == Method::OPTIONS
        && headers.contains_key(header::ORIGIN)
        && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// The answer to that. Pages of the server's own need not ask.
pub(crate) fn preflight(sender: &Sender) -> Response {
    if !matches!(sender, Sender::Allowed(_)) {
        return (StatusCode::FORBIDDEN, FOREIGN).into_response();
    }
    let told = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, METHODS),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, HEADERS),
        (header::ACCESS_CONTROL_MAX_AGE, MAX_AGE_SECONDS),
    ];
    (StatusCode::NO_CONTENT, told).into_response()
}

/// Lets a page of an allowed origin read an answer, and nobody take it for the answer to another page.
pub(crate) fn share(sender: &Sender, headers: &mut HeaderMap) {
    headers.append(header::VARY, header::ORIGIN.into());
    let Sender::Allowed(page) = sender else {
        return;
    };
    let Ok(page) = HeaderValue::try_from(page.to_string()) else {
        return;
    };
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, page);
    headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, YES);
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
}
