//! The long poll, for clients that have neither WebSockets nor event streams.

use std::{pin::pin, sync::Arc, time::Duration};

use async_graphql::{Context, SimpleObject};
use futures::{
    FutureExt,
    future::{BoxFuture, Either, pending, select},
};

use super::{
    budget::spending,
    context::{
        RequestContext, caller, position, readable_room, services, signed_out, still_signed_in,
    },
    error::{ApiError, Code},
    object::MessageObject,
    scalar::Cursor,
    stages::Run,
};
use crate::domain::Caller;

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
    let wait =
        Duration::from_secs(within("wait", wait, 0, WAIT_SECONDS_MAX.cast_unsigned())?.into());
    let mut end = token_end(ctx);
    let page_max = services.limits.page_max;
    let limit = within("limit", limit, 1, page_max.max(LIMIT_DEFAULT))?.min(page_max);
    let room = readable_room(ctx, room_id).await?;
    let mut upto = position(&room, &after.0)?;
    // One that does not wait holds nothing up.
    if !wait.is_zero() && !ctx.data_unchecked::<Arc<Run>>().may_wait() {
        return Err(ApiError::new(
            Code::TooComplex,
            "One operation may wait once: send several, or poll with wait: 0.",
        ));
    }
    let quota_key = ctx
        .data_unchecked::<RequestContext>()
        .quota_key(caller(ctx));
    let waiting = services.hub.wait(&room.id, quota_key, wait).await?;
    let mut waiting =
        waiting.ok_or_else(|| ApiError::new(Code::NotFound, "There is no such room."))?;
    let mut messages: Vec<MessageObject> = Vec::new();
    while messages.is_empty() {
        let head = match select(&mut end, pin!(waiting.past(upto))).await {
            Either::Left(((), _)) => return Err(signed_out()),
            Either::Right((head, _)) => head,
        };
        let Some(head) = head else { break };
        let events = spending(ctx)
            .read(waiting.room().read(upto, head, limit))
            .await?;
        let Some(last) = events.last() else { break };
        upto = last.seq();
        let sent = events.iter().filter_map(|event| event.as_message_sent());
        messages.extend(sent.map(|message| MessageObject::from(message.clone())));
    }
    // The right may have gone while this waited, and rooms moved on.
    spending(ctx).forget();
    readable_room(ctx, room_id).await?;
    still_signed_in(ctx)?;
    Ok(MessagePoll {
        messages,
        cursor: Cursor::from(&room.cursor(upto)),
    })
}

/// Ready when the token of the request is no longer good; for nobody never.
fn token_end(ctx: &Context<'_>) -> BoxFuture<'static, ()> {
    let services = services(ctx);
    match caller(ctx) {
        Caller::Viewer(viewer) => services.auth.end_of(viewer, services.clock.clone()).boxed(),
        Caller::Anonymous | Caller::Shared => pending().boxed(),
    }
}

fn within(name: &str, asked: i32, least: u32, most: u32) -> Result<u32, ApiError> {
    let fits = u32::try_from(asked)
        .ok()
        .filter(|asked| (least..=most).contains(asked));
    fits.ok_or_else(|| {
        ApiError::new(
            Code::BadUserInput,
            format!("{name} must be from {least} to {most}."),
        )
    })
}
