//! GraphQL over HTTP: the endpoint, content negotiation, batches, persisted documents, replies.

pub(crate) mod batch;
pub(crate) mod compression;
pub(crate) mod endpoint;
pub(crate) mod negotiate;
pub(crate) mod persisted;
pub(crate) mod reply;
