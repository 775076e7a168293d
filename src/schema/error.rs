//! Every error that a client can receive.
//!
//! - **G3** Every error has a code, and internal text never reaches a client. It is logged instead.

use std::time::Duration;

use async_graphql::{ErrorExtensionValues, Pos, ServerError, Value};

use crate::{
    auth::{SessionError, TokenError},
    domain::TextError,
    hub::{DailyQuota, HubError, WaitError},
    quota::retry_after_seconds,
    store::{AppendError, Refusal, StoreError},
};

/// The result type of resolvers.
pub(super) type Resolved<T> = async_graphql::Result<T>;

/// `retryAfter` while the database cannot be written. An operator has to act.
const WRITE_RETRY_AFTER: Duration = Duration::from_secs(5);

/// `retryAfter` for a caller with too many long polls. After this time, one of them has probably
/// ended.
const LONG_POLL_RETRY_AFTER: Duration = Duration::from_secs(1);

/// The code of an error, in `extensions.code`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The request needs a valid token. Sign in.
    Unauthenticated,
    /// The caller lacks the right to do this.
    Forbidden,
    /// It does not exist, or the caller may not read it.
    NotFound,
    /// An argument or a variable is wrong.
    BadUserInput,
    /// The request contradicts the present state, for example a room id that is taken.
    Conflict,
    /// A rate limit is exceeded. Retry after `retryAfter` seconds.
    RateLimited,
    /// The cursor belongs to another log, for example of another database. Start again at `oldest`.
    CursorExpired,
    /// The document or its result exceeds a limit.
    TooComplex,
    /// The connection or the user runs the maximum of operations. End one first.
    TooManyOperations,
    /// A temporary failure. Retry later.
    Unavailable,
    /// The server failed. Its log has the cause.
    Internal,
    /// The document has a syntax error.
    GraphqlParseFailed,
    /// The document is not valid for the schema.
    GraphqlValidationFailed,
    /// The server runs only the documents of a list, and this one is not in it.
    PersistedQueryNotInList,
    /// The server does not know the document of this hash. Send the hash with the text once.
    PersistedQueryNotFound,
}

impl Code {
    /// The text of the code that clients receive.
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
            Self::TooManyOperations => "TOO_MANY_OPERATIONS",
            Self::Unavailable => "UNAVAILABLE",
            Self::Internal => "INTERNAL",
            Self::GraphqlParseFailed => "GRAPHQL_PARSE_FAILED",
            Self::GraphqlValidationFailed => "GRAPHQL_VALIDATION_FAILED",
            Self::PersistedQueryNotFound => "PERSISTED_QUERY_NOT_FOUND",
            Self::PersistedQueryNotInList => "PERSISTED_QUERY_NOT_IN_LIST",
        }
    }

    /// Whether one of these errors has this code.
    pub fn is_of(self, errors: &[ServerError]) -> bool {
        errors
            .iter()
            .any(|error| code_of(error) == Some(self.as_str()))
    }
}

/// An error that may be sent to a client.
#[derive(Clone, Debug)]
pub struct ApiError {
    code: Code,
    message: String,
    locations: Vec<Pos>,
    /// Further members of `extensions`.
    extensions: Vec<(&'static str, Value)>,
}

impl ApiError {
    /// An error with a code and a message. The message is a sentence for people.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            locations: Vec::new(),
            extensions: Vec::new(),
        }
    }

    /// BAD_USER_INPUT with a message.
    pub(super) fn bad_user_input(message: impl Into<String>) -> Self {
        Self::new(Code::BadUserInput, message)
    }

    /// The answer for a room that does not exist, and for one that the caller may not read (G5).
    pub fn no_such_room() -> Self {
        Self::new(Code::NotFound, "There is no such room.")
    }

    /// The answer to a request whose token expired or was revoked.
    pub(super) fn token_not_valid() -> Self {
        let message = "The token has expired or was revoked; sign in again.";
        Self::new(Code::Unauthenticated, message)
    }

    /// Adds a location in the document.
    #[must_use]
    pub fn at(mut self, position: Pos) -> Self {
        self.locations.push(position);
        self
    }

    /// Adds a sentence to the message; an empty one adds nothing.
    #[must_use]
    pub(super) fn with_sentence(mut self, sentence: &str) -> Self {
        if !sentence.is_empty() {
            self.message = format!("{} {sentence}", self.message);
        }
        self
    }

    /// Adds a member to `extensions`.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.extensions.push((name, value.into()));
        self
    }

    /// RATE_LIMITED with `retryAfter`, which is `wait` in whole seconds.
    pub fn rate_limited(message: impl Into<String>, wait: Duration) -> Self {
        Self::new(Code::RateLimited, message).with("retryAfter", retry_after_seconds(wait))
    }

    /// INTERNAL. Logs the cause, which the client does not receive (G3).
    pub fn internal(error: &dyn std::fmt::Display) -> Self {
        tracing::error!(%error, "a request failed");
        Self::new(
            Code::Internal,
            "The server failed to do this; try again later.",
        )
    }

    /// UNAVAILABLE, because the store did not answer in time.
    pub(super) fn busy() -> Self {
        Self::new(Code::Unavailable, "The database is busy; try again.")
    }

    /// Whether the same request may succeed a moment later.
    pub fn is_temporary(&self) -> bool {
        matches!(self.code, Code::Unavailable | Code::Internal)
    }

    fn extension_values(&self) -> ErrorExtensionValues {
        let mut values = ErrorExtensionValues::default();
        values.set("code", self.code.as_str());
        for (name, value) in &self.extensions {
            values.set(*name, value.clone());
        }
        values
    }
}

