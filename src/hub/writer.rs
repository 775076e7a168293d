//! The one task that appends.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use tokio::sync::oneshot;

use super::{LiveRoom, LiveRooms, ShutOutObserver, queue::Queue};
use crate::{
    domain::{Clock, RoomId, Seq, ShutsOut},
    store::{Append, AppendError, Command, CommandOutcome},
};

/// A command and who waits for its outcome.
pub(super) struct Pending {
    pub(super) command: Command,
    pub(super) answer: oneshot::Sender<Result<CommandOutcome, AppendError>>,
}

/// Gathers what waits, commits it as one batch, announces, answers; until the queue is closed. Nobody cancels this.
pub(super) async fn run(
    append: Arc<dyn Append>,
    rooms: Arc<LiveRooms>,
    witness: Arc<dyn ShutOutObserver>,
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
        // Announce first: who reads the answer and then asks for the head finds the event there.
        announce(&rooms, &*witness, &outcomes);
        for (answer, outcome) in waiting.into_iter().zip(outcomes) {
            // Who asked may have gone; the command stands all the same.
            let _ = answer.send(outcome);
        }
        append.tend().await;
    }
}

/// Puts the committed events into the tails of the rooms that are live, then moves each head once. What was deleted leaves
/// them before the head moves (V6).
fn announce(
    rooms: &LiveRooms,
    witness: &dyn ShutOutObserver,
    outcomes: &[Result<CommandOutcome, AppendError>],
) {
    let mut touched: HashMap<&RoomId, (Option<Arc<LiveRoom>>, Seq)> = HashMap::new();
    for outcome in outcomes.iter().flatten() {
        let Some(event) = outcome.event() else {
            continue;
        };
        let id = &event.cursor().room;
        if *event.shuts_out() != ShutsOut::Nobody {
            witness.shut_out(id, event.seq(), event.shuts_out());
        }
        let live = || {
            rooms
                .lock()
                .expect("no panic under this lock")
                .get(id)
                .and_then(Weak::upgrade)
        };
        let (room, head) = touched.entry(id).or_insert_with(|| (live(), Seq::START));
        *head = event.seq();
        if let Some(room) = room {
            if let CommandOutcome::Rewritten(_, message) = outcome {
                room.redact(message, Seq(event.seq().0 - 1));
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
