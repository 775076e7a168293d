//! Accepting connections: TCP and TLS listeners, certificates, idle and stalled peers.

pub(super) mod certificate;
mod half_close;
pub(super) mod http2_stall;
pub(super) mod listener;
pub(super) mod tls;
pub(super) mod tracked_body;
pub(super) mod write_timeout;
