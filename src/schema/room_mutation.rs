//! Mutations of existing rooms, their members and their messages. The store decides who may do
//! what, in the transaction that commits the change (S7).

use async_graphql::{Context, ID, Object};
use uuid::Uuid;

use super::{
    context::{append, caller, room_id, services, signed_in},
    error::{ApiError, Code, Resolved},
    objects::{MemberObject, MessageObject, RoleValue, RoomObject, VisibilityValue},
    scalar::DateTime,
};
use crate::{
    domain::{Caller, MemberId, MessageId, Room, RoomId, RoomName, UserId},
    store::{ChangeRoom, Command, CommandOutcome, RoomChange},
};

/// The longest slow mode, in seconds: one day.
const SLOW_MODE_SECONDS_MAX: u32 = 86_400;

pub(super) struct RoomMutation;

/// Existing rooms and their members.
#[Object]
impl RoomMutation {
    /// Changes the properties that are given. Only owners may do this. When a public room becomes
    /// private, subscriptions of users who are not members end with FORBIDDEN.
    async fn update_room(
        &self,
        ctx: &Context<'_>,
        id: ID,
        name: Option<String>,
        visibility: Option<VisibilityValue>,
        #[graphql(
            desc = "Minimum number of seconds between two messages of one user, at most 86400; 0 turns slow mode \
                    off. It does not apply to owners and moderators."
        )]
        slow_mode_seconds: Option<i32>,
    ) -> Resolved<Option<RoomObject>> {
        let change = RoomChange::Update {
            name: name
                .map(|name| RoomName::new(&name))
                .transpose()
                .map_err(ApiError::from)?,
            visibility: visibility.map(Into::into),
            slow_mode_seconds: slow_mode_seconds.map(slow_mode).transpose()?,
        };
        change_room(ctx, &id, change).await?;
        Ok(Some(changed_room(ctx, &id).await?.into()))
    }

    /// Deletes a room. Only owners may do this. Its id cannot be used again.
    async fn delete_room(&self, ctx: &Context<'_>, id: ID) -> Resolved<Option<ID>> {
        change_room(ctx, &id, RoomChange::Delete).await?;
        Ok(Some(id))
    }

    /// Makes the viewer a member of a public room, with the role MEMBER. Changes nothing if the
    /// viewer is a member already.
    async fn join_room(&self, ctx: &Context<'_>, room_id: ID) -> Resolved<Option<RoomObject>> {
        change_room(ctx, &room_id, RoomChange::Join(new_member_id())).await?;
        Ok(Some(changed_room(ctx, &room_id).await?.into()))
    }

    /// Ends the viewer's membership. Fails with CONFLICT for the last owner of the room.
    async fn leave_room(&self, ctx: &Context<'_>, room_id: ID) -> Resolved<Option<ID>> {
        change_room(ctx, &room_id, RoomChange::Leave).await?;
        Ok(Some(room_id))
    }

    /// Makes a user a member. Owners may give any role, moderators may give only MEMBER. Fails with
    /// CONFLICT if the user is a member with another role.
    async fn add_member(
        &self,
        ctx: &Context<'_>,
        room_id: ID,
        user_id: ID,
        #[graphql(default_with = "RoleValue::Member")] role: RoleValue,
    ) -> Resolved<Option<MemberObject>> {
        let user = user(&user_id);
        let change = RoomChange::AddMember {
            id: new_member_id(),
            user,
            role: role.into(),
        };
        change_room(ctx, &room_id, change).await?;
        Ok(changed_member(ctx, &room_id, user).await?)
    }

    /// Changes the role of a member. Only owners may do this. Fails with CONFLICT if the room would
    /// have no owner.
    async fn set_role(
        &self,
        ctx: &Context<'_>,
        room_id: ID,
        user_id: ID,
        role: RoleValue,
    ) -> Resolved<Option<MemberObject>> {
        let user = user(&user_id);
        let role = role.into();
        change_room(ctx, &room_id, RoomChange::SetRole { user, role }).await?;
        Ok(changed_member(ctx, &room_id, user).await?)
    }

    /// Ends a user's membership. Owners may remove anybody, moderators only members with the role
    /// MEMBER. Fails with CONFLICT for the last owner of the room. In a private room, the user
    /// receives nothing that is sent after the removal. In a public room, the user can still read
    /// and send.
    async fn remove_member(
        &self,
        ctx: &Context<'_>,
        room_id: ID,
        user_id: ID,
    ) -> Resolved<Option<RoomObject>> {
        change_room(ctx, &room_id, RoomChange::RemoveMember(user(&user_id))).await?;
        Ok(Some(changed_room(ctx, &room_id).await?.into()))
    }

    /// Mutes a member until the given time, or ends the mute if `until` is null or missing. A mute
    /// still applies if the user leaves and joins again. Owners may mute anybody, moderators only
    /// members with the role MEMBER.
    async fn mute_member(
        &self,
        ctx: &Context<'_>,
        room_id: ID,
        user_id: ID,
        until: Option<DateTime>,
    ) -> Resolved<Option<MemberObject>> {
        let user = user(&user_id);
        let until = until.map(|until| until.0);
        change_room(ctx, &room_id, RoomChange::MuteMember { user, until }).await?;
        Ok(changed_member(ctx, &room_id, user).await?)
    }

    /// Permanently removes the text of a message. Allowed for its sender, and for the owners and
    /// moderators of the room.
    async fn delete_message(&self, ctx: &Context<'_>, id: ID) -> Resolved<Option<MessageObject>> {
        let not_found = || ApiError::new(Code::NotFound, "There is no such message.");
        let (viewer, log) = (signed_in(ctx)?, &services(ctx).log);
        let id: MessageId = id.parse().map_err(|_| not_found())?;
        let read = async || {
            let message = log.message(&id, Caller::Viewer(viewer)).await;
            message.map_err(ApiError::from)?.ok_or_else(not_found)
        };
        let message = read().await?;
        let room = message.cursor.room.as_str();
        match change_room(ctx, room, RoomChange::DeleteMessage(id)).await? {
            CommandOutcome::Rewritten(_, message) => Ok(Some(message.into())),
            // It was deleted before.
            _ => Ok(Some(read().await?.into())),
        }
    }
}

