//! Subscriptions over WebSocket: the upgrade, and the task that serves one connection.

pub(super) mod accept;
mod connection;
mod credentials;
mod deadlines;
mod fragments;
mod outbox;
pub(super) mod upgrade;
