//! The live rooms of this node, and the one writer of all logs.
//!
//! The hub alone holds the store's [`Append`]. Commands wait in a bounded queue, in which users
//! take turns. One task, the **writer**, takes a batch of them, commits it as one transaction,
//! announces its events and answers the callers. The next batch gathers meanwhile.
//!
//! A room is **live** while its [`LiveRoom`] is held: by a reader, or by a request that waits. A
//! live room has a **head**, the Seq of its last event, and a **tail**, its newest events. The
//! **[`Bell`]** of the room wakes the tasks that wait for the head to move.
//!
//! - **H1** An event is visible only after its commit: only the store can make a `Committed`.
//! - **H2** Reading never blocks appending: readers share locks for the time of a few clones.
//! - **H3** The memory of a live room is bounded in events and bytes. A room without readers holds
//!   no memory.
//! - **H4** Readers see the Seqs of a room in order and without a hole.
//! - **H5** A room is entered before its head is read, and heads only grow.
//! - **V6** Deleted text leaves the tail, and frames that show it are known to be stale, before the
//!   head moves.
//! - **E4** A [`ShutOutObserver`] receives each event that takes a right away before any reader may
//!   see that event.
//!
//! Proved by the tests beside the code and by `tests/it/delivery.rs`.

mod bell;
mod limits;
mod queue;
mod quotas;
mod room;
mod tail;
mod wait;
mod writer;

use std::{
    net::IpAddr,
    sync::{Arc, atomic::AtomicU64},
    time::{Duration, Instant},
};

use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

pub use bell::{Bell, BellNumber, Listener};
pub use limits::HubLimits;
use queue::{Pending, Queue, QueueFull};
pub use quotas::DailyQuota;
use quotas::DailyQuotas;
use room::LiveRooms;
pub use room::{LiveRoom, LogReadError};
use wait::Waits;
pub use wait::{Wait, WaitError};
pub use writer::ShutOutObserver;

use crate::{
    domain::{Clock, Epoch, EventTag, QuotaKey, RoomId, Seq, UserId},
    quota::Rates,
    store::{Append, AppendError, Command, CommandOutcome, Log, StoreError},
};

/// Why a command has no outcome.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// Too many commands wait, or the server is stopping. The caller may try again later.
    #[error("the server accepts no more writes right now")]
    Unavailable,
    /// The user sends commands too often. This one may be sent again after the wait.
    #[error("the user makes too many changes in a short time")]
    TooOften(Duration),
    /// The user, or their address, has used up a quota of the day. The command may be sent again
    /// after the wait.
    #[error("a quota of the day is used up")]
    DailyQuota(DailyQuota, Duration),
    /// The store refused the command or failed.
    #[error(transparent)]
    Append(#[from] AppendError),
}

impl From<QueueFull> for HubError {
    fn from(_: QueueFull) -> Self {
        Self::Unavailable
    }
}

/// The live rooms of this node, and the way to the writer.
pub struct Hub {
    log: Arc<dyn Log>,
    rooms: Arc<LiveRooms>,
    queue: Arc<Queue>,
    revisions: Arc<AtomicU64>,
    limits: HubLimits,
    waits: Waits,
    rates: Rates<UserId>,
    quotas: DailyQuotas,
}

impl Hub {
    /// Starts the writer. It ends when the hub is dropped and every waiting command is answered.
    pub fn start(
        log: Arc<dyn Log>,
        append: Arc<dyn Append>,
        observer: Arc<dyn ShutOutObserver>,
        clock: Clock,
        limits: HubLimits,
        tasks: &TaskTracker,
    ) -> Arc<Self> {
        let queue = Arc::new(Queue::new(limits));
        let rooms = Arc::new(LiveRooms::default());
        tasks.spawn(writer::run(
            append,
            rooms.clone(),
            observer,
            queue.clone(),
            clock,
        ));
        let waits = Waits::new(limits.waits_max, limits.waits_per_viewer_max);
        let (revisions, rates) = (Arc::default(), Rates::new(limits.commands_per_user()));
        Arc::new(Self {
            log,
            rooms,
            queue,
            revisions,
            limits,
            waits,
            rates,
            quotas: DailyQuotas::new(&limits),
        })
    }

    /// Appends to a log, and returns when the outcome is durable. Dropping the future does not take
    /// the command back. The command counts towards the quotas of its user and of `address`.
    pub async fn append(
        &self,
        command: Command,
        address: Option<IpAddr>,
    ) -> Result<CommandOutcome, HubError> {
        let now = Instant::now();
        self.rates
            .take(command.viewer(), now)
            .map_err(HubError::TooOften)?;
        self.quotas
            .take(&command, address, now)
            .map_err(|(quota, wait)| HubError::DailyQuota(quota, wait))?;
        let (answer, outcome) = oneshot::channel();
        self.queue.push(Pending { command, answer })?;
        Ok(outcome.await.map_err(|_| HubError::Unavailable)??)
    }

    /// The live room with this id, or `None` if there is no such room. It stays live while it is
    /// held.
    pub async fn enter(&self, id: &RoomId) -> Result<Option<Arc<LiveRoom>>, StoreError> {
        let room = self.entry(id);
        // The entry exists before the head is read (H5). An append in between finds it and moves
        // its head.
        Ok(room.load().await?.then_some(room))
    }

    /// The epoch and the head of a room that every caller may read, if this is known without a read
    /// of the store. An event that changes it comes after this head.
    pub fn open(&self, id: &RoomId) -> Option<(Epoch, Seq)> {
        self.rooms.find(id)?.open()
    }

    /// The tag of an event, if it is known without a read of the store.
    pub fn tag(&self, id: &RoomId, seq: Seq) -> Option<EventTag> {
        self.rooms.find(id)?.tag(seq)
    }

    fn entry(&self, id: &RoomId) -> Arc<LiveRoom> {
        let any = |_: &LiveRoom| true;
        self.rooms.enter(id.clone(), any, |registration| {
            let (log, revisions) = (self.log.clone(), self.revisions.clone());
            LiveRoom::new(registration, log, self.limits, revisions)
        })
    }

    /// Begins to wait for a room, for at most this long in all. Returns `None` if there is no such
    /// room. The wait counts towards the quota of its caller, if the caller has a key.
    pub async fn wait(
        &self,
        id: &RoomId,
        quota_key: Option<QuotaKey>,
        at_most: Duration,
    ) -> Result<Option<Wait>, WaitError> {
        let slot = self.waits.slot(quota_key)?;
        let room = self.enter(id).await?;
        Ok(room.map(|room| self.waits.begin(room, at_most, slot)))
    }

    /// Ends all waits, now and from now on. The server shuts down, and the waiting clients come
    /// back to another one.
    pub fn end_waits(&self) {
        self.waits.end();
    }

    /// The number of live rooms.
    pub fn rooms_live(&self) -> usize {
        self.rooms.len()
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.queue.close();
    }
}
