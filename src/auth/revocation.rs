//! Revoked tokens, and the tasks that are woken when a token is revoked.
//!
//! Revocations are a log in the database. Each process has a cursor in it, and reads on from there
//! at the start and about once a second. So all processes soon refuse a token that one of them
//! revoked (A4).

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, MutexGuard, Weak,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures::task::AtomicWaker;
use tokio_util::sync::CancellationToken;

use crate::{
    domain::{Clock, Timestamp, TokenId},
    store::{Accounts, StoreError},
    sync::Mutex,
};

/// Number of revocations in one read.
const PAGE: u32 = 1_000;

/// The revoked tokens. The newest are in memory; if there are more, the others are looked up in the
/// database.
pub(super) struct Revocations {
    accounts: Arc<dyn Accounts>,
    cached_max: usize,
    cache: Mutex<RevocationCache>,
}

/// The revocations in memory, and the watches.
#[derive(Default)]
struct RevocationCache {
    /// The number of the last revocation that was read from the database.
    read_upto: u64,
    /// Revoked tokens, and when each expires.
    revoked: HashMap<TokenId, Timestamp>,
    /// The tokens of `revoked`, the oldest first.
    order: VecDeque<TokenId>,
    /// Whether revocations were dropped from memory. Then a token that is not in memory is looked
    /// up in the database. This stays true until the next start.
    is_partial: bool,
    /// The watches of each token.
    watched: HashMap<TokenId, Watched>,
}

/// The watches of one token.
struct Watched {
    expires_at: Timestamp,
    flags: Vec<Arc<InvalidFlag>>,
}

impl Watched {
    fn wake_all(&self) {
        for flag in &self.flags {
            flag.is_set.store(true, Ordering::Release);
            flag.waker.wake();
        }
    }
}

/// The state that a [`Watch`] and the cache share: whether the token is invalid, and the task to
/// wake.
#[derive(Default)]
struct InvalidFlag {
    is_set: AtomicBool,
    waker: AtomicWaker,
}

impl Revocations {
    /// Loads the newest `cached_max` revocations.
    pub(super) async fn load(
        accounts: Arc<dyn Accounts>,
        cached_max: usize,
        now: Timestamp,
    ) -> Result<Arc<Self>, StoreError> {
        let read_upto = accounts
            .revocations_head()
            .await?
            .saturating_sub(cached_max as u64);
        let cache = RevocationCache {
            read_upto,
            is_partial: read_upto > 0,
            ..RevocationCache::default()
        };
        let revocations = Arc::new(Self {
            accounts,
            cached_max,
            cache: Mutex::new(cache),
        });
        revocations.read_on(now).await?;
        Ok(revocations)
    }

    /// Reads the log of revocations from the cursor to its end. If there are new ones, expired
    /// tokens are forgotten to make room.
    async fn read_on(&self, now: Timestamp) -> Result<(), StoreError> {
        loop {
            let after = self.cache().read_upto;
            let page = self.accounts.revocations(after, PAGE).await?;
            let mut cache = self.cache();
            if !page.is_empty() {
                cache.forget_expired(now);
            }
            for revocation in &page {
                cache.record(revocation.token, revocation.expires_at, self.cached_max);
                cache.read_upto = revocation.number;
            }
            if page.len() < PAGE as usize {
                return Ok(());
            }
        }
    }

    /// Reads the log at each interval, until `end` is cancelled or the revocations are dropped. If
    /// the clock was set forward meanwhile, it wakes the watches of tokens that have expired.
    pub(super) async fn follow(
        this: Weak<Self>,
        interval: Duration,
        clock: Clock,
        end: CancellationToken,
    ) {
        let mut before = clock();
        while end
            .run_until_cancelled(tokio::time::sleep(interval))
            .await
            .is_some()
        {
            let Some(revocations) = this.upgrade() else {
                return;
            };
            let now = clock();
            if before.until(now) > interval.saturating_mul(2) {
                revocations.cache().expire(now);
            }
            before = now;
            if let Err(error) = revocations.read_on(now).await {
                tracing::error!(%error, "the revocations of other processes could not be read");
            }
        }
    }

