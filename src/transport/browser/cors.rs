//! CORS: the headers that let pages of allowed origins send requests and read the responses.
//!
//! This does not use a library, because `hosts.rs` decides in one place which pages are allowed, by
//! more than a list of origins.

use axum::{
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};

use crate::transport::browser::origin::Sender;

/// The methods that a page may use: all methods of the endpoint.
const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, PUT, DELETE");

/// The request headers that a page may set, beside those that CORS always allows: the server's own,
/// and those that frameworks and tracing tools add by themselves. `--allow-header` adds others.
/// `Accept` is listed because the quotes in Apollo's `subscriptionSpec="1.0"` make the browser ask
/// for it.
const HEADERS: &str = "accept, authorization, content-type, last-event-id, \
     x-graphql-event-stream-token, apollo-require-preflight, apollographql-client-name, \
     apollographql-client-version, graphql-preflight, x-apollo-operation-id, \
     x-apollo-operation-name, cache-control, pragma, x-csrf-token, x-requested-with, \
     x-request-id, x-correlation-id, baggage, traceparent, tracestate, sentry-trace, \
     b3, x-b3-traceid, x-b3-spanid, x-b3-parentspanid, x-b3-sampled, x-b3-flags, \
     x-datadog-trace-id, x-datadog-parent-id, x-datadog-origin, x-datadog-sampling-priority, \
     x-datadog-sampled, x-datadog-tags, newrelic, elastic-apm-traceparent, uber-trace-id, \
     x-amzn-trace-id, x-cloud-trace-context";

/// The response headers that a page may read, beside those that CORS always allows.
const EXPOSED: HeaderValue = HeaderValue::from_static("allow, retry-after, www-authenticate");

/// Seconds for which a browser may cache a preflight. Browsers cap it at two hours.
const MAX_AGE_SECONDS: HeaderValue = HeaderValue::from_static("7200");

const TRUE: HeaderValue = HeaderValue::from_static("true");

/// The error for a page of a foreign origin. It tells the operator how to allow the origin.
pub(super) const FOREIGN: &str = "Pages of this origin may not do this here; the server's operator can allow the origin with --allow-origin.";

/// Whether a request is a CORS preflight.
pub(super) fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    *method == Method::OPTIONS
        && headers.contains_key(header::ORIGIN)
        && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// The response to a preflight. Browsers send none for pages of the server itself.
pub(super) fn preflight(sender: &Sender, more_headers: &[HeaderName]) -> Response {
    if !matches!(sender, Sender::Allowed(_)) {
        return (StatusCode::FORBIDDEN, FOREIGN).into_response();
    }
    let names = more_headers.iter().map(HeaderName::as_str);
    let names: Vec<&str> = std::iter::once(HEADERS).chain(names).collect();
    let allowed = HeaderValue::from_str(&names.join(", ")).expect("names of headers");
    let headers = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, METHODS),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, allowed),
        (header::ACCESS_CONTROL_MAX_AGE, MAX_AGE_SECONDS),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}

/// Adds the headers that let a page of an allowed origin read the response. `Vary` keeps a cache
/// from serving it to another page.
pub(super) fn add_headers(sender: &Sender, headers: &mut HeaderMap) {
    headers.append(header::VARY, header::ORIGIN.into());
    let Sender::Allowed(page) = sender else {
        return;
    };
    let Ok(page) = HeaderValue::try_from(page.to_string()) else {
        return;
    };
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, page);
    headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, TRUE);
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
}
