//! The live rooms of this node: what was appended lately, and how far each log reaches.
//!
//! The hub alone holds the store's [`Append`]. One task gathers commands while the last
//! transaction is being synced, commits them together, announces what was committed and answers each. What waits is
//! bounded and taken in turns.
//!
//! - **H1** An event is visible only after its commit: only the store can make a `Committed`.
//! - **H2** Reading never blocks appending: readers share locks for the time of a few clones.
//! - **H3** What the hub holds per room is bounded in events and bytes; a room without readers holds nothing.
//! - **H4** Readers see Seq ascending, without a hole.
//! - **V6** What was taken out of the log leaves the tail, and what was made of it is known to be stale, before the head moves.
//! - **E4** Whoever watches over the right to read is told of its loss before any reader may see that event.
//! - **H5** A room's live entry is made before its head is read, and heads only grow.
//!
//! Proved by the tests beside the code and by `tests/it/delivery.rs`.

mod bell;
mod limits;
mod queue;
mod room;
mod tail;
mod wait;
mod writer;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, Weak, atomic::AtomicU64},
    time::{Duration, Instant},
};

use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

pub use bell::{Bell, Listener};
pub use limits::HubLimits;
use queue::Queue;
pub use room::LiveRoom;
use wait::Waits;
pub use wait::{Wait, WaitError};
use writer::Pending;

use crate::{
    domain::{Clock, Epoch, RoomId, Seq, ShutsOut, UserId},
    quota::Rates,
    store::{Append, AppendError, Command, CommandOutcome, Log, StoreError},
};

/// Why a command has no outcome.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// Too much is waiting, or the server is stopping: the caller may try again later.
    #[error("the server takes no more writes right now")]
    Unavailable,
    /// The user gives more commands than he may; this one may be given again after so long.
    #[error("too many changes at a time")]
    TooOften(Duration),
    /// The store refused it or failed.
    #[error(transparent)]
    Append(#[from] AppendError),
}

/// Who is told of every event that takes the right to read a room from somebody.
pub trait ShutOutObserver: Send + Sync + 'static {
    /// Called once for each such event, in their order, before any reader of the log may see it. Must not block.
    fn shut_out(&self, room: &RoomId, at: Seq, shuts_out: &ShutsOut);
}

type LiveRooms = Mutex<HashMap<RoomId, Weak<LiveRoom>>>;

/// The live rooms of this node.
pub struct Hub {
    log: Arc<dyn Log>,
    rooms: Arc<LiveRooms>,
    queue: Arc<Queue>,
    revisions: Arc<AtomicU64>,
    limits: HubLimits,
    waits: Waits,
    rates: Rates<UserId>,
}

impl Hub {
    /// Starts the writer. It ends when the hub is dropped and everything that waited has been answered.
    pub fn start(
        log: Arc<dyn Log>,
        append: Arc<dyn Append>,
        witness: Arc<dyn ShutOutObserver>,
        clock: Clock,
        limits: HubLimits,
        tasks: &TaskTracker,
    ) -> Arc<Self> {
        let queue = Arc::new(Queue::new(limits));
        let rooms = Arc::new(LiveRooms::default());
        tasks.spawn(writer::run(
            append,
            rooms.clone(),
            witness,
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
        })
    }

    /// Appends to a log; returns when the outcome is durable. Dropping the future does not take the command back.
    pub async fn append(&self, command: Command) -> Result<CommandOutcome, HubError> {
        self.rates
            .take(command.viewer(), Instant::now())
            .map_err(HubError::TooOften)?;
        let (answer, outcome) = oneshot::channel();
        self.queue.push(Pending { command, answer })?;
        Ok(outcome.await.map_err(|_| HubError::Unavailable)??)
    }

    /// The live entry of a room; none if there is no such room. It is kept while somebody holds it.
    pub async fn enter(&self, id: &RoomId) -> Result<Option<Arc<LiveRoom>>, StoreError> {
        let room = self.entry(id);
        // The entry stands before the head is read (H5): an append in between finds it and moves its head.
        Ok(room.settle(&*self.log).await?.then_some(room))
    }

    /// The epoch and the head of the log of a room that anybody may read, if that is known without asking the store. What
    /// changes it later is an event after this head.
    pub fn open(&self, id: &RoomId) -> Option<(Epoch, Seq)> {
        let live = self
            .rooms
            .lock()
            .expect("no panic under this lock")
            .get(id)
            .and_then(Weak::upgrade);
        live?.open()
    }

    fn entry(&self, id: &RoomId) -> Arc<LiveRoom> {
        let mut rooms = self.rooms.lock().expect("no panic under this lock");
        if let Some(room) = rooms.get(id).and_then(Weak::upgrade) {
            return room;
        }
        let (revisions, siblings) = (self.revisions.clone(), Arc::downgrade(&self.rooms));
        let room = Arc::new(LiveRoom::new(
            id.clone(),
            self.log.clone(),
            self.limits,
            revisions,
            siblings,
        ));
        rooms.insert(id.clone(), Arc::downgrade(&room));
        room
    }

    /// How many rooms have a live entry.
    pub fn rooms_live(&self) -> usize {
        self.rooms.lock().expect("no panic under this lock").len()
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.queue.close();
    }
}
