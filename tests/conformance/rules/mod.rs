//! The scenarios, one file for each part of the protocol.

pub(crate) mod framing;
pub(crate) mod identity;
pub(crate) mod invalid;
pub(crate) mod leaving;
pub(crate) mod legacy_connection;
pub(crate) mod legacy_operations;
pub(crate) mod live;
pub(crate) mod liveness;
pub(crate) mod opening;
pub(crate) mod refusals;
pub(crate) mod results;
pub(crate) mod streams;
