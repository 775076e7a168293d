//! The values that resolvers can reach: the services behind the schema, the caller, and the context
//! of the request.

use std::{net::IpAddr, sync::Arc, time::Instant};

use async_graphql::Context;

use super::{
    error::{ApiError, Code},
    limits::SchemaLimits,
    loader::loader,
    search_turns::{SearchTurn, SearchTurns},
};
use crate::{
    auth::Auth,
    domain::{
        Caller, Clock, Cursor, CursorError, Epoch, EventTag, QuotaKey, Room, RoomId, Seq,
        Timestamp, Viewer,
    },
    hub::Hub,
    presence::Presence,
    quota::AddressAllowance,
    store::{Accounts, Command, CommandOutcome, Log},
    sync::Mutex,
};

/// The services behind the schema.
#[derive(Clone)]
pub struct Services {
    /// Reads logs.
    pub log: Arc<dyn Log>,
    /// Appends to logs, and announces what was appended.
    pub hub: Arc<Hub>,
    /// Ephemeral state of rooms.
    pub presence: Arc<Presence>,
    /// Users.
    pub accounts: Arc<dyn Accounts>,
    /// Tokens and sessions.
    pub auth: Arc<Auth>,
    /// The time.
    pub clock: Clock,
    /// The searches that run.
    pub searches: Arc<SearchTurns>,
    /// Limits of lists, texts and responses.
    pub limits: SchemaLimits,
}

/// Effects of a request that its transport has to carry out.
#[derive(Debug, Default)]
pub struct SideEffects {
    /// A session that was issued: its token and when that expires. Browsers get it as a cookie.
    pub session: Option<(String, Timestamp)>,
    /// The viewer with which a WebSocket connection continues after `refreshSession`.
    pub renewed: Option<Viewer>,
    /// The request's own token was revoked, or is being revoked.
    pub signed_out: bool,
}

/// The context of a request: its origin, and the effects that resolvers leave for the transport.
/// Clones share the effects.
#[derive(Clone, Default)]
pub struct RequestContext {
    effects: Arc<Mutex<SideEffects>>,
    sign_ins: AddressAllowance,
    pub(super) address: Option<IpAddr>,
}

impl RequestContext {
    /// The context of a request from `address`, as rate limits count it. `sign_ins` bounds the
    /// guests that may sign in from there.
    pub fn new(address: Option<IpAddr>, sign_ins: AddressAllowance) -> Self {
        Self {
            effects: Arc::default(),
            sign_ins,
            address,
        }
    }

    /// Takes the effects that were recorded so far.
    pub fn take_effects(&self) -> SideEffects {
        std::mem::take(&mut *self.effects.lock())
    }

    pub(super) fn record(&self, change: impl FnOnce(&mut SideEffects)) {
        change(&mut self.effects.lock());
    }

    /// Takes one guest sign-in from the allowance of the caller's address.
    ///
    /// # Errors
    /// RATE_LIMITED if the allowance is used up.
    pub(super) fn take_sign_in(&self, now: Instant) -> Result<(), ApiError> {
        let too_many = |wait| {
            ApiError::rate_limited(
                "Too many guests sign in from your address; try again in a moment.",
                wait,
            )
        };
        self.sign_ins.take(now).map_err(too_many)
    }

    /// The key that a per-caller quota is charged to.
    pub(super) fn quota_key(&self, caller: Caller) -> Option<QuotaKey> {
        caller.quota_key(self.address)
    }

    /// Whether the request's own token was revoked, or is being revoked.
    pub(super) fn is_signed_out(&self) -> bool {
        self.effects.lock().signed_out
    }
}

pub(super) fn services<'a>(ctx: &Context<'a>) -> &'a Services {
    ctx.data_unchecked()
}

pub(super) fn caller(ctx: &Context<'_>) -> Caller {
    *ctx.data_unchecked()
}

pub(super) fn request_context<'a>(ctx: &Context<'a>) -> &'a RequestContext {
    ctx.data_unchecked()
}

/// The viewer; `None` if the caller is anonymous.
///
/// # Errors
/// INTERNAL in a shared execution, which has no viewer (V2): only `viewer…` fields may ask for one.
pub(super) fn viewer(ctx: &Context<'_>) -> Result<Option<Viewer>, ApiError> {
    match caller(ctx) {
        Caller::Anonymous => Ok(None),
        Caller::Viewer(viewer) => Ok(Some(viewer)),
        Caller::Shared => Err(ApiError::internal(
            &"a shared execution has reached a field that depends on the viewer",
        )),
    }
}

/// The viewer, whose token is still valid.
///
/// # Errors
/// UNAUTHENTICATED if the caller is anonymous, or the token expired or was revoked.
pub(super) fn signed_in(ctx: &Context<'_>) -> Result<Viewer, ApiError> {
    let viewer =
        viewer(ctx)?.ok_or_else(|| ApiError::new(Code::Unauthenticated, "Sign in first."))?;
    check_token(ctx)?;
    Ok(viewer)
}

