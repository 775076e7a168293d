//! What can be asked about users, rooms and messages.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Interface, Object};

use super::{
    connection::{MessageConnection, MessageEdge, PageInfo, Slice},
    context::{position, services, who},
    error::ApiError,
    scalar::{Cursor, DateTime},
};
use crate::{
    domain::{self, Message, Room, Seq, User, Who},
    store::Window,
};

type Resolved<T> = async_graphql::Result<T>;

/// Anything with an id: users `usr_…`, messages `msg_…`; rooms match `[a-z0-9][a-z0-9-]{0,63}`.
#[derive(Interface)]
#[graphql(field(name = "id", ty = "ID"))]
pub(super) enum Node {
    User(UserObject),
    Room(RoomObject),
    Message(MessageObject),
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
        Self { head: room.head, room: Arc::new(room) }
    }
}

/// A room: a log of messages.
#[Object(name = "Room")]
impl RoomObject {
    /// Chosen by its creator, or generated.
    async fn id(&self) -> ID {
        self.room.id.to_string().into()
    }

    async fn name(&self) -> &str {
        self.room.name.as_str()
    }

    async fn visibility(&self) -> Visibility {
        self.room.visibility.into()
    }

    async fn created_at(&self) -> DateTime {
        DateTime(self.room.created_at)
    }

    /// Read when the room is loaded, before any of its fields: `messages` may hold newer ones, never fewer. Subscribe
    /// after it and nothing is missed.
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
        Ok(messages(ctx, &self.room, first, after, last, before).await?)
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
        Self { message, room: None }
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
            None => {
                // Whoever holds the message was let in to its room already.
                let room =
                    services(ctx).log.room(&self.message.cursor.room, Who::Shared).await.map_err(ApiError::from)?;
                Arc::new(room.ok_or_else(|| ApiError::internal(&"a message without its room"))?)
            }
        };
        // Inside a frame the head is the frame's own cursor, whoever makes it and whenever.
        let head = if who(ctx) == Who::Shared { self.message.cursor.seq } else { room.head };
        Ok(RoomObject { room, head })
    }

    async fn sender(&self) -> UserObject {
        UserObject(self.message.sender.clone())
    }

    async fn text(&self) -> &str {
        self.message.text.as_str()
    }

    /// Where the message stands in its room's log.
    async fn cursor(&self) -> Cursor {
        Cursor::from(&self.message.cursor)
    }

    async fn created_at(&self) -> DateTime {
        DateTime(self.message.created_at)
    }
}

/// A page of a room's messages.
pub(super) async fn messages(
    ctx: &Context<'_>,
    room: &Arc<Room>,
    first: Option<i32>,
    after: Option<Cursor>,
    last: Option<i32>,
    before: Option<Cursor>,
) -> Result<MessageConnection, ApiError> {
    let services = services(ctx);
    let slice = Slice::new(first, last, before.is_some() && after.is_none(), &services.limits)?;
    let window = Window {
        after: after.map(|cursor| position(room, &cursor.0)).transpose()?.unwrap_or_default(),
        before: before.map(|cursor| position(room, &cursor.0)).transpose()?,
        from_end: slice.from_end,
        // One more than asked for tells whether there are more.
        limit: slice.length + 1,
    };
    let mut found = services.log.messages(&room.id, window).await?;
    let more = found.len() > slice.length as usize;
    if more {
        let surplus = if slice.from_end { 0 } else { found.len() - 1 };
        found.remove(surplus);
    }
    let (more_before, more_after) = if slice.from_end {
        (more, window.before.is_some_and(|before| before <= room.head))
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
    let nodes: Vec<_> = found.into_iter().map(|message| MessageObject { message, room: Some(room.clone()) }).collect();
    let edges = nodes.iter().map(|node| MessageEdge { cursor: Cursor::from(&node.message.cursor), node: node.clone() });
    Ok(MessageConnection { edges: edges.collect(), nodes, page_info })
}
