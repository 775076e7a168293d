//! The limits of connections, requests and streams.

use std::time::Duration;

use clap::Args;

use crate::{
    limit::{at_least, defaults, duration},
    protocol::MachineLimits,
    quota::Rate,
};

/// What connections, requests and streams may use.
#[derive(Args, Clone, Copy, Debug)]
pub struct TransportLimits {
    /// Open WebSockets, event streams and reservations of event streams, in total.
    #[arg(long, default_value_t = 100_000)]
    pub connections_max: usize,
    /// Open WebSockets, event streams and reservations per address; an IPv6 network of 64 bits
    /// counts as one address.
    #[arg(long, default_value_t = 10_000)]
    pub connections_per_address_max: usize,
    /// Open WebSockets, event streams and reservations per user.
    #[arg(long, default_value_t = 1_000)]
    pub connections_per_user_max: usize,
    /// New connections per second from one address.
    #[arg(long, default_value_t = 500)]
    pub connects_per_second_per_address_max: u32,
    /// New connections that one address may open at once after a pause (at least 1).
    // After a restart, all clients behind one address come back at once.
    #[arg(long, default_value_t = 10_000, value_parser = at_least::<u32>(1))]
    pub connects_burst_max: u32,
    /// Open HTTP connections, active or idle; a connection that becomes a WebSocket no longer
    /// counts.
    #[arg(long, default_value_t = 100_000)]
    pub http_connections_max: usize,
    /// Open HTTP connections per address, active or idle.
    #[arg(long, default_value_t = 10_000)]
    pub http_connections_per_address_max: usize,
    /// Open connections that have not sent a request yet.
    #[arg(long, default_value_t = 10_000)]
    pub handshakes_max: usize,
    /// Open connections per address that have not sent a request yet.
    #[arg(long, default_value_t = 1_000)]
    pub handshakes_per_address_max: usize,
    /// Requests in the batch of one HTTP body.
    #[arg(long, default_value_t = 10)]
    pub batch_max: usize,
    /// Bytes of documents that are kept so that clients can name them by their hash.
    #[arg(long, default_value_t = 8 * 1024 * 1024)]
    pub persisted_bytes_max: u64,
    /// Time after which a reserved event stream is dropped if its client has not opened it.
    #[arg(long, default_value = "30s", value_parser = duration)]
    pub reservation_timeout: Duration,
    /// Bytes of answers that wait in memory until the client of a reserved event stream reads
    /// them.
    #[arg(long, default_value_t = 1024 * 1024)]
    pub reservation_bytes_max: usize,
    /// Time between the heartbeats of a quiet multipart stream.
    #[arg(long, default_value = "5s", value_parser = duration)]
    pub multipart_heartbeat_interval: Duration,
    /// The limits of one connection's protocol.
    #[command(flatten)]
    pub machine: MachineLimits,
    /// Bytes of one WebSocket message from a client (at least 1).
    #[arg(long, default_value_t = 256 * 1024, value_parser = at_least::<usize>(1))]
    pub message_bytes_max: usize,
    /// Messages per second from a client on one WebSocket, control frames included.
    #[arg(long, default_value_t = 1_000)]
    pub messages_per_second_max: u32,
    /// Messages that a client may send on one WebSocket at once after a pause (at least 1).
    // More than a client needs that comes back with all its operations.
    #[arg(long, default_value_t = 10_000, value_parser = at_least::<u32>(1))]
    pub messages_burst_max: u32,
    /// Requests per second from a client on one HTTP connection.
    #[arg(long, default_value_t = 1_000)]
    pub requests_per_second_max: u32,
    /// Requests that a client may send on one HTTP connection at once after a pause (at least 1).
    #[arg(long, default_value_t = 10_000, value_parser = at_least::<u32>(1))]
    pub requests_burst_max: u32,
    /// HTTP requests and WebSocket messages per second from one address, on all its connections
    /// together.
    // Less than what keeps a core busy, and more than a few clients behind one address send.
    #[arg(long, default_value_t = 5_000)]
    pub requests_per_second_per_address_max: u32,
    /// HTTP requests and WebSocket messages that one address may send at once after a pause, on
    /// all its connections together (at least 1).
    #[arg(long, default_value_t = 50_000, value_parser = at_least::<u32>(1))]
    pub requests_per_address_burst_max: u32,
    /// Guests per second that may sign in from one address.
    // Each guest is a user, and users are never deleted.
    #[arg(long, default_value_t = 20)]
    pub sign_ins_per_second_per_address_max: u32,
    /// Guests that may sign in from one address at once after a pause (at least 1).
    // A test suite, or everybody in an office building at nine o'clock.
    #[arg(long, default_value_t = 2_000, value_parser = at_least::<u32>(1))]
    pub sign_ins_burst_max: u32,
    /// Bytes of the body of one HTTP request (at least 1).
    #[arg(long, default_value_t = 256 * 1024, value_parser = at_least::<usize>(1))]
    pub body_bytes_max: usize,
    /// Time for a WebSocket client to send `connection_init`.
    #[arg(long, default_value = "10s", value_parser = duration)]
    pub init_timeout: Duration,
    /// Time without data from a client after which the server pings it.
    #[arg(long, default_value = "25s", value_parser = duration)]
    pub ping_interval: Duration,
    /// Time for a client to answer a ping.
    #[arg(long, default_value = "15s", value_parser = duration)]
    pub pong_timeout: Duration,
    /// Time after which a client that does not read what the server sends is disconnected.
    #[arg(long, default_value = "30s", value_parser = duration)]
    pub write_timeout: Duration,
    /// Time between the heartbeats of an event stream, and between the `ka` messages of the legacy
    /// graphql-ws protocol.
    #[arg(long, default_value = "12s", value_parser = duration)]
    pub heartbeat_interval: Duration,
    /// Time for a client to complete the TLS handshake, and then again for the head of its first
    /// request; on HTTP/1.1 also for the head of each later request.
    #[arg(long, default_value = "10s", value_parser = duration)]
    pub header_timeout: Duration,
    /// Bytes of the head of one HTTP request (at least 8192).
    #[arg(long, default_value_t = 16 * 1024, value_parser = at_least::<usize>(8192))]
    pub header_bytes_max: usize,
    /// Headers of one HTTP request.
    #[arg(long, default_value_t = 100)]
    pub headers_max: usize,
    /// Bytes of the path and query of one HTTP request.
    #[arg(long, default_value_t = 8 * 1024)]
    pub uri_bytes_max: usize,
    /// Time for a client to send the body of one HTTP request.
    #[arg(long, default_value = "30s", value_parser = duration)]
    pub body_timeout: Duration,
    /// Time after which an HTTP connection without a request in progress is closed.
    #[arg(long, default_value = "1m", value_parser = duration)]
    pub idle_timeout: Duration,
    /// Requests at the same time on one HTTP/2 connection, WebSockets included (at least 1).
    #[arg(long, default_value_t = 128, value_parser = at_least::<u32>(1))]
    pub streams_max: u32,
    /// Bytes that one operation may send before the next operation on its connection has its turn.
    #[arg(long, default_value_t = 64 * 1024)]
    pub flush_bytes_max: usize,
    /// Bytes of replies that wait for a WebSocket client to read them; beyond this bound the
    /// server stops reading from that client.
    #[arg(long, default_value_t = 64 * 1024)]
    pub unsent_bytes_max: usize,
    /// Bytes of the read buffer of each WebSocket (at least 512).
    #[arg(long, default_value_t = 4 * 1024, value_parser = at_least::<usize>(512))]
    pub read_buffer_bytes: usize,
    /// Bytes of the write buffer of each WebSocket (at least 512).
    #[arg(long, default_value_t = 4 * 1024, value_parser = at_least::<usize>(512))]
    pub write_buffer_bytes: usize,
    /// Bytes that are read and discarded after a client sent a broken or too large frame, so that
    /// the client receives the close code.
    #[arg(long, default_value_t = 4 * 1024 * 1024)]
    pub linger_bytes_max: usize,
    /// Time over which a shutdown spreads the closing of connections.
    #[arg(long, default_value = "5s", value_parser = duration)]
    pub drain_window: Duration,
    /// Time between checks of the certificate's files for changes; 0 never checks.
    #[arg(long, default_value = "1m", value_parser = duration)]
    pub tls_check_interval: Duration,
}