impl From<ApiError> for async_graphql::Error {
    fn from(error: ApiError) -> Self {
        let extensions = Some(error.extension_values());
        Self {
            message: error.message,
            source: None,
            extensions,
        }
    }
}

impl From<ApiError> for ServerError {
    fn from(error: ApiError) -> Self {
        let extensions = Some(error.extension_values());
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
            // The store has logged the fault once.
            StoreError::Unwritable(_) => Self::new(
                Code::Unavailable,
                "The server cannot store anything at the moment; try again later.",
            )
            .with("retryAfter", retry_after_seconds(WRITE_RETRY_AFTER)),
            StoreError::Failed(_) | StoreError::Open { .. } => Self::internal(&error),
        }
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let (code, message) = match refusal {
            Refusal::UnknownViewer => (
                Code::Unauthenticated,
                "This user is unknown to the server; sign in again.",
            ),
            Refusal::NotFound => return Self::no_such_room(),
            Refusal::Forbidden => (
                Code::Forbidden,
                "You do not have the right to do this in this room; ask one of its owners.",
            ),
            Refusal::Muted(_) => (
                Code::Forbidden,
                "You are muted in this room; wait until the mute ends.",
            ),
            Refusal::TooSoon(seconds) => {
                let message = format!("This room is in slow mode; send again after {seconds} s.");
                return Self::new(Code::RateLimited, message).with("retryAfter", seconds);
            }
            Refusal::NonceTaken => (
                Code::Conflict,
                "You used this nonce for another message; use a new nonce.",
            ),
            Refusal::RoomTaken => (Code::Conflict, "This room id is taken; choose another one."),
            Refusal::NoMessage => (Code::NotFound, "There is no such message in this room."),
            Refusal::NoUser => (Code::NotFound, "There is no such user."),
            Refusal::NoMember => (
                Code::NotFound,
                "This user is not a member of this room; use addMember first.",
            ),
            Refusal::MemberAlready => (
                Code::Conflict,
                "This user is already a member with another role; use setRole.",
            ),
            Refusal::LastOwner => (
                Code::Conflict,
                "A room needs an owner; make another member an owner first, or delete the room.",
            ),
            Refusal::RoomFull => (
                Code::Conflict,
                "This room has the maximum number of members; remove a member first.",
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
                "The server cannot accept more writes right now; try again.",
            ),
            HubError::TooOften(wait) => Self::rate_limited(
                "You make too many changes in a short time; try again in a moment.",
                wait,
            ),
            HubError::DailyQuota(quota, wait) => Self::rate_limited(too_much_today(quota), wait),
            HubError::Append(error) => error.into(),
        }
    }
}

fn too_much_today(quota: DailyQuota) -> &'static str {
    match quota {
        DailyQuota::Rooms => "Too many rooms were created today, by you or from your address.",
        DailyQuota::Memberships => {
            "Too many users became members today, by you or from your address."
        }
        DailyQuota::Bytes => "Too much was stored today, by you or from your address.",
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
                "Too many of your requests wait for messages; wait until one of them ends.",
                LONG_POLL_RETRY_AFTER,
            ),
            WaitError::Full => Self::new(
                Code::Unavailable,
                "Too many requests wait for messages; try again later.",
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

impl From<TokenError> for ApiError {
    fn from(error: TokenError) -> Self {
        let code = if error.is_temporary() {
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
            SessionError::NoGuests | SessionError::OtherUser | SessionError::NoUser => {
                Self::new(Code::Forbidden, error.to_string())
            }
            SessionError::Token(error) => error.into(),
            SessionError::Store(error) => error.into(),
        }
    }
}

/// The error that ends the operation of a reader that is shut out (V5).
pub fn shut_out() -> ServerError {
    ApiError::new(Code::Forbidden, "You may no longer read this room.").into()
}

/// The code of an error.
pub(super) fn code_of(error: &ServerError) -> Option<&str> {
    match error.extensions.as_ref()?.get("code")? {
        Value::String(code) => Some(code),
        _ => None,
    }
}

/// Whether the same request may succeed a moment later.
///
/// A result with such an error does not become a frame (V7). A subscription that ends with such an
/// error closes in a way that lets the client resume (P5).
pub fn is_temporary(error: &ServerError) -> bool {
    let temporary = [Code::Unavailable, Code::Internal].map(Code::as_str);
    code_of(error).is_some_and(|code| temporary.contains(&code))
}

/// Adds a code to errors without one, which are those of the library (G3).
pub(super) fn add_codes(errors: &mut [ServerError], code: Code) {
    for error in errors {
        if code_of(error).is_none() {
            let extensions = error.extensions.get_or_insert_default();
            extensions.set("code", code.as_str());
        }
    }
}
