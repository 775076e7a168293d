//! From a credential to a [`Viewer`].
//!
//! There are two ways to sign in. As **guests**, people sign in by a name, and this server signs their tokens. By **JWT**,
//! an identity provider signs them, and this server only checks. [`Auth`] is the face of both.
//!
//! - **A1** A bad token is refused, never taken for nobody. If it cannot be checked for now, that is what is said.
//! - **A2** A key is good for the algorithms of its kind and no other; what a token says about keys is not believed.
//! - **A3** Tokens, secrets and keys are never logged, nor part of an error or of a debug print.
//! - **A4** A token that was signed out is refused from the moment on at which that is answered, also after a restart. Other
//!   processes on the same database refuse it a moment later ([`AuthLimits::revocations_check_interval`]).
//! - **A5** A token of somebody known costs no call to the database.
//!
//! Proved in `tests/it/tokens.rs` and `tests/it/jwt.rs`.

mod fetch;
mod guest;
mod jwks;
mod jwt;
mod key;
mod lifetime;
mod limits;
mod revocation;
mod signer;
mod token;

use std::{fmt, sync::Arc, time::Duration};

use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};
use uuid::Uuid;

pub use fetch::JwksUrl;
pub use jwt::{JwtSettings, KeySource};
pub use key::{Key, KeyError, SECRET_BYTES_MIN};
pub use lifetime::time_left;
pub use limits::AuthLimits;
pub use revocation::Watch;
pub use signer::Signer;

use self::{
    guest::Guests,
    jwt::Jwt,
    revocation::Revocations,
    token::{Claims, Head, Rules},
};
use crate::{
    domain::{Clock, Timestamp, User, UserId, UserName, Viewer},
    store::{Accounts, StoreError},
};

/// A token that is not good: refuse the request with 401 or the connection with 4403, and say why. The one exception is
/// [`BadToken::Unavailable`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadToken {
    /// The header is not `Bearer TOKEN`.
    #[error("the authorization must be `Bearer TOKEN`")]
    Scheme,
    /// It has more bytes than `token_bytes_max`.
    #[error("the token is longer than this server reads")]
    TooLong,
    /// It is no JSON Web Token.
    #[error("the token cannot be read")]
    Malformed,
    /// It is not signed, or in another way than the key is for.
    #[error("the token is not signed with an algorithm that its key is for")]
    Algorithm,
    /// It asks for something that is not understood here, and to be refused for that.
    #[error("the token has critical headers that are not known here")]
    Critical,
    /// Its key is not among those of the provider, or it does not say which.
    #[error("the token is not signed with a key that is known here")]
    UnknownKey,
    /// It was changed, or somebody else signed it.
    #[error("the token's signature is wrong")]
    Signature,
    /// A claim that is needed.
    #[error("the token's claim `{0}` is missing or cannot be read")]
    Claim(&'static str),
    /// Its `iss` is not the one that is wanted.
    #[error("the token is of another issuer")]
    Issuer,
    /// Its `aud` does not name this server.
    #[error("the token is for another audience")]
    Audience,
    /// It was good once.
    #[error("the token has expired")]
    Expired,
    /// It will be good.
    #[error("the token is not good yet")]
    Early,
    /// It was signed out.
    #[error("the token was signed out")]
    Revoked,
    /// Nobody can tell for now: the keys or the database cannot be had. Try again in a moment.
    #[error("tokens cannot be checked right now; try again")]
    Unavailable,
}

impl BadToken {
    /// Whether the same token may be found good a moment later.
    pub fn is_passing(self) -> bool {
        self == Self::Unavailable
    }

    fn unavailable(error: &StoreError) -> Self {
        tracing::error!(%error, "a token could not be checked");
        Self::Unavailable
    }
}

/// Why there is no new session.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// An identity provider signs people in, not this server.
    #[error("guests do not sign in here; get a token from the identity provider of this server")]
    NoGuests,
    /// The token that was given.
    #[error(transparent)]
    BadToken(#[from] BadToken),
    /// The token that was given is for another user.
    #[error("the token is for another user")]
    OtherUser,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
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
        f.debug_struct("Session")
            .field("user", &self.user.id)
            .finish_non_exhaustive()
    }
}

/// How people sign in.
#[derive(Clone, Debug)]
pub enum SignIn {
    /// By a name; how long their tokens are good.
    Guests(Duration),
    /// At an identity provider.
    Jwt(Box<JwtSettings>),
}

enum Mode {
    Guests(Box<Guests>),
    Jwt(Box<Jwt>),
}

/// Checks tokens, and signs guests in and everybody out.
pub struct Auth {
    accounts: Arc<dyn Accounts>,
    mode: Mode,
    revocations: Arc<Revocations>,
    limits: AuthLimits,
    /// What was signed out elsewhere is looked for until this is dropped.
    _following: DropGuard,
}

impl Auth {
    /// Guests, with the default limits.
    pub async fn guests(
        accounts: Arc<dyn Accounts>,
        lifetime: Duration,
    ) -> Result<Self, StoreError> {
        let limits = AuthLimits::default();
        Self::start(
            SignIn::Guests(lifetime),
            accounts,
            limits,
            &TaskTracker::new(),
            Arc::new(|| Timestamp(0)),
        )
        .await
    }

