//! Headers that tell browsers to be careful with what they got, on every answer.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

/// What an answer may load, run and be framed by: nothing. A page that needs more says so itself (`pages.rs`).
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// For a year, browsers ask this server over TLS or not at all.
const ONLY_TLS: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// The same for everybody. Pages of allowed origins are not kept from anything by these: what they may read is said by
/// CORS, and the resource policy is about what is loaded without asking, as images and scripts are.
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

/// Puts them on an answer. `pinned` says that browsers may remember to ask over TLS only.
pub(crate) fn put_on(headers: &mut HeaderMap, pinned: bool) {
    for (name, value) in ALWAYS {
        headers.insert(name, value);
    }
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(POLICY);
    if pinned {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, ONLY_TLS);
    }
}
