//! The limits of connections, requests and streams.

use std::time::Duration;

use clap::Args;

use crate::{
    limit::{at_least, defaults, duration},
    protocol::MachineLimits,
    quota::Rate,
};

/// Limits of connections, requests and streams.
#[derive(Args, Clone, Copy, Debug)]
pub struct TransportLimits {
    /// Maximum open WebSockets and HTTP streams (event streams and multipart streams). Here and
    /// below, an event stream that a client has reserved (graphql-sse) counts as open.
    #[arg(long, default_value_t = 100_000)]
    pub connections_max: usize,
    /// Maximum open WebSockets and HTTP streams per address; an IPv6 network of 64 bits counts as
    /// one address.
    #[arg(long, default_value_t = 10_000)]
    pub connections_per_address_max: usize,
    /// Maximum open WebSockets and HTTP streams per user.
    #[arg(long, default_value_t = 1_000)]
    pub connections_per_user_max: usize,
    /// Maximum new TCP connections per second from one address. Over HTTP/2, each WebSocket, HTTP
    /// stream and reservation counts too. With --trust-proxy of 1 or more, each WebSocket, HTTP
    /// stream and reservation counts, over any version of HTTP, and TCP connections do not.
    #[arg(long, default_value_t = 500)]
    pub connects_per_second_per_address_max: u32,
    /// Maximum burst of new connections from one address (at least 1).
    // After a restart, all clients behind one address come back at once.
    #[arg(long, default_value_t = 10_000, value_parser = at_least::<u32>(1))]
    pub connects_burst_max: u32,
    /// Maximum open HTTP connections, active or idle. A connection that became a WebSocket does not
    /// count.
    #[arg(long, default_value_t = 100_000)]
    pub http_connections_max: usize,
    /// Maximum open HTTP connections per address, active or idle.
    #[arg(long, default_value_t = 10_000)]
    pub http_connections_per_address_max: usize,
    /// Maximum open connections that have not sent a request yet.
    #[arg(long, default_value_t = 10_000)]
    pub handshakes_max: usize,
    /// Maximum open connections per address that have not sent a request yet.
    #[arg(long, default_value_t = 1_000)]
    pub handshakes_per_address_max: usize,
    /// Maximum requests in one batch: one HTTP body that holds an array of requests.
    #[arg(long, default_value_t = 10)]
    pub batch_max: usize,
    /// Memory for the documents that clients have registered by hash (automatic persisted queries),
    /// in bytes.
    #[arg(long, default_value_t = 8 * 1024 * 1024)]
    pub persisted_bytes_max: u64,
    /// Time after which a reserved event stream is dropped if its client has not opened it.
    #[arg(long, default_value = "30s", value_parser = duration)]
    pub reservation_timeout: Duration,
    /// Maximum bytes of answers that wait to be read from one reserved event stream.
    #[arg(long, default_value_t = 1024 * 1024)]
    pub reservation_bytes_max: usize,
    /// Maximum bytes of request bodies and of answers that wait for their clients, on all
    /// connections together.
    #[arg(long, default_value_t = 512 * 1024 * 1024)]
    pub waiting_bytes_max: usize,
    /// Maximum bytes of request bodies and of answers that wait for their clients, on all
    /// connections of one address.
    #[arg(long, default_value_t = 64 * 1024 * 1024)]
    pub waiting_bytes_per_address_max: usize,
    /// Maximum queries that run at the same time. More wait.
    #[arg(long, default_value_t = 64)]
    pub queries_running_max: usize,
    /// Maximum queries of one address that run at the same time. More wait.
    #[arg(long, default_value_t = 16)]
    pub queries_running_per_address_max: usize,
    /// Interval between heartbeats on a multipart stream; 0 sends none.
    #[arg(long, default_value = "5s", value_parser = duration)]
    pub multipart_heartbeat_interval: Duration,
    /// The limits of one connection's protocol.
    #[command(flatten)]
    pub machine: MachineLimits,
    /// Maximum bytes of one WebSocket message from a client (at least 1).
    #[arg(long, default_value_t = 256 * 1024, value_parser = at_least::<usize>(1))]
    pub message_bytes_max: usize,
    /// Maximum WebSocket messages per second on one connection, control frames included.
    #[arg(long, default_value_t = 1_000)]
    pub messages_per_second_max: u32,
    /// Maximum burst of WebSocket messages on one connection (at least 1).
    // More than a client needs that comes back with all its operations.
    #[arg(long, default_value_t = 10_000, value_parser = at_least::<u32>(1))]
    pub messages_burst_max: u32,
    /// Maximum requests per second on one HTTP connection.
    #[arg(long, default_value_t = 1_000)]
    pub requests_per_second_max: u32,
    /// Maximum burst of requests on one HTTP connection (at least 1).
    #[arg(long, default_value_t = 10_000, value_parser = at_least::<u32>(1))]
    pub requests_burst_max: u32,
    /// Maximum HTTP requests and WebSocket messages per second from one address, on all its
    /// connections together.
    // Less than the rate that keeps a core busy, and more than a few clients behind one address
    // send.
    #[arg(long, default_value_t = 5_000)]
    pub requests_per_second_per_address_max: u32,
    /// Maximum burst of HTTP requests and WebSocket messages from one address (at least 1).
    #[arg(long, default_value_t = 50_000, value_parser = at_least::<u32>(1))]
    pub requests_per_address_burst_max: u32,
    /// Maximum guest sign-ins per second from one address.
    // Each guest is a user, and users are never deleted.
    #[arg(long, default_value_t = 20)]
    pub sign_ins_per_second_per_address_max: u32,
    /// Maximum burst of guest sign-ins from one address (at least 1).
    // A test suite, or everybody in an office building at nine o'clock.
    #[arg(long, default_value_t = 2_000, value_parser = at_least::<u32>(1))]
    pub sign_ins_burst_max: u32,
    /// Maximum guest sign-ins per day from one address.
    #[arg(long, default_value_t = 20_000)]
    pub sign_ins_per_day_per_address_max: u64,
    /// Maximum bytes of the body of one HTTP request (at least 1).
    #[arg(long, default_value_t = 256 * 1024, value_parser = at_least::<usize>(1))]
    pub body_bytes_max: usize,
    /// Time for which requests are still answered after their client has ended its own side of the
    /// connection.
    #[arg(long, default_value = "5s", value_parser = duration)]
    pub half_close_timeout: Duration,
    /// Time allowed for a WebSocket client to send `connection_init`.
    #[arg(long, default_value = "10s", value_parser = duration)]
    pub init_timeout: Duration,
    /// Idle time after which the server pings a client; 0 sends no pings.
    #[arg(long, default_value = "25s", value_parser = duration)]
    pub ping_interval: Duration,
    /// Time allowed for a client to answer a ping.
    #[arg(long, default_value = "15s", value_parser = duration)]
    pub pong_timeout: Duration,
    /// Time after which a client that has stopped reading is disconnected.
    #[arg(long, default_value = "30s", value_parser = duration)]
    pub write_timeout: Duration,
    /// Interval between heartbeats on an event stream, and between `ka` messages of the legacy
    /// graphql-ws protocol; 0 sends none.
    #[arg(long, default_value = "12s", value_parser = duration)]
    pub heartbeat_interval: Duration,
    /// Time allowed for the TLS handshake, and again for the headers of the first request. On
    /// HTTP/1.1 also for the headers of each later request, counted from the end of the previous
    /// answer.
    #[arg(long, default_value = "10s", value_parser = duration)]
    pub header_timeout: Duration,
    /// Maximum bytes of the headers of one HTTP request (at least 8192).
    #[arg(long, default_value_t = 16 * 1024, value_parser = at_least::<usize>(8192))]
    pub header_bytes_max: usize,
    /// Maximum number of headers of one HTTP request.
    #[arg(long, default_value_t = 100)]
    pub headers_max: usize,
    /// Maximum bytes of the path and query of one HTTP request.
    #[arg(long, default_value_t = 8 * 1024)]
    pub uri_bytes_max: usize,
    /// Time allowed for a client to send the body of one HTTP request, or one WebSocket message.
    #[arg(long, default_value = "30s", value_parser = duration)]
    pub body_timeout: Duration,
    /// Time after which an HTTP connection without a request in progress is closed. On HTTP/1.1,
    /// --header-timeout closes it if that is shorter.
    #[arg(long, default_value = "1m", value_parser = duration)]
    pub idle_timeout: Duration,
    /// Maximum requests at the same time on one HTTP/2 connection, WebSockets included (at least
    /// 1).
    #[arg(long, default_value_t = 128, value_parser = at_least::<u32>(1))]
    pub streams_max: u32,
    /// Bytes that one operation may send before the next operation of its connection gets a turn; 0
    /// sends one result per turn.
    #[arg(long, default_value_t = 64 * 1024)]
    pub flush_bytes_max: usize,
    /// Maximum bytes of unsent replies per WebSocket; above it, the server stops reading from that
    /// client. With 0, it reads only while no reply waits.
    #[arg(long, default_value_t = 64 * 1024)]
    pub unsent_bytes_max: usize,
    /// Bytes of the read buffer of each WebSocket (at least 512).
    #[arg(long, default_value_t = 4 * 1024, value_parser = at_least::<usize>(512))]
    pub read_buffer_bytes: usize,
    /// Bytes of the write buffer of each WebSocket (at least 512).
    #[arg(long, default_value_t = 4 * 1024, value_parser = at_least::<usize>(512))]
    pub write_buffer_bytes: usize,
    /// Maximum bytes that are read and discarded after an invalid or oversized WebSocket frame, so
    /// that the client can receive the close code.
    #[arg(long, default_value_t = 4 * 1024 * 1024)]
    pub linger_bytes_max: usize,
    /// Maximum time over which a shutdown spreads the closing of connections; with 0, all close at
    /// once.
    #[arg(long, default_value = "5s", value_parser = duration)]
    pub drain_window: Duration,
    /// Interval at which the certificate's files are checked for changes; 0 turns this off.
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
        Rate::per_second(
            self.connects_per_second_per_address_max,
            self.connects_burst_max,
        )
    }

    /// Messages from a client on one WebSocket.
    pub(super) fn messages(&self) -> Rate {
        Rate::per_second(self.messages_per_second_max, self.messages_burst_max)
    }

    /// Requests from a client on one HTTP connection.
    pub(super) fn requests(&self) -> Rate {
        Rate::per_second(self.requests_per_second_max, self.requests_burst_max)
    }

    /// Requests and messages from one address, on all its connections together.
    pub(super) fn requests_per_address(&self) -> Rate {
        Rate::per_second(
            self.requests_per_second_per_address_max,
            self.requests_per_address_burst_max,
        )
    }

    /// Guests that sign in from one address in one day.
    pub(super) fn sign_ins_per_address_and_day(&self) -> Rate {
        Rate::per_day(self.sign_ins_per_day_per_address_max)
    }

    /// Guests that sign in from one address.
    pub(super) fn sign_ins_per_address(&self) -> Rate {
        Rate::per_second(
            self.sign_ins_per_second_per_address_max,
            self.sign_ins_burst_max,
        )
    }
}
