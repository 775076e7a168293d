//! The node types that refer to each other: rooms, messages and members.

use std::{borrow::Cow, sync::Arc};

use async_graphql::{
    Context, ContextSelectionSet, Enum, ID, Interface, Object, OutputType, Positioned, ScalarType,
    ServerResult, Value, parser::types::Field, registry::Registry,
};

use super::{
    context::{caller, readable_room, room_id, services, viewer},
    error::{ApiError, Resolved},
    loader::loader,
    modes::{in_frame, record_as_of},
    pagination::{CursorValue, ListPage, PageArgs, connection},
    ready::{DocumentFragments, MakeValue, ReadyFields, ReadyObject},
    room_pages::{end_page, members_page, messages_page},
    scalar::{CursorScalar, DateTime},
    users::{PresenceObject, UserObject, present},
};
use crate::{
    domain::{self, Body, Caller, EventTag, Member, Message, Room, RoomId, Seq},
    store::Window,
};

/// An object with an id. Ids of users begin with `usr_`, of messages with `msg_`, of members with
/// `mbr_`. Ids of rooms match `[a-z0-9][a-z0-9-]{0,63}`.
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
#[graphql(name = "Visibility", remote = "domain::Visibility")]
pub(super) enum VisibilityValue {
    /// Everybody may read, anonymous callers included.
    Public,
    /// Only members may read.
    Private,
}

/// The role of a member in a room.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(name = "Role", remote = "domain::Role")]
pub(super) enum RoleValue {
    /// Has all rights. The creator of a room is its first owner. A room always has an owner.
    Owner,
    /// May add, remove and mute members, and delete messages.
    Moderator,
    /// May read and send messages. In a public room, every signed-in user may do so without being a
    /// member.
    Member,
}

connection! {
    /// A page of messages, oldest first.
    MessageConnection,
    /// A message and its cursor.
    MessageEdge { cursor: MessageCursor, node: MessageObject }
}

connection! {
    /// A page of members, in the order in which they joined.
    MemberConnection,
    /// A member and their cursor in the list of members.
    MemberEdge { cursor: String, node: MemberObject }
}

/// The position of a message, as text only if it is selected.
pub(super) struct MessageCursor(Arc<Message>);

impl CursorValue for MessageCursor {
    fn value(&self) -> Value {
        Value::String(self.0.cursor.to_string())
    }
}

impl OutputType for MessageCursor {
    fn type_name() -> Cow<'static, str> {
        <CursorScalar as OutputType>::type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        <CursorScalar as OutputType>::create_type_info(registry)
    }

    async fn resolve(
        &self,
        _: &ContextSelectionSet<'_>,
        _: &Positioned<Field>,
    ) -> ServerResult<Value> {
        Ok(self.value())
    }
}

#[derive(Clone)]
pub(super) struct RoomObject {
    room: Arc<Room>,
    head: (Seq, EventTag),
}

impl From<Room> for RoomObject {
    fn from(room: Room) -> Self {
        Arc::new(room).into()
    }
}

impl From<Arc<Room>> for RoomObject {
    fn from(room: Arc<Room>) -> Self {
        Self {
            head: (room.head, room.head_tag),
            room,
        }
    }
}

/// A room: its messages and its members. Its log holds all messages and changes in their order.
#[Object(name = "Room")]
impl RoomObject {
    /// Chosen by the room's creator, or generated.
    async fn id(&self) -> ID {
        self.room.id.to_string().into()
    }

    async fn name(&self, ctx: &Context<'_>) -> &str {
        self.current(ctx).name.as_str()
    }

    async fn visibility(&self, ctx: &Context<'_>) -> VisibilityValue {
        self.current(ctx).visibility.into()
    }

    async fn created_at(&self) -> DateTime {
        DateTime(self.room.created_at)
    }

    /// The cursor of the newest event in the room's log. Events are messages, deletions of
    /// messages, and changes of the room and its members. `messages` of the same object shows the
    /// log exactly up to `head`, so a subscription with `after: head` continues without a gap and
    /// without repeats. In a result of `newMessage`, it is the cursor of that message. In a result
    /// of another subscription, it is the end of the log when the result was made.
    async fn head(&self) -> CursorScalar {
        CursorScalar::from(&self.room.cursor(self.head.0, self.head.1))
    }

    /// The room's messages, oldest first. The arguments are those of `Query.messages`.
    async fn messages(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<CursorScalar>,
        last: Option<i32>,
        before: Option<CursorScalar>,
    ) -> Resolved<MessageConnection> {
        let args = PageArgs {
            first,
            after,
            last,
            before,
        };
        Ok(messages(ctx, &self.room, self.head.0, args).await?)
    }

    /// The room's members, in the order in which they joined. `first` and `last` work as in
    /// `Query.messages`.
    async fn members(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
    ) -> Resolved<MemberConnection> {
        let args = PageArgs {
            first,
            after,
            last,
            before,
        };
        let page = members_page(ctx, &self.room, args).await?;
        check_still_readable(ctx, &self.room.id).await?;
        Ok(MemberConnection::new(page, |member| {
            (member.id.to_string(), member.into())
        }))
    }

