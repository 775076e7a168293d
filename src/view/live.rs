//! The parts that views of logs and of ephemeral streams have in common.
//!
//! A view makes frames once for all its readers. It consists of a **buffer** with the newest
//! frames, a **bell** that announces how far the buffer reaches, and a **pump**, the task that
//! fills it:
//!
//! ```text
//! source ──► pump ──► lane of the plan ──► buffer ──► readers
//!            rests until they read          bell ──► wakes them
//! ```
//!
//! The readers hold the view, and the pump does not. When the last reader goes, the view leaves the
//! registry and its pump is stopped. A job that was given to a lane is still finished (V8).

use std::{
    convert::Infallible,
    future::Future,
    sync::{
        Arc, RwLockReadGuard,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures::FutureExt;
use tokio::{task::AbortHandle, time::Instant};

use super::{
    ViewLimits,
    frame::{FrameError, Gate},
    plan::Plan,
};
use crate::{
    domain::{RoomId, UserId},
    hub::{Bell, BellNumber, Listener},
    quota::Slot,
    sync::{Registration, Registry, RwLock},
};

/// A pause that is shorter than this is skipped: timers are not more precise.
const PAUSE_MIN: Duration = Duration::from_millis(1);

/// People notice a longer pause.
const PAUSE_MAX: Duration = Duration::from_millis(20);

/// Why a reader has nothing more to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Frames cannot be made for now. The cursor stays valid: disconnect the client so that it
    /// comes back and resumes.
    #[error("this room cannot be read for now")]
    Unavailable,
    /// The user may not read the room any more, from the next event on (V5). Tell the client that
    /// the subscription is over.
    #[error("the user may no longer read this room")]
    ShutOut,
}

/// The source of a view: the log of a room, or a stream of its lobby. Cheap to clone.
pub(super) trait Source: Clone + Send + Sync + 'static {
    /// The type of positions in the source: `Seq` or `Position`.
    type Number: BellNumber;
    /// The newest frames, in memory.
    type Buffer: Send + Sync + 'static;

    /// The id of the room.
    fn room(&self) -> &RoomId;
}

/// The state that a pump writes and its readers read.
pub(super) struct Live<S: Source> {
    bell: Arc<Bell<S::Number>>,
    buffer: RwLock<S::Buffer>,
    failed: AtomicBool,
}

impl<S: Source> Live<S> {
    /// A buffer that reaches `head`.
    pub(super) fn new(buffer: S::Buffer, head: S::Number) -> Self {
        let bell = Bell::default();
        bell.ring(head);
        Self {
            bell: Arc::new(bell),
            buffer: RwLock::new(buffer),
            failed: AtomicBool::new(false),
        }
    }

    /// The buffer, for reading.
    pub(super) fn buffer(&self) -> RwLockReadGuard<'_, S::Buffer> {
        self.buffer.read()
    }

    /// Changes the buffer, and then announces that it reaches `upto`.
    pub(super) fn update(&self, upto: S::Number, change: impl FnOnce(&mut S::Buffer)) {
        change(&mut self.buffer.write());
        self.bell.ring(upto);
    }

    /// Wakes all readers without new frames.
    pub(super) fn wake_all(&self) {
        self.bell.wake_all();
    }

    /// Waits until the readers that were woken have taken their frames, and then up to half as long
    /// again.
    ///
    /// Everything that happens meanwhile goes out in one flush per reader instead of several, and
    /// other rooms have their turn. With few readers, or few messages, this does not wait at all.
    pub(super) async fn rest(&self, at_most: Duration) {
        let start = Instant::now();
        let served = std::future::poll_fn(|cx| self.bell.poll_served(cx));
        // A reader may take any time for its turn. Late ones are not waited for.
        let _ = tokio::time::timeout(at_most, served).await;
        let pause = (start.elapsed() / 2).min(PAUSE_MAX);
        if pause >= PAUSE_MIN {
            tokio::time::sleep(pause).await;
        }
    }

    fn fail(&self) {
        self.failed.store(true, Ordering::Release);
        self.bell.wake_all();
    }
}

