//! A reader of a log.

use std::{
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures::{FutureExt, future::BoxFuture};

use super::{
    catch_up::page,
    page::Page,
    view::{LogView, RoomLog},
};
use crate::{
    domain::{Cursor, Seq, UserId},
    quota::Slot,
    view::{
        frame::{Frame, FrameError, Gate, TakeEnd, take_within},
        live::{Follower, ReadError},
    },
};

/// The cursor of one subscription over a view. It holds no frames that other readers do not hold
/// too.
pub(in crate::view) struct LogReader {
    at: Follower<RoomLog>,
    behind: Behind,
}

/// The way in which a reader reads the frames that the ring no longer has.
enum Behind {
    /// The ring has all frames after the cursor.
    No,
    /// It waits for a page.
    Fetching(BoxFuture<'static, Result<Arc<Page>, FrameError>>),
    /// It takes a page, in portions.
    Taking(Arc<Page>),
    /// It has ended.
    Over(ReadError),
}

impl LogReader {
    /// A reader of the events after `after`.
    pub(in crate::view) fn new(
        view: Arc<LogView>,
        after: Seq,
        gate: Gate,
        slot: Slot<UserId>,
    ) -> Self {
        Self {
            at: Follower::new(view, after, gate, slot),
            behind: Behind::No,
        }
    }

    /// See [`Reader::live_at`](crate::view::Reader::live_at).
    pub(in crate::view) fn live_at(&self) -> Option<Cursor> {
        let live = matches!(self.behind, Behind::No) && self.at.cursor >= self.at.gate.checked;
        live.then(|| self.at.view.source.room.cursor(self.at.cursor))
    }

    /// The cursor of a frame of this log.
    pub(in crate::view) fn cursor_of(&self, frame: &Frame) -> Cursor {
        Cursor {
            tag: frame.tag,
            ..self.at.view.source.room.cursor(frame.seq)
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
        let at = &mut self.at;
        if page.revision != at.view.source.room.revision() {
            // A message was deleted since. The rest of this page is made again.
            self.behind = Behind::No;
            return;
        }
        let rest = page.entries.iter();
        let rest = rest.skip_while(|entry| entry.seq <= at.cursor);
        let access = |gate, upto| at.view.access(gate, upto);
        match take_within(rest, &mut at.gate, access, bytes_max, out) {
            TakeEnd::Upto(last) => at.cursor = last,
            TakeEnd::ShutOut => self.behind = Behind::Over(ReadError::ShutOut),
            TakeEnd::Unknown => self.behind = Behind::Over(ReadError::Unavailable),
            TakeEnd::All => {
                at.cursor = page.upto.max(at.cursor);
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
        let at = &mut self.at;
        if at.poll_advanced(cx).is_pending() {
            // Checked after this task was registered, so that a later failure wakes it.
            return match at.view.has_failed() {
                true => Poll::Ready(Err(ReadError::Unavailable)),
                false => Poll::Pending,
            };
        }
        match at.view.take(&mut at.cursor, &mut at.gate, bytes_max, out) {
            Some(TakeEnd::ShutOut) => self.behind = Behind::Over(ReadError::ShutOut),
            Some(TakeEnd::Unknown) => self.behind = Behind::Over(ReadError::Unavailable),
            Some(TakeEnd::All | TakeEnd::Upto(_)) => {}
            None => self.behind = Behind::Fetching(page(at.view.clone(), at.cursor).boxed()),
        }
        Poll::Ready(Ok(()))
    }
}
