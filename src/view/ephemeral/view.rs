//! A stream of a lobby as the source of a view.

use std::sync::Arc;

use super::snapshots::Snapshots;
use crate::{
    domain::RoomId,
    hub::BellNumber,
    presence::{Lobby, Position, Stream},
    view::live::{Source, View},
};

/// One stream of a lobby.
#[derive(Clone)]
pub(in crate::view) struct LobbyStream {
    pub(super) lobby: Arc<Lobby>,
    pub(super) stream: Stream,
}

impl BellNumber for Position {
    fn from_u64(number: u64) -> Self {
        Self(number)
    }

    fn to_u64(self) -> u64 {
        self.0
    }
}

impl Source for LobbyStream {
    type Number = Position;
    type Buffer = Snapshots;

    fn room(&self) -> &RoomId {
        self.lobby.id()
    }
}

/// A stream of a lobby, seen through one plan.
pub(in crate::view) type EphemeralView = View<LobbyStream>;
