//! What a subscription reads, whatever it is.

use std::task::{Context, Poll};

use super::{Frame, ReadError, lobby_reader::LobbyReader, reader::LogReader};
use crate::{domain::Cursor, presence::Attendance};

/// One subscriber's position in a view. Whoever reads a room is in it.
pub struct Reader {
    position: Position,
    _attendance: Option<Attendance>,
}

enum Position {
    /// In a room's log.
    Log(LogReader),
    /// In what happens in a room and is not kept.
    Lobby(LobbyReader),
}

impl Reader {
    pub(super) fn of_log(reader: LogReader, attendance: Option<Attendance>) -> Self {
        Self {
            position: Position::Log(reader),
            _attendance: attendance,
        }
    }

    pub(super) fn of_lobby(reader: LobbyReader, attendance: Option<Attendance>) -> Self {
        Self {
            position: Position::Lobby(reader),
            _attendance: attendance,
        }
    }

    /// Where it stands, if everything that there was when the right to read was read was taken. Asked after
    /// [`Self::poll_take`] said that there is nothing more for now. What is not kept has no such place: its first frame says
    /// that it is live.
    pub fn live_at(&self) -> Option<Cursor> {
        match &self.position {
            Position::Log(reader) => reader.live_at(),
            Position::Lobby(_) => None,
        }
    }

    /// Where a frame of this reader's stands: who has taken it resumes after this. None where nothing is kept.
    pub fn cursor_of(&self, frame: &Frame) -> Option<Cursor> {
        match &self.position {
            Position::Log(reader) => Some(reader.cursor_of(frame)),
            Position::Lobby(_) => None,
        }
    }

    /// Takes the next frames into `out`: at least one, more while they fit into `bytes_max`. Pending while there is
    /// nothing new.
    pub fn poll_take(
        &mut self,
        cx: &mut Context<'_>,
        bytes_max: usize,
        out: &mut Vec<Frame>,
    ) -> Poll<Result<(), ReadError>> {
        match &mut self.position {
            Position::Log(reader) => reader.poll_take(cx, bytes_max, out),
            Position::Lobby(reader) => reader.poll_take(cx, bytes_max, out),
        }
    }

    /// Takes the next frames as [`Self::poll_take`] does, waiting for them.
    pub async fn take(&mut self, bytes_max: usize, out: &mut Vec<Frame>) -> Result<(), ReadError> {
        std::future::poll_fn(|cx| self.poll_take(cx, bytes_max, out)).await
    }
}
