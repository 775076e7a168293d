//! [`Auth`] checks tokens. Its state is the keys, the known users and the revocations.

use std::{collections::HashMap, sync::Arc, time::Duration};

use sha2::{Digest, Sha256};

use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use super::{
    error::TokenError,
    guest::Guests,
    jwt::Jwt,
    key::Key,
    limits::AuthLimits,
    revocation::{Revocations, Watch},
    settings::SignIn,
    token::{Claims, Head, TokenRules, id_of},
    verified::{VerifiedToken, VerifiedTokens},
};
use crate::{
    domain::{Caller, Clock, Timestamp, TokenId, UserId, Viewer},
    store::{Accounts, StoreError},
};

/// The signer of the tokens that this server accepts.
pub(super) enum TokenIssuer {
    /// This server.
    Guests(Box<Guests>),
    /// An identity provider.
    Jwt(Box<Jwt>),
}

/// Checks tokens, signs guests in, and signs any viewer out.
pub struct Auth {
    pub(super) accounts: Arc<dyn Accounts>,
    pub(super) issuer: TokenIssuer,
    pub(super) revocations: Arc<Revocations>,
    limits: AuthLimits,
    verified_tokens: VerifiedTokens,
    /// Texts that are accepted as tokens of users, for tests.
    fixed_tokens: HashMap<String, UserId>,
    /// Dropping it ends the task that reads the revocations of other processes.
    _following: DropGuard,
}

impl Auth {
    /// Guests with the default limits, for tools and tests. The clock is fixed at 1970, so no
    /// revocation is forgotten because it has expired.
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

    /// Loads the revocations, and starts the task that reads further ones. Then it reads the key
    /// that signs guests' tokens, or starts to fetch the keys of the identity provider. If the
    /// database has no key for guests, it makes one and stores it.
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
        let issuer = match sign_in {
            SignIn::Guests(lifetime) => TokenIssuer::Guests(Box::new(Guests::new(
                accounts.signing_key(rand::random()).await?,
                lifetime,
            ))),
            SignIn::Jwt(settings) => TokenIssuer::Jwt(Box::new(Jwt::new(
                *settings,
                accounts.clone(),
                limits,
                tasks,
                now,
            ))),
        };
        Ok(Self {
            accounts,
            issuer,
            revocations,
            limits,
            verified_tokens: VerifiedTokens::new(limits.verified_tokens_bytes_max),
            fixed_tokens: HashMap::new(),
            _following: end.drop_guard(),
        })
    }

    /// Accepts texts as tokens of users, which never expire. It is for tests.
    pub fn accept(&mut self, tokens: HashMap<String, UserId>) {
        self.fixed_tokens = tokens;
    }

    /// The caller by the token that was given: anonymous without a token, otherwise its viewer. An
    /// invalid token is an error (A1).
    ///
    /// # Errors
    /// As for [`Auth::viewer`], or the error in `token`. It is not logged.
    pub async fn caller(
        &self,
        token: Result<Option<&str>, TokenError>,
        now: Timestamp,
    ) -> Result<Caller, TokenError> {
        match token? {
            Some(token) => self.check(token, now).await.map(Caller::Viewer),
            None => Ok(Caller::Anonymous),
        }
    }

    /// The viewer of a token, if the token is valid now. A refusal is logged, without the token
    /// (A3).
    ///
    /// # Errors
    /// The reason why the token is refused, or [`TokenError::Unavailable`] if it cannot be checked.
    pub async fn viewer(&self, token: &str, now: Timestamp) -> Result<Viewer, TokenError> {
        self.check(token, now).await.map_err(refused)
    }

    /// Checks a token, without a log line (A1).
    pub(super) async fn check(&self, token: &str, now: Timestamp) -> Result<Viewer, TokenError> {
        if token.len() > self.limits.token_bytes_max {
            return Err(TokenError::TooLong);
        }
        if let Some(user) = self.fixed_tokens.get(token) {
            return self.fixed_viewer(token, *user).await;
        }
        let verified = self.verified(token, now).await?;
        let claims = &verified.claims;
        let expires_at = self.rules().check(claims, now)?;
        self.check_not_revoked(verified.id).await?;
        let user = match &self.issuer {
            TokenIssuer::Guests(_) => Guests::user(claims)?,
            TokenIssuer::Jwt(jwt) => jwt.user(claims, now).await?,
        };
        Ok(Viewer {
            user,
            expires_at,
            token: verified.id,
        })
    }

    /// Verifies the signature of a token, unless the same key has verified it before.
    async fn verified(
        &self,
        token: &str,
        now: Timestamp,
    ) -> Result<Arc<VerifiedToken>, TokenError> {
        let hash = VerifiedTokens::hash(token);
        if let Some(known) = self.verified_tokens.get(&hash)
            && Arc::ptr_eq(&known.key, &self.key(&known.head, now).await?)
        {
            return Ok(known);
        }
        let head = Head::read(token)?;
        let key = self.key(&head, now).await?;
        let claims = Claims::verify(token, &head, &key)?;
        let verified = Arc::new(VerifiedToken {
            id: claims.token_id(token)?,
            head,
            key,
            claims,
            bytes: token.len(),
        });
        self.verified_tokens.keep(hash, verified.clone());
        Ok(verified)
    }

    async fn check_not_revoked(&self, id: TokenId) -> Result<(), TokenError> {
        let revoked = self.revocations.contains(id).await;
        match revoked.map_err(|error| TokenError::unavailable(&error))? {
            true => Err(TokenError::Revoked),
            false => Ok(()),
        }
    }

    async fn fixed_viewer(&self, token: &str, user: UserId) -> Result<Viewer, TokenError> {
        let token = id_of(Sha256::new_with_prefix(token));
        self.check_not_revoked(token).await?;
        Ok(Viewer {
            user,
            expires_at: Timestamp(i64::MAX),
            token,
        })
    }

    async fn key(&self, head: &Head, now: Timestamp) -> Result<Arc<Key>, TokenError> {
        match &self.issuer {
            TokenIssuer::Guests(guests) => Ok(guests.key.clone()),
            TokenIssuer::Jwt(jwt) => jwt.key(head, now).await,
        }
    }

    fn rules(&self) -> &TokenRules {
        match &self.issuer {
            TokenIssuer::Guests(_) => &TokenRules::OWN,
            TokenIssuer::Jwt(jwt) => &jwt.rules,
        }
    }

    /// Watches the token of a viewer for its revocation, and for its expiry when the clock is set
    /// forward. It is cheap enough for every connection.
    pub fn watch(&self, viewer: &Viewer) -> Watch {
        self.revocations.watch(viewer.token, viewer.expires_at)
    }
}

/// Logs why a token was refused. A temporary failure was logged where it happened.
fn refused(reason: TokenError) -> TokenError {
    if !reason.is_temporary() {
        tracing::info!(%reason, "a token was refused");
    }
    reason
}
