//! What happens in a room and is not kept: who is typing, and signals.

use std::sync::Arc;

use async_graphql::{Context, ID, Json, Object};

use super::{
    context::{readable_room, services, signed_in, viewer},
    error::{ApiError, Code},
    object::{RoomObject, UserObject, room_of},
    scalar::DateTime,
    subscription::{OpenedSubscription, ReadTarget},
};
use crate::{
    domain::{RoomId, SignalKind, UserId},
    presence::{Instant, Lobby, Signal, StaleRight, Stream, TypingState},
    store::{Speak, Speaker},
};

type Resolved<T> = async_graphql::Result<T>;

/// The kind of what the server itself says. Kinds that begin like this are not for clients.
const OPEN: &str = "_open";

/// Who is typing in a room.
pub(super) struct TypingEventObject {
    room: RoomId,
    state: TypingState,
}

/// Who is typing in a room: all of them, each time. The first one is how it stands when the subscription begins.
#[Object(name = "TypingEvent")]
impl TypingEventObject {
    /// As it is when this is told.
    async fn room(&self, ctx: &Context<'_>) -> Resolved<RoomObject> {
        Ok(room_of(ctx, &self.room).await?.into())
    }

    /// At most 20 unless the server says otherwise, the one who began first in front; whoever asks may be among them.
    async fn users(&self) -> Vec<UserObject> {
        self.state.users.iter().cloned().map(UserObject).collect()
    }
}

/// Something signalled; none says that the stream is open.
pub(super) struct SignalObject {
    room: RoomId,
    signal: Option<Arc<Signal>>,
}

/// Something that somebody says to others in a room and that is not kept. The first one, and another one whenever some were
/// lost because they were not read in time, is the server's own: its kind is `_open`, and all signals that come from then
/// on are told.
#[Object(name = "Signal")]
impl SignalObject {
    /// As it is when this is told.
    async fn room(&self, ctx: &Context<'_>) -> Resolved<RoomObject> {
        Ok(room_of(ctx, &self.room).await?.into())
    }

    /// What kind of thing this is, in the sender's words. `_open` is the server's.
    async fn kind(&self) -> &str {
        self.signal
            .as_ref()
            .map_or(OPEN, |signal| signal.kind.as_str())
    }

    /// What the sender gave; of `_open` an empty object.
    async fn data(&self) -> Resolved<Json<async_graphql::Value>> {
        let text = self.signal.as_ref().map_or("{}", |signal| &signal.data);
        Ok(Json(
            serde_json::from_str(text).map_err(|error| ApiError::internal(&error))?,
        ))
    }

    /// Who says it; null for the server.
    async fn sender(&self) -> Option<UserObject> {
        self.signal
            .as_ref()
            .map(|signal| UserObject(signal.sender.clone()))
    }

    /// Whether it is for this user alone, and not for all of the room.
    async fn direct(&self) -> bool {
        self.signal
            .as_ref()
            .is_some_and(|signal| signal.to.is_some())
    }

    /// When the server took it; null for the server's own.
    async fn sent_at(&self) -> Option<DateTime> {
        self.signal.as_ref().map(|signal| DateTime(signal.sent_at))
    }
}

/// What an execution is fed becomes what it shows; none where that is not what it is about.
pub(super) fn typing_event(item: super::FeedItem) -> Option<TypingEventObject> {
    match item {
        super::FeedItem::Typing(room, state) => Some(TypingEventObject { room, state }),
        _ => None,
    }
}

/// The same for signals.
pub(super) fn signal(item: super::FeedItem) -> Option<SignalObject> {
    match item {
        super::FeedItem::Signal(room, signal) => Some(SignalObject { room, signal }),
        _ => None,
    }
}

/// A stream of a room's lobby, if whoever asks may read the room.
pub(super) async fn listen(
    ctx: &Context<'_>,
    room_id: &str,
    stream: Stream,
) -> Result<OpenedSubscription, ApiError> {
    // Entered before the right is read: what takes it away from then on is heard there (E4).
    let lobby = lobby(ctx, room_id)?;
    let begin = *lobby.watch(stream).borrow();
    let checked = match services(ctx).hub.open(lobby.id()) {
        Some((_, head)) => head,
        None => readable_room(ctx, room_id).await?.head,
    };
    let attended = viewer(ctx)?.map(|_| lobby.clone());
    let source = ReadTarget::Lobby {
        lobby,
        stream,
        begin,
    };
    Ok(OpenedSubscription {
        lobby: attended,
        checked,
        at: (services(ctx).clock)(),
        source,
    })
}

fn lobby(ctx: &Context<'_>, room_id: &str) -> Result<Arc<Lobby>, ApiError> {
    let room: RoomId = room_id
        .parse()
        .map_err(|_| ApiError::new(Code::NotFound, "There is no such room."))?;
    Ok(services(ctx).presence.enter(&room, Instant::now()))
}

