//! GraphQL over HTTP: the endpoint, its request limits, batches, and the single connection mode of
//! graphql-sse.

mod batch;
pub(super) mod compression;
pub(super) mod endpoint;
pub(super) mod read_request;
pub(super) mod request;
pub(super) mod request_limits;
pub(super) mod sse_shared;
