//! Accepting connections: TCP and TLS listeners, certificates, idle and stalled peers.

pub(crate) mod certificate;
pub(crate) mod http2_stall;
pub(crate) mod idle;
pub(crate) mod listener;
pub(crate) mod tls;
pub(crate) mod write_timeout;
