//! The one task that appends to logs.

use std::{collections::HashMap, sync::Arc};

use super::{
    queue::Queue,
    room::{LiveRoom, LiveRooms},
};
use crate::{
    domain::{Clock, RoomId, Seq, ShutsOut},
    store::{Append, AppendError, CommandOutcome},
};

/// Receives every event that takes the right to read a room from a user.
pub trait ShutOutObserver: Send + Sync + 'static {
    /// Called once for each such event, in order, before any reader of the log may see the event.
    /// Must not block.
    fn shut_out(&self, room: &RoomId, at: Seq, shuts_out: &ShutsOut);
}

/// Takes a batch of commands, commits it, announces its events and answers the callers. This
/// repeats until the queue is closed and empty; it is never cancelled.
pub(super) async fn run(
    append: Arc<dyn Append>,
    rooms: Arc<LiveRooms>,
    observer: Arc<dyn ShutOutObserver>,
    queue: Arc<Queue>,
    clock: Clock,
) {
    loop {
        let pending = queue.take().await;
        if pending.is_empty() {
            return;
        }
        let (batch, waiting): (Vec<_>, Vec<_>) =
            pending.into_iter().map(|p| (p.command, p.answer)).unzip();
        let outcomes = append.commit(&batch, clock()).await;
        // The events are announced before the answers are sent. So a caller that has its answer,
        // and then asks for the head, finds its event.
        announce(&rooms, &*observer, &outcomes);
        for (answer, outcome) in waiting.into_iter().zip(outcomes) {
            // The caller may have disconnected. Its command is committed all the same.
            let _ = answer.send(outcome);
        }
        append.background_step().await;
    }
}

/// Puts the committed events into the tails of the live rooms, and then moves each head once.
/// Deleted text leaves a tail before the head moves (V6).
fn announce(
    rooms: &LiveRooms,
    observer: &dyn ShutOutObserver,
    outcomes: &[Result<CommandOutcome, AppendError>],
) {
    let mut touched: HashMap<&RoomId, (Option<Arc<LiveRoom>>, Seq)> = HashMap::new();
    for outcome in outcomes.iter().flatten() {
        let Some(event) = outcome.event() else {
            continue;
        };
        let id = &event.cursor().room;
        if *event.shuts_out() != ShutsOut::Nobody {
            observer.shut_out(id, event.seq(), event.shuts_out());
        }
        let live = touched.entry(id);
        let (room, head) = live.or_insert_with(|| (rooms.find(id), Seq::START));
        *head = event.seq();
        if let Some(room) = room {
            if let CommandOutcome::Rewritten(_, message) = outcome {
                room.rewrite(message, Seq(event.seq().0 - 1));
            }
            room.announce(event);
        }
    }
    for (room, head) in touched.into_values() {
        if let Some(room) = room {
            room.ring(head);
        }
    }
}
