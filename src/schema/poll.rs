//! The long poll, for clients that have neither WebSockets nor event streams.

use std::time::Duration;

use async_graphql::{Context, SimpleObject};

use super::{
    budget::spending,
    context::{position, readable_room, services},
    error::{ApiError, Code},
    object::MessageObject,
    scalar::Cursor,
};

/// Seconds that a poll may wait: less than what proxies give a request.
const WAIT_SECONDS_MAX: i32 = 55;

/// Messages that a poll asks for by default, so it may ask for as many whatever the page's bound is.
const LIMIT_DEFAULT: u32 = 100;

/// What came after a cursor.
#[derive(SimpleObject)]
pub(super) struct MessagePoll {
    /// Oldest first; empty if nothing came in time.
    messages: Vec<MessageObject>,
    /// Poll after this next.
    cursor: Cursor,
}

/// Answers as soon as there is a message after the cursor, or when the time is over.
pub(super) async fn poll(
    ctx: &Context<'_>,
    room_id: &str,
    after: &Cursor,
    wait: i32,
    limit: i32,
) -> Result<MessagePoll, ApiError> {
    let services = services(ctx);
    let wait = Duration::from_secs(within("wait", wait, 0, WAIT_SECONDS_MAX.cast_unsigned())?.into());
    let page_max = services.limits.page_max;
    let limit = within("limit", limit, 1, page_max.max(LIMIT_DEFAULT))?.min(page_max);
    let room = readable_room(ctx, room_id).await?;
    let mut upto = position(&room, &after.0)?;
    let waiting = services.hub.wait(&room.id, wait).await?;
    let mut waiting = waiting.ok_or_else(|| ApiError::new(Code::NotFound, "There is no such room."))?;
    let mut messages: Vec<MessageObject> = Vec::new();
    while messages.is_empty() {
        let Some(head) = waiting.past(upto).await else { break };
        let events = spending(ctx).read(waiting.room().read(upto, head, limit)).await?;
        let Some(last) = events.last() else { break };
        upto = last.seq();
        let sent = events.iter().filter_map(|event| event.as_message_sent());
        messages.extend(sent.map(|message| MessageObject::from(message.clone())));
    }
    // The right may have gone while this waited, and rooms moved on.
    spending(ctx).forget();
    readable_room(ctx, room_id).await?;
    Ok(MessagePoll { messages, cursor: Cursor::from(&room.cursor(upto)) })
}

fn within(name: &str, asked: i32, least: u32, most: u32) -> Result<u32, ApiError> {
    let fits = u32::try_from(asked).ok().filter(|asked| (least..=most).contains(asked));
    fits.ok_or_else(|| ApiError::new(Code::BadUserInput, format!("{name} must be from {least} to {most}.")))
}
