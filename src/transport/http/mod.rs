//! GraphQL over HTTP: requests, batches, persisted queries, content negotiation, and replies.

mod batch;
pub(super) mod compression;
pub(super) mod endpoint;
pub(super) mod negotiate;
pub(super) mod persisted;
pub(super) mod read_request;
pub(super) mod reply;
pub(super) mod request;
