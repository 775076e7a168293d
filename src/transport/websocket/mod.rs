//! Subscriptions over WebSocket: the upgrade and the task that serves one connection.

pub(crate) mod connection;
pub(crate) mod credentials;
pub(crate) mod deadlines;
pub(crate) mod fragments;
pub(crate) mod handshake;
pub(crate) mod upgrade;
