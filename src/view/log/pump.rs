//! The task that makes the frames of new events.

use super::view::{RoomLog, settle};
use crate::{
    domain::Seq,
    view::{
        frame::{Entry, FrameError},
        live::{Backoff, Pump, PumpEnd},
    },
};

/// Events that are read and encoded in one step.
const EVENTS_AT_ONCE: u32 = 64;

/// Adds the frames of new events to the ring. A failed step is retried, and no event is skipped
/// (V7).
pub(super) async fn run(pump: Pump<RoomLog>) -> PumpEnd {
    let (room, limits) = (&pump.source.room, &pump.plan.limits);
    let mut listener = room.listen();
    let mut cursor = pump.live.buffer().head();
    let mut backoff = Backoff::default();
    loop {
        let head = listener.past(cursor).await;
        match step(&pump, cursor, head).await {
            Ok((entries, upto)) => {
                let stale_upto = room.rewritten_upto();
                let (frames_max, bytes_max) = (limits.ring_frames_max, limits.ring_bytes_max);
                pump.live.update(upto, |ring| {
                    ring.push(entries, upto, stale_upto, frames_max, bytes_max);
                });
                (cursor, backoff) = (upto, Backoff::default());
                // A pump that is behind does not rest: it would fall further behind with each
                // pause.
                if upto >= room.head() {
                    pump.live.rest(limits.round_wait).await;
                }
            }
            Err(error) => backoff.pause(limits, room.id(), cursor.0, &error).await?,
        }
    }
}

/// The entries of the next events after a cursor, and the last of these events.
async fn step(
    pump: &Pump<RoomLog>,
    cursor: Seq,
    head: Seq,
) -> Result<(Vec<Entry>, Seq), FrameError> {
    let room = &pump.source.room;
    let events = room.read_next(cursor, head, EVENTS_AT_ONCE).await?;
    let upto = events.last().map_or(cursor, |event| event.seq());
    let entries = pump.plan.live.entries(&events).await?;
    settle(room, &entries).await;
    Ok((entries, upto))
}
