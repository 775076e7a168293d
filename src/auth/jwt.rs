//! Users of an identity provider. Each `(iss, sub)` is one user here, created with the first token.

use std::sync::Arc;

use moka::future::Cache;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::{
    error::TokenError,
    jwks::KeySet,
    key::Key,
    limits::AuthLimits,
    settings::{JwtSettings, KeySource},
    token::{Claims, Head, TokenRules},
};
use crate::{
    domain::{Identity, Subject, Timestamp, UserId, UserName, in_one_line},
    store::Accounts,
};

/// Maximum length of `sub` and of `iss`, in bytes. OpenID Connect allows a `sub` of 255.
const CLAIM_BYTES_MAX: usize = 1024;

/// The name of a user whose token contains no usable name.
const NAMELESS: &str = "somebody";

/// The keys of the provider.
enum Keys {
    Fixed(Arc<Key>),
    Set(Arc<KeySet>),
}

/// One identity provider: its keys, the rules for its tokens, and a bounded cache of its users.
pub(super) struct Jwt {
    keys: Keys,
    pub(super) rules: TokenRules,
    accounts: Arc<dyn Accounts>,
    subjects: Cache<Identity, Subject>,
}

impl Jwt {
    /// A provider with these settings. If it publishes its keys, the first fetch starts now.
    pub(super) fn new(
        settings: JwtSettings,
        accounts: Arc<dyn Accounts>,
        limits: AuthLimits,
        tasks: &TaskTracker,
        now: Timestamp,
    ) -> Self {
        let JwtSettings {
            keys,
            issuer,
            audience,
            leeway,
        } = settings;
        let keys = match keys {
            KeySource::Fixed(key) => Keys::Fixed(Arc::new(*key)),
            KeySource::Jwks(url) => Keys::Set(KeySet::new(*url, limits, tasks.clone(), now)),
        };
        let rules = TokenRules {
            issuer,
            audience,
            leeway,
        };
        Self {
            keys,
            rules,
            accounts,
            subjects: Cache::new(limits.subjects_cached_max),
        }
    }

    /// The key that a token must be verified with.
    pub(super) async fn key(&self, head: &Head, now: Timestamp) -> Result<Arc<Key>, TokenError> {
        match &self.keys {
            Keys::Fixed(key) => Ok(key.clone()),
            Keys::Set(set) => set.key(head, now).await,
        }
    }

    /// The user of a token. A cached user costs no call to the database (A5), unless the token
    /// renames them.
    pub(super) async fn user(&self, claims: &Claims, now: Timestamp) -> Result<UserId, TokenError> {
        let identity = identity(claims)?;
        let name = name(claims, &identity.subject)?;
        // A token cannot have been issued later than now, whatever its `iat` is.
        let named_at = claims.moment("iat")?.unwrap_or(now).min(now);
        let subject = self
            .subjects
            .try_get_with_by_ref(&identity, self.store(&identity, &name, named_at, now))
            .await;
        let subject = subject.map_err(|error| *error)?;
        if subject.name == name || named_at <= subject.named_at {
            return Ok(subject.user);
        }
        let renamed = self.store(&identity, &name, named_at, now).await?;
        self.subjects.insert(identity, renamed).await;
        Ok(subject.user)
    }

    /// Reads or creates the user. If the name is newer than the stored one, it replaces it.
    async fn store(
        &self,
        identity: &Identity,
        name: &UserName,
        named_at: Timestamp,
        now: Timestamp,
    ) -> Result<Subject, TokenError> {
        let candidate = Subject {
            user: UserId::from_uuid(Uuid::now_v7()),
            name: name.clone(),
            named_at,
        };
        let stored = self.accounts.subject(identity, &candidate, now).await;
        stored.map_err(|error| TokenError::unavailable(&error))
    }
}

/// The issuer and the subject of a token, within their bounds.
fn identity(claims: &Claims) -> Result<Identity, TokenError> {
    let bounded = |name, text: &str| match text.len() <= CLAIM_BYTES_MAX && !text.contains('\0') {
        true => Ok(text.to_owned()),
        false => Err(TokenError::Claim(name)),
    };
    let subject = claims.text("sub")?.ok_or(TokenError::Claim("sub"))?;
    Ok(Identity {
        issuer: bounded("iss", claims.text("iss")?.unwrap_or_default())?,
        subject: bounded("sub", subject)?,
    })
}

/// The name of a user: the first usable one of `name`, `preferred_username` and `sub`, cut to the
/// maximum length of a name.
fn name(claims: &Claims, subject: &str) -> Result<UserName, TokenError> {
    let given = [
        claims.text("name")?,
        claims.text("preferred_username")?,
        Some(subject),
        Some(NAMELESS),
    ];
    let cut = |text: &str| {
        let plain = in_one_line(text);
        let plain = plain.trim();
        UserName::new(&plain[..plain.floor_char_boundary(UserName::BYTES_MAX)]).ok()
    };
    Ok(given
        .into_iter()
        .flatten()
        .find_map(cut)
        .expect("the last candidate is a valid name"))
}
