//! The reader of a subscription, of any kind.

use std::task::{Context, Poll};

use super::{ephemeral::EphemeralReader, frame::Frame, live::ReadError, log::LogReader};
use crate::{domain::Cursor, presence::Attendance};

/// The position of one subscriber in a view. While it exists, a subscriber who is signed in counts
/// as present in the room.
pub struct Reader {
    kind: ReaderKind,
    _attendance: Option<Attendance>,
}

enum ReaderKind {
    Log(LogReader),
    Ephemeral(EphemeralReader),
}

impl Reader {
    pub(super) fn of_log(reader: LogReader, attendance: Option<Attendance>) -> Self {
        Self {
            kind: ReaderKind::Log(reader),
            _attendance: attendance,
        }
    }

    pub(super) fn of_stream(reader: EphemeralReader, attendance: Option<Attendance>) -> Self {
        Self {
            kind: ReaderKind::Ephemeral(reader),
            _attendance: attendance,
        }
    }

    /// The cursor of this reader, if it has taken everything up to the head at which its right was
    /// read. Valid after [`Self::poll_take`] returned `Pending`.
    ///
    /// Readers of ephemeral streams have no cursor. Their first frame says that they are live.
    pub fn live_at(&self) -> Option<Cursor> {
        match &self.kind {
            ReaderKind::Log(reader) => reader.live_at(),
            ReaderKind::Ephemeral(_) => None,
        }
    }

    /// The cursor of a frame from this reader: a client that has the frame resumes after it. Frames
    /// of ephemeral streams have none.
    pub fn cursor_of(&self, frame: &Frame) -> Option<Cursor> {
        match &self.kind {
            ReaderKind::Log(reader) => Some(reader.cursor_of(frame)),
            ReaderKind::Ephemeral(_) => None,
        }
    }

    /// Takes the next frames into `out`: at least one, more while they fit into `bytes_max`.
    /// Pending while there is no new frame.
    pub fn poll_take(
        &mut self,
        cx: &mut Context<'_>,
        bytes_max: usize,
        out: &mut Vec<Frame>,
    ) -> Poll<Result<(), ReadError>> {
        match &mut self.kind {
            ReaderKind::Log(reader) => reader.poll_take(cx, bytes_max, out),
            ReaderKind::Ephemeral(reader) => reader.poll_take(cx, bytes_max, out),
        }
    }
}
