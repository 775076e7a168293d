//! Every limit as a flag and an environment variable. A default stands with the limit it belongs to, in its module.

use clap::Args;

use super::Span;
use crate::{
    auth::AuthLimits,
    hub::HubLimits,
    presence::PresenceLimits,
    protocol::MachineLimits,
    quota::Rate,
    schema::{CostLimits, PrepareLimits, SchemaLimits},
    store::sqlite::SqliteLimits,
    transport::TransportLimits,
    view::ViewLimits,
};

/// The limits as they are typed. Times are written like `30s` or `500ms`.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Limits (0 is no limit where the least is not said)")]
pub struct LimitFlags {
    /// WebSockets, event streams and reservations of one at the same time
    #[arg(long, env = "SWITCHBOARD_CONNECTIONS_MAX", hide_env = true, default_value_t = TransportLimits::default().connections_max, value_name = "N")]
    pub connections_max: usize,
    /// The same, of one address; of IPv6 a network of 64 bits is one
    #[arg(long, env = "SWITCHBOARD_CONNECTIONS_PER_ADDRESS_MAX", hide_env = true, default_value_t = TransportLimits::default().connections_per_address_max, value_name = "N")]
    pub connections_per_address_max: usize,
    /// The same, of one user
    #[arg(long, env = "SWITCHBOARD_CONNECTIONS_PER_USER_MAX", hide_env = true, default_value_t = TransportLimits::default().connections_per_user_max, value_name = "N")]
    pub connections_per_user_max: usize,
    /// Connections that one address may make in a second
    #[arg(long, env = "SWITCHBOARD_CONNECTS_PER_SECOND_PER_ADDRESS_MAX", hide_env = true, default_value_t = TransportLimits::default().connects_per_address.per_second_max, value_name = "N")]
    pub connects_per_second_per_address_max: u32,
    /// Connections that one address may make at once, after a pause (at least 1)
    #[arg(long, env = "SWITCHBOARD_CONNECTS_BURST_MAX", hide_env = true, default_value_t = TransportLimits::default().connects_per_address.burst_max, value_name = "N", value_parser = at_least::<u32>(1))]
    pub connects_burst_max: u32,
    /// Connections of HTTP at the same time, asking or idle; one that became a WebSocket is none any more
    #[arg(long, env = "SWITCHBOARD_HTTP_CONNECTIONS_MAX", hide_env = true, default_value_t = TransportLimits::default().http_connections_max, value_name = "N")]
    pub http_connections_max: usize,
    /// The same, of one address
    #[arg(long, env = "SWITCHBOARD_HTTP_CONNECTIONS_PER_ADDRESS_MAX", hide_env = true, default_value_t = TransportLimits::default().http_connections_per_address_max, value_name = "N")]
    pub http_connections_per_address_max: usize,
    /// Connections that have not asked for anything yet
    #[arg(long, env = "SWITCHBOARD_HANDSHAKES_MAX", hide_env = true, default_value_t = TransportLimits::default().handshakes_max, value_name = "N")]
    pub handshakes_max: usize,
    /// The same, of one address
    #[arg(long, env = "SWITCHBOARD_HANDSHAKES_PER_ADDRESS_MAX", hide_env = true, default_value_t = TransportLimits::default().handshakes_per_address_max, value_name = "N")]
    pub handshakes_per_address_max: usize,
    /// Requests in one HTTP body
    #[arg(long, env = "SWITCHBOARD_BATCH_MAX", hide_env = true, default_value_t = TransportLimits::default().batch_max, value_name = "N")]
    pub batch_max: usize,
    /// Bytes of documents kept to be named by their hash
    #[arg(long, env = "SWITCHBOARD_PERSISTED_BYTES_MAX", hide_env = true, default_value_t = TransportLimits::default().persisted_bytes_max, value_name = "N")]
    pub persisted_bytes_max: u64,
    /// Time that a reserved event stream may stay unopened
    #[arg(long, env = "SWITCHBOARD_RESERVATION_TIMEOUT", hide_env = true, default_value_t = Span(TransportLimits::default().reservation_timeout), value_name = "TIME")]
    pub reservation_timeout: Span,
    /// Bytes of answers that are kept for a reserved event stream until it takes them
    #[arg(long, env = "SWITCHBOARD_RESERVATION_BYTES_MAX", hide_env = true, default_value_t = TransportLimits::default().reservation_bytes_max, value_name = "N")]
    pub reservation_bytes_max: usize,
    /// Time between the signs of life of a stream in parts
    #[arg(long, env = "SWITCHBOARD_MULTIPART_HEARTBEAT_INTERVAL", hide_env = true, default_value_t = Span(TransportLimits::default().multipart_heartbeat_interval), value_name = "TIME")]
    pub multipart_heartbeat_interval: Span,
    /// Operations at the same time on one connection
    #[arg(long, env = "SWITCHBOARD_OPERATIONS_MAX", hide_env = true, default_value_t = MachineLimits::default().operations_max, value_name = "N")]
    pub operations_max: usize,
    /// Bytes of an operation's id
    #[arg(long, env = "SWITCHBOARD_OPERATION_ID_BYTES_MAX", hide_env = true, default_value_t = MachineLimits::default().id_bytes_max, value_name = "N")]
    pub operation_id_bytes_max: usize,
    /// Bytes of operations that wait for the acknowledgement, on one connection of the legacy protocol
    #[arg(long, env = "SWITCHBOARD_HELD_BYTES_MAX", hide_env = true, default_value_t = MachineLimits::default().held_bytes_max, value_name = "N")]
    pub held_bytes_max: usize,
    /// Bytes of one WebSocket message from a client (at least 1)
    #[arg(long, env = "SWITCHBOARD_MESSAGE_BYTES_MAX", hide_env = true, default_value_t = TransportLimits::default().message_bytes_max, value_name = "N", value_parser = at_least::<usize>(1))]
    pub message_bytes_max: usize,
    /// Messages that a client may send on one WebSocket in a second, control frames included
    #[arg(long, env = "SWITCHBOARD_MESSAGES_PER_SECOND_MAX", hide_env = true, default_value_t = TransportLimits::default().messages.per_second_max, value_name = "N")]
    pub messages_per_second_max: u32,
    /// Messages that a client may send on one WebSocket at once, after a pause (at least 1)
    #[arg(long, env = "SWITCHBOARD_MESSAGES_BURST_MAX", hide_env = true, default_value_t = TransportLimits::default().messages.burst_max, value_name = "N", value_parser = at_least::<u32>(1))]
    pub messages_burst_max: u32,
    /// Requests that a client may send on one HTTP connection in a second
    #[arg(long, env = "SWITCHBOARD_REQUESTS_PER_SECOND_MAX", hide_env = true, default_value_t = TransportLimits::default().requests.per_second_max, value_name = "N")]
    pub requests_per_second_max: u32,
    /// Requests that a client may send on one HTTP connection at once, after a pause (at least 1)
    #[arg(long, env = "SWITCHBOARD_REQUESTS_BURST_MAX", hide_env = true, default_value_t = TransportLimits::default().requests.burst_max, value_name = "N", value_parser = at_least::<u32>(1))]
    pub requests_burst_max: u32,
    /// HTTP requests and WebSocket messages that one address may send in a second, on all its connections together
    #[arg(long, env = "SWITCHBOARD_REQUESTS_PER_SECOND_PER_ADDRESS_MAX", hide_env = true, default_value_t = TransportLimits::default().requests_per_address.per_second_max, value_name = "N")]
    pub requests_per_second_per_address_max: u32,
    /// HTTP requests and WebSocket messages that one address may send at once, after a pause (at least 1)
    #[arg(long, env = "SWITCHBOARD_REQUESTS_PER_ADDRESS_BURST_MAX", hide_env = true, default_value_t = TransportLimits::default().requests_per_address.burst_max, value_name = "N", value_parser = at_least::<u32>(1))]
    pub requests_per_address_burst_max: u32,
    /// Guests that may sign in from one address in a second
    #[arg(long, env = "SWITCHBOARD_SIGN_INS_PER_SECOND_PER_ADDRESS_MAX", hide_env = true, default_value_t = TransportLimits::default().sign_ins_per_address.per_second_max, value_name = "N")]
    pub sign_ins_per_second_per_address_max: u32,
    /// Guests that may sign in from one address at once, after a pause (at least 1)
    #[arg(long, env = "SWITCHBOARD_SIGN_INS_BURST_MAX", hide_env = true, default_value_t = TransportLimits::default().sign_ins_per_address.burst_max, value_name = "N", value_parser = at_least::<u32>(1))]
    pub sign_ins_burst_max: u32,
    /// Bytes of the body of one HTTP request (at least 1)
    #[arg(long, env = "SWITCHBOARD_BODY_BYTES_MAX", hide_env = true, default_value_t = TransportLimits::default().body_bytes_max, value_name = "N", value_parser = at_least::<usize>(1))]
    pub body_bytes_max: usize,
    /// Time for a client to send connection_init
    #[arg(long, env = "SWITCHBOARD_INIT_TIMEOUT", hide_env = true, default_value_t = Span(TransportLimits::default().init_timeout), value_name = "TIME")]
    pub init_timeout: Span,
    /// Silence after which a client is pinged
    #[arg(long, env = "SWITCHBOARD_PING_INTERVAL", hide_env = true, default_value_t = Span(TransportLimits::default().ping_interval), value_name = "TIME")]
    pub ping_interval: Span,
    /// Time for a client to answer a ping
    #[arg(long, env = "SWITCHBOARD_PONG_TIMEOUT", hide_env = true, default_value_t = Span(TransportLimits::default().pong_timeout), value_name = "TIME")]
    pub pong_timeout: Span,
    /// Time that a client may refuse to read what is sent
    #[arg(long, env = "SWITCHBOARD_WRITE_TIMEOUT", hide_env = true, default_value_t = Span(TransportLimits::default().write_timeout), value_name = "TIME")]
    pub write_timeout: Span,
    /// Time between signs of life: of an event stream, and the legacy graphql-ws protocol's `ka`
    #[arg(long, env = "SWITCHBOARD_HEARTBEAT_INTERVAL", hide_env = true, default_value_t = Span(TransportLimits::default().heartbeat_interval), value_name = "TIME")]
    pub heartbeat_interval: Span,
    /// Time for a client to send the head of a request, and before it for the handshake of TLS
    #[arg(long, env = "SWITCHBOARD_HEADER_TIMEOUT", hide_env = true, default_value_t = Span(TransportLimits::default().header_timeout), value_name = "TIME")]
    pub header_timeout: Span,
    /// Bytes of the head of a request (at least 8192)
    #[arg(long, env = "SWITCHBOARD_HEADER_BYTES_MAX", hide_env = true, default_value_t = TransportLimits::default().header_bytes_max, value_name = "N", value_parser = at_least::<usize>(8192))]
    pub header_bytes_max: usize,
    /// Headers of a request
    #[arg(long, env = "SWITCHBOARD_HEADERS_MAX", hide_env = true, default_value_t = TransportLimits::default().headers_max, value_name = "N")]
    pub headers_max: usize,
    /// Bytes of the path and the query of a request
    #[arg(long, env = "SWITCHBOARD_URI_BYTES_MAX", hide_env = true, default_value_t = TransportLimits::default().uri_bytes_max, value_name = "N")]
    pub uri_bytes_max: usize,
    /// Time for a client to send the body of a request
    #[arg(long, env = "SWITCHBOARD_BODY_TIMEOUT", hide_env = true, default_value_t = Span(TransportLimits::default().body_timeout), value_name = "TIME")]
    pub body_timeout: Span,
    /// Time that a connection is kept over which nothing is asked and nothing answered
    #[arg(long, env = "SWITCHBOARD_IDLE_TIMEOUT", hide_env = true, default_value_t = Span(TransportLimits::default().idle_timeout), value_name = "TIME")]
    pub idle_timeout: Span,
    /// Requests at the same time on one HTTP/2 connection, WebSockets included (at least 1)
    #[arg(long, env = "SWITCHBOARD_STREAMS_MAX", hide_env = true, default_value_t = TransportLimits::default().streams_max, value_name = "N", value_parser = at_least::<u32>(1))]
    pub streams_max: u32,
    /// Bytes that one operation may put out before the next one has its turn
    #[arg(long, env = "SWITCHBOARD_FLUSH_BYTES_MAX", hide_env = true, default_value_t = TransportLimits::default().flush_bytes_max, value_name = "N")]
    pub flush_bytes_max: usize,
    /// Bytes of replies that wait for a client to read them; at this bound nothing more is read from it
    #[arg(long, env = "SWITCHBOARD_UNSENT_BYTES_MAX", hide_env = true, default_value_t = TransportLimits::default().unsent_bytes_max, value_name = "N")]
    pub unsent_bytes_max: usize,
    /// Buffer for reading, in bytes per socket (at least 512)
    #[arg(long, env = "SWITCHBOARD_READ_BUFFER_BYTES", hide_env = true, default_value_t = TransportLimits::default().read_buffer_bytes, value_name = "N", value_parser = at_least::<usize>(512))]
    pub read_buffer_bytes: usize,
    /// Buffer for writing, in bytes per socket (at least 512)
    #[arg(long, env = "SWITCHBOARD_WRITE_BUFFER_BYTES", hide_env = true, default_value_t = TransportLimits::default().write_buffer_bytes, value_name = "N", value_parser = at_least::<usize>(512))]
    pub write_buffer_bytes: usize,
    /// Bytes that are read and thrown away so that a client which broke the framing hears the close
    #[arg(long, env = "SWITCHBOARD_LINGER_BYTES_MAX", hide_env = true, default_value_t = TransportLimits::default().linger_bytes_max, value_name = "N")]
    pub linger_bytes_max: usize,
    /// Time over which the closes of a shutdown are spread
    #[arg(long, env = "SWITCHBOARD_DRAIN_WINDOW", hide_env = true, default_value_t = Span(TransportLimits::default().drain_window), value_name = "TIME")]
    pub drain_window: Span,
    /// Time between two looks at the certificate's files
    #[arg(long, env = "SWITCHBOARD_TLS_CHECK_INTERVAL", hide_env = true, default_value_t = Span(TransportLimits::default().tls_check_interval), value_name = "TIME")]
    pub tls_check_interval: Span,
    /// Bytes of a message's text (at least 1)
    #[arg(long, env = "SWITCHBOARD_TEXT_BYTES_MAX", hide_env = true, default_value_t = SchemaLimits::default().text_bytes_max, value_name = "N", value_parser = at_least::<usize>(1))]
    pub text_bytes_max: usize,
    /// Entries of one page of a connection (at least 1)
    #[arg(long, env = "SWITCHBOARD_PAGE_MAX", hide_env = true, default_value_t = SchemaLimits::default().page_max, value_name = "N", value_parser = at_least::<u32>(1))]
    pub page_max: u32,
    /// Bytes of what is searched for (at least 1)
    #[arg(long, env = "SWITCHBOARD_SEARCH_BYTES_MAX", hide_env = true, default_value_t = SchemaLimits::default().search_bytes_max, value_name = "N", value_parser = at_least::<usize>(1))]
    pub search_bytes_max: usize,
    /// Words of what is searched for (at least 1)
    #[arg(long, env = "SWITCHBOARD_SEARCH_WORDS_MAX", hide_env = true, default_value_t = SchemaLimits::default().search_words_max, value_name = "N", value_parser = at_least::<usize>(1))]
    pub search_words_max: usize,
    /// Reads of the database for the answer to one request, or to all of a batch together
    #[arg(long, env = "SWITCHBOARD_ANSWER_READS_MAX", hide_env = true, default_value_t = SchemaLimits::default().answer.reads_max, value_name = "N")]
    pub answer_reads_max: usize,
    /// Bytes of the answer to one request, or to all of a batch together
    #[arg(long, env = "SWITCHBOARD_ANSWER_BYTES_MAX", hide_env = true, default_value_t = SchemaLimits::default().answer.bytes_max, value_name = "N")]
    pub answer_bytes_max: usize,
    /// Reads of the database for one event of a subscription
    #[arg(long, env = "SWITCHBOARD_FRAME_READS_MAX", hide_env = true, default_value_t = SchemaLimits::default().frame.reads_max, value_name = "N")]
    pub frame_reads_max: usize,
    /// Bytes of the result of one event of a subscription
    #[arg(long, env = "SWITCHBOARD_FRAME_BYTES_MAX", hide_env = true, default_value_t = SchemaLimits::default().frame.bytes_max, value_name = "N")]
    pub frame_bytes_max: usize,
    /// Bytes of a document
    #[arg(long, env = "SWITCHBOARD_DOCUMENT_BYTES_MAX", hide_env = true, default_value_t = PrepareLimits::default().document_bytes_max, value_name = "N")]
    pub document_bytes_max: usize,
    /// Tokens of a document
    #[arg(long, env = "SWITCHBOARD_DOCUMENT_TOKENS_MAX", hide_env = true, default_value_t = PrepareLimits::default().document_tokens_max, value_name = "N")]
    pub document_tokens_max: usize,
    /// Brackets inside brackets in a document, at most 200 (at least 1)
    #[arg(long, env = "SWITCHBOARD_DOCUMENT_NESTING_MAX", hide_env = true, default_value_t = PrepareLimits::default().document_nesting_max, value_name = "N", value_parser = at_least::<usize>(1))]
    pub document_nesting_max: usize,
    /// Fields of a document, its fragments expanded
    #[arg(long, env = "SWITCHBOARD_DOCUMENT_FIELDS_MAX", hide_env = true, default_value_t = PrepareLimits::default().document_fields_max, value_name = "N")]
    pub document_fields_max: usize,
    /// Values that a document may ask for, its lists counted out
    #[arg(long, env = "SWITCHBOARD_DOCUMENT_VALUES_MAX", hide_env = true, default_value_t = PrepareLimits::default().document_values_max, value_name = "N")]
    pub document_values_max: usize,
    /// Levels of selections in a document
    #[arg(long, env = "SWITCHBOARD_DOCUMENT_DEPTH_MAX", hide_env = true, default_value_t = PrepareLimits::default().document_depth_max, value_name = "N")]
    pub document_depth_max: usize,
    /// Aliases in a document, its fragments expanded
    #[arg(long, env = "SWITCHBOARD_DOCUMENT_ALIASES_MAX", hide_env = true, default_value_t = PrepareLimits::default().document_aliases_max, value_name = "N")]
    pub document_aliases_max: usize,
    /// Directives in a document, its fragments expanded
    #[arg(long, env = "SWITCHBOARD_DOCUMENT_DIRECTIVES_MAX", hide_env = true, default_value_t = PrepareLimits::default().document_directives_max, value_name = "N")]
    pub document_directives_max: usize,
    /// Memory for parsed documents, in bytes
    #[arg(long, env = "SWITCHBOARD_DOCUMENTS_CACHED_BYTES_MAX", hide_env = true, default_value_t = PrepareLimits::default().documents_cached_bytes_max, value_name = "N")]
    pub documents_cached_bytes_max: u64,
    /// Writes that wait; one more is refused (at least 1)
    #[arg(long, env = "SWITCHBOARD_APPEND_QUEUE_MAX", hide_env = true, default_value_t = HubLimits::default().append_queue_max, value_name = "N", value_parser = at_least::<usize>(1))]
    pub append_queue_max: usize,
    /// Writes of one user that wait (at least 1)
    #[arg(long, env = "SWITCHBOARD_APPEND_QUEUE_PER_USER_MAX", hide_env = true, default_value_t = HubLimits::default().append_queue_per_user_max, value_name = "N", value_parser = at_least::<usize>(1))]
    pub append_queue_per_user_max: usize,
    /// Writes for one room that wait (at least 1)
    #[arg(long, env = "SWITCHBOARD_APPEND_QUEUE_PER_ROOM_MAX", hide_env = true, default_value_t = HubLimits::default().append_queue_per_room_max, value_name = "N", value_parser = at_least::<usize>(1))]
    pub append_queue_per_room_max: usize,
    /// Changes that one user may make in a second
    #[arg(long, env = "SWITCHBOARD_MUTATIONS_PER_SECOND_PER_USER_MAX", hide_env = true, default_value_t = HubLimits::default().commands_per_user.per_second_max, value_name = "N")]
    pub mutations_per_second_per_user_max: u32,
    /// Changes that one user may make at once, after a pause (at least 1)
    #[arg(long, env = "SWITCHBOARD_MUTATIONS_BURST_MAX", hide_env = true, default_value_t = HubLimits::default().commands_per_user.burst_max, value_name = "N", value_parser = at_least::<u32>(1))]
    pub mutations_burst_max: u32,
    /// Writes in one transaction (at least 1)
    #[arg(long, env = "SWITCHBOARD_APPEND_BATCH_MAX", hide_env = true, default_value_t = HubLimits::default().append_batch_max, value_name = "N", value_parser = at_least::<usize>(1))]
    pub append_batch_max: usize,
    /// Events kept in memory for a room with readers
    #[arg(long, env = "SWITCHBOARD_TAIL_EVENTS_MAX", hide_env = true, default_value_t = HubLimits::default().tail_events_max, value_name = "N")]
    pub tail_events_max: usize,
    /// Bytes of events kept in memory for a room with readers
    #[arg(long, env = "SWITCHBOARD_TAIL_BYTES_MAX", hide_env = true, default_value_t = HubLimits::default().tail_bytes_max, value_name = "N")]
    pub tail_bytes_max: usize,
    /// Requests that wait for a room's next message at the same time
    #[arg(long, env = "SWITCHBOARD_WAITS_MAX", hide_env = true, default_value_t = HubLimits::default().waits_max, value_name = "N")]
    pub waits_max: usize,
    /// Users who are shown typing in one room at the same time (at least 1)
    #[arg(long, env = "SWITCHBOARD_TYPING_USERS_MAX", hide_env = true, default_value_t = PresenceLimits::default().typing_users_max, value_name = "N", value_parser = at_least::<usize>(1))]
    pub typing_users_max: usize,
    /// Time after which somebody who does not say so again is typing no longer
    #[arg(long, env = "SWITCHBOARD_TYPING_LAPSE", hide_env = true, default_value_t = Span(PresenceLimits::default().typing_lapse), value_name = "TIME")]
    pub typing_lapse: Span,
    /// Time between two words about who is typing in a room
    #[arg(long, env = "SWITCHBOARD_TYPING_INTERVAL", hide_env = true, default_value_t = Span(PresenceLimits::default().typing_interval), value_name = "TIME")]
    pub typing_interval: Span,
    /// Bytes of a signal's data, as JSON
    #[arg(long, env = "SWITCHBOARD_SIGNAL_BYTES_MAX", hide_env = true, default_value_t = PresenceLimits::default().signal_bytes_max, value_name = "N")]
    pub signal_bytes_max: usize,
    /// Signals, and words about typing, that one user may give in a second
    #[arg(long, env = "SWITCHBOARD_SIGNALS_PER_SECOND_PER_USER_MAX", hide_env = true, default_value_t = PresenceLimits::default().signals_per_user.per_second_max, value_name = "N")]
    pub signals_per_second_per_user_max: u32,
    /// The same, at once, after a pause (at least 1)
    #[arg(long, env = "SWITCHBOARD_SIGNALS_BURST_MAX", hide_env = true, default_value_t = PresenceLimits::default().signals_per_user.burst_max, value_name = "N", value_parser = at_least::<u32>(1))]
    pub signals_burst_max: u32,
    /// Signals kept in memory for those that listen to a room (at least 1)
    #[arg(long, env = "SWITCHBOARD_SIGNALS_KEPT_MAX", hide_env = true, default_value_t = PresenceLimits::default().signals_kept_max, value_name = "N", value_parser = at_least::<usize>(1))]
    pub signals_kept_max: usize,
    /// Bytes of the same; the newest signal is always kept
    #[arg(long, env = "SWITCHBOARD_SIGNALS_KEPT_BYTES_MAX", hide_env = true, default_value_t = PresenceLimits::default().signals_kept_bytes_max, value_name = "N")]
    pub signals_kept_bytes_max: usize,
    /// Losses of the right to read that are kept in memory for those that listen to a room (at least 1)
    #[arg(long, env = "SWITCHBOARD_SHUT_OUTS_KEPT_MAX", hide_env = true, default_value_t = PresenceLimits::default().shut_outs_kept_max, value_name = "N", value_parser = at_least::<usize>(1))]
    pub shut_outs_kept_max: usize,
    /// People who are shown in one room at the same time; all are counted (at least 1)
    #[arg(long, env = "SWITCHBOARD_PRESENCE_SHOWN_MAX", hide_env = true, default_value_t = PresenceLimits::default().presence_shown_max, value_name = "N", value_parser = at_least::<usize>(1))]
    pub presence_shown_max: usize,
    /// Time that somebody without a subscription of a room is still shown there
    #[arg(long, env = "SWITCHBOARD_PRESENCE_GRACE", hide_env = true, default_value_t = Span(PresenceLimits::default().presence_grace), value_name = "TIME")]
    pub presence_grace: Span,
    /// Time between two words about who comes and goes in a room
    #[arg(long, env = "SWITCHBOARD_PRESENCE_INTERVAL", hide_env = true, default_value_t = Span(PresenceLimits::default().presence_interval), value_name = "TIME")]
    pub presence_interval: Span,
    /// Comings and goings kept in memory for those that follow them in a room (at least 1)
    #[arg(long, env = "SWITCHBOARD_PRESENCE_MOVES_KEPT_MAX", hide_env = true, default_value_t = PresenceLimits::default().presence_moves_kept_max, value_name = "N", value_parser = at_least::<usize>(1))]
    pub presence_moves_kept_max: usize,
    /// Rooms kept in memory because somebody is typing there although nobody listens
    #[arg(long, env = "SWITCHBOARD_ROOMS_LINGERING_MAX", hide_env = true, default_value_t = PresenceLimits::default().rooms_lingering_max, value_name = "N")]
    pub rooms_lingering_max: usize,
    /// The same, of one user; or of one address, where nobody signed in
    #[arg(long, env = "SWITCHBOARD_WAITS_PER_VIEWER_MAX", hide_env = true, default_value_t = HubLimits::default().waits_per_viewer_max, value_name = "N")]
    pub waits_per_viewer_max: usize,
    /// Frames kept in memory for a view
    #[arg(long, env = "SWITCHBOARD_RING_FRAMES_MAX", hide_env = true, default_value_t = ViewLimits::default().ring_frames_max, value_name = "N")]
    pub ring_frames_max: usize,
    /// Bytes of frames kept in memory for a view
    #[arg(long, env = "SWITCHBOARD_RING_BYTES_MAX", hide_env = true, default_value_t = ViewLimits::default().ring_bytes_max, value_name = "N")]
    pub ring_bytes_max: usize,
    /// Bytes of frames kept in memory for all views together
    #[arg(long, env = "SWITCHBOARD_FRAMES_BYTES_MAX", hide_env = true, default_value_t = ViewLimits::default().frames_bytes_max, value_name = "N")]
    pub frames_bytes_max: usize,
    /// Bytes of memory for all different documents that are subscribed to
    #[arg(long, env = "SWITCHBOARD_PLANS_BYTES_MAX", hide_env = true, default_value_t = ViewLimits::default().plans_bytes_max, value_name = "N")]
    pub plans_bytes_max: usize,
    /// The same, of those that one user made; or one address, where nobody signed in
    #[arg(long, env = "SWITCHBOARD_PLANS_BYTES_PER_VIEWER_MAX", hide_env = true, default_value_t = ViewLimits::default().plans_bytes_per_viewer_max, value_name = "N")]
    pub plans_bytes_per_viewer_max: usize,
    /// The same, of those that all at one address made together
    #[arg(long, env = "SWITCHBOARD_PLANS_BYTES_PER_ADDRESS_MAX", hide_env = true, default_value_t = ViewLimits::default().plans_bytes_per_address_max, value_name = "N")]
    pub plans_bytes_per_address_max: usize,
    /// Subscriptions of one viewer, on all connections together
    #[arg(long, env = "SWITCHBOARD_SUBSCRIPTIONS_PER_VIEWER_MAX", hide_env = true, default_value_t = ViewLimits::default().subscriptions_per_viewer_max, value_name = "N")]
    pub subscriptions_per_viewer_max: usize,
    /// Bytes of frames kept in memory for readers that catch up
    #[arg(long, env = "SWITCHBOARD_PAGES_BYTES_MAX", hide_env = true, default_value_t = ViewLimits::default().pages_bytes_max, value_name = "N")]
    pub pages_bytes_max: u64,
    /// Bytes of frames after which a page for readers that catch up is cut
    #[arg(long, env = "SWITCHBOARD_PAGE_BYTES_MAX", hide_env = true, default_value_t = ViewLimits::default().page_bytes_max, value_name = "N")]
    pub page_bytes_max: usize,
    /// Pages that are made at the same time for readers that catch up (at least 1)
    #[arg(long, env = "SWITCHBOARD_PAGES_MAKING_MAX", hide_env = true, default_value_t = ViewLimits::default().pages_making_max, value_name = "N", value_parser = at_least::<usize>(1))]
    pub pages_making_max: usize,
    /// Time that new frames wait for the readers of the last ones to have had their turn
    #[arg(long, env = "SWITCHBOARD_ROUND_WAIT", hide_env = true, default_value_t = Span(ViewLimits::default().round_wait), value_name = "TIME")]
    pub round_wait: Span,
    /// Time for one execution of a subscription's document
    #[arg(long, env = "SWITCHBOARD_EXECUTION_TIMEOUT", hide_env = true, default_value_t = Span(ViewLimits::default().execution_timeout), value_name = "TIME")]
    pub execution_timeout: Span,
    /// Time after which a failed execution is tried again, the first time
    #[arg(long, env = "SWITCHBOARD_RETRY_FIRST", hide_env = true, default_value_t = Span(ViewLimits::default().retry_first), value_name = "TIME")]
    pub retry_first: Span,
    /// Tries of an execution before its readers are sent away to come back later (at least 1)
    #[arg(long, env = "SWITCHBOARD_TRIES_MAX", hide_env = true, default_value_t = ViewLimits::default().tries_max, value_name = "N", value_parser = at_least::<u32>(1))]
    pub tries_max: u32,
    /// Database connections that read at the same time (at least 1)
    #[arg(long, env = "SWITCHBOARD_DATABASE_READERS_MAX", hide_env = true, default_value_t = SqliteLimits::default().readers_max, value_name = "N", value_parser = at_least::<u32>(1))]
    pub database_readers_max: u32,
    /// Bytes of a token (at least 1)
    #[arg(long, env = "SWITCHBOARD_TOKEN_BYTES_MAX", hide_env = true, default_value_t = AuthLimits::default().token_bytes_max, value_name = "N", value_parser = at_least::<usize>(1))]
    pub token_bytes_max: usize,
    /// Users of an identity provider who are kept in memory (at least 1)
    #[arg(long, env = "SWITCHBOARD_SUBJECTS_CACHED_MAX", hide_env = true, default_value_t = AuthLimits::default().subjects_cached_max, value_name = "N", value_parser = at_least::<u64>(1))]
    pub subjects_cached_max: u64,
    /// Tokens that were signed out and are kept in memory; more are looked up in the database (at least 1)
    #[arg(long, env = "SWITCHBOARD_REVOCATIONS_CACHED_MAX", hide_env = true, default_value_t = AuthLimits::default().revocations_cached_max, value_name = "N", value_parser = at_least::<usize>(1))]
    pub revocations_cached_max: usize,
    /// Time between two looks at what was signed out at other processes on the same database; 0 is never
    #[arg(long, env = "SWITCHBOARD_REVOCATIONS_CHECK_INTERVAL", hide_env = true, default_value_t = Span(AuthLimits::default().revocations_check_interval), value_name = "TIME")]
    pub revocations_check_interval: Span,
    /// Bytes of an identity provider's set of keys (at least 1)
    #[arg(long, env = "SWITCHBOARD_JWKS_BYTES_MAX", hide_env = true, default_value_t = AuthLimits::default().jwks_bytes_max, value_name = "N", value_parser = at_least::<usize>(1))]
    pub jwks_bytes_max: usize,
    /// Time for one fetch of that set
    #[arg(long, env = "SWITCHBOARD_JWKS_TIMEOUT", hide_env = true, default_value_t = Span(AuthLimits::default().jwks_timeout), value_name = "TIME")]
    pub jwks_timeout: Span,
    /// Age at which it is fetched again although nothing is missing
    #[arg(long, env = "SWITCHBOARD_JWKS_REFRESH_AGE", hide_env = true, default_value_t = Span(AuthLimits::default().jwks_refresh_age), value_name = "TIME")]
    pub jwks_refresh_age: Span,
    /// Time between two fetches, at least
    #[arg(long, env = "SWITCHBOARD_JWKS_REFETCH_INTERVAL", hide_env = true, default_value_t = Span(AuthLimits::default().jwks_refetch_interval), value_name = "TIME")]
    pub jwks_refetch_interval: Span,
    /// Time to wait for the database
    #[arg(long, env = "SWITCHBOARD_DATABASE_BUSY_TIMEOUT", hide_env = true, default_value_t = Span(SqliteLimits::default().busy_timeout), value_name = "TIME")]
    pub database_busy_timeout: Span,
    /// Members of one room
    #[arg(long, env = "SWITCHBOARD_MEMBERS_PER_ROOM_MAX", hide_env = true, default_value_t = SqliteLimits::default().members_per_room_max, value_name = "N")]
    pub members_per_room_max: u32,
    /// Searches at the same time (at least 1)
    #[arg(long, env = "SWITCHBOARD_SEARCHES_MAX", hide_env = true, default_value_t = SqliteLimits::default().searches_max, value_name = "N", value_parser = at_least::<u32>(1))]
    pub searches_max: u32,
    /// Messages that one search ranks: the newest of those that match (at least 1)
    #[arg(long, env = "SWITCHBOARD_SEARCH_CANDIDATES_MAX", hide_env = true, default_value_t = SqliteLimits::default().search_candidates_max, value_name = "N", value_parser = at_least::<u32>(1))]
    pub search_candidates_max: u32,
    /// Rooms that a search without a room looks through (at least 1)
    #[arg(long, env = "SWITCHBOARD_SEARCH_ROOMS_MAX", hide_env = true, default_value_t = SqliteLimits::default().search_rooms_max, value_name = "N", value_parser = at_least::<u32>(1))]
    pub search_rooms_max: u32,
}