    /// Reads the key that signs guests' tokens, or makes and keeps one; or begins to fetch those of the provider.
    pub async fn start(
        sign_in: SignIn,
        accounts: Arc<dyn Accounts>,
        limits: AuthLimits,
        tasks: &TaskTracker,
        clock: Clock,
    ) -> Result<Self, StoreError> {
        let now = clock();
        let revocations =
            Revocations::load(accounts.clone(), limits.revocations_cached_max, now).await?;
        let end = CancellationToken::new();
        if !limits.revocations_check_interval.is_zero() {
            let (revocations, interval) = (
                Arc::downgrade(&revocations),
                limits.revocations_check_interval,
            );
            tasks.spawn(Revocations::follow(
                revocations,
                interval,
                clock,
                end.clone(),
            ));
        }
        let mode = match sign_in {
            SignIn::Guests(lifetime) => Mode::Guests(Box::new(Guests::new(
                accounts.signing_key(rand::random()).await?,
                lifetime,
            ))),
            SignIn::Jwt(settings) => Mode::Jwt(Box::new(Jwt::new(
                *settings,
                accounts.clone(),
                limits,
                tasks,
                now,
            ))),
        };
        Ok(Self {
            accounts,
            mode,
            revocations,
            limits,
            _following: end.drop_guard(),
        })
    }

    /// Whom an `Authorization` value is for: `Bearer TOKEN`, the scheme in any letter case.
    pub async fn bearer(&self, authorization: &str, now: Timestamp) -> Result<Viewer, BadToken> {
        let scheme_and_token = authorization.trim().split_once(' ');
        let bearer = scheme_and_token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        match bearer {
            Some((_, token)) => self.viewer(token.trim(), now).await,
            None => Err(refused(BadToken::Scheme)),
        }
    }

    /// Whom a token is for, if it is good at this moment. A refusal is logged, without the token (A3).
    pub async fn viewer(&self, token: &str, now: Timestamp) -> Result<Viewer, BadToken> {
        self.check(token, now).await.map_err(refused)
    }

    async fn check(&self, token: &str, now: Timestamp) -> Result<Viewer, BadToken> {
        if token.len() > self.limits.token_bytes_max {
            return Err(BadToken::TooLong);
        }
        let head = Head::read(token)?;
        let key = self.key(&head, now).await?;
        let claims = Claims::verify(token, &head, &key)?;
        let expires_at = self.rules().check(&claims, now)?;
        let id = claims.token_id(token)?;
        if self
            .revocations
            .contains(id)
            .await
            .map_err(|error| BadToken::unavailable(&error))?
        {
            return Err(BadToken::Revoked);
        }
        let (user, operator) = match &self.mode {
            Mode::Guests(_) => (Guests::user(&claims)?, true),
            Mode::Jwt(jwt) => (jwt.user(&claims, now).await?, jwt.is_operator(&claims)),
        };
        Ok(Viewer {
            user,
            expires_at,
            token: id,
            operator,
        })
    }

    async fn key(&self, head: &Head, now: Timestamp) -> Result<Arc<Key>, BadToken> {
        match &self.mode {
            Mode::Guests(guests) => Ok(guests.key.clone()),
            Mode::Jwt(jwt) => jwt.key(head, now).await,
        }
    }

    fn rules(&self) -> &Rules {
        match &self.mode {
            Mode::Guests(_) => &Rules::OWN,
            Mode::Jwt(jwt) => &jwt.rules,
        }
    }

    /// Makes a new user of this name and signs a token for them. The ids are the user's and the token's.
    pub async fn sign_in(
        &self,
        id: UserId,
        name: UserName,
        token_id: Uuid,
        now: Timestamp,
    ) -> Result<Session, SessionError> {
        let Mode::Guests(guests) = &self.mode else {
            return Err(SessionError::NoGuests);
        };
        let user = User {
            id,
            name,
            created_at: now,
        };
        self.accounts.create_user(&user).await?;
        let (token, expires_at) = guests.token(id, token_id, now);
        Ok(Session {
            token,
            expires_at,
            user,
        })
    }

    /// Goes on as the same user with another token: a new one where this server signs them, else the one that is given.
    /// What is given must be good and the viewer's own. The answer is the session and the viewer to go on as.
    pub async fn refresh(
        &self,
        viewer: &Viewer,
        given: &str,
        token_id: Uuid,
        now: Timestamp,
    ) -> Result<(Session, Viewer), SessionError> {
        let own = self.viewer(given, now).await?;
        if own.user != viewer.user {
            return Err(SessionError::OtherUser);
        }
        // A token is signed only for a user who is there, and nobody takes users away.
        let user = self
            .accounts
            .user(&own.user)
            .await?
            .ok_or(BadToken::Claim("sub"))?;
        match &self.mode {
            Mode::Guests(guests) => {
                let (token, expires_at) = guests.token(own.user, token_id, now);
                let viewer = self.check(&token, now).await?;
                Ok((
                    Session {
                        token,
                        expires_at,
                        user,
                    },
                    viewer,
                ))
            }
            Mode::Jwt(jwt) => {
                let expires_at = jwt.rules.without_leeway(own.expires_at);
                Ok((
                    Session {
                        token: given.to_owned(),
                        expires_at,
                        user,
                    },
                    own,
                ))
            }
        }
    }

    /// Makes the viewer's token invalid, here from this moment on, and for ever (A4).
    pub async fn sign_out(&self, viewer: &Viewer, now: Timestamp) -> Result<(), StoreError> {
        self.revocations
            .revoke(viewer.token, viewer.expires_at, now)
            .await
    }

    /// Tells when the viewer's token is signed out. Cheap enough to hold for every connection.
    pub fn watch(&self, viewer: &Viewer) -> Watch {
        self.revocations.watch(viewer.token)
    }
}

/// Says in the log why a token was refused; what is passing was said where it happened.
fn refused(reason: BadToken) -> BadToken {
    if !reason.is_passing() {
        tracing::info!(%reason, "a token was refused");
    }
    reason
}
