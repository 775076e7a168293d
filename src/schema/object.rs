//! What can be asked about users, rooms and messages.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Interface, Object};

use super::{
    budget::spending,
    connection::{MemberConnection, MessageConnection, MessageEdge, PageInfo, Slice},
    context::{caller, no_such_room, position, readable_room, services, viewer},
    error::ApiError,
    member::{MemberObject, members},
    people::{PresenceObject, present},
    scalar::{Cursor, DateTime},
    subscription::{in_frame, shows},
};
use crate::{
    domain::{self, Body, Caller, Message, Room, Seq, User},
    store::Window,
};

type Resolved<T> = async_graphql::Result<T>;

/// Anything with an id: users `usr_…`, messages `msg_…`, members `mbr_…`; rooms match `[a-z0-9][a-z0-9-]{0,63}`.
#[derive(Interface)]
#[graphql(field(name = "id", ty = "ID"))]
pub(super) enum Node {
    User(UserObject),
    Room(RoomObject),
    Message(MessageObject),
    Member(MemberObject),
}

/// Who may read a room.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "domain::Visibility")]
pub(super) enum Visibility {
    /// Anybody.
    Public,
    /// Its members.
    Private,
}

#[derive(Clone)]
pub(super) struct UserObject(pub(super) Arc<User>);

/// Somebody who signed in. A name is no identity: two users may share one.
#[Object(name = "User")]
impl UserObject {
    async fn id(&self) -> ID {
        self.0.id.to_string().into()
    }

    async fn name(&self) -> &str {
        self.0.name.as_str()
    }

    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }
}

#[derive(Clone)]
pub(super) struct RoomObject {
    room: Arc<Room>,
    head: Seq,
}

impl From<Room> for RoomObject {
    fn from(room: Room) -> Self {
        Arc::new(room).into()
    }
}

impl From<Arc<Room>> for RoomObject {
    fn from(room: Arc<Room>) -> Self {
        Self {
            head: room.head,
            room,
        }
    }
}

/// A room: a log of messages.
#[Object(name = "Room")]
impl RoomObject {
    /// Chosen by its creator, or generated.
    async fn id(&self) -> ID {
        self.room.id.to_string().into()
    }

    async fn name(&self, ctx: &Context<'_>) -> &str {
        self.now(ctx).name.as_str()
    }

    async fn visibility(&self, ctx: &Context<'_>) -> Visibility {
        self.now(ctx).visibility.into()
    }

    async fn created_at(&self) -> DateTime {
        DateTime(self.room.created_at)
    }

    /// Read when the room is loaded, before any of its fields: `messages` holds what there was then. Subscribe after it and
    /// nothing is missed. In a subscription it is the event's own cursor.
    async fn head(&self) -> Cursor {
        Cursor::from(&self.room.cursor(self.head))
    }

    /// The room's messages, oldest first.
    async fn messages(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<Cursor>,
        last: Option<i32>,
        before: Option<Cursor>,
    ) -> Resolved<MessageConnection> {
        Ok(messages(ctx, &self.room, self.head, (first, last), (after, before)).await?)
    }

    /// The room's members, in the order in which they joined.
    async fn members(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Resolved<MemberConnection> {
        let members = members(ctx, &self.room, first, after, last, before).await?;
        still_readable(ctx, &self.room.id).await?;
        Ok(members)
    }

    /// Who is here right now, at most 200 unless the server says otherwise, those who have been here longest.
    async fn presence(&self, ctx: &Context<'_>) -> Resolved<Vec<PresenceObject>> {
        let present = present(ctx, &self.room.id).await?;
        still_readable(ctx, &self.room.id).await?;
        Ok(present)
    }

    /// How long a member waits between two messages, in seconds; 0 is not at all. Owners and moderators do not wait.
    async fn slow_mode_seconds(&self, ctx: &Context<'_>) -> u32 {
        self.now(ctx).slow_mode_seconds
    }

    /// The membership of whoever asks; null for others.
    async fn viewer_membership(&self, ctx: &Context<'_>) -> Resolved<Option<MemberObject>> {
        let Some(viewer) = viewer(ctx)? else {
            return Ok(None);
        };
        let services = services(ctx);
        let now = (services.clock)();
        let member = spending(ctx)
            .membership(&services.log, &self.room.id, viewer.user, now)
            .await?;
        Ok(member.map(MemberObject::from))
    }
}

impl RoomObject {
    /// How the room stood when it was loaded, for fields that show it.
    fn now(&self, ctx: &Context<'_>) -> &Room {
        shows(ctx, self.room.head);
        &self.room
    }
}

#[derive(Clone)]
pub(super) struct MessageObject {
    message: Arc<Message>,
    /// Known where the message was found through its room.
    room: Option<Arc<Room>>,
}

impl From<Arc<Message>> for MessageObject {
    fn from(message: Arc<Message>) -> Self {
        Self {
            message,
            room: None,
        }
    }
}

/// A message, durable before anybody sees it.
#[Object(name = "Message")]
impl MessageObject {
    async fn id(&self) -> ID {
        self.message.id.to_string().into()
    }