/// Reads a number that must not be smaller than this.
fn at_least<T>(least: T) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static
where
    T: std::str::FromStr<Err: std::fmt::Display>
        + PartialOrd
        + std::fmt::Display
        + Clone
        + Send
        + Sync
        + 'static,
{
    move |text| match text.parse::<T>() {
        Ok(number) if number >= least => Ok(number),
        Ok(_) => Err(format!("must be at least {least}")),
        Err(error) => Err(error.to_string()),
    }
}

impl LimitFlags {
    /// The same without any limit by rate, per address or per user.
    #[must_use]
    pub fn without_rates(self) -> Self {
        Self {
            connections_per_address_max: 0,
            connections_per_user_max: 0,
            connects_per_second_per_address_max: 0,
            http_connections_per_address_max: 0,
            handshakes_per_address_max: 0,
            messages_per_second_max: 0,
            requests_per_second_max: 0,
            requests_per_second_per_address_max: 0,
            sign_ins_per_second_per_address_max: 0,
            mutations_per_second_per_user_max: 0,
            signals_per_second_per_user_max: 0,
            subscriptions_per_viewer_max: 0,
            waits_per_viewer_max: 0,
            plans_bytes_per_viewer_max: 0,
            plans_bytes_per_address_max: 0,
            append_queue_per_user_max: self.append_queue_max,
            ..self
        }
    }