    fn cache(&self) -> MutexGuard<'_, RevocationCache> {
        self.cache.lock()
    }

    /// Revokes a token and wakes its watches. The revocation is durable when this returns.
    pub(super) async fn revoke(
        &self,
        token: TokenId,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.accounts.revoke(token, until, now).await?;
        self.cache().record(token, until, self.cached_max);
        Ok(())
    }

    /// Whether a token was revoked. Asks the database if the answer may not be in memory.
    pub(super) async fn contains(&self, token: TokenId) -> Result<bool, StoreError> {
        let (is_cached, is_partial) = {
            let cache = self.cache();
            (cache.revoked.contains_key(&token), cache.is_partial)
        };
        if is_cached || !is_partial {
            Ok(is_cached)
        } else {
            self.accounts.is_revoked(token).await
        }
    }

    /// Whether a token is among the revoked tokens in memory. Does not ask the database.
    pub(super) fn is_cached(&self, token: TokenId) -> bool {
        self.cache().revoked.contains_key(&token)
    }

    /// Watches a token. If its revocation is in memory already, the watch is ready at once.
    pub(super) fn watch(self: &Arc<Self>, token: TokenId, expires_at: Timestamp) -> Watch {
        let flag = Arc::new(InvalidFlag::default());
        let mut cache = self.cache();
        flag.is_set
            .store(cache.revoked.contains_key(&token), Ordering::Release);
        let watched = cache.watched.entry(token).or_insert_with(|| Watched {
            expires_at,
            flags: Vec::new(),
        });
        watched.flags.push(flag.clone());
        drop(cache);
        Watch {
            token,
            flag,
            revocations: self.clone(),
        }
    }
}

impl RevocationCache {
    /// Adds a revocation, which may be known already, and wakes the watches of its token.
    fn record(&mut self, token: TokenId, until: Timestamp, cached_max: usize) {
        if self.revoked.insert(token, until).is_none() {
            self.order.push_back(token);
        }
        while self.revoked.len() > cached_max {
            let Some(oldest) = self.order.pop_front() else {
                break;
            };
            self.revoked.remove(&oldest);
            self.is_partial = true;
        }
        if let Some(watched) = self.watched.get(&token) {
            watched.wake_all();
        }
    }

    /// Wakes the watches of tokens that have expired.
    fn expire(&self, now: Timestamp) {
        let expired = |watched: &&Watched| watched.expires_at <= now;
        self.watched
            .values()
            .filter(expired)
            .for_each(Watched::wake_all);
    }

    /// Drops tokens that have expired. They are refused because of their expiry.
    fn forget_expired(&mut self, now: Timestamp) {
        let revoked = &mut self.revoked;
        revoked.retain(|_, until| *until > now);
        self.order.retain(|token| revoked.contains_key(token));
    }
}

/// Watches one token for its revocation, and for its expiry when the clock is set forward. It costs
/// one entry in a table, which dropping it removes.
pub struct Watch {
    token: TokenId,
    flag: Arc<InvalidFlag>,
    revocations: Arc<Revocations>,
}

impl Watch {
    /// Ready from the moment at which the token is revoked, or is found to have expired. Only the
    /// task that polled last is woken.
    pub fn poll_invalid(&self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.flag.is_set.load(Ordering::Acquire) {
            self.flag.waker.register(cx.waker());
        }
        // Checked again, because the token may have been revoked before the waker was registered.
        if self.flag.is_set.load(Ordering::Acquire) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    /// Waits until the token is revoked, or is found to have expired.
    pub async fn invalid(&self) {
        std::future::poll_fn(|cx| self.poll_invalid(cx)).await;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut cache = self.revocations.cache();
        if let Some(watched) = cache.watched.get_mut(&self.token) {
            watched.flags.retain(|flag| !Arc::ptr_eq(flag, &self.flag));
            if watched.flags.is_empty() {
                cache.watched.remove(&self.token);
            }
        }
    }
}