    /// The users who are present in the room now, those present longest first (at most 200 by
    /// default).
    async fn presence(&self, ctx: &Context<'_>) -> Resolved<Vec<PresenceObject>> {
        let present = present(ctx, &self.room.id).await?;
        check_still_readable(ctx, &self.room.id).await?;
        Ok(present)
    }

    /// Slow mode: the minimum number of seconds between two messages of one user; 0 if slow mode
    /// is off. It does not apply to owners and moderators.
    async fn slow_mode_seconds(&self, ctx: &Context<'_>) -> u32 {
        self.current(ctx).slow_mode_seconds
    }

    /// The number of members.
    async fn member_count(&self, ctx: &Context<'_>) -> u32 {
        self.current(ctx).member_count
    }

    /// The newest message up to `head`; null if there is none. If it was deleted, its text is
    /// empty.
    async fn last_message(&self, ctx: &Context<'_>) -> Resolved<Option<MessageObject>> {
        let window = Window {
            after: Seq::START,
            before: Some(self.head.0.next()),
            from_end: true,
            limit: 1,
        };
        let read = services(ctx).log.messages(&self.room.id, window);
        let message = loader(ctx).read(read).await?.pop();
        let room = Some(self.room.clone());
        Ok(message.map(|message| MessageObject { message, room }))
    }

    /// The viewer's own membership; null if the viewer is not a member.
    async fn viewer_membership(&self, ctx: &Context<'_>) -> Resolved<Option<MemberObject>> {
        let Some(viewer) = viewer(ctx)? else {
            return Ok(None);
        };
        let now = (services(ctx).clock)();
        let member = loader(ctx)
            .membership(&self.room.id, viewer.user, now)
            .await?;
        Ok(member.map(MemberObject))
    }
}

impl ReadyObject for RoomObject {
    const TYPES: &'static [&'static str] = &["Room", "Node"];

    /// The other fields record the position of their read, or read.
    fn ready(field: &Field, _: &DocumentFragments) -> Option<MakeValue<Self>> {
        Some(match field.name.node.as_str() {
            "id" => Box::new(|object| Value::String(object.room.id.to_string())),
            "createdAt" => Box::new(|object| DateTime(object.room.created_at).to_value()),
            _ => return None,
        })
    }
}

impl RoomObject {
    /// The room as loaded. Fields that can change use this, which records the position of the read.
    fn current(&self, ctx: &Context<'_>) -> &Room {
        record_as_of(ctx, self.room.head);
        &self.room
    }
}

#[derive(Clone)]
pub(super) struct MessageObject {
    message: Arc<Message>,
    /// Set if the message was loaded through its room.
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

/// A message. It is stored on disk before any client can see it.
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
        // In a frame, the head is the event's own cursor, so that the frame does not depend on when
        // it is made.
        let head = if in_frame(ctx) {
            (self.message.cursor.seq, self.message.cursor.tag)
        } else {
            (room.head, room.head_tag)
        };
        Ok(RoomObject { room, head })
    }

    async fn sender(&self) -> UserObject {
        UserObject(self.message.sender.clone())
    }

    /// Empty if the message has been deleted.
    async fn text(&self) -> &str {
        self.message.text()
    }

    /// The position of the message in its room's log.
    async fn cursor(&self) -> CursorScalar {
        CursorScalar::from(&self.message.cursor)
    }

    async fn created_at(&self) -> DateTime {
        DateTime(self.message.created_at)
    }

    /// The `nonce` with which the viewer sent the message; null if it is the message of another
    /// user. A client can match it with a message that it shows before the server has answered.
    async fn viewer_nonce(&self, ctx: &Context<'_>) -> Resolved<Option<String>> {
        let is_own = viewer(ctx)?.is_some_and(|viewer| viewer.user == self.message.sender.id);
        let nonce = self.message.nonce.as_ref().filter(|_| is_own);
        Ok(nonce.map(|nonce| nonce.as_str().to_owned()))
    }

    /// When the message was deleted; null if it was not.
    async fn deleted_at(&self) -> Option<DateTime> {
        match self.message.body {
            Body::Text(_) => None,
            Body::Deleted(at) => Some(DateTime(at)),
        }
    }

    /// The message that this one replies to, as it is now. It is in the same room.
    async fn reply_to(&self, ctx: &Context<'_>) -> Resolved<Option<MessageObject>> {
        let Some(id) = self.message.reply_to else {
            return Ok(None);
        };
        // No check of rights: the reply is in the same room, which the caller may read.
        let message = loader(ctx).message(id, Caller::Shared).await?;
        Ok(message.map(|message| Self {
            message,
            room: self.room.clone(),
        }))
    }
}

