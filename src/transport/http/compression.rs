//! Answers that are worth it are compressed, streams never: what compresses gathers, and a result must leave at once.

use tower_http::compression::{
    CompressionLayer,
    predicate::{NotForContentType, Predicate, SizeAbove},
};

/// Bytes of an answer below which compressing gains nothing: it fits into one packet as it is.
const BYTES_MIN: u64 = 1024;

/// Compresses with gzip where the client takes it.
pub(crate) fn layer() -> CompressionLayer<impl Predicate> {
    let worth = SizeAbove::new(BYTES_MIN)
        .and(NotForContentType::SSE)
        .and(NotForContentType::const_new("multipart/"))
        // Compressed already.
        .and(NotForContentType::IMAGES)
        .and(NotForContentType::const_new("font/woff"));
    CompressionLayer::new().compress_when(worth)
}
