//! Guests: anybody may sign in by a name. A name is no identity: every sign-in makes a new user.

use std::{sync::Arc, time::Duration};

use serde::Serialize;
use uuid::Uuid;

use super::{BadToken, key::Key, signer::Signer, token::Claims};
use crate::domain::{Timestamp, UserId};

/// What a guest's token says.
#[derive(Serialize)]
struct GuestClaims {
    /// The user.
    sub: String,
    /// Seconds since 1970.
    iat: i64,
    /// Seconds since 1970.
    exp: i64,
    /// This token among all of this server's.
    jti: String,
}

/// Signs and checks guests' tokens with a key that was made at the first start and lies in the database.
pub(super) struct Guests {
    pub(super) key: Arc<Key>,
    signer: Signer,
    lifetime: Duration,
}

impl Guests {
    pub(super) fn new(key: [u8; 32], lifetime: Duration) -> Self {
        Self {
            key: Arc::new(Key::secret(&key).expect("32 bytes are enough")),
            signer: Signer::secret(&key).expect("32 bytes are enough"),
            lifetime,
        }
    }

    /// A new token for a user, and until when it is good.
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

    pub(super) fn user(claims: &Claims) -> Result<UserId, BadToken> {
        claims
            .text("sub")?
            .and_then(|sub| sub.parse().ok())
            .ok_or(BadToken::Claim("sub"))
    }
}
