//! Security headers, which every response carries.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

/// The default content security policy: a response may load, run and be framed by nothing. A page
/// that needs more has its own policy (`pages.rs`).
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// Browsers use only TLS for this host, for one year (HSTS).
const ONLY_TLS: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// Headers that are the same on every response. They do not restrict pages of allowed origins: CORS
/// controls what those may read, and the resource policy concerns only resources that are embedded
/// without CORS, like images and scripts.
const ALWAYS: [(HeaderName, HeaderValue); 5] = [
    (
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    ),
    (
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    ),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
];

/// Adds the headers to a response. With `sends_hsts`, browsers use only TLS for this host from then
/// on.
pub(super) fn add(headers: &mut HeaderMap, sends_hsts: bool) {
    for (name, value) in ALWAYS {
        headers.insert(name, value);
    }
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(POLICY);
    if sends_hsts {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, ONLY_TLS);
    }
}
