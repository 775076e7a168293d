//! From a credential to a [`Viewer`].
//!
//! Guests sign in by name and get a token signed with a key that was made at the first start and lies in the database.
//! A name is no identity: every sign-in makes a new user. A bad token is refused, never taken for nobody.

use std::{fmt, sync::Arc, time::Duration};

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use crate::{
    domain::{Timestamp, User, UserId, UserName, Viewer},
    store::{Accounts, StoreError},
};

/// How long a guest's token is good unless a flag says otherwise.
pub const SESSION_LIFETIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The longest token that is looked at, in bytes.
const TOKEN_BYTES_MAX: usize = 8192;

/// A token that is not good: refuse the request with 401 or the connection with 4403.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadToken {
    /// It is not of this server, or was changed.
    #[error("the token is not valid")]
    Invalid,
    /// It was good once.
    #[error("the token has expired")]
    Expired,
    /// The header is not `Bearer TOKEN`.
    #[error("the authorization must be `Bearer TOKEN`")]
    Scheme,
}

/// A token and whom it is for. The token is a secret and stays out of debug prints.
pub struct Session {
    /// The token.
    pub token: String,
    /// Until when it is good.
    pub expires_at: Timestamp,
    /// Whom it is for.
    pub user: User,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("user", &self.user.id).finish_non_exhaustive()
    }
}

#[derive(Serialize, Deserialize)]
struct Claims {
    /// The user.
    sub: String,
    /// Seconds since 1970.
    iat: i64,
    /// Seconds since 1970.
    exp: i64,
}

/// Signs guests in and checks their tokens.
pub struct Auth {
    accounts: Arc<dyn Accounts>,
    signing: EncodingKey,
    checking: DecodingKey,
    validation: Validation,
    lifetime: Duration,
}

impl Auth {
    /// Reads the signing key, or makes and keeps one.
    pub async fn guests(accounts: Arc<dyn Accounts>, lifetime: Duration) -> Result<Self, StoreError> {
        let key = accounts.signing_key(rand::random()).await?;
        let mut validation = Validation::new(Algorithm::HS256);
        // The moment is the caller's: see `viewer`.
        validation.validate_exp = false;
        validation.set_required_spec_claims(&["sub", "exp"]);
        Ok(Self {
            accounts,
            signing: EncodingKey::from_secret(&key),
            checking: DecodingKey::from_secret(&key),
            validation,
            lifetime,
        })
    }

    /// Makes a new user of this name and signs a token for them.
    pub async fn sign_in(&self, id: UserId, name: UserName, now: Timestamp) -> Result<Session, StoreError> {
        let user = User { id, name, created_at: now };
        self.accounts.create_user(&user).await?;
        let (issued, lifetime) = (now.0.div_euclid(1_000_000), self.lifetime.as_secs().cast_signed());
        let claims = Claims { sub: id.to_string(), iat: issued, exp: issued.saturating_add(lifetime) };
        let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.signing)
            .expect("an HS256 key signs any claims");
        Ok(Session { token, expires_at: Timestamp(claims.exp.saturating_mul(1_000_000)), user })
    }

    /// Whom a token is for, if it is good at this moment.
    pub fn viewer(&self, token: &str, now: Timestamp) -> Result<Viewer, BadToken> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(BadToken::Invalid);
        }
        let claims = jsonwebtoken::decode::<Claims>(token, &self.checking, &self.validation)
            .map_err(|_| BadToken::Invalid)?
            .claims;
        let user = claims.sub.parse().map_err(|_| BadToken::Invalid)?;
        let expires_at = Timestamp(claims.exp.saturating_mul(1_000_000));
        if expires_at <= now { Err(BadToken::Expired) } else { Ok(Viewer { user, expires_at }) }
    }

    /// Whom an `Authorization` value is for: `Bearer TOKEN`, the scheme in any letter case.
    #[expect(clippy::unused_async, reason = "keys that are fetched from elsewhere take time")]
    pub async fn bearer(&self, authorization: &str, now: Timestamp) -> Result<Viewer, BadToken> {
        let (scheme, token) = authorization.trim().split_once(' ').ok_or(BadToken::Scheme)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(BadToken::Scheme);
        }
        self.viewer(token.trim(), now)
    }
}
