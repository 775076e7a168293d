//! A cursor over a view.

use std::{
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures::{FutureExt, future::BoxFuture};

use super::{
    Frame,
    budget::Seat,
    page::{Page, page},
    ring::take_within,
    room_view::RoomView,
};
use crate::{
    domain::{Cursor, Seq},
    hub::Listener,
    schema::FeedError,
};

/// Frames cannot be made for now. The reader's cursor stands: close so that the client comes back and resumes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this room cannot be read for now")]
pub struct ReadError;

/// One subscriber's position in a view. It holds no frames that others do not hold too.
pub struct Reader {
    view: Arc<RoomView>,
    listener: Listener,
    /// Everything up to here was taken.
    cursor: Seq,
    behind: Behind,
    _seat: Option<Seat>,
}

/// What a reader does while the ring does not reach back to its cursor.
enum Behind {
    /// It does.
    No,
    /// A page is being fetched.
    Fetching(BoxFuture<'static, Result<Arc<Page>, FeedError>>),
    /// A page is being taken, in portions.
    Taking(Arc<Page>),
}

impl Reader {
    pub(super) fn new(view: Arc<RoomView>, after: Seq, seat: Option<Seat>) -> Self {
        Self { listener: view.listen(), view, cursor: after, behind: Behind::No, _seat: seat }
    }

    /// Where a frame of this reader's stands: who has taken it resumes after this.
    pub fn cursor_of(&self, frame: &Frame) -> Cursor {
        self.view.room.cursor(frame.seq)
    }

    /// Takes the next frames into `out`: at least one, more while they fit into `bytes_max`. Pending while there is
    /// nothing after the cursor.
    pub fn poll_take(
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
                    Err(_) => return Poll::Ready(Err(ReadError)),
                },
                Behind::Taking(page) => {
                    let rest = page.frames.iter().skip_while(|frame| frame.seq <= self.cursor);
                    match take_within(rest, bytes_max, out) {
                        Some(last) => self.cursor = last,
                        None => {
                            self.cursor = page.upto.max(self.cursor);
                            self.behind = Behind::No;
                        }
                    }
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_ring(
        &mut self,
        cx: &mut Context<'_>,
        bytes_max: usize,
        out: &mut Vec<Frame>,
    ) -> Poll<Result<(), ReadError>> {
        if self.listener.poll_past(self.cursor, cx).is_pending() {
            // Looked at after the place in the row was taken: a failure from now on wakes this task.
            return if self.view.has_failed() { Poll::Ready(Err(ReadError)) } else { Poll::Pending };
        }
        match self.view.take(self.cursor, bytes_max, out) {
            Some(cursor) => self.cursor = cursor,
            None => self.behind = Behind::Fetching(page(self.view.clone(), self.cursor).boxed()),
        }
        Poll::Ready(Ok(()))
    }

    /// Takes the next frames as [`Self::poll_take`] does, waiting for them.
    pub async fn take(&mut self, bytes_max: usize, out: &mut Vec<Frame>) -> Result<(), ReadError> {
        std::future::poll_fn(|cx| self.poll_take(cx, bytes_max, out)).await
    }
}
