//! The subscription `presence`: who is in a room, as snapshots and deltas.

use std::sync::Arc;

use async_graphql::{Context, Object};

use super::{
    error::Resolved,
    modes::FeedItem,
    objects::{RoomObject, room_of},
    users::{PresenceObject, UserObject, users_by_id, with_names},
};
use crate::{domain::RoomId, presence::Occupancy};

/// A snapshot or a delta of a room's presence.
pub(super) struct PresenceEventObject {
    room: RoomId,
    occupancy: Arc<Occupancy>,
    is_snapshot: bool,
}

/// Presence in a room: a snapshot or a delta. The first event is a snapshot: `present` lists the
/// users. Later events are deltas: `joined` and `left` list the changes. A subscriber that falls
/// behind gets a new snapshot, which replaces everything before it.
#[Object(name = "PresenceEvent")]
impl PresenceEventObject {
    /// The room at the time when this event was made.
    async fn room(&self, ctx: &Context<'_>) -> Resolved<RoomObject> {
        Ok(room_of(ctx, &self.room).await?.into())
    }

    /// The number of all present users, including those that `present` does not list.
    async fn count(&self) -> usize {
        self.occupancy.count
    }

    /// In a snapshot: the present users, those present longest first (at most 200 by default). In a
    /// delta: null.
    async fn present(&self, ctx: &Context<'_>) -> Resolved<Option<Vec<PresenceObject>>> {
        match self.is_snapshot {
            true => Ok(Some(with_names(ctx, &self.occupancy.present).await?)),
            false => Ok(None),
        }
    }

    /// In a delta: the users who joined since the previous event. In a snapshot: empty.
    async fn joined(&self, ctx: &Context<'_>) -> Resolved<Vec<PresenceObject>> {
        match self.is_snapshot {
            true => Ok(Vec::new()),
            false => Ok(with_names(ctx, &self.occupancy.joined).await?),
        }
    }

    /// In a delta: the users who left since the previous event. In a snapshot: empty.
    async fn left(&self, ctx: &Context<'_>) -> Resolved<Vec<UserObject>> {
        if self.is_snapshot {
            return Ok(Vec::new());
        }
        let left = &self.occupancy.left;
        let mut users = users_by_id(ctx, left).await?;
        Ok(left
            .iter()
            .filter_map(|id| users.remove(id))
            .map(UserObject)
            .collect())
    }
}

/// The response to an item that the execution is fed; `None` for items of other subscriptions.
pub(super) fn presence_event(item: FeedItem) -> Option<PresenceEventObject> {
    match item {
        FeedItem::Presence {
            room,
            occupancy,
            whole,
        } => Some(PresenceEventObject {
            room,
            occupancy,
            is_snapshot: whole,
        }),
        _ => None,
    }
}
