//! The root fields of queries.

use std::sync::Arc;

use async_graphql::{Context, ID, Object};

use super::{
    context::{caller, room_if_readable, search_turn, services, viewer},
    error::{ApiError, Resolved},
    loader::loader,
    long_poll::{MessagePoll, poll},
    objects::{MessageConnection, MessageObject, Node, RoomObject, messages_of_room},
    pagination::{ListPage, PageArgs, connection},
    scalar::CursorScalar,
    search::{MessageSearchConnection, search},
    users::UserObject,
};
use crate::{
    domain::{MemberId, MessageId, Room, RoomId, UserId},
    store::RoomWindow,
};

connection! {
    /// A page of rooms, ordered by id.
    RoomConnection,
    /// A room and its cursor in the list of rooms.
    RoomEdge { cursor: String, node: RoomObject }
}

pub(super) struct Query;

/// Read operations.
#[Object]
impl Query {
    /// The signed-in user; null for anonymous callers.
    async fn viewer(&self, ctx: &Context<'_>) -> Resolved<Option<UserObject>> {
        let Some(viewer) = viewer(ctx)? else {
            return Ok(None);
        };
        let user = loader(ctx)
            .read(services(ctx).accounts.user(&viewer.user))
            .await?;
        Ok(user.map(|user| UserObject(Arc::new(user))))
    }

    /// An object by its id. Returns null, without an error, if it does not exist or the caller may
    /// not read it.
    async fn node(&self, ctx: &Context<'_>, id: ID) -> Resolved<Option<Node>> {
        let (services, loader) = (services(ctx), loader(ctx));
        if let Ok(id) = id.parse::<MessageId>() {
            let message = loader.message(id, caller(ctx)).await?;
            return Ok(message.map(|message| Node::Message(MessageObject::from(message))));
        }
        if let Ok(id) = id.parse::<UserId>() {
            let user = loader.read(services.accounts.user(&id)).await?;
            return Ok(user.map(|user| Node::User(UserObject(Arc::new(user)))));
        }
        if let Ok(id) = id.parse::<MemberId>() {
            let member = loader
                .read(services.log.member(&id, caller(ctx), (services.clock)()))
                .await?;
            return Ok(member.map(|member| Node::Member(member.into())));
        }
        Ok(room_if_readable(ctx, &id)
            .await?
            .map(|room| Node::Room(room.into())))
    }

    /// A room. Returns null, without an error, if it does not exist or the caller may not read it.
    async fn room(&self, ctx: &Context<'_>, id: ID) -> Resolved<Option<RoomObject>> {
        Ok(room_if_readable(ctx, &id).await?.map(RoomObject::from))
    }

    /// The rooms that the caller may read, ordered by id. If `search` is given, only rooms whose id
    /// or name contains it. `first` and `last` work as in `messages`.
    async fn rooms(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        last: Option<i32>,
        before: Option<String>,
        search: Option<String>,
    ) -> Resolved<RoomConnection> {
        let args = PageArgs {
            first,
            after,
            last,
            before,
        };
        let page = rooms_page(ctx, args, search.as_deref()).await?;
        Ok(RoomConnection::new(page, |room| {
            (room.id.to_string(), RoomObject::from(room))
        }))
    }

    /// A room's messages, oldest first. You may give `first` or `last`; giving both fails with
    /// BAD_USER_INPUT. Without either, the page has up to 50 messages. If only the argument
    /// `before` is given, they are the newest messages that precede it. Otherwise they are the
    /// oldest messages, or the oldest that follow `after` if it is given. The server accepts a
    /// `first` or `last` of at most 100, unless it is configured otherwise. Fails with NOT_FOUND if
    /// the room does not exist or the caller may not read it.
    async fn messages(
        &self,
        ctx: &Context<'_>,
        room_id: ID,
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
        Ok(messages_of_room(ctx, &room_id, args).await?)
    }

    /// Long polling, for clients that can use neither WebSockets nor event streams. Returns as soon
    /// as there are messages after the cursor, or with an empty list when `wait` seconds have
    /// passed. For the next call, pass the returned `cursor` as `after`. `wait` must be from 0 to
    /// 55, and `limit` from 1 to 100 unless the server is configured otherwise. Other values fail
    /// with BAD_USER_INPUT.
    async fn poll_messages(
        &self,
        ctx: &Context<'_>,
        room_id: ID,
        after: CursorScalar,
        #[graphql(default = 25)] wait: i32,
        #[graphql(default = 100)] limit: i32,
    ) -> Resolved<MessagePoll> {
        Ok(poll(ctx, &room_id, &after, wait, limit).await?)
    }

    /// Full-text search: the messages that contain every word of `query`, best match first. It
    /// searches one room or, without `roomId`, the rooms that the caller may read. Without `roomId`
    /// it covers at most 500 rooms by default, first those that the viewer is a member of. If more
    /// than 1000 messages match (by default), only the newest 1000 are ranked, and the others are
    /// not found. A search that takes longer than 250 ms (by default) looks for no older messages.
    /// The answer does not show whether a room or a match was left out. Only whole words match;
    /// case and accents are ignored. Words in quotes match as a phrase. There is no other syntax.
    /// Use a cursor only with the query and the room that produced it.
    async fn search_messages(
        &self,
        ctx: &Context<'_>,
        query: String,
        room_id: Option<ID>,
        #[graphql(default = 20)] first: i32,
        after: Option<String>,
    ) -> Resolved<MessageSearchConnection> {
        let room = room_id.as_ref().map(|id| id.as_str());
        Ok(search(ctx, &query, room, PageArgs::forwards(first, after)).await?)
    }
}

async fn rooms_page(
    ctx: &Context<'_>,
    args: PageArgs<String>,
    search: Option<&str>,
) -> Result<ListPage<Room>, ApiError> {
    let services = services(ctx);
    let slice = args.slice(services.limits.page_max)?;
    for cursor in [&args.after, &args.before].into_iter().flatten() {
        if cursor.parse::<RoomId>().is_err() {
            let message = "This is not a cursor of a list of rooms.";
            return Err(ApiError::bad_user_input(message));
        }
    }
    let window = RoomWindow {
        after: args.after.as_deref(),
        before: args.before.as_deref(),
        from_end: slice.from_end,
        search,
        limit: slice.rows_to_read(),
    };
    let rooms = async {
        let _turn = match search {
            Some(_) => Some(search_turn(ctx).await),
            None => None,
        };
        let read = services.log.rooms(caller(ctx), window);
        read.await
    };
    let rows = loader(ctx).read(rooms).await?;
    let cursor = |room: &Room| room.id.to_string();
    let (is_after, is_before) = (args.after.is_some(), args.before.is_some());
    Ok(ListPage::new(slice, rows, is_after, is_before, cursor))
}
