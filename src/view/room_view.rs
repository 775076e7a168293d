//! One room seen through one plan.

use std::{
    sync::{
        Arc, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{task::AbortHandle, time::Instant};

use super::{
    Frame, ViewLimits,
    frame::{Entry, Gate, Taken},
    plan::Plan,
    ring::Ring,
};
use crate::{
    domain::{Access, Event, RoomId, Seq},
    hub::{Bell, Listener, LiveRoom},
    schema::FeedError,
};

/// Events that are read and encoded in one go.
const EVENTS_AT_ONCE: u32 = 64;

/// A shorter pause than this is none: a timer knows no less.
const PAUSE_MIN: Duration = Duration::from_millis(1);

/// A longer one is felt by people.
const PAUSE_MAX: Duration = Duration::from_millis(20);

/// A view: its frames, how far they reach, and the task that makes them. Its readers hold it; it goes with the last one.
pub(super) struct RoomView {
    pub(super) plan: Arc<Plan>,
    pub(super) room: Arc<LiveRoom>,
    state: Arc<State>,
    pump: AbortHandle,
}

/// What the pump and the readers share.
struct State {
    bell: Arc<Bell>,
    ring: RwLock<Ring>,
    failed: AtomicBool,
}

impl State {
    /// The frames stand in the ring before the bell says so.
    fn add(&self, entries: Vec<Entry>, upto: Seq, stale_upto: Seq, limits: &ViewLimits) {
        let mut ring = self.ring.write().expect("no panic under this lock");
        ring.push(
            entries,
            upto,
            stale_upto,
            limits.ring_frames_max,
            limits.ring_bytes_max,
        );
        drop(ring);
        self.bell.ring(upto);
    }
}

impl RoomView {
    pub(super) fn start(plan: Arc<Plan>, room: Arc<LiveRoom>) -> Arc<Self> {
        let head = room.head();
        let bell = Arc::new(Bell::default());
        bell.ring(head);
        let state = Arc::new(State {
            bell,
            ring: RwLock::new(Ring::new(head, plan.frames.share())),
            failed: AtomicBool::new(false),
        });
        // The pump holds neither the view nor the readers: when they go it is stopped. What a lane was fed it finishes.
        let pump = plan
            .tasks
            .spawn(pump(plan.clone(), room.clone(), state.clone()))
            .abort_handle();
        Arc::new(Self {
            plan,
            room,
            state,
            pump,
        })
    }

    /// Somebody who waits for frames.
    pub(super) fn listen(&self) -> Listener {
        self.state.bell.listen()
    }

    /// Takes the frames after a cursor, within a bound of bytes, and moves the cursor; none if the ring does not reach back, or
    /// holds there what may show something that is gone (V6).
    pub(super) fn take(
        &self,
        cursor: &mut Seq,
        gate: &mut Gate,
        bytes_max: usize,
        out: &mut Vec<Frame>,
    ) -> Option<Taken> {
        let ring = self.state.ring.read().expect("no panic under this lock");
        if *cursor < self.room.redacted_upto() || !ring.reaches_back_to(*cursor) {
            return None;
        }
        let taken = ring.take(
            *cursor,
            gate,
            |gate, upto| self.access(gate, upto),
            bytes_max,
            out,
        );
        match taken {
            Taken::All => *cursor = ring.head().max(*cursor),
            Taken::Upto(last) => *cursor = last,
            Taken::ShutOut | Taken::Unknown => {}
        }
        Some(taken)
    }

    /// Whether a reader may see how the room stood at an event.
    pub(super) fn access(&self, gate: Gate, upto: Seq) -> Access {
        self.room.access(gate.checked, upto, gate.reader)
    }

    /// Whether making frames was given up.
    pub(super) fn has_failed(&self) -> bool {
        self.state.failed.load(Ordering::Acquire)
    }
}

impl Drop for RoomView {
    fn drop(&mut self) {
        self.pump.abort();
        self.plan.rooms.forget(self.room.id());
    }
}

/// Makes frames of what is new, for as long as somebody reads.
async fn pump(plan: Arc<Plan>, room: Arc<LiveRoom>, state: Arc<State>) {
    let mut listener = room.listen();
    let mut cursor = state.ring.read().expect("no panic under this lock").head();
    let mut failures = 0;
    loop {
        let head = listener.past(cursor).await;
        match advance(&plan, &room, cursor, head).await {
            Ok((entries, upto)) => {
                state.add(entries, upto, room.redacted_upto(), &plan.limits);
                (cursor, failures) = (upto, 0);
                // Only who has caught up may rest: a pump that is behind would fall further behind with each pause.
                if upto >= room.head() {
                    rest(&state.bell, plan.limits.round_wait).await;
                }
            }
            Err(error) => {
                log_failure(room.id(), cursor, &error);
                failures += 1;
                let Some(pause) = plan.limits.pause_after(failures) else {
                    break;
                };
                tokio::time::sleep(pause).await;
            }
        }
    }
    state.failed.store(true, Ordering::Release);
    state.bell.rouse();
}

/// Waits until the readers that were woken have taken what there is, and then up to half as long again. What comes meanwhile
/// goes out in one flush per reader instead of several, and however many readers a room has, others have their turn.
/// Where readers are few or messages rare it waits for nothing.
pub(super) async fn rest(bell: &Bell, at_most: Duration) {
    let start = Instant::now();
    let served = std::future::poll_fn(|cx| bell.poll_served(cx));
    // What readers do with their turn is not known here; late ones are left behind.
    let _ = tokio::time::timeout(at_most, served).await;
    let pause = (start.elapsed() / 2).min(PAUSE_MAX);
    if pause >= PAUSE_MIN {
        tokio::time::sleep(pause).await;
    }
}

async fn advance(
    plan: &Plan,
    room: &LiveRoom,
    cursor: Seq,
    head: Seq,
) -> Result<(Vec<Entry>, Seq), FeedError> {
    let events = read(room, cursor, head).await?;
    let upto = events.last().map_or(cursor, |event| event.seq());
    let entries = plan.live.entries(events).await?;
    settle(room, &entries).await;
    Ok((entries, upto))
}

/// Waits until whoever is shut out by an event that these may show is known here too.
pub(super) async fn settle(room: &LiveRoom, entries: &[Entry]) {
    if let Some(as_of) = entries.iter().filter_map(|entry| entry.as_of).max() {
        room.reached(as_of).await;
    }
}

/// The next events of a room, checked against holes (H4): better late than wrong.
pub(super) async fn read(
    room: &LiveRoom,
    cursor: Seq,
    upto: Seq,
) -> Result<Vec<Arc<Event>>, FeedError> {
    let read = room.read(cursor, upto, EVENTS_AT_ONCE).await;
    let events = read.map_err(|error| FeedError::Failed(error.to_string()))?;
    let expected = std::iter::successors(Some(cursor.next()), |seq| Some(seq.next()));
    let whole = !events.is_empty()
        && events
            .iter()
            .zip(expected)
            .all(|(event, seq)| event.seq() == seq);
    if whole {
        Ok(events)
    } else {
        Err(FeedError::Failed("the log has a hole".to_owned()))
    }
}

pub(super) fn log_failure(room: &RoomId, after: Seq, error: &FeedError) {
    tracing::warn!(%room, after = after.0, %error, "frames could not be made");
}
