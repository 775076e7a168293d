//! The built-in pages, which are embedded in the binary.

use axum::{
    extract::Path,
    http::{HeaderMap, HeaderName, StatusCode, Uri, header},
    response::{IntoResponse, Redirect, Response},
};
use rust_embed::{EmbeddedFile, RustEmbed};

use crate::transport::{browser::base_path::BasePath, response::negotiate::wants_html};

#[derive(RustEmbed)]
#[folder = "web/dist"]
struct Dist;

/// The content security policy of the playground: its editor needs this much. No other origin and
/// no inline script is allowed.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; font-src 'self'; \
                      img-src 'self' data:; connect-src 'self'; worker-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

/// `/`: redirects browsers to the playground. Load balancers ask for this path to see whether the
/// server runs.
pub(crate) fn home(base: &BasePath, uri: &Uri, headers: &HeaderMap) -> Response {
    if wants_html(headers) {
        Redirect::temporary(&base.playground(uri.path())).into_response()
    } else {
        format!("Switchboard serves GraphQL at {base}/graphql.\n").into_response()
    }
}

/// OPTIONS without CORS, as load balancers send it.
pub(crate) async fn options() -> (StatusCode, [(HeaderName, &'static str); 1]) {
    let allowed = "GET, HEAD, POST, PUT, DELETE, OPTIONS";
    (StatusCode::NO_CONTENT, [(header::ALLOW, allowed)])
}

/// `/graphiql`: the playground.
pub(crate) async fn playground(headers: HeaderMap) -> Response {
    let mut response = file("graphiql.html", "no-cache", &headers);
    response.headers_mut().insert(
        header::CONTENT_SECURITY_POLICY,
        POLICY.parse().expect("plain text"),
    );
    response
}

/// `/assets/…`. A file with a hash in its name never changes, so browsers may cache it for ever.
pub(crate) async fn asset(Path(path): Path<String>, headers: HeaderMap) -> Response {
    let is_hashed = !path.ends_with(".md") && !path.ends_with(".txt");
    let caching = if is_hashed {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    file(&format!("assets/{path}"), caching, &headers)
}

fn file(path: &str, caching: &'static str, headers: &HeaderMap) -> Response {
    let Some(EmbeddedFile { data, metadata }) = Dist::get(path) else {
        return (StatusCode::NOT_FOUND, "There is no such file.\n").into_response();
    };
    // Weak, because the same file may also be sent compressed.
    let tag = format!("W/\"{}\"", hex(&metadata.sha256_hash()[..16]));
    let headers_sent = [
        (header::ETAG, tag.clone()),
        (header::CACHE_CONTROL, caching.to_owned()),
        (header::CONTENT_TYPE, content_type(path).to_owned()),
    ];
    if headers
        .get(header::IF_NONE_MATCH)
        .is_some_and(|known| known.as_bytes() == tag.as_bytes())
    {
        return (StatusCode::NOT_MODIFIED, headers_sent).into_response();
    }
    (headers_sent, axum::body::Bytes::from(data.into_owned())).into_response()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, ending)| ending) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("woff2") => "font/woff2",
        Some("ttf") => "font/ttf",
        Some("md" | "txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
