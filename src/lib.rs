//! Switchboard: a GraphQL subscription server that never drops a call.
//!
//! A room is a log: each committed event gets the room's next number. A subscription is a cursor, a
//! position in that log. The server does not push events to subscribers. It wakes them when the log
//! has grown, and each one reads on from its own cursor.
//!
//! `docs/ARCHITECTURE.md` explains the design. The modules, in a good order to read them:
//!
//! - [`sync`]: locks, tables that do not keep their values alive, and turns.
//! - [`domain`]: the types that every module uses, such as rooms, events, cursors and rights. They
//!   perform no IO and know no wire format.
//! - [`quota`]: counts how often, how many and how many bytes, by user or by address.
//! - `limit`: helpers to declare a limit as a flag with a default.
//! - [`store`]: the logs on disk. It commits commands, and decides in the same transaction whether
//!   the caller is allowed to.
//! - [`hub`]: the one writer, and the newest events of each room that has readers.
//! - [`presence`]: ephemeral state: presence, typing and signals.
//! - [`auth`]: from a token to a viewer.
//! - [`schema`]: the GraphQL schema and its resolvers. Each request is bounded and parsed here
//!   before it runs.
//! - [`view`]: a room seen through one subscription document. Each result is made and encoded once,
//!   for all readers.
//! - [`protocol`]: the WebSocket protocols as state machines without IO.
//! - [`transport`]: HTTP, WebSockets, event streams and TLS. It is the only module that knows axum.
//! - [`config`]: flags and environment variables in, a valid configuration out.
//! - [`telemetry`]: the log that the server writes about itself.
//! - [`test_clock`]: a clock that tests can set.
//! - [`temporary`]: a folder that is removed when the server ends.
//! - [`seed`]: the data that a server begins with, from a file.
//! - [`server`]: the wiring: it starts and stops everything in the right order.
//! - [`testing`]: a server for the tests of an application in Rust.
//! - [`client`]: the commands `send` and `tail`, which talk to a running server.
//! - [`commands`]: the commands of the binary.
//!
//! A module may use only the modules that the table in `docs/ARCHITECTURE.md` allows. A test checks
//! this.

pub mod sync;

pub mod domain;

pub mod quota;

mod limit;

pub mod store;

pub mod hub;

pub mod presence;

pub mod auth;

pub mod schema;

pub mod view;

pub mod protocol;

pub mod transport;

pub mod config;

pub mod telemetry;

pub mod test_clock;

pub mod temporary;

pub mod seed;

pub mod server;

pub mod testing;

pub mod client;

pub mod commands;
