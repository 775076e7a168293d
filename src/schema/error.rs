//! The one table of errors that a client can see (G3). Internal text is logged and never sent.

use std::time::Duration;

use async_graphql::{ErrorExtensionValues, Pos, ServerError, Value};

use crate::{
    auth::{BadToken, SessionError},
    domain::TextError,
    hub::{HubError, WaitError},
    quota::retry_after_seconds,
    store::{AppendError, Refusal, StoreError},
};

/// After how long one of many requests that wait has probably ended.
const WAITS_END_WAIT: Duration = Duration::from_secs(1);

/// `extensions.code`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// Sign in first, or again.
    Unauthenticated,
    /// The viewer may see it but not do this.
    Forbidden,
    /// There is none, or none that the viewer may see.
    NotFound,
    /// An argument or a variable is wrong.
    BadUserInput,
    /// It exists already.
    Conflict,
    /// Too often: again after `retryAfter` seconds.
    RateLimited,
    /// The cursor's log is not this one: begin at `oldest`.
    CursorExpired,
    /// The document asks for more than a limit allows.
    TooComplex,
    /// Try again later.
    Unavailable,
    /// A failure of the server's own, logged there.
    Internal,
    /// The document is no GraphQL.
    GraphqlParseFailed,
    /// The document does not fit the schema.
    GraphqlValidationFailed,
    /// The server runs the documents of a list only, and this one is not in it.
    PersistedQueryNotInList,
    /// No document is known by this hash: send it once with its text.
    PersistedQueryNotFound,
}

impl Code {
    /// The code as clients see it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unauthenticated => "UNAUTHENTICATED",
            Self::Forbidden => "FORBIDDEN",
            Self::NotFound => "NOT_FOUND",
            Self::BadUserInput => "BAD_USER_INPUT",
            Self::Conflict => "CONFLICT",
            Self::RateLimited => "RATE_LIMITED",
            Self::CursorExpired => "CURSOR_EXPIRED",
            Self::TooComplex => "TOO_COMPLEX",
            Self::Unavailable => "UNAVAILABLE",
            Self::Internal => "INTERNAL",
            Self::GraphqlParseFailed => "GRAPHQL_PARSE_FAILED",
            Self::GraphqlValidationFailed => "GRAPHQL_VALIDATION_FAILED",
            Self::PersistedQueryNotFound => "PERSISTED_QUERY_NOT_FOUND",
            Self::PersistedQueryNotInList => "PERSISTED_QUERY_NOT_IN_LIST",
        }
    }

    /// Whether one of these errors carries this code.
    pub fn is_of(self, errors: &[ServerError]) -> bool {
        errors
            .iter()
            .any(|error| code_of(error) == Some(self.as_str()))
    }
}

/// An error fit for a client's eyes.
#[derive(Clone, Debug)]
pub struct ApiError {
    code: Code,
    message: String,
    locations: Vec<Pos>,
    more: Vec<(&'static str, Value)>,
}

impl ApiError {
    /// An error with a code and a sentence.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            locations: Vec::new(),
            more: Vec::new(),
        }
    }

    /// The same, pointing at a place in the document.
    #[must_use]
    pub fn at(mut self, position: Pos) -> Self {
        self.locations.push(position);
        self
    }

    /// The same, with one more sentence, if there is one.
    #[must_use]
    pub(super) fn saying(mut self, sentence: &str) -> Self {
        if !sentence.is_empty() {
            self.message = format!("{} {sentence}", self.message);
        }
        self
    }

    /// The same, with one more extension.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.more.push((name, value.into()));
        self
    }

    /// Too often: try again after this long.
    pub fn rate_limited(message: impl Into<String>, wait: Duration) -> Self {
        Self::new(Code::RateLimited, message).with("retryAfter", retry_after_seconds(wait))
    }

    /// A failure of our own: the cause is logged here, the client learns that there was one.
    pub fn internal(error: &dyn std::fmt::Display) -> Self {
        tracing::error!(%error, "a request failed");
        Self::new(Code::Internal, "The server failed to do this.")
    }

    /// The store did not answer in time.
    pub(super) fn busy() -> Self {
        Self::new(Code::Unavailable, "The database is busy; try again.")
    }

    /// Whether the same request may succeed a moment later.
    pub fn is_passing(&self) -> bool {
        matches!(self.code, Code::Unavailable | Code::Internal)
    }

    fn extensions(&self) -> ErrorExtensionValues {
        let mut values = ErrorExtensionValues::default();
        values.set("code", self.code.as_str());
        for (name, value) in &self.more {
            values.set(*name, value.clone());
        }
        values
    }
}

impl From<ApiError> for async_graphql::Error {
    fn from(error: ApiError) -> Self {
        let extensions = Some(error.extensions());
        Self {
            message: error.message,
            source: None,
            extensions,
        }
    }
}