    /// As the module wants it: what sockets and requests may take.
    pub fn transport(&self) -> TransportLimits {
        TransportLimits {
            connections_max: self.connections_max,
            connections_per_address_max: self.connections_per_address_max,
            connections_per_user_max: self.connections_per_user_max,
            connects_per_address: Rate {
                per_second_max: self.connects_per_second_per_address_max,
                burst_max: self.connects_burst_max,
            },
            http_connections_max: self.http_connections_max,
            http_connections_per_address_max: self.http_connections_per_address_max,
            handshakes_max: self.handshakes_max,
            handshakes_per_address_max: self.handshakes_per_address_max,
            // Not a limit: the server fills it in.
            proxies_trusted: 0,
            batch_max: self.batch_max,
            persisted_bytes_max: self.persisted_bytes_max,
            reservation_timeout: self.reservation_timeout.0,
            reservation_bytes_max: self.reservation_bytes_max,
            multipart_heartbeat_interval: self.multipart_heartbeat_interval.0,
            message_bytes_max: self.message_bytes_max,
            body_bytes_max: self.body_bytes_max,
            init_timeout: self.init_timeout.0,
            ping_interval: self.ping_interval.0,
            pong_timeout: self.pong_timeout.0,
            write_timeout: self.write_timeout.0,
            heartbeat_interval: self.heartbeat_interval.0,
            header_timeout: self.header_timeout.0,
            header_bytes_max: self.header_bytes_max,
            headers_max: self.headers_max,
            uri_bytes_max: self.uri_bytes_max,
            body_timeout: self.body_timeout.0,
            idle_timeout: self.idle_timeout.0,
            streams_max: self.streams_max,
            flush_bytes_max: self.flush_bytes_max,
            unsent_bytes_max: self.unsent_bytes_max,
            read_buffer_bytes: self.read_buffer_bytes,
            write_buffer_bytes: self.write_buffer_bytes,
            linger_bytes_max: self.linger_bytes_max,
            drain_window: self.drain_window.0,
            tls_check_interval: self.tls_check_interval.0,
            messages: Rate {
                per_second_max: self.messages_per_second_max,
                burst_max: self.messages_burst_max,
            },
            requests: Rate {
                per_second_max: self.requests_per_second_max,
                burst_max: self.requests_burst_max,
            },
            requests_per_address: Rate {
                per_second_max: self.requests_per_second_per_address_max,
                burst_max: self.requests_per_address_burst_max,
            },
            sign_ins_per_address: Rate {
                per_second_max: self.sign_ins_per_second_per_address_max,
                burst_max: self.sign_ins_burst_max,
            },
            machine: self.machine(),
        }
    }

