//! Checks each request before the executor runs it.
//!
//! The library checks some things too late, some not at all, and some at a cost that grows
//! exponentially with the document. So [`Prepare`] does the following, in this order:
//!
//! 1. It bounds the text: bytes, tokens, nesting.
//! 2. It parses the document, checks its directives, and folds the root of a subscription into one
//!    field. The result is cached by the text.
//! 3. It coerces the variables.
//! 4. It bounds the cost of the document, in one linear walk.
//!
//! The result is a [`Prepared`] request, which is all that the executor gets.
//!
//! - **G4** A document is bounded before it runs ([`PrepareLimits`]). The cost of its answer is
//!   bounded while it runs, by the cost meter.

mod bounds;
mod directives;
mod introspection;
mod limits;
mod literals;
mod operation;
mod pipeline;
mod plan;
mod request;
mod root;
mod scan;
mod shapes;
mod specialise;
mod variables;

pub use introspection::Introspection;
pub use limits::PrepareLimits;
pub(super) use operation::operation;
pub use pipeline::Prepare;
pub use plan::PlanDocument;
pub(super) use request::CachedDocument;
pub use request::{Prepared, Request};
pub(super) use shapes::Shapes;