/// Whoever asks, if they may say something in this room at this moment, and whom it is for may hear it.
async fn speaker(
    ctx: &Context<'_>,
    room: &RoomId,
    to: Option<UserId>,
) -> Result<Speaker, ApiError> {
    let (viewer, services) = (signed_in(ctx)?.user, services(ctx));
    let speaker = services
        .log
        .speaker(Speak { room, viewer, to }, (services.clock)())
        .await?;
    Ok(speaker?)
}

/// The room's lobby, and one less of what whoever asks may say.
fn allowed(ctx: &Context<'_>, room_id: &str) -> Result<Arc<Lobby>, ApiError> {
    let allowance = services(ctx)
        .presence
        .take_allowance(signed_in(ctx)?.user, Instant::now());
    allowance.map_err(|wait| ApiError::rate_limited("You signal too often.", wait))?;
    lobby(ctx, room_id)
}

pub(super) struct EphemeralMutation;

/// What is said and not kept.
#[Object]
impl EphemeralMutation {
    /// Shows others that the viewer is typing, or is no longer. It lapses by itself after a few seconds (6 unless the server says
    /// otherwise), so say it again while it is true. False if as many are shown already as may be.
    async fn set_typing(
        &self,
        ctx: &Context<'_>,
        room_id: ID,
        #[graphql(default = true)] typing: bool,
    ) -> Resolved<Option<bool>> {
        let lobby = allowed(ctx, &room_id)?;
        Ok(Some(show_typing(ctx, &lobby, typing).await?))
    }

    /// Says something to one user, or to all that listen to the room's `signals` now, and keeps nothing (WebRTC signalling,
    /// pointers, game state). It says nothing about whether anybody listens.
    async fn send_signal(
        &self,
        ctx: &Context<'_>,
        room_id: ID,
        #[graphql(
            desc = "One who may read the room; nobody else hears it. All of the room unless it is given."
        )]
        to: Option<ID>,
        #[graphql(
            desc = "In the clients' own words, at most 64 bytes; what begins with `_` is the server's."
        )]
        kind: String,
        data: Json<async_graphql::Value>,
    ) -> Resolved<Option<bool>> {
        let lobby = allowed(ctx, &room_id)?;
        let kind = SignalKind::new(&kind).map_err(ApiError::from)?;
        if kind.as_str().starts_with('_') {
            return Err(ApiError::new(
                Code::BadUserInput,
                "A kind that begins with _ is the server's.",
            )
            .into());
        }
        let data = encoded(&data.0, lobby.limits().signal_bytes_max)?;
        // One that cannot be an id is asked for all the same: the right to the room comes first.
        let to = to.map(|id| id.parse().unwrap_or(UserId::from_uuid(uuid::Uuid::nil())));
        signal_to(ctx, &lobby, to, kind, data).await?;
        Ok(Some(true))
    }
}

/// Shows or hides that whoever asks is typing; whether it is shown.
async fn show_typing(
    ctx: &Context<'_>,
    lobby: &Arc<Lobby>,
    typing: bool,
) -> Result<bool, ApiError> {
    let _turn = lobby.turn().await;
    loop {
        let Speaker { user, checked } = speaker(ctx, lobby.id(), None).await?;
        let now = Instant::now();
        if let Ok(shown) = lobby.set_typing(user, typing, checked, now) {
            services(ctx).presence.keep(lobby, now);
            return Ok(shown);
        }
        // Somebody lost their right meanwhile: this one is asked for anew.
    }
}

/// Says something as whoever asks.
async fn signal_to(
    ctx: &Context<'_>,
    lobby: &Lobby,
    to: Option<UserId>,
    kind: SignalKind,
    data: Arc<str>,
) -> Result<(), ApiError> {
    let _turn = lobby.turn().await;
    let mut signaled = Err(StaleRight);
    while signaled.is_err() {
        let Speaker { user, checked } = speaker(ctx, lobby.id(), to).await?;
        let sent_at = (services(ctx).clock)();
        let signal = Signal {
            sender: user,
            to,
            kind: kind.clone(),
            data: data.clone(),
            sent_at,
        };
        signaled = lobby.signal(signal, checked);
    }
    Ok(())
}

/// Data as a text, within a bound of bytes; 0 is no limit.
fn encoded(data: &async_graphql::Value, bytes_max: usize) -> Result<Arc<str>, ApiError> {
    let text = serde_json::to_string(data).map_err(|error| ApiError::internal(&error))?;
    if bytes_max != 0 && text.len() > bytes_max {
        let message = format!("data is {} bytes long; the most is {bytes_max}", text.len());
        return Err(ApiError::new(Code::BadUserInput, message));
    }
    Ok(text.into())
}
