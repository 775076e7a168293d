//! A log that fails when a test asks for it.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use async_trait::async_trait;
use switchboard::{
    domain::{
        Caller, Event, Member, MemberId, Message, MessageId, Room, RoomId, Seq, Timestamp, UserId,
    },
    store::{
        AppendError, Log, MemberWindow, RoomWindow, Search, SearchOutcome, Speak, Speaker,
        StoreError, Window,
    },
};

/// Wraps a log. A given number of its next reads fail or panic. It also counts reads of events.
pub(crate) struct FaultyLog {
    inner: Arc<dyn Log>,
    failures: Arc<AtomicU32>,
    panics: Arc<AtomicU32>,
    reads: Arc<AtomicU32>,
}

/// The handle with which a test controls a [`FaultyLog`].
#[derive(Clone, Default)]
pub(crate) struct Faults {
    failures: Arc<AtomicU32>,
    panics: Arc<AtomicU32>,
    reads: Arc<AtomicU32>,
}

impl Faults {
    pub(crate) fn wrap(&self, inner: Arc<dyn Log>) -> Arc<dyn Log> {
        let Self {
            failures,
            panics,
            reads,
        } = self.clone();
        Arc::new(FaultyLog {
            inner,
            failures,
            panics,
            reads,
        })
    }

    /// Makes the next `times` reads fail.
    pub(crate) fn fail_next(&self, times: u32) {
        self.failures.store(times, Ordering::SeqCst);
    }

    /// Makes the next `times` reads panic.
    pub(crate) fn panic_next(&self, times: u32) {
        self.panics.store(times, Ordering::SeqCst);
    }

    pub(crate) fn failures_left(&self) -> u32 {
        self.failures.load(Ordering::SeqCst)
    }

    /// How often events were read.
    pub(crate) fn event_reads(&self) -> u32 {
        self.reads.load(Ordering::SeqCst)
    }
}

impl FaultyLog {
    fn attempt(&self) -> Result<(), StoreError> {
        let decrement = |left: u32| left.checked_sub(1);
        let panics = self
            .panics
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, decrement)
            .is_ok();
        assert!(!panics, "a panic that the test asked for");
        match self
            .failures
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, decrement)
        {
            Ok(_) => Err(StoreError::Busy("the test asked for it".into())),
            Err(_) => Ok(()),
        }
    }
}

#[async_trait]
impl Log for FaultyLog {
    async fn room(&self, id: &RoomId, caller: Caller) -> Result<Option<Room>, StoreError> {
        self.attempt()?;
        self.inner.room(id, caller).await
    }

    async fn rooms(&self, caller: Caller, window: RoomWindow<'_>) -> Result<Vec<Room>, StoreError> {
        self.attempt()?;
        self.inner.rooms(caller, window).await
    }

    async fn events(
        &self,
        id: &RoomId,
        after: Seq,
        upto: Seq,
        limit: u32,
    ) -> Result<Vec<Arc<Event>>, StoreError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.attempt()?;
        self.inner.events(id, after, upto, limit).await
    }

    async fn messages(&self, id: &RoomId, window: Window) -> Result<Vec<Arc<Message>>, StoreError> {
        self.attempt()?;
        self.inner.messages(id, window).await
    }

    async fn message(
        &self,
        id: &MessageId,
        caller: Caller,
    ) -> Result<Option<Arc<Message>>, StoreError> {
        self.attempt()?;
        self.inner.message(id, caller).await
    }

    async fn membership(
        &self,
        room: &RoomId,
        user: UserId,
        now: Timestamp,
    ) -> Result<Option<Member>, StoreError> {
        self.attempt()?;
        self.inner.membership(room, user, now).await
    }

    async fn speaker(&self, speak: Speak<'_>, now: Timestamp) -> Result<Speaker, AppendError> {
        self.attempt()?;
        self.inner.speaker(speak, now).await
    }

    async fn member(
        &self,
        id: &MemberId,
        caller: Caller,
        now: Timestamp,
    ) -> Result<Option<Member>, StoreError> {
        self.attempt()?;
        self.inner.member(id, caller, now).await
    }

    async fn members(
        &self,
        room: &RoomId,
        window: MemberWindow,
        now: Timestamp,
    ) -> Result<Vec<Member>, StoreError> {
        self.attempt()?;
        self.inner.members(room, window, now).await
    }

    async fn search(&self, search: &Search, caller: Caller) -> Result<SearchOutcome, StoreError> {
        self.attempt()?;
        self.inner.search(search, caller).await
    }
}