    async fn room(&self, ctx: &Context<'_>) -> Resolved<RoomObject> {
        let room = match &self.room {
            Some(room) => room.clone(),
            None => room_of(ctx, &self.message.cursor.room).await?,
        };
        // Inside a frame the head is the frame's own cursor, whoever makes it and whenever.
        let head = if in_frame(ctx) {
            self.message.cursor.seq
        } else {
            room.head
        };
        Ok(RoomObject { room, head })
    }

    async fn sender(&self) -> UserObject {
        UserObject(self.message.sender.clone())
    }

    /// Empty once it is deleted.
    async fn text(&self) -> &str {
        self.message.text()
    }

    /// Where the message stands in its room's log.
    async fn cursor(&self) -> Cursor {
        Cursor::from(&self.message.cursor)
    }

    async fn created_at(&self) -> DateTime {
        DateTime(self.message.created_at)
    }

    /// Since when its text is gone; null for all others.
    async fn deleted_at(&self) -> Option<DateTime> {
        match self.message.body {
            Body::Text(_) => None,
            Body::Deleted(at) => Some(DateTime(at)),
        }
    }

    /// The message of the same room that this one answers, as it is now.
    async fn reply_to(&self, ctx: &Context<'_>) -> Resolved<Option<MessageObject>> {
        let Some(id) = self.message.reply_to else {
            return Ok(None);
        };
        // It is of the same room: whoever was let in to this one was let in to that one.
        let message = spending(ctx)
            .message(&services(ctx).log, id, Caller::Shared)
            .await?;
        Ok(message.map(|message| Self {
            message,
            room: self.room.clone(),
        }))
    }
}

/// The room of something whose holder was let in to it already. Who lost the right meanwhile is let in no further; but for
/// readers of a view, who get what came before that.
pub(super) async fn room_of(ctx: &Context<'_>, id: &domain::RoomId) -> Result<Arc<Room>, ApiError> {
    match in_frame(ctx) {
        true => {
            let room = spending(ctx)
                .room(&services(ctx).log, id, Caller::Shared)
                .await?;
            room.ok_or_else(|| ApiError::internal(&"something without its room"))
        }
        false => readable_room(ctx, id.as_str()).await,
    }
}

/// Asked after something was read of a room besides the room itself: who lost the right to it before that does not get it.
async fn still_readable(ctx: &Context<'_>, id: &domain::RoomId) -> Result<(), ApiError> {
    let caller = if in_frame(ctx) {
        Caller::Shared
    } else {
        caller(ctx)
    };
    // Not what was found before, but what holds now.
    let room = spending(ctx)
        .read(services(ctx).log.room(id, caller))
        .await?
        .ok_or_else(no_such_room)?;
    shows(ctx, room.head);
    Ok(())
}

/// A page of a room's messages, of those that there were when its log reached to `head`: what comes later is not shown to whom
/// may have lost the right to it.
pub(super) async fn messages(
    ctx: &Context<'_>,
    room: &Arc<Room>,
    head: Seq,
    (first, last): (Option<i32>, Option<i32>),
    (after, before): (Option<Cursor>, Option<Cursor>),
) -> Result<MessageConnection, ApiError> {
    let services = services(ctx);
    let slice = Slice::new(
        first,
        last,
        before.is_some() && after.is_none(),
        &services.limits,
    )?;
    let before = before.map(|cursor| position(room, &cursor.0)).transpose()?;
    let end = head.next();
    let window = Window {
        after: after
            .map(|cursor| position(room, &cursor.0))
            .transpose()?
            .unwrap_or_default(),
        before: Some(before.map_or(end, |before| before.min(end))),
        from_end: slice.from_end,
        // One more than asked for tells whether there are more.
        limit: slice.length + 1,
    };
    let mut found = spending(ctx)
        .read(services.log.messages(&room.id, window))
        .await?;
    let more = slice.cut(&mut found);
    let (more_before, more_after) = if slice.from_end {
        (more, before.is_some_and(|before| before <= head))
    } else {
        (window.after > Seq::START, more)
    };
    let cursor = |message: Option<&Arc<Message>>| message.map(|message| message.cursor.to_string());
    let page_info = PageInfo {
        has_previous_page: more_before,
        has_next_page: more_after,
        start_cursor: cursor(found.first()),
        end_cursor: cursor(found.last()),
    };
    let nodes: Vec<_> = found
        .into_iter()
        .map(|message| MessageObject {
            message,
            room: Some(room.clone()),
        })
        .collect();
    let edges = nodes.iter().map(|node| MessageEdge {
        cursor: Cursor::from(&node.message.cursor),
        node: node.clone(),
    });
    Ok(MessageConnection {
        edges: edges.collect(),
        nodes,
        page_info,
    })
}
