//! Compression of responses. Streams are never compressed: a compressor buffers, and a result must
//! leave at once.

use tower_http::compression::{
    CompressionLayer,
    predicate::{NotForContentType, Predicate, SizeAbove},
};

/// Responses smaller than this are not compressed: they fit into one packet as they are.
const BYTES_MIN: u64 = 1024;

/// Compresses with gzip where the client accepts it.
pub(crate) fn layer() -> CompressionLayer<impl Predicate> {
    let predicate = SizeAbove::new(BYTES_MIN)
        .and(NotForContentType::SSE)
        .and(NotForContentType::const_new("multipart/"))
        // These are compressed already.
        .and(NotForContentType::IMAGES)
        .and(NotForContentType::const_new("font/woff"));
    CompressionLayer::new().compress_when(predicate)
}