    /// As the module wants it: what the protocol bounds.
    pub fn machine(&self) -> MachineLimits {
        MachineLimits {
            operations_max: self.operations_max,
            id_bytes_max: self.operation_id_bytes_max,
            held_bytes_max: self.held_bytes_max,
        }
    }

    /// As the module wants it: what lists and texts may hold.
    pub fn schema(&self) -> SchemaLimits {
        SchemaLimits {
            text_bytes_max: self.text_bytes_max,
            page_max: self.page_max,
            search_bytes_max: self.search_bytes_max,
            search_words_max: self.search_words_max,
            answer: CostLimits {
                reads_max: self.answer_reads_max,
                bytes_max: self.answer_bytes_max,
            },
            frame: CostLimits {
                reads_max: self.frame_reads_max,
                bytes_max: self.frame_bytes_max,
            },
        }
    }

    /// As the module wants it: what a document may ask for.
    pub fn prepare(&self) -> PrepareLimits {
        PrepareLimits {
            document_bytes_max: self.document_bytes_max,
            document_tokens_max: self.document_tokens_max,
            document_nesting_max: self.document_nesting_max,
            document_fields_max: self.document_fields_max,
            document_values_max: self.document_values_max,
            document_depth_max: self.document_depth_max,
            document_aliases_max: self.document_aliases_max,
            document_directives_max: self.document_directives_max,
            documents_cached_bytes_max: self.documents_cached_bytes_max,
            // Not a limit: the server fills it in.
            introspection: true,
        }
    }

