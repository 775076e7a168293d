//! Operations as streamed HTTP responses: server-sent events and multipart.

mod body;
pub(super) mod multipart;
pub(super) mod reservation;
pub(super) mod sse;
pub(super) mod sse_shared;
