//! Subscriptions as streamed HTTP responses: server-sent events and multipart.

pub(crate) mod body;
pub(crate) mod multipart;
pub(crate) mod reservation;
pub(crate) mod sse;
pub(crate) mod sse_shared;
