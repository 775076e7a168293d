//! One subscriber's position in a view of a lobby.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use super::{Frame, ReadError, frame::Gate, lobby_view::LobbyView};
use crate::{
    domain::{Access, Seq, UserId},
    hub::Listener,
    quota::Slot,
};

/// It holds no frames that others do not hold too, and falls behind without anybody noticing: what it finds then is what
/// stands now, or that something was lost.
pub(super) struct LobbyReader {
    view: Arc<LobbyView>,
    listener: Listener,
    /// Everything up to here was taken; the start before the opening was.
    cursor: Seq,
    /// What was before this reader came is not for it.
    begin: Seq,
    gate: Gate,
    _slot: Option<Slot<UserId>>,
}

impl LobbyReader {
    pub(super) fn new(
        view: Arc<LobbyView>,
        begin: Seq,
        gate: Gate,
        slot: Option<Slot<UserId>>,
    ) -> Self {
        Self {
            listener: view.listen(),
            view,
            cursor: Seq::START,
            begin,
            gate,
            _slot: slot,
        }
    }

    /// Takes the next frames into `out`: at least one, more while they fit into `bytes_max`. Pending while there is
    /// nothing new.
    pub(super) fn poll_take(
        &mut self,
        cx: &mut Context<'_>,
        bytes_max: usize,
        out: &mut Vec<Frame>,
    ) -> Poll<Result<(), ReadError>> {
        let before = out.len();
        while out.len() == before {
            let waits = self.listener.poll_past(self.cursor, cx).is_pending();
            // Looked at after the place in the row was taken: what happens from now on wakes this task.
            if let Err(error) = self.check() {
                return Poll::Ready(Err(error));
            }
            if waits {
                return Poll::Pending;
            }
            self.view.take(
                &mut self.cursor,
                self.begin,
                self.gate.reader,
                bytes_max,
                out,
            );
        }
        Poll::Ready(Ok(()))
    }

    /// Whether this reader may go on, and there is something to go on with.
    fn check(&mut self) -> Result<(), ReadError> {
        match self.view.lobby.access(self.gate.checked, self.gate.reader) {
            Access::Shut => return Err(ReadError::ShutOut),
            // It comes back, and its right is read anew.
            Access::Unknown => return Err(ReadError::Unavailable),
            Access::Open(checked) => self.gate.checked = checked,
        }
        if self.view.has_failed() {
            Err(ReadError::Unavailable)
        } else {
            Ok(())
        }
    }
}
