//! Pages of a room's messages and members.

use std::sync::Arc;

use async_graphql::Context;

use super::{
    context::{caller, position, services},
    error::ApiError,
    loader::loader,
    pagination::{ListPage, PageArgs},
    scalar::CursorScalar,
};
use crate::{
    domain::{Member, MemberId, Message, Room, RoomId, Seq},
    store::{MemberWindow, Window},
};

/// A page of a room's messages, as of the position `head` of its log. Later messages are left out:
/// the caller may have lost the right to read them.
pub(super) async fn messages_page(
    ctx: &Context<'_>,
    room: &Room,
    head: Seq,
    args: PageArgs<CursorScalar>,
) -> Result<ListPage<Arc<Message>>, ApiError> {
    let services = services(ctx);
    let slice = args.slice(services.limits.page_max)?;
    let before = match &args.before {
        Some(cursor) => Some(position(ctx, room, &cursor.0).await?.seq),
        None => None,
    };
    let after = match &args.after {
        Some(cursor) => Some(position(ctx, room, &cursor.0).await?.seq),
        None => None,
    };
    let (after, end) = (after.unwrap_or_default(), head.next());
    let window = Window {
        after,
        before: Some(before.map_or(end, |before| before.min(end))),
        from_end: slice.from_end,
        limit: slice.rows_to_read(),
    };
    let rows = loader(ctx)
        .read(services.log.messages(&room.id, window))
        .await?;
    let is_before = before.is_some_and(|before| before <= head);
    let cursor = |message: &Arc<Message>| message.cursor.to_string();
    Ok(ListPage::new(
        slice,
        rows,
        after > Seq::START,
        is_before,
        cursor,
    ))
}

/// A page at the begin or at the end of the messages of a room that the caller may read, and the
/// room. Both are read together.
pub(super) async fn end_page(
    ctx: &Context<'_>,
    room: &RoomId,
    args: &PageArgs<CursorScalar>,
) -> Result<(Room, ListPage<Arc<Message>>), ApiError> {
    let services = services(ctx);
    let slice = args.slice(services.limits.page_max)?;
    let window = Window {
        after: Seq::START,
        before: None,
        from_end: slice.from_end,
        limit: slice.rows_to_read(),
    };
    let read = services.log.room_with_messages(room, caller(ctx), window);
    let found = loader(ctx).read(read).await?;
    let (room, rows) = found.ok_or_else(ApiError::no_such_room)?;
    let cursor = |message: &Arc<Message>| message.cursor.to_string();
    Ok((room, ListPage::new(slice, rows, false, false, cursor)))
}

/// A page of a room's members, in the order in which they joined.
pub(super) async fn members_page(
    ctx: &Context<'_>,
    room: &Room,
    args: PageArgs<String>,
) -> Result<ListPage<Member>, ApiError> {
    let services = services(ctx);
    let slice = args.slice(services.limits.page_max)?;
    let member_id = |cursor: Option<String>| -> Result<Option<MemberId>, ApiError> {
        let invalid = |_| ApiError::bad_user_input("This is not a cursor of a list of members.");
        cursor
            .map(|cursor| cursor.parse().map_err(invalid))
            .transpose()
    };
    let window = MemberWindow {
        after: member_id(args.after)?,
        before: member_id(args.before)?,
        from_end: slice.from_end,
        limit: slice.rows_to_read(),
    };
    let (is_after, is_before) = (window.after.is_some(), window.before.is_some());
    let now = (services.clock)();
    let rows = loader(ctx)
        .read(services.log.members(&room.id, window, now))
        .await?;
    let cursor = |member: &Member| member.id.to_string();
    Ok(ListPage::new(slice, rows, is_after, is_before, cursor))
}
