//! HTTP responses that are one JSON text: content negotiation and replies.

pub(super) mod negotiate;
pub(super) mod reply;