    /// As the module wants it: what the hub may hold.
    pub fn hub(&self) -> HubLimits {
        HubLimits {
            append_queue_max: self.append_queue_max,
            append_queue_per_user_max: self.append_queue_per_user_max,
            append_queue_per_room_max: self.append_queue_per_room_max,
            commands_per_user: Rate {
                per_second_max: self.mutations_per_second_per_user_max,
                burst_max: self.mutations_burst_max,
            },
            append_batch_max: self.append_batch_max,
            tail_events_max: self.tail_events_max,
            tail_bytes_max: self.tail_bytes_max,
            shut_outs_kept_max: self.shut_outs_kept_max,
            waits_max: self.waits_max,
            waits_per_viewer_max: self.waits_per_viewer_max,
        }
    }

    /// As the module wants it: what is held of what is not kept.
    pub fn presence(&self) -> PresenceLimits {
        PresenceLimits {
            typing_users_max: self.typing_users_max,
            typing_lapse: self.typing_lapse.0,
            typing_interval: self.typing_interval.0,
            signal_bytes_max: self.signal_bytes_max,
            signals_per_user: Rate {
                per_second_max: self.signals_per_second_per_user_max,
                burst_max: self.signals_burst_max,
            },
            signals_kept_max: self.signals_kept_max,
            signals_kept_bytes_max: self.signals_kept_bytes_max,
            shut_outs_kept_max: self.shut_outs_kept_max,
            presence_shown_max: self.presence_shown_max,
            presence_grace: self.presence_grace.0,
            presence_interval: self.presence_interval.0,
            presence_moves_kept_max: self.presence_moves_kept_max,
            rooms_lingering_max: self.rooms_lingering_max,
        }
    }

