//! Tokens that were signed out, and who must hear of it at once.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use futures::task::AtomicWaker;

use crate::{
    domain::{Timestamp, TokenId},
    store::{Accounts, StoreError},
};

/// The tokens that were signed out, in memory as far as there is room; what has none is looked up in the database.
pub(super) struct Revocations {
    accounts: Arc<dyn Accounts>,
    cached_max: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    revoked: HashMap<TokenId, Timestamp>,
    /// The same, the first to make room in front.
    order: VecDeque<TokenId>,
    /// The database holds more than is held here. Stays so until the next start.
    spilled: bool,
    /// Who wants to hear of which token.
    watched: HashMap<TokenId, Vec<Arc<Bell>>>,
}

#[derive(Default)]
struct Bell {
    rung: AtomicBool,
    waker: AtomicWaker,
}

impl Revocations {
    /// What was revoked before the start.
    pub(super) async fn load(accounts: Arc<dyn Accounts>, cached_max: usize) -> Result<Arc<Self>, StoreError> {
        let limit = u32::try_from(cached_max).unwrap_or(u32::MAX).saturating_add(1);
        let mut kept = accounts.revocations(limit).await?;
        let spilled = kept.len() > cached_max;
        kept.truncate(cached_max);
        // Those that expire first make room first.
        let order = kept.iter().rev().map(|(token, _)| *token).collect();
        let state = State { revoked: kept.into_iter().collect(), order, spilled, ..State::default() };
        Ok(Arc::new(Self { accounts, cached_max, state: Mutex::new(state) }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic under this lock")
    }

    /// Makes a token invalid from this moment on, and tells whoever watches it. Durable when this returns.
    pub(super) async fn revoke(&self, token: TokenId, until: Timestamp, now: Timestamp) -> Result<(), StoreError> {
        self.accounts.revoke(token, until, now).await?;
        let mut state = self.state();
        state.forget_expired(now);
        if state.revoked.insert(token, until).is_none() {
            state.order.push_back(token);
        }
        while state.revoked.len() > self.cached_max {
            let Some(oldest) = state.order.pop_front() else { break };
            state.revoked.remove(&oldest);
            state.spilled = true;
        }
        for bell in state.watched.get(&token).into_iter().flatten() {
            bell.rung.store(true, Ordering::Release);
            bell.waker.wake();
        }
        Ok(())
    }

    /// Whether a token was revoked.
    pub(super) async fn contains(&self, token: TokenId) -> Result<bool, StoreError> {
        let (known, spilled) = {
            let state = self.state();
            (state.revoked.contains_key(&token), state.spilled)
        };
        if known || !spilled { Ok(known) } else { self.accounts.is_revoked(token).await }
    }

    /// Watches a token. What was revoked before this call is seen too, unless it has no room in memory.
    pub(super) fn watch(self: &Arc<Self>, token: TokenId) -> Watch {
        let bell = Arc::new(Bell::default());
        let mut state = self.state();
        bell.rung.store(state.revoked.contains_key(&token), Ordering::Release);
        state.watched.entry(token).or_default().push(bell.clone());
        drop(state);
        Watch { token, bell, revocations: self.clone() }
    }
}

impl State {
    fn forget_expired(&mut self, now: Timestamp) {
        let revoked = &mut self.revoked;
        revoked.retain(|_, until| *until > now);
        self.order.retain(|token| revoked.contains_key(token));
    }
}

/// A token that is watched. It costs an entry in a table and nothing else; dropping it takes the entry back.
pub struct Watch {
    token: TokenId,
    bell: Arc<Bell>,
    revocations: Arc<Revocations>,
}

impl Watch {
    /// Ready as soon as the token was revoked, and ever after. Wakes the task that asked last.
    pub fn poll_revoked(&self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.bell.rung.load(Ordering::Acquire) {
            self.bell.waker.register(cx.waker());
        }
        // Looked at again: it may have been rung in between.
        if self.bell.rung.load(Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
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
