//! Typing and signals: the mutations that send them and the subscriptions that receive them.

use std::sync::Arc;

use async_graphql::{Context, ID, Json, Object};
use uuid::Uuid;

use super::{
    context::{readable_room, room_id, services, signed_in, viewer},
    error::{ApiError, Resolved},
    modes::{FeedItem, OpenedSubscription, ReadTarget},
    objects::{RoomObject, room_of},
    scalar::DateTime,
    users::UserObject,
};
use crate::{
    domain::{RoomId, SignalKind, UserId},
    presence::{Instant, Lobby, Signal, StaleRight, Stream, TypingState},
    store::{Speak, Speaker},
};

/// The kind of the signal that announces a live stream. Kinds that begin with `_` are reserved.
const OPEN: &str = "_open";

/// The users who are typing in a room.
pub(super) struct TypingEventObject {
    room: RoomId,
    state: TypingState,
}

/// The users who are typing in a room. Each event lists all of them. The first event of a
/// subscription has the current list.
#[Object(name = "TypingEvent")]
impl TypingEventObject {
    /// The room at the time when this event was made.
    async fn room(&self, ctx: &Context<'_>) -> Resolved<RoomObject> {
        Ok(room_of(ctx, &self.room).await?.into())
    }

    /// At most 20 by default, in the order in which they began. The list may include the viewer.
    async fn users(&self) -> Vec<UserObject> {
        self.state.users.iter().cloned().map(UserObject).collect()
    }
}

/// A signal, or the announcement of a live stream.
pub(super) struct SignalObject {
    room: RoomId,
    signal: Option<Arc<Signal>>,
}

/// An ephemeral message between clients in a room. The first event of a subscription is the
/// server's own signal of the kind `_open`: it marks the point from which signals are delivered.
/// The server sends `_open` again if signals were lost because the client did not read them in
/// time.
#[Object(name = "Signal")]
impl SignalObject {
    /// The room at the time when this event was made.
    async fn room(&self, ctx: &Context<'_>) -> Resolved<RoomObject> {
        Ok(room_of(ctx, &self.room).await?.into())
    }

    /// Chosen by the sender. Kinds that begin with `_` are reserved for the server.
    async fn kind(&self) -> &str {
        let signal = self.signal.as_ref();
        signal.map_or(OPEN, |signal| signal.kind.as_str())
    }

    /// The sender's data. An empty object for `_open`.
    async fn data(&self) -> Resolved<Json<async_graphql::Value>> {
        let text = self.signal.as_ref().map_or("{}", |signal| &signal.data);
        let data = serde_json::from_str(text).map_err(|error| ApiError::internal(&error))?;
        Ok(Json(data))
    }

    /// Null for signals of the server.
    async fn sender(&self) -> Option<UserObject> {
        let signal = self.signal.as_ref();
        signal.map(|signal| UserObject(signal.sender.clone()))
    }

    /// True if the signal was sent to the viewer only, false if it was sent to the whole room.
    async fn direct(&self) -> bool {
        let signal = self.signal.as_ref();
        signal.is_some_and(|signal| signal.to.is_some())
    }

    /// When the server accepted the signal. Null for signals of the server.
    async fn sent_at(&self) -> Option<DateTime> {
        self.signal.as_ref().map(|signal| DateTime(signal.sent_at))
    }
}

/// The response of `typing` to an item; `None` for items of other subscriptions.
pub(super) fn typing_event(item: FeedItem) -> Option<TypingEventObject> {
    match item {
        FeedItem::Typing(room, state) => Some(TypingEventObject { room, state }),
        _ => None,
    }
}

/// The response of `signals` to an item; `None` for items of other subscriptions.
pub(super) fn signal(item: FeedItem) -> Option<SignalObject> {
    match item {
        FeedItem::Signal(room, signal) => Some(SignalObject { room, signal }),
        _ => None,
    }
}

/// Opens an ephemeral stream of a room that the caller may read.
pub(super) async fn open_lobby(
    ctx: &Context<'_>,
    room: &str,
    stream: Stream,
) -> Result<OpenedSubscription, ApiError> {
    // The lobby is entered before the right to read is checked: from then on it reports who loses
    // that right (E4).
    let lobby = enter_lobby(ctx, room)?;
    let begin = *lobby.watch(stream).borrow();
    let checked = match services(ctx).hub.open(lobby.id()) {
        Some((_, head)) => head,
        None => readable_room(ctx, room).await?.head,
    };
    let lobby_of_viewer = viewer(ctx)?.map(|_| lobby.clone());
    Ok(OpenedSubscription {
        lobby: lobby_of_viewer,
        checked,
        at: (services(ctx).clock)(),
        source: ReadTarget::Lobby {
            lobby,
            stream,
            begin,
        },
    })
}

fn enter_lobby(ctx: &Context<'_>, room: &str) -> Result<Arc<Lobby>, ApiError> {
    let room = room_id(room)?;
    Ok(services(ctx).presence.enter(&room, Instant::now()))
}