impl ReadyObject for MessageObject {
    const TYPES: &'static [&'static str] = &["Message", "Node"];

    fn ready(field: &Field, fragments: &DocumentFragments) -> Option<MakeValue<Self>> {
        Some(match field.name.node.as_str() {
            "id" => Box::new(|object| Value::String(object.message.id.to_string())),
            "text" => Box::new(|object| Value::String(object.message.text().to_owned())),
            "cursor" => Box::new(|object| Value::String(object.message.cursor.to_string())),
            "createdAt" => Box::new(|object| DateTime(object.message.created_at).to_value()),
            "deletedAt" => Box::new(|object| match object.message.body {
                Body::Text(_) => Value::Null,
                Body::Deleted(at) => DateTime(at).to_value(),
            }),
            "sender" => {
                let fields = ReadyFields::below(field, fragments)?;
                Box::new(move |object| fields.value(&UserObject(object.message.sender.clone())))
            }
            _ => return None,
        })
    }
}

#[derive(Clone)]
pub(super) struct MemberObject(Arc<Member>);

impl From<Member> for MemberObject {
    fn from(member: Member) -> Self {
        Self(Arc::new(member))
    }
}

/// The membership of a user in a room. A user who leaves and joins again gets a new membership.
#[Object(name = "Member")]
impl MemberObject {
    pub(super) async fn id(&self) -> ID {
        self.0.id.to_string().into()
    }

    async fn user(&self) -> UserObject {
        UserObject(self.0.user.clone())
    }

    async fn room(&self, ctx: &Context<'_>) -> Resolved<RoomObject> {
        Ok(room_of(ctx, &self.0.room).await?.into())
    }

    async fn role(&self) -> RoleValue {
        self.0.role.into()
    }

    async fn joined_at(&self) -> DateTime {
        DateTime(self.0.joined_at)
    }

    /// When the mute ends; null if the member is not muted.
    async fn muted_until(&self) -> Option<DateTime> {
        self.0.muted_until.map(DateTime)
    }
}

impl ReadyObject for MemberObject {
    const TYPES: &'static [&'static str] = &["Member", "Node"];

    fn ready(field: &Field, fragments: &DocumentFragments) -> Option<MakeValue<Self>> {
        Some(match field.name.node.as_str() {
            "id" => Box::new(|object| Value::String(object.0.id.to_string())),
            "joinedAt" => Box::new(|object| DateTime(object.0.joined_at).to_value()),
            "user" => {
                let fields = ReadyFields::below(field, fragments)?;
                Box::new(move |object| fields.value(&UserObject(object.0.user.clone())))
            }
            _ => return None,
        })
    }
}

/// The connection of the messages of a room that the caller may read.
pub(super) async fn messages_of_room(
    ctx: &Context<'_>,
    room: &str,
    args: PageArgs<CursorScalar>,
) -> Result<MessageConnection, ApiError> {
    if args.after.is_some() || args.before.is_some() {
        // The cursors are checked against the room before the page is read.
        let room = readable_room(ctx, room).await?;
        return messages(ctx, &room, room.head, args).await;
    }
    let (room, page) = end_page(ctx, &room_id(room)?, &args).await?;
    Ok(message_connection(&Arc::new(room), page))
}

fn message_connection(room: &Arc<Room>, page: ListPage<Arc<Message>>) -> MessageConnection {
    MessageConnection::new(page, |message| {
        let cursor = MessageCursor(message.clone());
        let room = Some(room.clone());
        (cursor, MessageObject { message, room })
    })
}

/// The connection of a room's messages as of the position `head` of its log.
pub(super) async fn messages(
    ctx: &Context<'_>,
    room: &Arc<Room>,
    head: Seq,
    args: PageArgs<CursorScalar>,
) -> Result<MessageConnection, ApiError> {
    let page = messages_page(ctx, room, head, args).await?;
    Ok(message_connection(room, page))
}

/// The room of an object that the caller may read. In a query the right is checked again: a caller
/// who lost it in the meantime gets NOT_FOUND. In a frame it is not, because the reader's gate
/// checks it.
pub(super) async fn room_of(ctx: &Context<'_>, id: &RoomId) -> Result<Arc<Room>, ApiError> {
    if !in_frame(ctx) {
        return readable_room(ctx, id.as_str()).await;
    }
    let room = loader(ctx).room(id, Caller::Shared).await?;
    room.ok_or_else(|| ApiError::internal(&"an object without its room"))
}

/// Checks the right to read again, after a read that carries no position, such as the members of a
/// room. A caller who lost the right before that read must not see its result. In a frame the
/// position is recorded instead.
async fn check_still_readable(ctx: &Context<'_>, id: &RoomId) -> Result<(), ApiError> {
    let caller = if in_frame(ctx) {
        Caller::Shared
    } else {
        caller(ctx)
    };
    // This bypasses the loader's cache, because the present state counts.
    let room = loader(ctx)
        .read(services(ctx).log.room(id, caller))
        .await?
        .ok_or_else(ApiError::no_such_room)?;
    record_as_of(ctx, room.head);
    Ok(())
}
