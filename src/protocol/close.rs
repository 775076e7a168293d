//! Close codes. After some codes clients reconnect; after others they never do.

/// The bytes of an id that fit into a reason of 123 bytes, beside its 30 bytes of text.
const ID_BYTES_SHOWN: usize = 93;

/// A close code and its reason. A reason has at most 123 bytes.
///
/// "Final" means that clients do not reconnect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Close {
    /// The client ended the connection.
    Normal,
    /// The server shuts down. Clients reconnect.
    GoingAway,
    /// The client's frames violate RFC 6455. Final.
    ProtocolError,
    /// A text message is not UTF-8. Final.
    InvalidText,
    /// A message exceeds the size limit. Final: it would exceed it again.
    MessageTooBig,
    /// The server restarts, here or elsewhere. Clients reconnect.
    ServiceRestart,
    /// The server is overloaded, or a room cannot be read for now. Clients reconnect.
    TryAgainLater,
    /// The address or the user has too many connections, or opened them too fast. Clients
    /// reconnect.
    TooManyConnections,
    /// The client exceeds its message rate. Clients reconnect.
    TooManyMessages,
    /// The text is not a message that a client may send. Final.
    InvalidMessage,
    /// `subscribe` came before the acknowledgement. Final.
    Unauthorized,
    /// The credentials are invalid, expired or revoked. Clients reconnect, with new ones if they
    /// have any.
    Forbidden,
    /// The client offered no subprotocol that the server speaks. Final.
    SubprotocolNotAcceptable,
    /// `connection_init` did not come in time. Clients reconnect.
    InitialisationTimeout,
    /// Another operation has the id. Final.
    SubscriberExists(String),
    /// A second `connection_init` came. Final.
    TooManyInitialisationRequests,
}

impl Close {
    /// The code on the wire.
    pub fn code(&self) -> u16 {
        match self {
            Self::Normal => 1000,
            Self::GoingAway => 1001,
            Self::ProtocolError => 1002,
            Self::InvalidText => 1007,
            Self::MessageTooBig => 1009,
            Self::ServiceRestart => 1012,
            Self::TryAgainLater | Self::TooManyConnections | Self::TooManyMessages => 1013,
            Self::InvalidMessage => 4400,
            Self::Unauthorized => 4401,
            Self::Forbidden => 4403,
            Self::SubprotocolNotAcceptable => 4406,
            Self::InitialisationTimeout => 4408,
            Self::SubscriberExists(_) => 4409,
            Self::TooManyInitialisationRequests => 4429,
        }
    }

    /// The reason on the wire, as in the protocol's reference implementation.
    pub fn reason(&self) -> String {
        let text = match self {
            Self::Normal => "Normal closure",
            Self::GoingAway => "Going away",
            Self::ProtocolError => "Protocol error",
            Self::InvalidText => "Invalid UTF-8",
            Self::MessageTooBig => "Message too big",
            Self::ServiceRestart => "Service restart",
            Self::TryAgainLater => "Try again later",
            Self::TooManyConnections => "Too many connections",
            Self::TooManyMessages => "Too many messages",
            Self::InvalidMessage => "Invalid message received",
            Self::Unauthorized => "Unauthorized",
            Self::Forbidden => "Forbidden",
            Self::SubprotocolNotAcceptable => "Subprotocol not acceptable",
            Self::InitialisationTimeout => "Connection initialisation timeout",
            Self::SubscriberExists(id) => {
                let id = &id[..id.floor_char_boundary(ID_BYTES_SHOWN)];
                return format!("Subscriber for {id} already exists");
            }
            Self::TooManyInitialisationRequests => "Too many initialisation requests",
        };
        text.to_owned()
    }
}
