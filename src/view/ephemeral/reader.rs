//! A reader of an ephemeral stream.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use super::view::{EphemeralView, LobbyStream};
use crate::{
    domain::{Access, UserId},
    presence::Position,
    quota::Slot,
    view::{
        frame::{Frame, Gate},
        live::{Follower, ReadError},
    },
};

/// The position of one subscription in an ephemeral stream. It holds no frames that other readers
/// do not hold too.
pub(in crate::view) struct EphemeralReader {
    at: Follower<LobbyStream>,
    /// The position of the stream when the subscription was opened. Earlier signals are not for it.
    begin: Position,
}

impl EphemeralReader {
    /// A reader that receives a snapshot first.
    pub(in crate::view) fn new(
        view: Arc<EphemeralView>,
        begin: Position,
        gate: Gate,
        slot: Slot<UserId>,
    ) -> Self {
        Self {
            at: Follower::new(view, Position::START, gate, slot),
            begin,
        }
    }

    /// See [`Reader::poll_take`](crate::view::Reader::poll_take).
    pub(in crate::view) fn poll_take(
        &mut self,
        cx: &mut Context<'_>,
        bytes_max: usize,
        out: &mut Vec<Frame>,
    ) -> Poll<Result<(), ReadError>> {
        let before = out.len();
        while out.len() == before {
            let waits = self.at.poll_advanced(cx).is_pending();
            // Checked after this task was registered, so that a later change wakes it.
            if let Err(error) = self.check() {
                return Poll::Ready(Err(error));
            }
            if waits {
                return Poll::Pending;
            }
            let at = &mut self.at;
            let snapshots = at.view.buffer();
            snapshots.take(&mut at.cursor, self.begin, at.gate.reader, bytes_max, out);
        }
        Poll::Ready(Ok(()))
    }

    /// Whether the reader may continue (E4), and the view still makes frames.
    fn check(&mut self) -> Result<(), ReadError> {
        let at = &mut self.at;
        let lobby = &at.view.source.lobby;
        match lobby.access(at.gate.checked, at.gate.reader) {
            Access::Shut => return Err(ReadError::ShutOut),
            // The client comes back, and its right is read again.
            Access::Unknown => return Err(ReadError::Unavailable),
            Access::Open(checked) => at.gate.checked = checked,
        }
        match at.view.has_failed() {
            true => Err(ReadError::Unavailable),
            false => Ok(()),
        }
    }
}