impl Default for TransportLimits {
    fn default() -> Self {
        defaults()
    }
}

impl TransportLimits {
    /// New connections from one address.
    pub(super) fn connects_per_address(&self) -> Rate {
        Rate {
            per_second_max: self.connects_per_second_per_address_max,
            burst_max: self.connects_burst_max,
        }
    }

    /// Messages from a client on one WebSocket.
    pub(super) fn messages(&self) -> Rate {
        Rate {
            per_second_max: self.messages_per_second_max,
            burst_max: self.messages_burst_max,
        }
    }

    /// Requests from a client on one HTTP connection.
    pub(super) fn requests(&self) -> Rate {
        Rate {
            per_second_max: self.requests_per_second_max,
            burst_max: self.requests_burst_max,
        }
    }

    /// Requests and messages from one address, on all its connections together.
    pub(super) fn requests_per_address(&self) -> Rate {
        Rate {
            per_second_max: self.requests_per_second_per_address_max,
            burst_max: self.requests_per_address_burst_max,
        }
    }

    /// Guests that sign in from one address.
    pub(super) fn sign_ins_per_address(&self) -> Rate {
        Rate {
            per_second_max: self.sign_ins_per_second_per_address_max,
            burst_max: self.sign_ins_burst_max,
        }
    }
}