fn slow_mode(seconds: i32) -> Result<u32, ApiError> {
    let seconds = u32::try_from(seconds).ok();
    seconds
        .filter(|seconds| *seconds <= SLOW_MODE_SECONDS_MAX)
        .ok_or_else(|| {
            ApiError::bad_user_input(format!(
                "slowModeSeconds must be from 0 to {SLOW_MODE_SECONDS_MAX}."
            ))
        })
}

fn new_member_id() -> MemberId {
    MemberId::from_uuid(Uuid::now_v7())
}

/// A user id from an argument. A text that cannot be an id becomes the nil id, which no user has.
fn user(id: &str) -> UserId {
    id.parse().unwrap_or(UserId::from_uuid(Uuid::nil()))
}

/// Commits a change of a room.
///
/// # Errors
/// NOT_FOUND if the room does not exist or the viewer may not read it; the two look the same (G5).
async fn change_room(
    ctx: &Context<'_>,
    room: &str,
    change: RoomChange,
) -> Result<CommandOutcome, ApiError> {
    let command = ChangeRoom {
        viewer: signed_in(ctx)?.user,
        room: room_id(room)?,
        change,
    };
    append(ctx, Command::ChangeRoom(command)).await
}

/// The room after a change. This read is not charged to the response: the result of a change that
/// was made is always reported.
async fn changed_room(ctx: &Context<'_>, id: &str) -> Result<Room, ApiError> {
    let room = match id.parse::<RoomId>() {
        Ok(id) => services(ctx).log.room(&id, caller(ctx)).await?,
        Err(_) => None,
    };
    room.ok_or_else(ApiError::no_such_room)
}

/// The member after a change; `None` if they were removed in the meantime.
async fn changed_member(
    ctx: &Context<'_>,
    room: &str,
    user: UserId,
) -> Result<Option<MemberObject>, ApiError> {
    let (room, services) = (changed_room(ctx, room).await?, services(ctx));
    let member = services
        .log
        .membership(&room.id, user, (services.clock)())
        .await?;
    Ok(member.map(MemberObject::from))
}
