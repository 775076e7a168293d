//! Tokens that were signed out, and who must hear of it at once.
//!
//! What is signed out is a log in the database, and every process on it is a cursor: it reads on at the start, and about once
//! a second. So a token that was signed out at one is soon good at none.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, Weak,
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
};

/// Revocations that are read at once.
const PAGE: u32 = 1_000;

/// The tokens that were signed out, in memory as far as there is room; what has none is looked up in the database.
pub(super) struct Revocations {
    accounts: Arc<dyn Accounts>,
    cached_max: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// How far the database's log of them was read.
    read_upto: u64,
    revoked: HashMap<TokenId, Timestamp>,
    /// The same, the first to make room in front.
    order: VecDeque<TokenId>,
    /// The database holds more than is held here. Stays so until the next start.
    spilled: bool,
    /// Who wants to hear of which token.
    watched: HashMap<TokenId, Vec<Arc<RevokedFlag>>>,
}

#[derive(Default)]
struct RevokedFlag {
    rung: AtomicBool,
    waker: AtomicWaker,
}

impl Revocations {
    /// What was revoked before the start, as far as there is room.
    pub(super) async fn load(
        accounts: Arc<dyn Accounts>,
        cached_max: usize,
        now: Timestamp,
    ) -> Result<Arc<Self>, StoreError> {
        let read_upto = accounts
            .revocations_head()
            .await?
            .saturating_sub(cached_max as u64);
        let state = State {
            read_upto,
            spilled: read_upto > 0,
            ..State::default()
        };
        let revocations = Arc::new(Self {
            accounts,
            cached_max,
            state: Mutex::new(state),
        });
        revocations.read_on(now).await?;
        Ok(revocations)
    }

    /// Reads on in the database's log of revocations, to its end. What has expired makes room for what is new.
    async fn read_on(&self, now: Timestamp) -> Result<(), StoreError> {
        loop {
            let after = self.state().read_upto;
            let page = self.accounts.revocations(after, PAGE).await?;
            let mut state = self.state();
            if !page.is_empty() {
                state.forget_expired(now);
            }
            for revocation in &page {
                state.learn(revocation.token, revocation.expires_at, self.cached_max);
                state.read_upto = revocation.number;
            }
            if page.len() < PAGE as usize {
                return Ok(());
            }
        }
    }

    /// Reads on again and again, until the end or until nobody has use for it any more.
    pub(super) async fn follow(
        this: Weak<Self>,
        interval: Duration,
        clock: Clock,
        end: CancellationToken,
    ) {
        while end
            .run_until_cancelled(tokio::time::sleep(interval))
            .await
            .is_some()
        {
            let Some(revocations) = this.upgrade() else {
                return;
            };
            if let Err(error) = revocations.read_on(clock()).await {
                tracing::error!(%error, "what was signed out elsewhere could not be read");
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic under this lock")
    }

    /// Makes a token invalid from this moment on, and tells whoever watches it. Durable when this returns.
    pub(super) async fn revoke(
        &self,
        token: TokenId,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.accounts.revoke(token, until, now).await?;
        self.state().learn(token, until, self.cached_max);
        Ok(())
    }

    /// Whether a token was revoked.
    pub(super) async fn contains(&self, token: TokenId) -> Result<bool, StoreError> {
        let (known, spilled) = {
            let state = self.state();
            (state.revoked.contains_key(&token), state.spilled)
        };
        if known || !spilled {
            Ok(known)
        } else {
            self.accounts.is_revoked(token).await
        }
    }

    /// Whether a token is known to be revoked without asking the database.
    pub(super) fn knows(&self, token: TokenId) -> bool {
        self.state().revoked.contains_key(&token)
    }

    /// Watches a token. What was revoked before this call is seen too, unless it has no room in memory.
    pub(super) fn watch(self: &Arc<Self>, token: TokenId) -> Watch {
        let bell = Arc::new(RevokedFlag::default());
        let mut state = self.state();
        bell.rung
            .store(state.revoked.contains_key(&token), Ordering::Release);
        state.watched.entry(token).or_default().push(bell.clone());
        drop(state);
        Watch {
            token,
            bell,
            revocations: self.clone(),
        }
    }
}

impl State {
    /// Keeps a revocation in mind, which may be known already, and tells whoever watches the token.
    fn learn(&mut self, token: TokenId, until: Timestamp, cached_max: usize) {
        if self.revoked.insert(token, until).is_none() {
            self.order.push_back(token);
        }
        while self.revoked.len() > cached_max {
            let Some(oldest) = self.order.pop_front() else {
                break;
            };
            self.revoked.remove(&oldest);
            self.spilled = true;
        }
        for bell in self.watched.get(&token).into_iter().flatten() {
            bell.rung.store(true, Ordering::Release);
            bell.waker.wake();
        }
    }

    fn forget_expired(&mut self, now: Timestamp) {
        let revoked = &mut self.revoked;
        revoked.retain(|_, until| *until > now);
        self.order.retain(|token| revoked.contains_key(token));
    }
}

/// A token that is watched. It costs an entry in a table and nothing else; dropping it takes the entry back.
pub struct Watch {
    token: TokenId,
    bell: Arc<RevokedFlag>,
    revocations: Arc<Revocations>,
}

impl Watch {
    /// Ready as soon as the token was revoked, and ever after. Wakes the task that asked last.
    pub fn poll_revoked(&self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.bell.rung.load(Ordering::Acquire) {
            self.bell.waker.register(cx.waker());
        }
        // Looked at again: it may have been rung in between.
        if self.bell.rung.load(Ordering::Acquire) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    /// Waits until the token is revoked.
    pub async fn revoked(&self) {
        std::future::poll_fn(|cx| self.poll_revoked(cx)).await;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut state = self.revocations.state();
        if let Some(bells) = state.watched.get_mut(&self.token) {
            bells.retain(|bell| !Arc::ptr_eq(bell, &self.bell));
            if bells.is_empty() {
                state.watched.remove(&self.token);
            }
        }
    }
}
