//! A provider's set of keys: kept, fetched again when it is old or a token names a key that it lacks.
//!
//! At most one fetch runs at a time, and one begins at most once per `jwks_refetch_interval`. The keys of the last fetch that
//! succeeded stay good until another one does.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use serde::Deserialize;
use tokio_util::task::TaskTracker;

use super::{
    AuthLimits, BadToken,
    fetch::{FetchError, JwksUrl},
    key::{Jwk, Key, is_shared},
    token::Head,
};
use crate::domain::Timestamp;

/// A fetch that runs: true if it succeeds.
type Flight = Shared<BoxFuture<'static, bool>>;

/// A provider's keys.
pub(super) struct KeySet {
    url: JwksUrl,
    limits: AuthLimits,
    tasks: TaskTracker,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    keys: Vec<Arc<Key>>,
    /// When the fetch began that brought these keys.
    fetched_at: Option<Timestamp>,
    /// When the last fetch began.
    tried_at: Option<Timestamp>,
    flight: Option<Flight>,
}

/// What is known of a key.
enum Found {
    /// It is here, or what is here says that there can be none.
    Here(Result<Arc<Key>, BadToken>),
    /// It may be among those that this fetch brings.
    Flight(Flight),
    /// Nobody knows, and it is too early to ask again.
    Unknown,
}

impl KeySet {
    /// Begins to fetch the keys.
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
            state: Mutex::default(),
        });
        drop(keys.begin(&mut keys.state(), now));
        keys
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic under this lock")
    }

    /// The key that a token names; one that names none is for the only key of its algorithm.
    pub(super) async fn key(
        self: &Arc<Self>,
        head: &Head,
        now: Timestamp,
    ) -> Result<Arc<Key>, BadToken> {
        if is_shared(head.algorithm) {
            return Err(BadToken::Algorithm);
        }
        let flight = match self.look(head, now) {
            Found::Here(found) => return found,
            Found::Flight(flight) => flight,
            Found::Unknown => return Err(BadToken::Unavailable),
        };
        let succeeded = flight.await;
        match find(&self.state().keys, head) {
            Some(found) => found,
            None if succeeded => Err(BadToken::UnknownKey),
            None => Err(BadToken::Unavailable),
        }
    }

    fn look(self: &Arc<Self>, head: &Head, now: Timestamp) -> Found {
        let mut state = self.state();
        let found = find(&state.keys, head);
        let fresh = state
            .fetched_at
            .is_some_and(|at| apart(at, now) < self.limits.jwks_refresh_age);
        match found {
            Some(found) => {
                if !fresh {
                    // In the background: the keys that are here do for now.
                    drop(self.begin(&mut state, now));
                }
                Found::Here(found)
            }
            None => self
                .begin(&mut state, now)
                .map_or(Found::Unknown, Found::Flight),
        }
    }

    /// The fetch that runs, or a new one unless the last one began only just now.
    fn begin(self: &Arc<Self>, state: &mut State, now: Timestamp) -> Option<Flight> {
        if let Some(flight) = state
            .flight
            .as_ref()
            .filter(|flight| flight.peek().is_none())
        {
            return Some(flight.clone());
        }
        if state
            .tried_at
            .is_some_and(|at| apart(at, now) < self.limits.jwks_refetch_interval)
        {
            return None;
        }
        state.tried_at = Some(now);
        let keys = self.clone();
        // A task of its own: whoever waits for it may go away.
        let task = self.tasks.spawn(async move { keys.renew(now).await });
        let flight = task.map(|result| result.unwrap_or(false)).boxed().shared();
        state.flight = Some(flight.clone());
        Some(flight)
    }

    async fn renew(&self, began: Timestamp) -> bool {
        let fetched = self
            .url
            .fetch(self.limits.jwks_bytes_max, self.limits.jwks_timeout)
            .await;
        let fetched = fetched.and_then(|text| read(&text));
        let mut state = self.state();
        state.flight = None;
        match fetched {
            Ok(keys) => {
                tracing::debug!(keys = keys.len(), "the provider's keys were fetched");
                (state.keys, state.fetched_at) = (keys, Some(began));
                true
            }
            Err(error) => {
                let kept = state.keys.len();
                tracing::warn!(%error, url = ?self.url, kept, "the provider's keys were not fetched; those known stay good");
                false
            }
        }
    }
}

/// The key that a token names, or why none of these can be meant; nothing if another one may be.
fn find(keys: &[Arc<Key>], head: &Head) -> Option<Result<Arc<Key>, BadToken>> {
    let fits = |key: &&Arc<Key>| key.is_for(head.algorithm);
    let Some(kid) = head.kid.as_deref() else {
        let mut fitting = keys.iter().filter(fits);
        let first = fitting.next()?;
        // A token that names no key cannot choose between two.
        return Some(if fitting.next().is_none() {
            Ok(first.clone())
        } else {
            Err(BadToken::UnknownKey)
        });
    };
    let mut named = keys.iter().filter(|key| key.id() == Some(kid)).peekable();
    named.peek()?;
    Some(named.find(fits).cloned().ok_or(BadToken::Algorithm))
}

/// The keys of a set that can be used here; others are left out, as RFC 7517, 5 asks for.
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

/// How far apart two moments are; a clock that was set back does not stop the fetches.
fn apart(a: Timestamp, b: Timestamp) -> Duration {
    a.until(b).max(b.until(a))
}
