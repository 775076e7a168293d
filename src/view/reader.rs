//! A cursor over a view of a log.

use std::{
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures::{FutureExt, future::BoxFuture};

use super::{
    Frame,
    frame::{Gate, Taken, take_within},
    page::{Page, page},
    room_view::RoomView,
};
use crate::{
    domain::{Cursor, Seq, UserId},
    hub::Listener,
    quota::Slot,
    schema::FeedError,
};

/// Why a reader has nothing more to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Frames cannot be made for now. The reader's cursor stands: close so that the client comes back and resumes.
    #[error("this room cannot be read for now")]
    Unavailable,
    /// Who reads may do so no longer, from the next event on (V5): tell the client that it is over.
    #[error("you may not read this room any more")]
    ShutOut,
}

/// One subscriber's position in a view. It holds no frames that others do not hold too.
pub(super) struct LogReader {
    view: Arc<RoomView>,
    listener: Listener,
    /// Everything up to here was taken.
    cursor: Seq,
    gate: Gate,
    behind: Behind,
    _slot: Option<Slot<UserId>>,
}

/// What a reader does while the ring does not reach back to its cursor.
enum Behind {
    /// It does.
    No,
    /// A page is being fetched.
    Fetching(BoxFuture<'static, Result<Arc<Page>, FeedError>>),
    /// A page is being taken, in portions.
    Taking(Arc<Page>),
    /// It never will again.
    Over(ReadError),
}

impl LogReader {
    pub(super) fn new(
        view: Arc<RoomView>,
        after: Seq,
        gate: Gate,
        slot: Option<Slot<UserId>>,
    ) -> Self {
        Self {
            listener: view.listen(),
            view,
            cursor: after,
            gate,
            behind: Behind::No,
            _slot: slot,
        }
    }

    /// Where it stands, if everything that there was when the right to read was read was taken. Asked after
    /// [`Self::poll_take`] said that there is nothing more for now.
    pub(super) fn live_at(&self) -> Option<Cursor> {
        let live = matches!(self.behind, Behind::No) && self.cursor >= self.gate.checked;
        live.then(|| self.view.room.cursor(self.cursor))
    }

    /// Where a frame of this reader's stands: who has taken it resumes after this.
    pub(super) fn cursor_of(&self, frame: &Frame) -> Cursor {
        self.view.room.cursor(frame.seq)
    }

    /// Takes the next frames into `out`: at least one, more while they fit into `bytes_max`. Pending while there is
    /// nothing after the cursor.
    pub(super) fn poll_take(
        &mut self,
        cx: &mut Context<'_>,
        bytes_max: usize,
        out: &mut Vec<Frame>,
    ) -> Poll<Result<(), ReadError>> {
        let before = out.len();
        while out.len() == before {
            match &mut self.behind {
                Behind::No => ready!(self.poll_ring(cx, bytes_max, out))?,
                Behind::Fetching(fetch) => match ready!(fetch.poll_unpin(cx)) {
                    Ok(page) => self.behind = Behind::Taking(page),
                    Err(_) => return Poll::Ready(Err(ReadError::Unavailable)),
                },
                Behind::Taking(page) => {
                    let page = page.clone();
                    self.take_page(&page, bytes_max, out);
                }
                Behind::Over(error) => return Poll::Ready(Err(*error)),
            }
        }
        Poll::Ready(Ok(()))
    }

    fn take_page(&mut self, page: &Page, bytes_max: usize, out: &mut Vec<Frame>) {
        if page.revision != self.view.room.revision() {
            // Something was taken out of the log since: what is left of this page is made anew.
            self.behind = Behind::No;
            return;
        }
        let rest = page
            .entries
            .iter()
            .skip_while(|entry| entry.seq <= self.cursor);
        match take_within(
            rest,
            &mut self.gate,
            |gate, upto| self.view.access(gate, upto),
            bytes_max,
            out,
        ) {
            Taken::Upto(last) => self.cursor = last,
            Taken::ShutOut => self.behind = Behind::Over(ReadError::ShutOut),
            Taken::Unknown => self.behind = Behind::Over(ReadError::Unavailable),
            Taken::All => {
                self.cursor = page.upto.max(self.cursor);
                self.behind = Behind::No;
            }
        }
    }

    fn poll_ring(
        &mut self,
        cx: &mut Context<'_>,
        bytes_max: usize,
        out: &mut Vec<Frame>,
    ) -> Poll<Result<(), ReadError>> {
        if self.listener.poll_past(self.cursor, cx).is_pending() {
            // Looked at after the place in the row was taken: a failure from now on wakes this task.
            let failed = self.view.has_failed();
            return if failed {
                Poll::Ready(Err(ReadError::Unavailable))
            } else {
                Poll::Pending
            };
        }
        match self
            .view
            .take(&mut self.cursor, &mut self.gate, bytes_max, out)
        {
            Some(Taken::ShutOut) => self.behind = Behind::Over(ReadError::ShutOut),
            Some(Taken::Unknown) => self.behind = Behind::Over(ReadError::Unavailable),
            Some(Taken::All | Taken::Upto(_)) => {}
            None => self.behind = Behind::Fetching(page(self.view.clone(), self.cursor).boxed()),
        }
        Poll::Ready(Ok(()))
    }
}
