//! The two modes in which the resolver of a subscription runs.
//!
//! - **Open**, once per subscriber, with its viewer: the resolver checks arguments and rights, and
//!   reports what the subscriber will read. GraphQL has no result type for that, so the resolver
//!   leaves an [`OpenedSubscription`] in a slot of the request data.
//! - **Feed**, once per plan, shared by all its subscribers and without a viewer: the resolver maps
//!   each [`FeedItem`] that the execution is fed to one response.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use async_graphql::Context;
use futures::{StreamExt, channel::mpsc, stream::BoxStream};

use super::error::ApiError;
use crate::{
    domain::{self, Event, RoomId, Seq, Timestamp},
    presence::{Lobby, Occupancy, Position, Signal, Stream, TypingState},
    sync::Mutex,
};

/// The stream that a subscriber may read. It is the outcome of its subscription in the mode Open.
#[derive(Clone)]
pub struct OpenedSubscription {
    /// The lobby in which a signed-in subscriber counts as present. It was entered before the right
    /// to read was checked (E4).
    pub lobby: Option<Arc<Lobby>>,
    /// The head of the room's log when the right to read was checked.
    pub checked: Seq,
    /// The time of that check.
    pub at: Timestamp,
    /// The stream to read.
    pub source: ReadTarget,
}

/// The stream that a subscription reads.
#[derive(Clone)]
pub enum ReadTarget {
    /// A room's log.
    Log {
        /// The room.
        room: RoomId,
        /// The position after which reading begins.
        after: Seq,
    },
    /// Ephemeral state of a room.
    Lobby {
        /// The room's lobby. It was entered before the right to read was checked.
        lobby: Arc<Lobby>,
        /// Typing, presence or signals.
        stream: Stream,
        /// The position of that stream when the subscription was opened.
        begin: Position,
    },
}

/// Input of an execution in the mode Feed. Each item gives at most one response.
#[derive(Clone, Debug)]
pub enum FeedItem {
    /// An event of a log.
    Event(Arc<Event>),
    /// The users who are typing in a room.
    Typing(RoomId, TypingState),
    /// Presence in a room.
    Presence {
        /// The room.
        room: RoomId,
        /// Who is present, and who joined and left.
        occupancy: Arc<Occupancy>,
        /// True for a snapshot (who is present), false for a delta (who joined and left).
        whole: bool,
    },
    /// A signal in a room. `None` announces that the stream is live.
    Signal(RoomId, Option<Arc<Signal>>),
}

impl FeedItem {
    /// The position of a log event. Ephemeral items have none.
    pub fn cursor(&self) -> Option<&domain::Cursor> {
        match self {
            Self::Event(event) => Some(event.cursor()),
            Self::Typing(..) | Self::Presence { .. } | Self::Signal(..) => None,
        }
    }
}

/// The mode of an execution, in its request data.
pub(super) enum Mode {
    /// Check the subscription and report what it reads.
    Open {
        /// Receives the result.
        slot: Arc<Mutex<Option<OpenedSubscription>>>,
        /// A cursor that the transport knows, for example `Last-Event-ID`. It takes the place of
        /// the argument `after`. Ephemeral streams have no cursors and ignore it.
        resume: Option<String>,
    },
    /// Turn items into responses.
    Feed {
        /// The items; taken once.
        items: Mutex<Option<mpsc::UnboundedReceiver<FeedItem>>>,
        /// Records how much of the present a response shows.
        as_of: Arc<AsOf>,
    },
}

/// The highest head of the room's log at which a response read anything beside its own event.
#[derive(Default)]
pub(super) struct AsOf(AtomicU64);

impl AsOf {
    /// The head recorded since the last call. `None` if the response shows its event and nothing
    /// else: such a response is the same whenever it is made.
    pub(super) fn take(&self) -> Option<Seq> {
        Some(Seq(self.0.swap(0, Ordering::AcqRel))).filter(|head| *head > Seq::START)
    }
}

/// Whether this execution makes frames (mode Feed).
pub(super) fn in_frame(ctx: &Context<'_>) -> bool {
    matches!(ctx.data_opt::<Mode>(), Some(Mode::Feed { .. }))
}

/// Records that the response shows the room as of `head`. A subscriber who lost the right to read
/// before `head` must not receive it (V5). Queries need no record.
pub(super) fn record_as_of(ctx: &Context<'_>, head: Seq) {
    if let Some(Mode::Feed { as_of, .. }) = ctx.data_opt() {
        as_of.0.fetch_max(head.0, Ordering::AcqRel);
    }
}

/// The stream type of subscription resolvers.
pub(super) type ResponseStream<T> = BoxStream<'static, T>;

/// The mode of this execution.
pub(super) fn mode<'a>(ctx: &Context<'a>) -> &'a Mode {
    ctx.data_unchecked()
}

/// Ends the mode Open: reports the result, and streams nothing.
pub(super) fn report<T: Send + 'static>(
    slot: &Mutex<Option<OpenedSubscription>>,
    opened: OpenedSubscription,
) -> ResponseStream<T> {
    *slot.lock() = Some(opened);
    futures::stream::empty().boxed()
}

/// Runs the mode Feed: streams `show(item)` for each item that this execution is fed.
pub(super) fn feed<T: Send + 'static>(
    ctx: &Context<'_>,
    show: impl Fn(FeedItem) -> Option<T> + Send + 'static,
) -> Result<ResponseStream<T>, ApiError> {
    let items = match mode(ctx) {
        Mode::Feed { items, .. } => items.lock().take(),
        Mode::Open { .. } => None,
    };
    let items = items.ok_or_else(|| ApiError::internal(&"a feed was taken twice"))?;
    Ok(items
        .filter_map(move |item| std::future::ready(show(item)))
        .boxed())
}
