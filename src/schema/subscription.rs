//! Streams. A subscription runs twice, in two modes.
//!
//! **Open**, with the viewer: arguments and rights are checked, and the resolver writes what is wanted into a slot.
//! **Feed**, shared and without a viewer: the resolver answers with whatever items it is fed, one response each.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

use async_graphql::{Context, ID, Subscription};
use futures::{StreamExt, channel::mpsc, stream::BoxStream};

use super::{
    context::{position, position_in, readable_room, services, viewer},
    ephemeral::{SignalObject, TypingEventObject, listen, signal, typing_event},
    error::ApiError,
    object::MessageObject,
    people::{PresenceEventObject, presence_event},
    scalar::Cursor,
};
use crate::{
    domain::{self, Event, RoomId, Seq, Timestamp},
    presence::{Instant, Lobby, Occupancy, Position, Signal, Stream, TypingState},
};

/// What a subscription wants to read.
#[derive(Clone)]
pub struct OpenedSubscription {
    /// Where whoever reads is shown to be, if somebody signed in does. It was entered before the right was read (E4).
    pub lobby: Option<Arc<Lobby>>,
    /// The head of the room's log when the right to read it was read.
    pub checked: Seq,
    /// When that was.
    pub at: Timestamp,
    /// What to read.
    pub source: ReadTarget,
}

/// What there is to read of a room.
#[derive(Clone)]
pub enum ReadTarget {
    /// Its log.
    Log {
        /// Of which room.
        room: RoomId,
        /// From after which event on.
        after: Seq,
    },
    /// What happens there and is not kept.
    Lobby {
        /// Where. It was entered before the right was read.
        lobby: Arc<Lobby>,
        /// Which part of it.
        stream: Stream,
        /// Where that stood then.
        begin: Position,
    },
}

/// What an execution in the mode Feed is fed: it gives one response for each.
#[derive(Clone, Debug)]
pub enum FeedItem {
    /// An event of a log.
    Event(Arc<Event>),
    /// Who is typing in a room.
    Typing(RoomId, TypingState),
    /// Who is in a room.
    Presence {
        /// Which room.
        room: RoomId,
        /// Who is there, came and went.
        occupancy: Arc<Occupancy>,
        /// Who is there is told, not who came and went.
        whole: bool,
    },
    /// Something signalled in a room; none says that the stream is open.
    Signal(RoomId, Option<Arc<Signal>>),
}

impl FeedItem {
    /// Where it stands, if it stands in a log.
    pub fn cursor(&self) -> Option<&domain::Cursor> {
        match self {
            Self::Event(event) => Some(event.cursor()),
            Self::Typing(..) | Self::Presence { .. } | Self::Signal(..) => None,
        }
    }
}

/// In which mode a subscription runs.
pub(super) enum Mode {
    /// Write what is wanted into the slot.
    Open {
        /// For whoever opened.
        slot: Arc<Mutex<Option<OpenedSubscription>>>,
        /// A cursor that the transport knows of; it stands in for `after`, whatever the document says. What is not kept has
        /// no cursor, and none counts there.
        resume: Option<String>,
    },
    /// Make frames.
    Feed {
        /// Take the items from here, once.
        items: Mutex<Option<mpsc::UnboundedReceiver<FeedItem>>>,
        /// Leave here what the frame shows beside the item.
        shows: Arc<AsOf>,
    },
}

/// How much of the present one frame shows: how far the room's log reached when that was read.
#[derive(Default)]
pub(super) struct AsOf(AtomicU64);

impl AsOf {
    /// What was left since this was asked last; none if the frame shows nothing but what the item tells, which is the same
    /// whenever it is made.
    pub(super) fn take(&self) -> Option<Seq> {
        Some(Seq(self.0.swap(0, Ordering::AcqRel))).filter(|head| *head > Seq::START)
    }
}

/// Whether a frame is being made.
pub(super) fn in_frame(ctx: &Context<'_>) -> bool {
    matches!(ctx.data_opt::<Mode>(), Some(Mode::Feed { .. }))
}

/// What is shown of a room is how it stood when its log reached to `head`. In a frame that is noted: whoever lost the right to
/// read before that must not see it (V5).
pub(super) fn shows(ctx: &Context<'_>, head: Seq) {
    if let Some(Mode::Feed { shows, .. }) = ctx.data_opt() {
        shows.0.fetch_max(head.0, Ordering::AcqRel);
    }
}

type Streamed<T> = BoxStream<'static, T>;

pub(super) struct Subscription;

/// The roots of all streams.
#[Subscription]
impl Subscription {
    /// The messages of a room from now on, or after a cursor; each carries its cursor in `extensions` too.
    async fn new_message(
        &self,
        ctx: &Context<'_>,
        room_id: ID,
        after: Option<Cursor>,
    ) -> async_graphql::Result<Streamed<MessageObject>> {
        if let Mode::Open { slot, resume } = mode(ctx) {
            let after = resume.clone().map(Cursor).or(after);
            return Ok(wanted(slot, open(ctx, &room_id, after).await?));
        }
        Ok(fed(ctx, |item| match item {
            FeedItem::Event(event) => event
                .as_message_sent()
                .map(|message| MessageObject::from(message.clone())),
            _ => None,
        })?)
    }

