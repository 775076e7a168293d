//! Why a token is refused, and why there is no new session.

use crate::store::StoreError;

/// Why a token was refused.
///
/// The server answers 401, or closes the WebSocket with 4403, and sends this reason. The one
/// exception is [`TokenError::Unavailable`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The caller gave several tokens.
    #[error("the request has more than one authorization")]
    Ambiguous,
    /// The value is not text.
    #[error("the authorization is not text")]
    NotText,
    /// The value is not `Bearer TOKEN`.
    #[error("the authorization must be `Bearer TOKEN`")]
    Scheme,
    /// The token has more bytes than `token_bytes_max`.
    #[error("the token is longer than the limit of this server")]
    TooLong,
    /// The text is not a signed JSON Web Token.
    #[error("the token cannot be read")]
    Malformed,
    /// The token is not signed, or with an algorithm that its key may not verify (A2).
    #[error("the token is not signed with an algorithm of its key")]
    Algorithm,
    /// The header has `crit`: extensions that a server must understand or refuse (RFC 7515,
    /// 4.1.11).
    #[error("the token has critical headers, which this server does not support")]
    Critical,
    /// The provider does not publish the key of the token, or the token does not name its key.
    #[error("the token is not signed with a known key")]
    UnknownKey,
    /// The token was changed, or was signed with another key.
    #[error("the token's signature is wrong")]
    Signature,
    /// A claim is required but missing, or it has the wrong type.
    #[error("the token's claim `{0}` is missing or cannot be read")]
    Claim(&'static str),
    /// The `iss` is not the configured issuer.
    #[error("the token is from another issuer")]
    Issuer,
    /// The `aud` does not name this server.
    #[error("the token is for another audience")]
    Audience,
    /// The `exp` is in the past.
    #[error("the token has expired")]
    Expired,
    /// The `nbf` is in the future.
    #[error("the token is not valid yet")]
    Early,
    /// The token was revoked by `signOut`.
    #[error("the token was revoked")]
    Revoked,
    /// The provider's keys or the database do not answer, so the token may be valid. Try again
    /// soon.
    #[error("tokens cannot be checked right now; try again")]
    Unavailable,
}

impl TokenError {
    /// Whether the same token may be accepted a moment later.
    pub fn is_temporary(self) -> bool {
        self == Self::Unavailable
    }

    /// Logs why the database did not answer, which the caller does not learn.
    pub(super) fn unavailable(error: &StoreError) -> Self {
        tracing::error!(%error, "a token could not be checked");
        Self::Unavailable
    }
}

/// Why a caller gets no new session.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The server does not sign in guests; an identity provider signs the tokens.
    #[error("this server does not sign in guests; get a token from its identity provider")]
    NoGuests,
    /// No user has the given id.
    #[error("there is no user with this id")]
    NoUser,
    /// The given token was refused.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The given token is valid, but for another user.
    #[error("the token is for another user")]
    OtherUser,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