/// Checks again that the caller's token is valid, for requests that run for a while. Anonymous
/// callers pass.
///
/// # Errors
/// UNAUTHENTICATED if the token expired or was revoked since the request began.
pub(super) fn check_token(ctx: &Context<'_>) -> Result<(), ApiError> {
    let Some(viewer) = viewer(ctx)? else {
        return Ok(());
    };
    let services = services(ctx);
    let is_valid = !request_context(ctx).is_signed_out()
        && services.auth.is_valid(&viewer, (services.clock)());
    if is_valid {
        Ok(())
    } else {
        Err(ApiError::token_not_valid())
    }
}

/// Waits until a search of this caller may run.
pub(super) async fn search_turn(ctx: &Context<'_>) -> SearchTurn {
    let request = request_context(ctx);
    let user = request.quota_key(caller(ctx));
    services(ctx).searches.take(user, request.address).await
}

/// A room that the caller may read.
///
/// # Errors
/// NOT_FOUND if the room does not exist or the caller may not read it; the two look the same (G5).
pub(super) async fn readable_room(ctx: &Context<'_>, id: &str) -> Result<Arc<Room>, ApiError> {
    room_if_readable(ctx, id)
        .await?
        .ok_or_else(ApiError::no_such_room)
}

/// A room that the caller may read; `None` if it does not exist or the caller may not read it.
pub(super) async fn room_if_readable(
    ctx: &Context<'_>,
    id: &str,
) -> Result<Option<Arc<Room>>, ApiError> {
    let Ok(id) = id.parse::<RoomId>() else {
        return Ok(None);
    };
    loader(ctx).room(&id, caller(ctx)).await
}

/// A room id from an argument.
///
/// # Errors
/// NOT_FOUND if the text cannot be an id: no room has it.
pub(super) fn room_id(text: &str) -> Result<RoomId, ApiError> {
    text.parse().map_err(|_| ApiError::no_such_room())
}

/// Commits a command. Clears the loader, because the command may have changed what it holds.
pub(super) async fn append(
    ctx: &Context<'_>,
    command: Command,
) -> Result<CommandOutcome, ApiError> {
    let address = request_context(ctx).address;
    let outcome = services(ctx).hub.append(command, address).await;
    loader(ctx).clear();
    Ok(outcome?)
}

/// The position that a cursor names in the log of this room; see [`position_in`].
pub(super) async fn position(
    ctx: &Context<'_>,
    room: &Room,
    cursor: &str,
) -> Result<Cursor, ApiError> {
    let known = (room.head, room.head_tag);
    position_in(ctx, &room.id, room.epoch, known, cursor).await
}

/// The position that a cursor names in the log of `room` with this epoch, head and tag of the head.
///
/// # Errors
/// BAD_USER_INPUT if the text is not a cursor, or the cursor belongs to another room.
/// CURSOR_EXPIRED if it belongs to an earlier log of the room, is beyond the head, or names an
/// event that is not in the log: a backup was restored. The error names the oldest cursor.
pub(super) async fn position_in(
    ctx: &Context<'_>,
    room: &RoomId,
    epoch: Epoch,
    (head, head_tag): (Seq, EventTag),
    cursor: &str,
) -> Result<Cursor, ApiError> {
    let cursor: Cursor = cursor
        .parse()
        .map_err(|error: CursorError| ApiError::bad_user_input(error.to_string()))?;
    if cursor.room != *room {
        return Err(ApiError::bad_user_input(
            "This cursor belongs to another room.",
        ));
    }
    let mut is_known = cursor.epoch == epoch && cursor.seq <= head;
    if is_known {
        let tag = if cursor.seq == head {
            head_tag
        } else {
            tag_of(ctx, &cursor).await?
        };
        is_known = cursor.tag.fits(tag);
    }
    if !is_known {
        let oldest = Cursor {
            room: room.clone(),
            epoch,
            seq: Seq::START,
            tag: EventTag::UNKNOWN,
        };
        let message = "This cursor does not fit the present log of the room; start again from \
                       `extensions.oldest`.";
        return Err(ApiError::new(Code::CursorExpired, message).with("oldest", oldest.to_string()));
    }
    Ok(cursor)
}

/// The tag of the event that a cursor names, from memory if the room is live.
async fn tag_of(ctx: &Context<'_>, cursor: &Cursor) -> Result<EventTag, ApiError> {
    if cursor.seq == Seq::START || cursor.tag == EventTag::UNKNOWN {
        return Ok(EventTag::UNKNOWN);
    }
    let services = services(ctx);
    if let Some(tag) = services.hub.tag(&cursor.room, cursor.seq) {
        return Ok(tag);
    }
    let before = Seq(cursor.seq.0 - 1);
    let read = services.log.events(&cursor.room, before, cursor.seq, 1);
    let event = loader(ctx).read(read).await?.pop();
    Ok(event.map_or(EventTag::UNKNOWN, |event| event.cursor().tag))
}
