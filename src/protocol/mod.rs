//! The subscription protocols over WebSocket, as pure state machines: inputs in, acts out. No IO,
//! no clock, no task.
//!
//! graphql-transport-ws and its legacy predecessor share one vocabulary, [`Input`] and [`Act`].
//!
//! - **P1** Total: every text has a defined effect in every state, and none panics.
//! - **P2** Nothing follows a close. Nothing follows for an id once either side has ended it. A
//!   client's `complete` is not answered. (The legacy protocol answers `stop` with one `complete`,
//!   and nothing follows that.)
//! - **P3** An id is taken when `subscribe` is read, before anything is awaited.
//! - **P4** The machines bound the number of operations, the length of ids, and the messages that
//!   wait for the acknowledgement. The transport bounds the size of messages.
//! - **P5** An operation that the client should resume ends with a close of the connection, never
//!   with `error` or `complete`: those are final for every client.
//!
//! Proved in `tests/conformance/`, on these machines and on the server.

mod close;
mod dialect;
mod json;
mod legacy;
mod limits;
mod machine;
mod message;

pub use close::Close;
pub use dialect::{Dialect, Subprotocol};
pub use json::read_json;
pub use legacy::LegacyMachine;
pub use limits::MachineLimits;
pub use machine::{Act, Input, Machine};
pub use message::{MessagePayload, Subscribe, as_object, values_named};
