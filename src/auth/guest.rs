//! Guests sign in with a name. A name is not an identity: each sign-in creates a new user.

use std::{sync::Arc, time::Duration};

use serde::Serialize;
use uuid::Uuid;

use super::{error::TokenError, key::Key, signer::Signer, token::Claims};
use crate::domain::{Timestamp, UserId};

/// The claims of a guest's token.
#[derive(Serialize)]
struct GuestClaims {
    /// The id of the user.
    sub: String,
    /// When the token was signed, in seconds since 1970.
    iat: i64,
    /// When the token expires, in seconds since 1970.
    exp: i64,
    /// The id of the token, unique among the tokens of this server.
    jti: String,
}

/// Signs and verifies guests' tokens. The key is made at the first start and stored in the
/// database.
pub(super) struct Guests {
    pub(super) key: Arc<Key>,
    signer: Signer,
    lifetime: Duration,
}

impl Guests {
    /// Guests whose tokens are signed with `key` and are valid for `lifetime`.
    pub(super) fn new(key: [u8; 32], lifetime: Duration) -> Self {
        Self {
            key: Arc::new(Key::secret(&key).expect("32 bytes are enough")),
            signer: Signer::secret(&key).expect("32 bytes are enough"),
            lifetime,
        }
    }

    /// Signs a new token for a user. Returns the token and when it expires.
    pub(super) fn token(&self, user: UserId, id: Uuid, now: Timestamp) -> (String, Timestamp) {
        let (iat, lifetime) = (now.seconds(), self.lifetime.as_secs().cast_signed());
        let exp = iat.saturating_add(lifetime);
        let claims = GuestClaims {
            sub: user.to_string(),
            iat,
            exp,
            jti: id.as_simple().to_string(),
        };
        (self.signer.sign(&claims), Timestamp::from_seconds(exp))
    }

    /// The user of a guest's token.
    pub(super) fn user(claims: &Claims) -> Result<UserId, TokenError> {
        claims
            .text("sub")?
            .and_then(|sub| sub.parse().ok())
            .ok_or(TokenError::Claim("sub"))
    }
}