/// Checks that the viewer may send ephemeral state in this room now, and that `to`, if given, may
/// read the room.
async fn speaker(
    ctx: &Context<'_>,
    room: &RoomId,
    to: Option<UserId>,
) -> Result<Speaker, ApiError> {
    let (viewer, services) = (signed_in(ctx)?.user, services(ctx));
    let speak = Speak { room, viewer, to };
    let speaker = services.log.speaker(speak, (services.clock)()).await?;
    Ok(speaker)
}

/// Takes one signal from the viewer's allowance and enters the lobby.
fn enter_lobby_to_send(ctx: &Context<'_>, room: &str) -> Result<Arc<Lobby>, ApiError> {
    let viewer = signed_in(ctx)?.user;
    let allowance = services(ctx)
        .presence
        .take_allowance(viewer, Instant::now());
    allowance.map_err(|wait| {
        ApiError::rate_limited("You signal too often; try again in a moment.", wait)
    })?;
    enter_lobby(ctx, room)
}

pub(super) struct EphemeralMutation;

/// Ephemeral state.
#[Object]
impl EphemeralMutation {
    /// Marks the viewer as typing, or as not typing. The viewer must be allowed to send messages to
    /// the room; a muted viewer receives FORBIDDEN. The mark expires after a few seconds (6 by
    /// default), so repeat the call while the user types. Returns false if the list of typing users
    /// is full.
    async fn set_typing(
        &self,
        ctx: &Context<'_>,
        room_id: ID,
        #[graphql(default = true)] typing: bool,
    ) -> Resolved<Option<bool>> {
        let lobby = enter_lobby_to_send(ctx, &room_id)?;
        Ok(Some(set_typing(ctx, &lobby, typing).await?))
    }

    /// Sends a signal to one user, or to everybody who is subscribed to the room's `signals` now.
    /// The viewer must be allowed to send messages to the room; a muted viewer receives FORBIDDEN.
    /// Use signals for WebRTC signalling, pointers or game state; they are not stored. Returns true
    /// when the server has accepted the signal, whether or not anybody receives it.
    async fn send_signal(
        &self,
        ctx: &Context<'_>,
        room_id: ID,
        #[graphql(
            desc = "The only user to receive the signal; they must be able to read the room. Without it, all \
                    subscribers receive the signal."
        )]
        to: Option<ID>,
        #[graphql(
            desc = "At most 64 bytes. Kinds that begin with `_` are reserved for the server."
        )]
        kind: String,
        data: Json<async_graphql::Value>,
    ) -> Resolved<Option<bool>> {
        let lobby = enter_lobby_to_send(ctx, &room_id)?;
        let kind = SignalKind::new(&kind).map_err(ApiError::from)?;
        if kind.as_str().starts_with('_') {
            let message =
                "Kinds that begin with _ are reserved for the server; choose another kind.";
            return Err(ApiError::bad_user_input(message).into());
        }
        let data = encode_data(&data.0, lobby.limits().signal_bytes_max)?;
        // A text that cannot be an id becomes the nil id, which no user has. So the right to the
        // room is checked first, as for other unknown ids.
        let to = to.map(|id| id.parse().unwrap_or(UserId::from_uuid(Uuid::nil())));
        send_signal(ctx, &lobby, to, kind, data).await?;
        Ok(Some(true))
    }
}

/// Sets whether the viewer is typing. Returns whether they are now shown.
async fn set_typing(ctx: &Context<'_>, lobby: &Arc<Lobby>, typing: bool) -> Result<bool, ApiError> {
    let _turn = lobby.turn().await;
    loop {
        let Speaker { user, checked } = speaker(ctx, lobby.id(), None).await?;
        let now = Instant::now();
        if let Ok(shown) = lobby.set_typing(user, typing, checked, now) {
            services(ctx).presence.keep(lobby, now);
            return Ok(shown);
        }
        // An event shut users out after the check. Check again.
    }
}

async fn send_signal(
    ctx: &Context<'_>,
    lobby: &Lobby,
    to: Option<UserId>,
    kind: SignalKind,
    data: Arc<str>,
) -> Result<(), ApiError> {
    let _turn = lobby.turn().await;
    let mut sent = Err(StaleRight);
    while sent.is_err() {
        let Speaker { user, checked } = speaker(ctx, lobby.id(), to).await?;
        let sent_at = (services(ctx).clock)();
        let signal = Signal {
            sender: user,
            to,
            kind: kind.clone(),
            data: data.clone(),
            sent_at,
        };
        sent = lobby.signal(signal, checked);
    }
    Ok(())
}

/// JSON text of a signal's data, at most `bytes_max` bytes; 0 is no limit.
fn encode_data(data: &async_graphql::Value, bytes_max: usize) -> Result<Arc<str>, ApiError> {
    let text = serde_json::to_string(data).map_err(|error| ApiError::internal(&error))?;
    if bytes_max != 0 && text.len() > bytes_max {
        return Err(ApiError::bad_user_input(format!(
            "data is {} bytes long; the limit is {bytes_max}",
            text.len()
        )));
    }
    Ok(text.into())
}
