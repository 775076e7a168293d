//! Compression of responses, and decompression of requests. Streams are never compressed: a
//! compressor buffers, and a result must leave at once.

use tower_http::{
    compression::{
        CompressionLayer,
        predicate::{NotForContentType, Predicate, SizeAbove},
    },
    decompression::RequestDecompressionLayer,
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

/// Decompresses request bodies: gzip and deflate. Any other encoding is answered with 415 and an
/// `Accept-Encoding`. The bound on a body counts the decompressed bytes.
pub(crate) fn requests() -> RequestDecompressionLayer {
    RequestDecompressionLayer::new()
}