/// A view is identified by its plan and its room: a plan reads one stream of each room.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ViewKey {
    plan: u64,
    room: RoomId,
}

/// One source, seen through one plan.
pub(super) struct View<S: Source> {
    pub(super) plan: Arc<Plan>,
    pub(super) source: S,
    live: Arc<Live<S>>,
    pump: AbortHandle,
    _registration: Registration<ViewKey, Self>,
}

/// The parts that the task of a view works with.
pub(super) struct Pump<S: Source> {
    pub(super) plan: Arc<Plan>,
    pub(super) source: S,
    pub(super) live: Arc<Live<S>>,
}

/// Frames could not be made, and the last retry has failed.
#[derive(Debug)]
pub(super) struct RetriesExhausted;

/// A pump runs until it gives up.
pub(super) type PumpEnd = Result<Infallible, RetriesExhausted>;

impl<S: Source> View<S> {
    /// The view of a source through a plan. If there is none, or it has failed, a new one is made:
    /// `open` makes its buffer, and `run` is its pump.
    pub(super) fn enter<F>(
        views: &Registry<ViewKey, Self>,
        plan: Arc<Plan>,
        source: S,
        open: impl FnOnce() -> Live<S>,
        run: impl FnOnce(Pump<S>) -> F,
    ) -> Arc<Self>
    where
        F: Future<Output = PumpEnd> + Send + 'static,
    {
        let key = ViewKey {
            plan: plan.id(),
            room: source.room().clone(),
        };
        let usable = |view: &Self| !view.has_failed();
        views.enter(key, usable, |registration| {
            let live = Arc::new(open());
            let running = run(Pump {
                plan: plan.clone(),
                source: source.clone(),
                live: live.clone(),
            });
            let failing = live.clone();
            // Not an async block: that would hold the pump twice, as a captured value and as the
            // future that it awaits.
            let task = running.map(move |end| {
                let Err(RetriesExhausted) = end;
                failing.fail();
            });
            let pump = plan.tasks.spawn(task).abort_handle();
            Self {
                plan,
                source,
                live,
                pump,
                _registration: registration,
            }
        })
    }

    /// The buffer, for reading.
    pub(super) fn buffer(&self) -> RwLockReadGuard<'_, S::Buffer> {
        self.live.buffer()
    }

    /// Whether the pump has given up.
    pub(super) fn has_failed(&self) -> bool {
        self.live.failed.load(Ordering::Acquire)
    }
}

impl<S: Source> Drop for View<S> {
    fn drop(&mut self) {
        self.pump.abort();
    }
}

/// A place among the readers of a view: the view, a cursor, and the right to read.
pub(super) struct Follower<S: Source> {
    pub(super) view: Arc<View<S>>,
    listener: Listener<S::Number>,
    /// Everything up to here was taken.
    pub(super) cursor: S::Number,
    pub(super) gate: Gate,
    _slot: Slot<UserId>,
}

impl<S: Source> Follower<S> {
    pub(super) fn new(
        view: Arc<View<S>>,
        cursor: S::Number,
        gate: Gate,
        slot: Slot<UserId>,
    ) -> Self {
        Self {
            listener: view.live.bell.listen(),
            view,
            cursor,
            gate,
            _slot: slot,
        }
    }

    /// Ready when the view reaches past the cursor. Else this task is woken when it does.
    pub(super) fn poll_advanced(&mut self, cx: &Context<'_>) -> Poll<()> {
        self.listener.poll_past(self.cursor, cx).map(|_| ())
    }
}

/// Failures in a row, with a pause before each retry that doubles each time (V7).
#[derive(Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Logs a failure to make the frames after a position, and pauses. Fails after the last retry.
    pub(super) async fn pause(
        &mut self,
        limits: &ViewLimits,
        room: &RoomId,
        after: u64,
        error: &FrameError,
    ) -> Result<(), RetriesExhausted> {
        tracing::warn!(%room, after, %error, "frames could not be made");
        self.failures += 1;
        let pause = limits.pause_after(self.failures);
        tokio::time::sleep(pause.ok_or(RetriesExhausted)?).await;
        Ok(())
    }
}
