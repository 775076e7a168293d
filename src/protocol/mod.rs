//! The protocols of subscriptions over WebSocket as pure state machines: messages in, messages or a close out. No IO, no
//! clock, no task. graphql-transport-ws and its legacy predecessor share one vocabulary, [`Input`] and [`Act`].
//!
//! - **P1** Total: any text in any state gives an answer, and no panic.
//! - **P2** Nothing follows a close; nothing follows for an id once either side ended it; a client's `complete` is not
//!   answered. (The legacy protocol answers `stop` with one `complete`, after which nothing follows.)
//! - **P3** An id is taken when `subscribe` is read, before anything is awaited.
//! - **P4** Operations, the length of an id, and what waits for the acknowledgement are bounded here, messages by the
//!   transport.
//! - **P5** What should be resumed ends by closing the socket, never by `error` or `complete`: those are final for
//!   every client.
//!
//! Proved in `tests/conformance/`, over these machines and over the server.

mod close;
mod dialect;
mod legacy;
mod machine;
mod message;

pub use close::Close;
pub use dialect::{Dialect, Subprotocol};
pub use legacy::LegacyMachine;
pub use machine::{Act, Input, Machine, MachineLimits};
pub use message::{MessagePayload, Subscribe, authorization};