    /// As the module wants it: what views may hold.
    pub fn views(&self) -> ViewLimits {
        ViewLimits {
            ring_frames_max: self.ring_frames_max,
            ring_bytes_max: self.ring_bytes_max,
            frames_bytes_max: self.frames_bytes_max,
            plans_bytes_max: self.plans_bytes_max,
            plans_bytes_per_viewer_max: self.plans_bytes_per_viewer_max,
            plans_bytes_per_address_max: self.plans_bytes_per_address_max,
            subscriptions_per_viewer_max: self.subscriptions_per_viewer_max,
            pages_bytes_max: self.pages_bytes_max,
            page_bytes_max: self.page_bytes_max,
            pages_making_max: self.pages_making_max,
            round_wait: self.round_wait.0,
            execution_timeout: self.execution_timeout.0,
            retry_first: self.retry_first.0,
            tries_max: self.tries_max,
        }
    }

    /// As the module wants it: what checking tokens may take.
    pub fn auth(&self) -> AuthLimits {
        AuthLimits {
            token_bytes_max: self.token_bytes_max,
            subjects_cached_max: self.subjects_cached_max,
            revocations_cached_max: self.revocations_cached_max,
            revocations_check_interval: self.revocations_check_interval.0,
            jwks_bytes_max: self.jwks_bytes_max,
            jwks_timeout: self.jwks_timeout.0,
            jwks_refresh_age: self.jwks_refresh_age.0,
            jwks_refetch_interval: self.jwks_refetch_interval.0,
        }
    }

    /// As the module wants it: what the store may use.
    pub fn sqlite(&self) -> SqliteLimits {
        SqliteLimits {
            readers_max: self.database_readers_max,
            busy_timeout: self.database_busy_timeout.0,
            members_per_room_max: self.members_per_room_max,
            searches_max: self.searches_max,
            search_candidates_max: self.search_candidates_max,
            search_rooms_max: self.search_rooms_max,
        }
    }
}
