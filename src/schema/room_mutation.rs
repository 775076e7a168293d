//! Changes of rooms, their members and their messages. Who may do what is decided by the store, in the transaction that commits
//! it (S7).

use async_graphql::{Context, ID, Object};
use uuid::Uuid;

use super::{
    context::{append, caller, services, signed_in},
    error::{ApiError, Code},
    member::{MemberObject, Role},
    object::{MessageObject, RoomObject, Visibility},
    scalar::DateTime,
};
use crate::{
    domain::{Caller, MemberId, MessageId, Room, RoomId, RoomName, UserId},
    store::{ChangeRoom, Command, CommandOutcome, RoomChange},
};

type Resolved<T> = async_graphql::Result<T>;

/// The longest slow mode, in seconds: a day.
const SLOW_MODE_SECONDS_MAX: u32 = 86_400;

pub(super) struct RoomMutation;

/// Rooms that are there, and who is in them.
#[Object]
impl RoomMutation {
    /// Changes what is given; owners may. Made private, it ends for whoever is no member.
    async fn update_room(
        &self,
        ctx: &Context<'_>,
        id: ID,
        name: Option<String>,
        visibility: Option<Visibility>,
        #[graphql(desc = "How long a member waits between two messages; 0 is not at all.")]
        slow_mode_seconds: Option<i32>,
    ) -> Resolved<Option<RoomObject>> {
        let seconds = |seconds: i32| {
            let bad = || {
                ApiError::new(
                    Code::BadUserInput,
                    format!("slowModeSeconds is 0 to {SLOW_MODE_SECONDS_MAX}."),
                )
            };
            u32::try_from(seconds)
                .ok()
                .filter(|seconds| *seconds <= SLOW_MODE_SECONDS_MAX)
                .ok_or_else(bad)
        };
        let change = RoomChange::Update {
            name: name
                .map(|name| RoomName::new(&name))
                .transpose()
                .map_err(ApiError::from)?,
            visibility: visibility.map(Into::into),
            slow_mode_seconds: slow_mode_seconds.map(seconds).transpose()?,
        };
        change_room(ctx, &id, change).await?;
        Ok(Some(changed_room(ctx, &id).await?.into()))
    }

    /// Deletes a room; owners may. Its id stays taken.
    async fn delete_room(&self, ctx: &Context<'_>, id: ID) -> Resolved<Option<ID>> {
        change_room(ctx, &id, RoomChange::Delete).await?;
        Ok(Some(id))
    }

    /// Makes the viewer a member of a public room.
    async fn join_room(&self, ctx: &Context<'_>, room_id: ID) -> Resolved<Option<RoomObject>> {
        change_room(
            ctx,
            &room_id,
            RoomChange::Join(MemberId::from_uuid(Uuid::now_v7())),
        )
        .await?;
        Ok(Some(changed_room(ctx, &room_id).await?.into()))
    }

    /// Ends the viewer's membership.
    async fn leave_room(&self, ctx: &Context<'_>, room_id: ID) -> Resolved<Option<ID>> {
        change_room(ctx, &room_id, RoomChange::Leave).await?;
        Ok(Some(room_id))
    }

    /// Makes somebody a member; owners may, and moderators up to MEMBER.
    async fn add_member(
        &self,
        ctx: &Context<'_>,
        room_id: ID,
        user_id: ID,
        #[graphql(default_with = "Role::Member")] role: Role,
    ) -> Resolved<Option<MemberObject>> {
        let (id, user) = (MemberId::from_uuid(Uuid::now_v7()), user(&user_id));
        change_room(
            ctx,
            &room_id,
            RoomChange::AddMember {
                id,
                user,
                role: role.into(),
            },
        )
        .await?;
        Ok(member(ctx, &room_id, user).await?)
    }

    /// Gives a member another role; owners may.
    async fn set_role(
        &self,
        ctx: &Context<'_>,
        room_id: ID,
        user_id: ID,
        role: Role,
    ) -> Resolved<Option<MemberObject>> {
        let user = user(&user_id);
        change_room(
            ctx,
            &room_id,
            RoomChange::SetRole {
                user,
                role: role.into(),
            },
        )
        .await?;
        Ok(member(ctx, &room_id, user).await?)
    }

    /// Ends somebody's membership; owners may, and moderators that of a MEMBER. In a private room their subscriptions end with
    /// the event before this one.
    async fn remove_member(
        &self,
        ctx: &Context<'_>,
        room_id: ID,
        user_id: ID,
    ) -> Resolved<Option<RoomObject>> {
        change_room(ctx, &room_id, RoomChange::RemoveMember(user(&user_id))).await?;
        Ok(Some(changed_room(ctx, &room_id).await?.into()))
    }

    /// Keeps a member from sending until a moment, or no longer if there is none. It outlives the membership.
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
        Ok(member(ctx, &room_id, user).await?)
    }

    /// Takes the text out of a message for good: its sender may, and who keeps order in the room.
    async fn delete_message(&self, ctx: &Context<'_>, id: ID) -> Resolved<Option<MessageObject>> {
        let none = || ApiError::new(Code::NotFound, "There is no such message.");
        let (viewer, log) = (signed_in(ctx)?, &services(ctx).log);
        let id: MessageId = id.parse().map_err(|_| none())?;
        let message = log
            .message(&id, Caller::Viewer(viewer))
            .await
            .map_err(ApiError::from)?
            .ok_or_else(none)?;
        let room = message.cursor.room.as_str();
        match change_room(ctx, room, RoomChange::DeleteMessage(id)).await? {
            CommandOutcome::Rewritten(_, message) => Ok(Some(message.into())),
            // It was deleted already.
            _ => Ok(Some(
                log.message(&id, Caller::Viewer(viewer))
                    .await
                    .map_err(ApiError::from)?
                    .ok_or_else(none)?
                    .into(),
            )),
        }
    }
}

/// Has a room changed; unknown and unreadable take the same path.
async fn change_room(
    ctx: &Context<'_>,
    room: &str,
    change: RoomChange,
) -> Result<CommandOutcome, ApiError> {
    let viewer = signed_in(ctx)?.user;
    let room: RoomId = room
        .parse()
        .map_err(|_| ApiError::new(Code::NotFound, "There is no such room."))?;
    append(
        ctx,
        Command::ChangeRoom(ChangeRoom {
            viewer,
            room,
            change,
        }),
    )
    .await
}

/// The room that was just changed. Not drawn from the budget: what was done is told, whatever the rest of the answer costs.
async fn changed_room(ctx: &Context<'_>, id: &str) -> Result<Room, ApiError> {
    let room = match id.parse::<RoomId>() {
        Ok(id) => services(ctx).log.room(&id, caller(ctx)).await?,
        Err(_) => None,
    };
    room.ok_or_else(|| ApiError::new(Code::NotFound, "There is no such room."))
}

/// A user's id; one that cannot be an id is nobody's.
fn user(id: &str) -> UserId {
    id.parse().unwrap_or(UserId::from_uuid(Uuid::nil()))
}

/// The member that was just made or changed; null if somebody removed them meanwhile.
async fn member(
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
