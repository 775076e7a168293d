//! Views of ephemeral streams: typing, presence and signals of a lobby.
//!
//! The buffer of such a view is a **snapshot** and the **deltas** that follow it. A reader receives
//! the snapshot first, and then each delta:
//!
//! | stream | snapshot | deltas |
//! |---|---|---|
//! | typing | the users who are typing; replaced at each change | none |
//! | presence | the users who are present | who joined and left |
//! | signals | the signal `_open`: the stream is live | the signals |
//!
//! A reader that falls too far behind receives the current snapshot again, and skips the deltas
//! that it missed. Ephemeral streams have no cursor that clients could resume from.

mod pump;
mod reader;
mod snapshots;
mod view;

use std::sync::Arc;

pub(super) use self::{reader::EphemeralReader, view::EphemeralView};
use self::{snapshots::Snapshots, view::LobbyStream};
use super::{
    live::{Live, View, ViewKey},
    plan::Plan,
};
use crate::{
    presence::{Lobby, Position, Stream},
    quota::Bytes,
    sync::Registry,
};

/// The views of ephemeral streams on this node.
pub(super) struct EphemeralViews {
    views: Registry<ViewKey, EphemeralView>,
    frames: Arc<Bytes>,
}

impl EphemeralViews {
    /// No views yet. All their frames count towards `frames`.
    pub(super) fn new(frames: Arc<Bytes>) -> Self {
        Self {
            views: Registry::default(),
            frames,
        }
    }

    /// The view of a stream of a lobby through a plan.
    pub(super) fn enter(
        &self,
        plan: Arc<Plan>,
        lobby: Arc<Lobby>,
        stream: Stream,
    ) -> Arc<EphemeralView> {
        // The stream is watched from here on, so that the lobby keeps all changes from before the
        // pump first runs.
        let mut moves = lobby.watch(stream);
        let start = *moves.borrow_and_update();
        let source = LobbyStream { lobby, stream };
        let buffer = || Snapshots::new(start, self.frames.share());
        // Nothing is announced before the first snapshot, so readers wait for it.
        let open = || Live::new(buffer(), Position::START);
        View::enter(&self.views, plan, source, open, |pump| {
            pump::run(pump, moves, start)
        })
    }
}
