//! Users, and users who are present in a room.

use std::{collections::HashMap, sync::Arc};

use async_graphql::{Context, ID, Object, ScalarType, SimpleObject, Value, parser::types::Field};

use super::{
    context::services,
    error::ApiError,
    loader::loader,
    ready::{DocumentFragments, MakeValue, ReadyObject},
    scalar::DateTime,
};
use crate::{
    domain::{RoomId, User, UserId},
    presence::{Instant, Person, Position},
};

#[derive(Clone)]
pub(super) struct UserObject(pub(super) Arc<User>);

/// A user. Names are not unique: two users may have the same one.
#[Object(name = "User")]
impl UserObject {
    pub(super) async fn id(&self) -> ID {
        self.0.id.to_string().into()
    }

    async fn name(&self) -> &str {
        self.0.name.as_str()
    }

    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }
}

impl ReadyObject for UserObject {
    const TYPES: &'static [&'static str] = &["User", "Node"];

    fn ready(field: &Field, _: &DocumentFragments) -> Option<MakeValue<Self>> {
        Some(match field.name.node.as_str() {
            "id" => Box::new(|user| Value::String(user.0.id.to_string())),
            "name" => Box::new(|user| Value::String(user.0.name.as_str().to_owned())),
            "createdAt" => Box::new(|user| DateTime(user.0.created_at).to_value()),
            _ => return None,
        })
    }
}

/// A user who is present in a room.
#[derive(SimpleObject)]
#[graphql(name = "Presence")]
pub(super) struct PresenceObject {
    user: UserObject,
    /// When the user became present. Interruptions of a few seconds do not count.
    since: DateTime,
}

/// The users who are present in a room now, longest first, within the server's limit.
pub(super) async fn present(
    ctx: &Context<'_>,
    room: &RoomId,
) -> Result<Vec<PresenceObject>, ApiError> {
    let lobby = services(ctx).presence.find(room);
    let occupancy = lobby.map(|lobby| lobby.occupancy(Position(u64::MAX), Instant::now()));
    let people = occupancy.as_ref().map_or(&[][..], |now| &now.present);
    with_names(ctx, people).await
}

/// Adds the user to each presence, in the same order. Users that do not exist are left out.
pub(super) async fn with_names(
    ctx: &Context<'_>,
    people: &[Person],
) -> Result<Vec<PresenceObject>, ApiError> {
    let ids: Vec<_> = people.iter().map(|person| person.user).collect();
    let mut users = users_by_id(ctx, &ids).await?;
    let object = |person: &Person| {
        let user = UserObject(users.remove(&person.user)?);
        Some(PresenceObject {
            user,
            since: DateTime(person.since),
        })
    };
    Ok(people.iter().filter_map(object).collect())
}

/// Reads users by their ids, in one read. Without ids it reads nothing.
pub(super) async fn users_by_id(
    ctx: &Context<'_>,
    ids: &[UserId],
) -> Result<HashMap<UserId, Arc<User>>, ApiError> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let users = loader(ctx).read(services(ctx).accounts.users(ids)).await?;
    Ok(users
        .into_iter()
        .map(|user| (user.id, Arc::new(user)))
        .collect())
}
