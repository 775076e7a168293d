//! What resolvers reach: the services behind the schema, and who asks.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex},
    time::Instant,
};

use async_graphql::Context;

use super::{
    SchemaLimits,
    budget::spending,
    error::{ApiError, Code},
};
use crate::{
    auth::Auth,
    domain::{
        Clock, Cursor, CursorError, Epoch, Room, RoomId, Seq, Sharer, Timestamp, Viewer, Who,
    },
    hub::Hub,
    presence::Presence,
    quota::Share,
    store::{Accounts, Command, Log, Outcome},
};

/// The services behind the schema.
#[derive(Clone)]
pub struct Services {
    /// Reading logs.
    pub log: Arc<dyn Log>,
    /// Writing to them.
    pub hub: Arc<Hub>,
    /// What happens in rooms and is not kept.
    pub presence: Arc<Presence>,
    /// Users.
    pub accounts: Arc<dyn Accounts>,
    /// Tokens.
    pub auth: Arc<Auth>,
    /// The time.
    pub clock: Clock,
    /// Bounds.
    pub limits: SchemaLimits,
}

/// What a request did beside its answer, for a transport that has to act on it.
#[derive(Debug, Default)]
pub struct Noted {
    /// A session that was issued: its token, and until when that is good.
    pub session: Option<(String, Timestamp)>,
    /// The viewer as whom a connection goes on.
    pub renewed: Option<Viewer>,
    /// The request's own token is being made invalid, or was.
    pub signed_out: bool,
}

/// Where resolvers leave it, where the request came from, and what they may do for whoever sent it.
#[derive(Clone, Default)]
pub struct Notes {
    noted: Arc<Mutex<Noted>>,
    sign_ins: Share,
    address: Option<IpAddr>,
}

impl Notes {
    /// Nothing is noted yet; guests may be signed in for as long as this share lasts.
    pub fn with(sign_ins: Share) -> Self {
        Self {
            sign_ins,
            ..Self::default()
        }
    }

    /// The same for a request from this address, as it is counted.
    #[must_use]
    pub fn asked_from(self, address: Option<IpAddr>) -> Self {
        Self { address, ..self }
    }

    /// What was noted so far.
    pub fn take(&self) -> Noted {
        std::mem::take(&mut *self.noted.lock().expect("no panic under this lock"))
    }

    pub(super) fn note(&self, note: impl FnOnce(&mut Noted)) {
        note(&mut self.noted.lock().expect("no panic under this lock"));
    }

    /// Takes one of the guests that may be signed in.
    pub(super) fn take_sign_in(&self, now: Instant) -> Result<(), ApiError> {
        let too_often =
            |wait| ApiError::rate_limited("Too many guests sign in from your address.", wait);
        self.sign_ins.take(now).map_err(too_often)
    }

    /// Whose share the request takes.
    pub(super) fn sharer(&self, who: Who) -> Option<Sharer> {
        who.sharer(self.address)
    }

    /// Whether the request's own token is being made invalid, or was.
    pub(super) fn is_signed_out(&self) -> bool {
        self.noted
            .lock()
            .expect("no panic under this lock")
            .signed_out
    }
}

pub(super) fn services<'a>(ctx: &Context<'a>) -> &'a Services {
    ctx.data_unchecked()
}

pub(super) fn who(ctx: &Context<'_>) -> Who {
    *ctx.data_unchecked()
}

/// The viewer, if somebody signed in. A view has no viewer (V2): a field that asks in one is a mistake of ours.
pub(super) fn viewer(ctx: &Context<'_>) -> Result<Option<Viewer>, ApiError> {
    match who(ctx) {
        Who::Nobody => Ok(None),
        Who::Viewer(viewer) => Ok(Some(viewer)),
        Who::Shared => Err(ApiError::internal(
            &"a field that depends on the viewer was asked for in a shared view",
        )),
    }
}

/// The viewer, if the token is still good; nobody is UNAUTHENTICATED.
pub(super) fn signed_in(ctx: &Context<'_>) -> Result<Viewer, ApiError> {
    let viewer =
        viewer(ctx)?.ok_or_else(|| ApiError::new(Code::Unauthenticated, "Sign in first."))?;
    still_signed_in(ctx)?;
    Ok(viewer)
}

/// Whether the token of the request is as good as it was when the request came, if it has one: what goes on for longer than that
/// is not answered any more.
pub(super) fn still_signed_in(ctx: &Context<'_>) -> Result<(), ApiError> {
    let Some(viewer) = viewer(ctx)? else {
        return Ok(());
    };
    let (services, notes) = (services(ctx), ctx.data_unchecked::<Notes>());
    let is_good =
        !notes.is_signed_out() && services.auth.is_still_good(&viewer, (services.clock)());
    if is_good { Ok(()) } else { Err(signed_out()) }
}

/// What is said to a request whose token is no longer good.
pub(super) fn signed_out() -> ApiError {
    ApiError::new(
        Code::Unauthenticated,
        "The token is no longer good: it has expired or was signed out.",
    )
}

/// A room that whoever asks may read; anything else is NOT_FOUND, alike.
pub(super) async fn readable_room(ctx: &Context<'_>, id: &str) -> Result<Arc<Room>, ApiError> {
    room_if_readable(ctx, id).await?.ok_or_else(no_such_room)
}

/// What is said of a room that is unknown and of one that is unreadable.
pub(super) fn no_such_room() -> ApiError {
    ApiError::new(Code::NotFound, "There is no such room.")
}

/// A room that whoever asks may read.
pub(super) async fn room_if_readable(
    ctx: &Context<'_>,
    id: &str,
) -> Result<Option<Arc<Room>>, ApiError> {
    let Ok(id) = id.parse::<RoomId>() else {
        return Ok(None);
    };
    spending(ctx).room(&services(ctx).log, &id, who(ctx)).await
}

/// Has a command committed. What was found before it may be different now.
pub(super) async fn append(ctx: &Context<'_>, command: Command) -> Result<Outcome, ApiError> {
    let outcome = services(ctx).hub.append(command).await;
    spending(ctx).forget();
    Ok(outcome?)
}

/// Where a cursor stands in a room's log, if it is one of this room, this log, and not beyond its head.
pub(super) fn position(room: &Room, text: &str) -> Result<Seq, ApiError> {
    position_in(&room.id, room.epoch, room.head, text)
}

/// The same, where only this is known of the room.
pub(super) fn position_in(
    room: &RoomId,
    epoch: Epoch,
    head: Seq,
    text: &str,
) -> Result<Seq, ApiError> {
    let cursor: Cursor = text
        .parse()
        .map_err(|error: CursorError| ApiError::new(Code::BadUserInput, error.to_string()))?;
    if cursor.room != *room {
        return Err(ApiError::new(
            Code::BadUserInput,
            "This cursor is of another room.",
        ));
    }
    if cursor.epoch != epoch || cursor.seq > head {
        let oldest = Cursor {
            room: room.clone(),
            epoch,
            seq: Seq::START,
        }
        .to_string();
        return Err(ApiError::new(
            Code::CursorExpired,
            "This cursor is of a log that is gone, or beyond its head.",
        )
        .with("oldest", oldest));
    }
    Ok(cursor.seq)
}
