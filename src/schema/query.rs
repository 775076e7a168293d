//! Questions.

use std::sync::Arc;

use async_graphql::{Context, ID, Object};

use super::{
    budget::spending,
    connection::{
        MessageConnection, MessageSearchConnection, PageInfo, RoomConnection, RoomEdge, Slice,
    },
    context::{caller, readable_room, room_if_readable, services, viewer},
    error::{ApiError, Code},
    object::{MessageObject, Node, RoomObject, UserObject, messages},
    poll::{MessagePoll, poll},
    scalar::Cursor,
    search::search,
};
use crate::domain::{MemberId, MessageId, RoomId, UserId};

type Resolved<T> = async_graphql::Result<T>;

pub(super) struct Query;

/// The roots of all questions.
#[Object]
impl Query {
    /// Who asks; null when nobody signed in.
    async fn viewer(&self, ctx: &Context<'_>) -> Resolved<Option<UserObject>> {
        let Some(viewer) = viewer(ctx)? else {
            return Ok(None);
        };
        let user = spending(ctx)
            .read(services(ctx).accounts.user(&viewer.user))
            .await?;
        Ok(user.map(|user| UserObject(Arc::new(user))))
    }

    /// Anything by its id. Unknown or unreadable: null without an error, alike.
    async fn node(&self, ctx: &Context<'_>, id: ID) -> Resolved<Option<Node>> {
        let (services, spending) = (services(ctx), spending(ctx));
        if let Ok(id) = id.parse::<MessageId>() {
            let message = spending.message(&services.log, id, caller(ctx)).await?;
            return Ok(message.map(|message| Node::Message(MessageObject::from(message))));
        }
        if let Ok(id) = id.parse::<UserId>() {
            let user = spending.read(services.accounts.user(&id)).await?;
            return Ok(user.map(|user| Node::User(UserObject(Arc::new(user)))));
        }
        if let Ok(id) = id.parse::<MemberId>() {
            let member = spending
                .read(services.log.member(&id, caller(ctx), (services.clock)()))
                .await?;
            return Ok(member.map(|member| Node::Member(member.into())));
        }
        Ok(room_if_readable(ctx, &id)
            .await?
            .map(|room| Node::Room(room.into())))
    }

    /// A room. Unknown or unreadable: null without an error, alike.
    async fn room(&self, ctx: &Context<'_>, id: ID) -> Resolved<Option<RoomObject>> {
        Ok(room_if_readable(ctx, &id).await?.map(RoomObject::from))
    }

    /// The rooms that the viewer may read, by id; `search` is a part of an id or a name.
    async fn rooms(
        &self,
        ctx: &Context<'_>,
        #[graphql(default = 50)] first: i32,
        after: Option<String>,
        search: Option<String>,
    ) -> Resolved<RoomConnection> {
        let services = services(ctx);
        let slice = Slice::new(Some(first), None, false, &services.limits)?;
        if after
            .as_deref()
            .is_some_and(|after| after.parse::<RoomId>().is_err())
        {
            return Err(
                ApiError::new(Code::BadUserInput, "This is no cursor of a list of rooms.").into(),
            );
        }
        let found = services.log.rooms(
            caller(ctx),
            after.as_deref(),
            search.as_deref(),
            slice.length + 1,
        );
        let mut found = spending(ctx).read(found).await?;
        let has_next_page = found.len() > slice.length as usize;
        found.truncate(slice.length as usize);
        let edges: Vec<_> = found
            .into_iter()
            .map(|room| RoomEdge {
                cursor: room.id.to_string(),
                node: RoomObject::from(room),
            })
            .collect();
        let page_info = PageInfo {
            has_previous_page: after.is_some(),
            has_next_page,
            start_cursor: edges.first().map(|edge| edge.cursor.clone()),
            end_cursor: edges.last().map(|edge| edge.cursor.clone()),
        };
        Ok(RoomConnection {
            nodes: edges.iter().map(|edge| edge.node.clone()).collect(),
            edges,
            page_info,
        })
    }

    /// A room's messages, oldest first. An unreadable room: NOT_FOUND.
    async fn messages(
        &self,
        ctx: &Context<'_>,
        room_id: ID,
        first: Option<i32>,
        after: Option<Cursor>,
        last: Option<i32>,
        before: Option<Cursor>,
    ) -> Resolved<MessageConnection> {
        let room = readable_room(ctx, &room_id).await?;
        Ok(messages(ctx, &room, room.head, (first, last), (after, before)).await?)
    }

    /// For clients that have neither WebSockets nor event streams: answers as soon as there is a message after `after`, or
    /// empty after `wait` seconds (at most 55). Poll again after the cursor that it gives.
    async fn poll_messages(
        &self,
        ctx: &Context<'_>,
        room_id: ID,
        after: Cursor,
        #[graphql(default = 25)] wait: i32,
        #[graphql(default = 100)] limit: i32,
    ) -> Resolved<MessagePoll> {
        Ok(poll(ctx, &room_id, &after, wait, limit).await?)
    }

    /// The messages that hold every word of `query`, in one room or in those that the viewer may read, best first. Words are
    /// found whole, in any case and with or without accents; "words in quotes" are found in this order. There is no other
    /// syntax. Give `after` together with the same query and room only.
    async fn search_messages(
        &self,
        ctx: &Context<'_>,
        query: String,
        room_id: Option<ID>,
        #[graphql(default = 20)] first: i32,
        after: Option<String>,
    ) -> Resolved<MessageSearchConnection> {
        let room = room_id.as_ref().map(|id| id.as_str());
        Ok(search(ctx, &query, room, first, after.as_deref()).await?)
    }
}
