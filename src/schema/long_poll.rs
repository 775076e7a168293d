//! The query `pollMessages`: long polling, for clients that can use neither WebSockets nor event
//! streams.

use std::{pin::pin, sync::Arc, time::Duration};

use async_graphql::{Context, SimpleObject};
use futures::{
    FutureExt,
    future::{BoxFuture, Either, pending, select},
};

use super::{
    context::{caller, check_token, position, readable_room, request_context, services},
    error::{ApiError, Code},
    executor_hooks::ExecutionState,
    loader::loader,
    objects::MessageObject,
    scalar::CursorScalar,
};
use crate::domain::Caller;

/// Largest `wait`, in seconds. Proxies commonly end a request after 60.
const WAIT_SECONDS_MAX: u32 = 55;

/// Default of `limit`. A client may always ask for as many, however small the limit of a page is.
const LIMIT_DEFAULT: u32 = 100;

/// The messages after a cursor.
#[derive(SimpleObject)]
pub(super) struct MessagePoll {
    /// Oldest first; empty if no message arrived in time.
    messages: Vec<MessageObject>,
    /// Pass it as `after` to the next poll.
    cursor: CursorScalar,
}

/// Waits until there is a message after the cursor, at most `wait` seconds.
///
/// # Errors
/// Those of [`readable_room`] and [`position`]; BAD_USER_INPUT if `wait` or `limit` is out of
/// range; TOO_COMPLEX for a second waiting field in one operation; UNAUTHENTICATED if the token
/// expires or is revoked while it waits.
pub(super) async fn poll(
    ctx: &Context<'_>,
    room_id: &str,
    after: &CursorScalar,
    wait: i32,
    limit: i32,
) -> Result<MessagePoll, ApiError> {
    let services = services(ctx);
    let wait = Duration::from_secs(in_range("wait", wait, 0, WAIT_SECONDS_MAX)?.into());
    let mut token_end = token_end(ctx);
    let page_max = services.limits.page_max;
    let limit = in_range("limit", limit, 1, page_max.max(LIMIT_DEFAULT))?.min(page_max);
    let room = readable_room(ctx, room_id).await?;
    let mut position = position(ctx, &room, &after.0).await?;
    if !wait.is_zero() && !ctx.data_unchecked::<Arc<ExecutionState>>().may_wait() {
        return Err(ApiError::new(
            Code::TooComplex,
            "Only one field of an operation may wait; send several operations, or poll with wait: 0.",
        ));
    }
    let quota_key = request_context(ctx).quota_key(caller(ctx));
    let waiting = services.hub.wait(&room.id, quota_key, wait).await?;
    let mut waiting = waiting.ok_or_else(ApiError::no_such_room)?;
    let mut messages: Vec<MessageObject> = Vec::new();
    while messages.is_empty() {
        let head = match select(&mut token_end, pin!(waiting.past(position.seq))).await {
            Either::Left(((), _)) => return Err(ApiError::token_not_valid()),
            Either::Right((head, _)) => head,
        };
        let Some(head) = head else { break };
        let events = loader(ctx)
            .read(waiting.room().read(position.seq, head, limit))
            .await?;
        let Some(last) = events.last() else { break };
        position = last.cursor().clone();
        let sent = events.iter().filter_map(|event| event.as_message_sent());
        messages.extend(sent.map(|message| MessageObject::from(message.clone())));
    }
    // The caller may have lost the right to read while this waited.
    loader(ctx).clear();
    readable_room(ctx, room_id).await?;
    check_token(ctx)?;
    Ok(MessagePoll {
        messages,
        cursor: CursorScalar::from(&position),
    })
}

/// Ready when the caller's token expires or is revoked; never for anonymous callers.
fn token_end(ctx: &Context<'_>) -> BoxFuture<'static, ()> {
    let services = services(ctx);
    match caller(ctx) {
        Caller::Viewer(viewer) => services
            .auth
            .wait_until_invalid(viewer, services.clock.clone())
            .boxed(),
        Caller::Anonymous | Caller::Shared => pending().boxed(),
    }
}

fn in_range(argument: &str, value: i32, min: u32, max: u32) -> Result<u32, ApiError> {
    let value = u32::try_from(value).ok();
    value
        .filter(|value| (min..=max).contains(value))
        .ok_or_else(|| ApiError::bad_user_input(format!("{argument} must be from {min} to {max}.")))
}
