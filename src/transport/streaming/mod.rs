//! Operations as streamed HTTP responses: server-sent events and multipart.

pub(super) mod body;
pub(super) mod multipart;
pub(super) mod sse;
