//! Sessions: a guest signs in, a viewer gets a fresh token, a viewer signs out.

use std::fmt;

use uuid::Uuid;

use super::{
    authenticator::{Auth, TokenIssuer},
    error::{SessionError, TokenError},
    guest::Guests,
};
use crate::{
    domain::{Timestamp, User, UserId, UserName, Viewer},
    store::StoreError,
};

/// A token and its user. The token is a secret, so it does not appear in debug output (A3).
pub struct Session {
    /// The token.
    pub token: String,
    /// When the token expires.
    pub expires_at: Timestamp,
    /// The user of the token.
    pub user: User,
}

impl Session {
    fn of(user: User, (token, expires_at): (String, Timestamp)) -> Self {
        Self {
            token,
            expires_at,
            user,
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("user", &self.user.id)
            .finish_non_exhaustive()
    }
}

impl Auth {
    /// Creates a user with this name and signs a token for them. `id` becomes the id of the user,
    /// and `token_id` the id of the token.
    ///
    /// # Errors
    /// [`SessionError::NoGuests`] if an identity provider signs the tokens, or a failure of the
    /// store.
    pub async fn sign_in(
        &self,
        id: UserId,
        name: UserName,
        token_id: Uuid,
        now: Timestamp,
    ) -> Result<Session, SessionError> {
        let guests = self.guest_issuer()?;
        let user = User {
            id,
            name,
            created_at: now,
        };
        self.accounts.create_user(&user).await?;
        Ok(Session::of(user, guests.token(id, token_id, now)))
    }

    /// Signs a token for a guest that exists.
    ///
    /// # Errors
    /// [`SessionError::NoGuests`] if an identity provider signs the tokens,
    /// [`SessionError::NoUser`] if there is no such user, or a failure of the store.
    pub async fn token_of(
        &self,
        id: UserId,
        token_id: Uuid,
        now: Timestamp,
    ) -> Result<Session, SessionError> {
        let guests = self.guest_issuer()?;
        let user = self.accounts.user(&id).await?.ok_or(SessionError::NoUser)?;
        Ok(Session::of(user, guests.token(id, token_id, now)))
    }

    fn guest_issuer(&self) -> Result<&Guests, SessionError> {
        match &self.issuer {
            TokenIssuer::Guests(guests) => Ok(guests),
            TokenIssuer::Jwt(_) => Err(SessionError::NoGuests),
        }
    }

    /// Continues as the same user with another token. If this server signs tokens, it signs a new
    /// one; otherwise the given token becomes the token of the session.
    ///
    /// Returns the session, and the viewer of its token.
    ///
    /// # Errors
    /// The given token is refused, or it is for another user, or the store failed.
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
        // A token is signed only for a user that exists, and users are never deleted.
        let user = self
            .accounts
            .user(&own.user)
            .await?
            .ok_or(TokenError::Claim("sub"))?;
        let (token, expires_at, viewer) = match &self.issuer {
            TokenIssuer::Guests(guests) => {
                let (token, expires_at) = guests.token(own.user, token_id, now);
                let viewer = self.check(&token, now).await?;
                (token, expires_at, viewer)
            }
            TokenIssuer::Jwt(jwt) => {
                let expires_at = jwt.rules.without_leeway(own.expires_at);
                (given.to_owned(), expires_at, own)
            }
        };
        Ok((Session::of(user, (token, expires_at)), viewer))
    }

    /// Revokes the viewer's token. When this returns, the revocation is durable (A4).
    pub async fn sign_out(&self, viewer: &Viewer, now: Timestamp) -> Result<(), StoreError> {
        self.revocations
            .revoke(viewer.token, viewer.expires_at, now)
            .await
    }
}
