//! The key set of an identity provider, cached.
//!
//! The set is fetched at the start, again when it is old, and when a token names a key that it does
//! not contain. At most one fetch runs at a time, and fetches start at least
//! `jwks_refetch_interval` apart. The keys of the last successful fetch are used until another
//! fetch succeeds.

use std::{
    sync::{Arc, MutexGuard},
    time::Duration,
};

use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use serde::Deserialize;
use tokio_util::task::TaskTracker;

use super::{
    error::TokenError,
    fetch::{FetchError, JwksUrl},
    key::{Jwk, Key, is_shared},
    limits::AuthLimits,
    token::Head,
};
use crate::{domain::Timestamp, sync::Mutex};

/// A running fetch. Its result is whether it succeeded.
type Fetch = Shared<BoxFuture<'static, bool>>;

/// The keys of one identity provider.
pub(super) struct KeySet {
    url: JwksUrl,
    limits: AuthLimits,
    tasks: TaskTracker,
    cache: Mutex<KeyCache>,
}

/// The fetched keys, and the state of the fetches.
#[derive(Default)]
struct KeyCache {
    keys: Vec<Arc<Key>>,
    /// When the fetch of these keys started.
    fetched_at: Option<Timestamp>,
    /// When the last fetch started.
    tried_at: Option<Timestamp>,
    fetch: Option<Fetch>,
}

/// The result of looking for a key in the cache.
enum KeyLookup {
    /// The key is cached, or the cached keys decide that the token must be refused.
    Decided(Result<Arc<Key>, TokenError>),
    /// The key is not cached, but this fetch may bring it.
    Fetching(Fetch),
    /// The key is not cached, and it is too early for another fetch.
    TooEarly,
}

impl KeySet {
    /// An empty set, whose first fetch starts now.
    pub(super) fn new(
        url: JwksUrl,
        limits: AuthLimits,
        tasks: TaskTracker,
        now: Timestamp,
    ) -> Arc<Self> {
        let keys = Arc::new(Self {
            url,
            limits,
            tasks,
            cache: Mutex::default(),
        });
        drop(keys.start_fetch(&mut keys.cache(), now));
        keys
    }

    fn cache(&self) -> MutexGuard<'_, KeyCache> {
        self.cache.lock()
    }

    /// The key that a token names. A token that names no key gets the only key of its algorithm.
    ///
    /// It waits for a fetch if the key is not cached.
    ///
    /// # Errors
    /// [`TokenError::UnknownKey`] only if a fetch that succeeded did not bring the key. Without
    /// such a fetch, [`TokenError::Unavailable`].
    pub(super) async fn key(
        self: &Arc<Self>,
        head: &Head,
        now: Timestamp,
    ) -> Result<Arc<Key>, TokenError> {
        if is_shared(head.algorithm) {
            return Err(TokenError::Algorithm);
        }
        let fetch = match self.look_up(head, now) {
            KeyLookup::Decided(result) => return result,
            KeyLookup::Fetching(fetch) => fetch,
            KeyLookup::TooEarly => return Err(TokenError::Unavailable),
        };
        let succeeded = fetch.await;
        match find(&self.cache().keys, head) {
            Some(found) => found,
            None if succeeded => Err(TokenError::UnknownKey),
            None => Err(TokenError::Unavailable),
        }
    }

    fn look_up(self: &Arc<Self>, head: &Head, now: Timestamp) -> KeyLookup {
        let mut cache = self.cache();
        let found = find(&cache.keys, head);
        let fresh = cache
            .fetched_at
            .is_some_and(|at| distance(at, now) < self.limits.jwks_refresh_age);
        match found {
            Some(found) => {
                if !fresh {
                    // The fetch runs in the background; this token uses the cached keys.
                    drop(self.start_fetch(&mut cache, now));
                }
                KeyLookup::Decided(found)
            }
            None => self
                .start_fetch(&mut cache, now)
                .map_or(KeyLookup::TooEarly, KeyLookup::Fetching),
        }
    }

    /// The running fetch, or a new one. `None` if the last one started too recently.
    fn start_fetch(self: &Arc<Self>, cache: &mut KeyCache, now: Timestamp) -> Option<Fetch> {
        if let Some(fetch) = cache.fetch.as_ref().filter(|fetch| fetch.peek().is_none()) {
            return Some(fetch.clone());
        }
        if cache
            .tried_at
            .is_some_and(|at| distance(at, now) < self.limits.jwks_refetch_interval)
        {
            return None;
        }
        cache.tried_at = Some(now);
        let keys = self.clone();
        // The fetch is a task of its own, because the requests that wait for it may be cancelled.
        let task = self.tasks.spawn(async move { keys.refresh(now).await });
        let fetch = task.map(|result| result.unwrap_or(false)).boxed().shared();
        cache.fetch = Some(fetch.clone());
        Some(fetch)
    }

    /// Fetches the set and replaces the keys. Returns whether it succeeded.
    async fn refresh(&self, started_at: Timestamp) -> bool {
        let fetched = self
            .url
            .fetch(self.limits.jwks_bytes_max, self.limits.jwks_timeout)
            .await;
        let fetched = fetched.and_then(|text| read(&text));
        let mut cache = self.cache();
        cache.fetch = None;
        match fetched {
            Ok(keys) => {
                tracing::debug!(keys = keys.len(), "the provider's keys were fetched");
                (cache.keys, cache.fetched_at) = (keys, Some(started_at));
                true
            }
            Err(error) => {
                let kept = cache.keys.len();
                tracing::warn!(
                    %error, url = ?self.url, kept,
                    "the provider's keys were not fetched; the cached keys stay in use"
                );
                false
            }
        }
    }
}

/// The key that a token names, or why the token must be refused. `None` if a fetch may bring its
/// key.
fn find(keys: &[Arc<Key>], head: &Head) -> Option<Result<Arc<Key>, TokenError>> {
    let fits = |key: &&Arc<Key>| key.is_for(head.algorithm);
    let Some(kid) = head.kid.as_deref() else {
        let mut fitting = keys.iter().filter(fits);
        let first = fitting.next()?;
        // With two keys of this algorithm, the token does not say which one it means.
        return Some(if fitting.next().is_none() {
            Ok(first.clone())
        } else {
            Err(TokenError::UnknownKey)
        });
    };
    let mut named = keys.iter().filter(|key| key.id() == Some(kid)).peekable();
    named.peek()?;
    Some(named.find(fits).cloned().ok_or(TokenError::Algorithm))
}

/// The usable keys of a set. Other keys are ignored, as RFC 7517, section 5 asks for.
fn read(text: &[u8]) -> Result<Vec<Arc<Key>>, FetchError> {
    #[derive(Deserialize)]
    struct Set {
        keys: Vec<serde_json::Value>,
    }
    let set: Set = serde_json::from_slice(text).map_err(|_| FetchError::NoKeys)?;
    let jwks = set
        .keys
        .into_iter()
        .filter_map(|key| serde_json::from_value::<Jwk>(key).ok());
    let keys: Vec<_> = jwks
        .filter_map(|jwk| Key::from_jwk(&jwk).ok())
        .map(Arc::new)
        .collect();
    if keys.is_empty() {
        Err(FetchError::NoKeys)
    } else {
        Ok(keys)
    }
}

/// The time between two moments, in either order. So a clock that is set back does not stop the
/// fetches.
fn distance(a: Timestamp, b: Timestamp) -> Duration {
    a.until(b).max(b.until(a))
}
