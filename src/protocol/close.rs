//! Why a socket is closed. Clients come back after some codes and never after others.

/// As much of an id as a reason of 123 bytes has room for, beside its 30 bytes of words.
const ID_BYTES_SHOWN: usize = 93;

/// A close code with its reason; a reason has at most 123 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Close {
    /// The client said that it is done.
    Normal,
    /// The server leaves for good. Clients come back.
    GoingAway,
    /// The client's frames break RFC 6455. Final.
    ProtocolError,
    /// A text that is no UTF-8. Final.
    InvalidText,
    /// A message is longer than the server reads. Sending it again would not help: final.
    MessageTooBig,
    /// The server restarts, here or elsewhere. Clients come back.
    ServiceRestart,
    /// The server has too much to do, or a room cannot be read for now. Clients come back.
    TryAgainLater,
    /// The address or the user has as many connections as it may, or made them too fast. Clients come back.
    TooManyConnections,
    /// The client says more than it may in a second. Clients come back.
    TooManyMessages,
    /// The text is no message of the protocol, or none that a client may send. Final.
    InvalidMessage,
    /// `subscribe` before the acknowledgement. Final.
    Unauthorized,
    /// The credentials are not good. Clients come back, with new ones if they have any.
    Forbidden,
    /// The socket was opened for another subprotocol. Final.
    SubprotocolNotAcceptable,
    /// No `connection_init` in time. Clients come back.
    InitialisationTimeout,
    /// The id is taken. Final.
    SubscriberExists(String),
    /// A second `connection_init`. Final.
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

    /// The reason on the wire, in the words of the protocol's reference implementation.
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