    /// Who is typing in a room, whenever that changes. Nothing of it is kept: there is no cursor, and whoever comes back begins
    /// with how it stands then.
    async fn typing(
        &self,
        ctx: &Context<'_>,
        room_id: ID,
    ) -> async_graphql::Result<Streamed<TypingEventObject>> {
        if let Mode::Open { slot, .. } = mode(ctx) {
            return Ok(wanted(slot, listen(ctx, &room_id, Stream::Typing).await?));
        }
        Ok(fed(ctx, typing_event)?)
    }

    /// Who is here: first all of them, then who joins and leaves. Here is who is signed in and has any subscription of the room,
    /// and a few seconds longer. Nothing of it is kept: there is no cursor, and whoever comes back begins with how it stands then.
    async fn presence(
        &self,
        ctx: &Context<'_>,
        room_id: ID,
    ) -> async_graphql::Result<Streamed<PresenceEventObject>> {
        if let Mode::Open { slot, .. } = mode(ctx) {
            return Ok(wanted(slot, listen(ctx, &room_id, Stream::Presence).await?));
        }
        Ok(fed(ctx, presence_event)?)
    }

    /// What is signalled to the viewer or to all of a room. The first one, of the kind `_open`, says that the stream is live.
    /// Nothing of it is kept: there is no cursor, and what came while nobody listened is gone.
    async fn signals(
        &self,
        ctx: &Context<'_>,
        room_id: ID,
    ) -> async_graphql::Result<Streamed<SignalObject>> {
        if let Mode::Open { slot, .. } = mode(ctx) {
            return Ok(wanted(slot, listen(ctx, &room_id, Stream::Signals).await?));
        }
        Ok(fed(ctx, signal)?)
    }
}

fn mode<'a>(ctx: &Context<'a>) -> &'a Mode {
    ctx.data_unchecked()
}

/// Leaves what is wanted for whoever opened.
fn wanted<T: Send + 'static>(
    slot: &Mutex<Option<OpenedSubscription>>,
    want: OpenedSubscription,
) -> Streamed<T> {
    *slot.lock().expect("no panic under this lock") = Some(want);
    futures::stream::empty().boxed()
}

/// What comes of the items that this execution is fed.
fn fed<T: Send + 'static>(
    ctx: &Context<'_>,
    show: impl Fn(FeedItem) -> Option<T> + Send + 'static,
) -> Result<Streamed<T>, ApiError> {
    let items = match mode(ctx) {
        Mode::Feed { items, .. } => items.lock().expect("no panic under this lock").take(),
        Mode::Open { .. } => None,
    };
    let items = items.ok_or_else(|| ApiError::internal(&"a feed was taken twice"))?;
    Ok(items
        .filter_map(move |item| std::future::ready(show(item)))
        .boxed())
}

async fn open(
    ctx: &Context<'_>,
    room_id: &str,
    after: Option<Cursor>,
) -> Result<OpenedSubscription, ApiError> {
    let lobby = attended(ctx, room_id)?;
    let (source, checked) = open_log(ctx, room_id, after).await?;
    Ok(OpenedSubscription {
        lobby,
        checked,
        at: (services(ctx).clock)(),
        source,
    })
}

/// The lobby of a room, for somebody who signed in.
fn attended(ctx: &Context<'_>, room_id: &str) -> Result<Option<Arc<Lobby>>, ApiError> {
    let Ok(room) = room_id.parse() else {
        return Ok(None);
    };
    Ok(viewer(ctx)?.map(|_| services(ctx).presence.enter(&room, Instant::now())))
}

async fn open_log(
    ctx: &Context<'_>,
    room_id: &str,
    after: Option<Cursor>,
) -> Result<(ReadTarget, Seq), ApiError> {
    if let Some(want) = open_to_all(ctx, room_id, after.as_ref()) {
        return Ok(want);
    }
    let room = readable_room(ctx, room_id).await?;
    let after = match after {
        Some(cursor) => position(&room, &cursor.0)?,
        None => room.head,
    };
    Ok((
        ReadTarget::Log {
            room: room.id.clone(),
            after,
        },
        room.head,
    ))
}

/// The same without asking the store, where somebody reads the room already and anybody may. What is wrong with a cursor is
/// left to the store's answer: it may know more of the log.
fn open_to_all(
    ctx: &Context<'_>,
    room_id: &str,
    after: Option<&Cursor>,
) -> Option<(ReadTarget, Seq)> {
    let room = room_id.parse().ok()?;
    let (epoch, head) = services(ctx).hub.open(&room)?;
    let after = match after {
        Some(cursor) => position_in(&room, epoch, head, &cursor.0).ok()?,
        None => head,
    };
    Some((ReadTarget::Log { room, after }, head))
}
