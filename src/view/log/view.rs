//! A room's log as the source of a view.

use std::sync::Arc;

use super::{page::Pages, ring::Ring};
use crate::{
    domain::{Access, RoomId, Seq},
    hub::LiveRoom,
    view::{
        frame::{Entry, Frame, Gate, TakeEnd},
        live::{Source, View},
    },
};

/// The log of a room: new events from memory, old ones in pages.
#[derive(Clone)]
pub(in crate::view) struct RoomLog {
    pub(super) room: Arc<LiveRoom>,
    pub(super) pages: Arc<Pages>,
}

impl Source for RoomLog {
    type Number = Seq;
    type Buffer = Ring;

    fn room(&self) -> &RoomId {
        self.room.id()
    }
}

/// A room's log, seen through one plan.
pub(in crate::view) type LogView = View<RoomLog>;

impl LogView {
    /// Takes the frames after a cursor into `out`, and moves the cursor. Returns `None` if the ring
    /// does not reach back to the cursor, or may show deleted text there (V6).
    pub(super) fn take(
        &self,
        cursor: &mut Seq,
        gate: &mut Gate,
        bytes_max: usize,
        out: &mut Vec<Frame>,
    ) -> Option<TakeEnd> {
        let ring = self.buffer();
        if *cursor < self.source.room.rewritten_upto() || !ring.reaches_back_to(*cursor) {
            return None;
        }
        let access = |gate, upto| self.access(gate, upto);
        let end = ring.take(*cursor, gate, access, bytes_max, out);
        match end {
            TakeEnd::All => *cursor = ring.head().max(*cursor),
            TakeEnd::Upto(last) => *cursor = last,
            TakeEnd::ShutOut | TakeEnd::Unknown => {}
        }
        Some(end)
    }

    /// Whether a reader may see the room as of an event.
    pub(super) fn access(&self, gate: Gate, upto: Seq) -> Access {
        self.source.room.access(gate.checked, upto, gate.reader)
    }
}

/// Waits until the hub has announced every event that these entries may show. Then the room knows
/// the users whom those events shut out.
pub(super) async fn settle(room: &LiveRoom, entries: &[Entry]) {
    if let Some(as_of) = entries.iter().filter_map(|entry| entry.as_of).max() {
        room.reached(as_of).await;
    }
}
