//! graphql-transport-ws as a pure state machine: messages in, messages or a close out. No IO, no clock, no task.
//!
//! - **P1** Total: any text in any state gives an answer, and no panic.
//! - **P2** Nothing follows a close; nothing follows for an id once either side ended it; a client's `complete` is not
//!   answered.
//! - **P3** An id is taken when `subscribe` is read, before anything is awaited.
//! - **P4** Operations and the length of an id are bounded here, bytes by the transport.
//! - **P5** What should be resumed ends by closing the socket, never by `error` or `complete`: those are final for
//!   every client.
//!
//! Proved in `tests/conformance/`, over this machine and over the server.

mod close;
mod machine;
mod message;

pub use close::Close;
pub use machine::{Act, Input, Machine, MachineLimits};
pub use message::{Payload, Subscribe, authorization, next_prefix};

/// The subprotocol's name in `Sec-WebSocket-Protocol`.
pub const SUBPROTOCOL: &str = "graphql-transport-ws";
