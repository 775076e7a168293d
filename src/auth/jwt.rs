//! Users of an identity provider: whom it names is a user here, made when they come first.

use std::{sync::Arc, time::Duration};

use moka::future::Cache;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::{
    AuthLimits, BadToken,
    fetch::JwksUrl,
    jwks::KeySet,
    key::Key,
    token::{Claims, Head, Rules},
};
use crate::{
    domain::{Identity, Subject, Timestamp, UserId, UserName},
    store::Accounts,
};

/// The longest `sub` and `iss`, in bytes. OpenID Connect allows a `sub` of 255.
const CLAIM_BYTES_MAX: usize = 1024;

/// What somebody is called whose provider gives nothing that can be shown.
const NAMELESS: &str = "somebody";

/// Who signs the tokens, and what they must say.
#[derive(Clone, Debug)]
pub struct JwtSettings {
    /// The keys that they are signed with.
    pub keys: KeySource,
    /// Their `iss`, if it must be this one.
    pub issuer: Option<String>,
    /// One of their `aud`. Without it, tokens that are for somebody are refused.
    pub audience: Option<String>,
    /// How far the clocks may be apart, for `exp` and `nbf`.
    pub leeway: Duration,
    /// The claim that makes an operator where it is `true`.
    pub operator_claim: Option<String>,
}

/// Where keys come from.
#[derive(Clone, Debug)]
pub enum KeySource {
    /// One key, for as long as the server runs.
    Fixed(Box<Key>),
    /// What a provider publishes.
    Jwks(Box<JwksUrl>),
}

enum Keys {
    Fixed(Arc<Key>),
    Set(Arc<KeySet>),
}

/// Checks a provider's tokens and knows its users.
pub(super) struct Jwt {
    keys: Keys,
    pub(super) rules: Rules,
    operator_claim: Option<String>,
    accounts: Arc<dyn Accounts>,
    subjects: Cache<Identity, Subject>,
}

impl Jwt {
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
            operator_claim,
        } = settings;
        let keys = match keys {
            KeySource::Fixed(key) => Keys::Fixed(Arc::new(*key)),
            KeySource::Jwks(url) => Keys::Set(KeySet::new(*url, limits, tasks.clone(), now)),
        };
        let rules = Rules {
            issuer,
            audience,
            leeway,
        };
        Self {
            keys,
            rules,
            operator_claim,
            accounts,
            subjects: Cache::new(limits.subjects_cached_max),
        }
    }

    pub(super) async fn key(&self, head: &Head, now: Timestamp) -> Result<Arc<Key>, BadToken> {
        match &self.keys {
            Keys::Fixed(key) => Ok(key.clone()),
            Keys::Set(set) => set.key(head, now).await,
        }
    }

    pub(super) fn is_operator(&self, claims: &Claims) -> bool {
        self.operator_claim
            .as_ref()
            .is_some_and(|name| claims.is_true(name))
    }

    /// The user for whom the token is. Known ones cost no call to the database.
    pub(super) async fn user(&self, claims: &Claims, now: Timestamp) -> Result<UserId, BadToken> {
        let identity = identity(claims)?;
        let name = name(claims, &identity.subject)?;
        // A token cannot have been made later than now, whatever it says.
        let named_at = claims.moment("iat")?.unwrap_or(now).min(now);
        let known = self
            .subjects
            .try_get_with_by_ref(&identity, self.keep(&identity, &name, named_at, now))
            .await;
        let known = known.map_err(|error| *error)?;
        if known.name == name || named_at <= known.named_at {
            return Ok(known.user);
        }
        let renamed = self.keep(&identity, &name, named_at, now).await?;
        self.subjects.insert(identity, renamed).await;
        Ok(known.user)
    }

    /// Reads or makes the user, and keeps the name if it is newer than the one that is kept.
    async fn keep(
        &self,
        identity: &Identity,
        name: &UserName,
        named_at: Timestamp,
        now: Timestamp,
    ) -> Result<Subject, BadToken> {
        let candidate = Subject {
            user: UserId::from_uuid(Uuid::now_v7()),
            name: name.clone(),
            named_at,
        };
        let kept = self.accounts.subject(identity, &candidate, now).await;
        kept.map_err(|error| BadToken::unavailable(&error))
    }
}

fn identity(claims: &Claims) -> Result<Identity, BadToken> {
    let bounded = |name, text: &str| match text.len() <= CLAIM_BYTES_MAX && !text.contains('\0') {
        true => Ok(text.to_owned()),
        false => Err(BadToken::Claim(name)),
    };
    let subject = claims.text("sub")?.ok_or(BadToken::Claim("sub"))?;
    Ok(Identity {
        issuer: bounded("iss", claims.text("iss")?.unwrap_or_default())?,
        subject: bounded("sub", subject)?,
    })
}

/// What to call somebody: the first of these that can be shown, cut to the length of a name.
fn name(claims: &Claims, subject: &str) -> Result<UserName, BadToken> {
    let given = [
        claims.text("name")?,
        claims.text("preferred_username")?,
        Some(subject),
        Some(NAMELESS),
    ];
    let cut = |text: &str| {
        let plain = text.replace('\0', "");
        let plain = plain.trim();
        UserName::new(&plain[..plain.floor_char_boundary(UserName::BYTES_MAX)]).ok()
    };
    Ok(given
        .into_iter()
        .flatten()
        .find_map(cut)
        .expect("the last one is a name"))
}
