//! Switchboard: a GraphQL subscription server that never drops a call.
//!
//! A room is a log: each committed event takes the room's next number. A subscription is a cursor into that log. Nothing
//! is pushed into a subscriber's queue: it is told that the head moved, and reads on from where it is.
//!
//! The modules in reading order; each may use those named in `docs/ARCHITECTURE.md` and no others, and a test says so.

pub mod sync;

pub mod domain;

pub mod quota;

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

pub mod server;

pub mod client;

pub mod commands;
