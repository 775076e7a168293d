//! Streams. A subscription runs twice, in two modes.
//!
//! **Open**, with the viewer: arguments and rights are checked, and the resolver writes what is wanted into a slot.
//! **Feed**, shared and without a viewer: the resolver answers with whatever events it is fed, one response each.

use std::sync::{Arc, Mutex};

use async_graphql::{Context, ID, Subscription};
use futures::{StreamExt, channel::mpsc, stream::BoxStream};

use super::{
    context::{position, position_in, readable_room, services},
    error::ApiError,
    object::MessageObject,
    scalar::Cursor,
};
use crate::domain::{Event, RoomId, Seq};

/// What a subscription wants to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Want {
    /// The log of which room.
    pub room: RoomId,
    /// From after which event on.
    pub after: Seq,
    /// The head of the log when the right to read it was read.
    pub checked: Seq,
}

/// In which mode a subscription runs.
pub(super) enum Mode {
    /// Write what is wanted into the slot.
    Open {
        /// For whoever opened.
        slot: Arc<Mutex<Option<Want>>>,
        /// A cursor that the transport knows of; it stands in for `after`, whatever the document says.
        resume: Option<String>,
    },
    /// Take the events from here, once.
    Feed(Mutex<Option<mpsc::UnboundedReceiver<Arc<Event>>>>),
}

/// Whether a frame is being made.
pub(super) fn in_frame(ctx: &Context<'_>) -> bool {
    matches!(ctx.data_opt::<Mode>(), Some(Mode::Feed(_)))
}

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
    ) -> async_graphql::Result<BoxStream<'static, MessageObject>> {
        match ctx.data_unchecked::<Mode>() {
            Mode::Open { slot, resume } => {
                let after = resume.clone().map(Cursor).or(after);
                let want = open(ctx, &room_id, after).await?;
                *slot.lock().expect("no panic under this lock") = Some(want);
                Ok(futures::stream::empty().boxed())
            }
            Mode::Feed(events) => {
                let events = events.lock().expect("no panic under this lock").take();
                let events = events.ok_or_else(|| ApiError::internal(&"a feed was taken twice"))?;
                Ok(events
                    .filter_map(|event| {
                        let message = event.as_message_sent().map(|message| MessageObject::from(message.clone()));
                        std::future::ready(message)
                    })
                    .boxed())
            }
        }
    }
}

async fn open(ctx: &Context<'_>, room_id: &str, after: Option<Cursor>) -> Result<Want, ApiError> {
    if let Some(want) = open_to_all(ctx, room_id, after.as_ref()) {
        return Ok(want);
    }
    let room = readable_room(ctx, room_id).await?;
    let after = match after {
        Some(cursor) => position(&room, &cursor.0)?,
        None => room.head,
    };
    Ok(Want { room: room.id.clone(), after, checked: room.head })
}

/// The same without asking the store, where somebody reads the room already and anybody may. What is wrong with a cursor is
/// left to the store's answer: it may know more of the log.
fn open_to_all(ctx: &Context<'_>, room_id: &str, after: Option<&Cursor>) -> Option<Want> {
    let room = room_id.parse().ok()?;
    let (epoch, head) = services(ctx).hub.open(&room)?;
    let after = match after {
        Some(cursor) => position_in(&room, epoch, head, &cursor.0).ok()?,
        None => head,
    };
    Some(Want { room, after, checked: head })
}