impl From<ApiError> for ServerError {
    fn from(error: ApiError) -> Self {
        let extensions = Some(error.extensions());
        let mut server = Self::new(error.message, None);
        server.locations = error.locations;
        server.extensions = extensions;
        server
    }
}

impl From<ApiError> for Vec<ApiError> {
    fn from(error: ApiError) -> Self {
        vec![error]
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Busy(cause) => {
                tracing::warn!(error = %cause, "the database is busy");
                Self::busy()
            }
            StoreError::Failed(_) | StoreError::Open { .. } => Self::internal(&error),
        }
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let (code, message) = match refusal {
            Refusal::UnknownViewer => (
                Code::Unauthenticated,
                "This user is not known here; sign in again.",
            ),
            Refusal::NotFound => (Code::NotFound, "There is no such room."),
            Refusal::Forbidden => (Code::Forbidden, "You may not do this in this room."),
            Refusal::Muted(_) => (Code::Forbidden, "You are muted in this room."),
            Refusal::TooSoon(seconds) => {
                let message =
                    format!("This room is in slow mode: you may send again in {seconds} s.");
                return Self::new(Code::RateLimited, message).with("retryAfter", seconds);
            }
            Refusal::NonceTaken => (Code::Conflict, "You used this nonce for another message."),
            Refusal::RoomTaken => (Code::Conflict, "This room id is taken."),
            Refusal::NoMessage => (Code::NotFound, "There is no such message in this room."),
            Refusal::NoUser => (Code::NotFound, "There is no such user."),
            Refusal::NoMember => (Code::NotFound, "This user is no member of this room."),
            Refusal::MemberAlready => (
                Code::Conflict,
                "This user is a member already, in another role: use setRole.",
            ),
            Refusal::LastOwner => (
                Code::Conflict,
                "A room needs an owner: make somebody else one first, or delete the room.",
            ),
            Refusal::RoomFull => (
                Code::Conflict,
                "This room has as many members as it may have.",
            ),
        };
        Self::new(code, message)
    }
}

impl From<HubError> for ApiError {
    fn from(error: HubError) -> Self {
        match error {
            HubError::Unavailable => Self::new(
                Code::Unavailable,
                "The server takes no more writes right now; try again.",
            ),
            HubError::TooOften(wait) => {
                Self::rate_limited("You make too many changes at a time.", wait)
            }
            HubError::Append(error) => error.into(),
        }
    }
}

impl From<AppendError> for ApiError {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Refused(refusal) => refusal.into(),
            AppendError::Store(error) => error.into(),
        }
    }
}

impl From<WaitError> for ApiError {
    fn from(error: WaitError) -> Self {
        match error {
            WaitError::TooMany => Self::rate_limited(
                "You have too many requests that wait for messages.",
                WAITS_END_WAIT,
            ),
            WaitError::Full => Self::new(
                Code::Unavailable,
                "Too many requests wait for messages; try again.",
            ),
            WaitError::Store(error) => error.into(),
        }
    }
}

impl From<TextError> for ApiError {
    fn from(error: TextError) -> Self {
        Self::new(Code::BadUserInput, error.to_string())
    }
}

impl From<BadToken> for ApiError {
    fn from(error: BadToken) -> Self {
        let code = if error.is_passing() {
            Code::Unavailable
        } else {
            Code::Unauthenticated
        };
        Self::new(code, error.to_string())
    }
}

impl From<SessionError> for ApiError {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::NoGuests | SessionError::OtherUser => {
                Self::new(Code::Forbidden, error.to_string())
            }
            SessionError::BadToken(error) => error.into(),
            SessionError::Store(error) => error.into(),
        }
    }
}

/// What a subscriber is told who may not read on (V5).
pub fn shut_out() -> ServerError {
    ApiError::new(Code::Forbidden, "You may not read this room any more.").into()
}

/// The code that an error carries.
pub(super) fn code_of(error: &ServerError) -> Option<&str> {
    match error.extensions.as_ref()?.get("code")? {
        Value::String(code) => Some(code),
        _ => None,
    }
}

/// Whether the same request may succeed a moment later: such an execution is no frame (V7), and such a subscription ends
/// with a close after which clients come back (P5).
pub fn is_passing(error: &ServerError) -> bool {
    let passing = [Code::Unavailable, Code::Internal].map(Code::as_str);
    code_of(error).is_some_and(|code| passing.contains(&code))
}

/// Gives the library's own errors a code, so that every error has one.
pub(super) fn with_code(mut error: ServerError, code: Code) -> ServerError {
    if code_of(&error).is_none() {
        error
            .extensions
            .get_or_insert_default()
            .set("code", code.as_str());
    }
    error
}
