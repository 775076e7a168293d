//! What a subscription reads, whatever it is.

use std::task::{Context, Poll};

use super::{Frame, ReadError, lobby_reader::LobbyReader, reader::LogReader};
use crate::domain::Cursor;

/// One subscriber's position in a view.
pub enum Reader {
    /// Of a room's log.
    Log(LogReader),
    /// Of what happens in a room and is not kept.
    Lobby(LobbyReader),
}

impl Reader {
    /// Where it stands, if everything that there was when the right to read was read was taken. Asked after
    /// [`Self::poll_take`] said that there is nothing more for now. What is not kept has no such place: its first frame says
    /// that it is live.
    pub fn live_at(&self) -> Option<Cursor> {
        match self {
            Self::Log(reader) => reader.live_at(),
            Self::Lobby(_) => None,
        }
    }

    /// Where a frame of this reader's stands: who has taken it resumes after this. None where nothing is kept.
    pub fn cursor_of(&self, frame: &Frame) -> Option<Cursor> {
        match self {
            Self::Log(reader) => Some(reader.cursor_of(frame)),
            Self::Lobby(_) => None,
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
        match self {
            Self::Log(reader) => reader.poll_take(cx, bytes_max, out),
            Self::Lobby(reader) => reader.poll_take(cx, bytes_max, out),
        }
    }

    /// Takes the next frames as [`Self::poll_take`] does, waiting for them.
    pub async fn take(&mut self, bytes_max: usize, out: &mut Vec<Frame>) -> Result<(), ReadError> {
        std::future::poll_fn(|cx| self.poll_take(cx, bytes_max, out)).await
    }
}
