//! GraphQL: translates between documents and the domain, and does nothing else.
//!
//! - **G1** `schema.graphql` equals the SDL that the code exports.
//! - **G2** Resolvers contain no SQL, no sockets and no locks of their own. They reach the store
//!   through the `loader`, and leave results for the transport in the request's data.
//! - **G3** Every error that a client sees has a code from one table. Internal texts are logged and
//!   never sent.
//! - **G4** A document is bounded before it runs (`prepare`). The cost of its answer is bounded
//!   while it runs (`cost`).
//! - **G5** An object that does not exist and an object that the caller may not read get the same
//!   answer by the same path: one statement that returns a row only if the caller may read it.
//!
//! A request passes through `prepare` (parse, bound, coerce), then `executor`. A subscription
//! is executed twice, in the two modes that `modes` describes: once per subscriber to find out
//! what it reads, and once per plan to make its frames.

mod context;
mod cost;
mod ephemeral;
mod error;
mod executor;
mod executor_hooks;
mod feed;
mod limits;
mod loader;
mod long_poll;
mod modes;
mod mutation;
mod null_propagation;
mod objects;
mod pagination;
mod prepare;
mod presence;
mod query;
mod ready;
mod room_mutation;
mod room_pages;
mod scalar;
mod search;
mod search_turns;
mod subscription;
mod syntax;
mod users;

pub use context::{RequestContext, Services, SideEffects};
pub use cost::{CostLimits, CostMeter};
pub use error::{ApiError, Code, is_temporary, shut_out};
pub use executor::{Answer, Schema, sdl};
pub use feed::{Feed, FeedError, ItemResponse};
pub use limits::SchemaLimits;
pub use modes::{FeedItem, OpenedSubscription, ReadTarget};
pub use prepare::{Introspection, PlanDocument, Prepare, PrepareLimits, Prepared, Request};
pub use scalar::{format_time, parse_time};
pub use search_turns::SearchTurns;
pub use syntax::{SyntaxError, parse_document};
