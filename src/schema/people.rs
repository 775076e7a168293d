//! Who is in a room.

use std::{collections::HashMap, sync::Arc};

use async_graphql::{Context, Object, SimpleObject};

use super::{
    FeedItem,
    budget::spending,
    context::services,
    error::ApiError,
    object::{RoomObject, UserObject, room_of},
    scalar::DateTime,
};
use crate::{
    domain::{RoomId, User, UserId},
    presence::{Instant, Occupancy, Person, Position},
};

type Resolved<T> = async_graphql::Result<T>;

/// Somebody who is in a room.
#[derive(SimpleObject)]
#[graphql(name = "Presence")]
pub(super) struct PresenceObject {
    user: UserObject,
    /// Since when, without a break of more than a few seconds.
    since: DateTime,
}

/// Who is in a room, or who came and went.
pub(super) struct PresenceEventObject {
    room: RoomId,
    occupancy: Arc<Occupancy>,
    whole: bool,
}

/// Who is in a room. The first one, and any other that has `present`, stands for everything before it. All others tell who
/// joined and who left since.
#[Object(name = "PresenceEvent")]
impl PresenceEventObject {
    /// As it is when this is told.
    async fn room(&self, ctx: &Context<'_>) -> Resolved<RoomObject> {
        Ok(room_of(ctx, &self.room).await?.into())
    }

    /// How many are here in all.
    async fn count(&self) -> usize {
        self.occupancy.count
    }

    /// Who is here: at most 200 unless the server says otherwise, those who have been here longest. Null where only who joined
    /// and left is told.
    async fn present(&self, ctx: &Context<'_>) -> Resolved<Option<Vec<PresenceObject>>> {
        match self.whole {
            true => Ok(Some(named(ctx, &self.occupancy.present).await?)),
            false => Ok(None),
        }
    }

    /// Who joined since the event before.
    async fn joined(&self, ctx: &Context<'_>) -> Resolved<Vec<PresenceObject>> {
        match self.whole {
            true => Ok(Vec::new()),
            false => Ok(named(ctx, &self.occupancy.joined).await?),
        }
    }

    /// Who left since the event before.
    async fn left(&self, ctx: &Context<'_>) -> Resolved<Vec<UserObject>> {
        if self.whole {
            return Ok(Vec::new());
        }
        let mut users = users(ctx, &self.occupancy.left).await?;
        Ok(self
            .occupancy
            .left
            .iter()
            .filter_map(|id| users.remove(id))
            .map(UserObject)
            .collect())
    }
}

/// What an execution is fed becomes what it shows; none where that is not what it is about.
pub(super) fn presence_event(item: FeedItem) -> Option<PresenceEventObject> {
    match item {
        FeedItem::Presence {
            room,
            occupancy,
            whole,
        } => Some(PresenceEventObject {
            room,
            occupancy,
            whole,
        }),
        _ => None,
    }
}

/// Who is in a room right now.
pub(super) async fn present(
    ctx: &Context<'_>,
    room: &RoomId,
) -> Result<Vec<PresenceObject>, ApiError> {
    let lobby = services(ctx).presence.find(room);
    let occupancy = lobby.map(|lobby| lobby.occupancy(Position(u64::MAX), Instant::now()));
    named(
        ctx,
        occupancy
            .as_ref()
            .map_or(&[], |occupancy| &occupancy.present),
    )
    .await
}

/// People with what they are called, in their order.
async fn named(ctx: &Context<'_>, people: &[Person]) -> Result<Vec<PresenceObject>, ApiError> {
    let ids: Vec<_> = people.iter().map(|person| person.user).collect();
    let mut users = users(ctx, &ids).await?;
    let object = |person: &Person| {
        let user = UserObject(users.remove(&person.user)?);
        Some(PresenceObject {
            user,
            since: DateTime(person.since),
        })
    };
    Ok(people.iter().filter_map(object).collect())
}

/// Users by their ids, in one read; none where there is nobody.
async fn users(ctx: &Context<'_>, ids: &[UserId]) -> Result<HashMap<UserId, Arc<User>>, ApiError> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let found = spending(ctx)
        .read(services(ctx).accounts.users(ids))
        .await?;
    Ok(found
        .into_iter()
        .map(|user| (user.id, Arc::new(user)))
        .collect())
}
