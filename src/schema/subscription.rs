//! The root fields of subscriptions. Each resolver runs in two modes; see [`modes`](super::modes).

use std::sync::Arc;

use async_graphql::{Context, ID, Subscription};

use super::{
    context::{position, position_in, readable_room, services, viewer},
    ephemeral::{SignalObject, TypingEventObject, open_lobby, signal, typing_event},
    error::ApiError,
    modes::{FeedItem, Mode, OpenedSubscription, ReadTarget, ResponseStream, feed, mode, report},
    objects::MessageObject,
    presence::{PresenceEventObject, presence_event},
    scalar::CursorScalar,
};
use crate::{
    domain::{EventTag, Seq},
    presence::{Instant, Lobby, Stream},
};

pub(super) struct Subscription;

/// Subscriptions.
#[Subscription]
impl Subscription {
    /// A room's messages. Without `after`, only new ones; with `after`, all messages after that
    /// cursor and then new ones. `extensions.cursor` of each result is the cursor of its message.
    /// With `present: false`, the viewer follows the room without being present in it.
    async fn new_message(
        &self,
        ctx: &Context<'_>,
        room_id: ID,
        after: Option<CursorScalar>,
        #[graphql(default = true)] present: bool,
    ) -> async_graphql::Result<ResponseStream<MessageObject>> {
        if let Mode::Open { slot, resume } = mode(ctx) {
            let after = resume.clone().map(CursorScalar).or(after);
            return Ok(report(slot, open_log(ctx, &room_id, after, present).await?));
        }
        Ok(feed(ctx, new_message)?)
    }

    /// The users who are typing in a room: the whole list, at the start and after each change. It
    /// is ephemeral and has no cursor: after a reconnect, the first event has the current list.
    async fn typing(
        &self,
        ctx: &Context<'_>,
        room_id: ID,
    ) -> async_graphql::Result<ResponseStream<TypingEventObject>> {
        if let Mode::Open { slot, .. } = mode(ctx) {
            return Ok(report(
                slot,
                open_lobby(ctx, &room_id, Stream::Typing).await?,
            ));
        }
        Ok(feed(ctx, typing_event)?)
    }

    /// The users who are present in a room: a list of them at first (at most 200 by default), then
    /// who joins and leaves. A signed-in user is present while they have any subscription to the
    /// room, and a few seconds longer. Presence is ephemeral and has no cursor: after a reconnect,
    /// the first event is such a list again.
    async fn presence(
        &self,
        ctx: &Context<'_>,
        room_id: ID,
    ) -> async_graphql::Result<ResponseStream<PresenceEventObject>> {
        if let Mode::Open { slot, .. } = mode(ctx) {
            return Ok(report(
                slot,
                open_lobby(ctx, &room_id, Stream::Presence).await?,
            ));
        }
        Ok(feed(ctx, presence_event)?)
    }

    /// The signals that are sent to the viewer or to everybody in a room. The first event has the
    /// kind `_open` and says that the stream is live. Signals are ephemeral and have no cursor:
    /// those sent while the client was not connected are lost.
    async fn signals(
        &self,
        ctx: &Context<'_>,
        room_id: ID,
    ) -> async_graphql::Result<ResponseStream<SignalObject>> {
        if let Mode::Open { slot, .. } = mode(ctx) {
            return Ok(report(
                slot,
                open_lobby(ctx, &room_id, Stream::Signals).await?,
            ));
        }
        Ok(feed(ctx, signal)?)
    }
}

/// Whether the subscription field of this name has a response for an item. Each subscription field
/// has an arm here.
pub(super) fn responds(field: &str, item: &FeedItem) -> bool {
    match field {
        "newMessage" => matches!(item, FeedItem::Event(event) if event.as_message_sent().is_some()),
        "typing" => matches!(item, FeedItem::Typing(..)),
        "presence" => matches!(item, FeedItem::Presence { .. }),
        "signals" => matches!(item, FeedItem::Signal(..)),
        _ => unreachable!("`responds` has no arm for the subscription {field}"),
    }
}

fn new_message(item: FeedItem) -> Option<MessageObject> {
    match item {
        FeedItem::Event(event) => event
            .as_message_sent()
            .map(|message| MessageObject::from(message.clone())),
        _ => None,
    }
}

/// Opens a room's log after a cursor, or at its head.
async fn open_log(
    ctx: &Context<'_>,
    room_id: &str,
    after: Option<CursorScalar>,
    present: bool,
) -> Result<OpenedSubscription, ApiError> {
    // The lobby is entered before the right to read is checked (E4).
    let lobby = if present {
        lobby_of_viewer(ctx, room_id)?
    } else {
        None
    };
    let (source, checked) = match live_public_log(ctx, room_id, after.as_ref()).await {
        Some(log) => log,
        None => stored_log(ctx, room_id, after).await?,
    };
    Ok(OpenedSubscription {
        lobby,
        checked,
        at: (services(ctx).clock)(),
        source,
    })
}

/// The lobby in which the viewer counts as present; `None` for anonymous callers.
fn lobby_of_viewer(ctx: &Context<'_>, room_id: &str) -> Result<Option<Arc<Lobby>>, ApiError> {
    let Ok(room) = room_id.parse() else {
        return Ok(None);
    };
    Ok(viewer(ctx)?.map(|_| services(ctx).presence.enter(&room, Instant::now())))
}

/// Opens a log without a read of the store: possible if the room is public and already has readers
/// on this node. An invalid cursor gives `None`, because the store may know more of the log.
async fn live_public_log(
    ctx: &Context<'_>,
    room_id: &str,
    after: Option<&CursorScalar>,
) -> Option<(ReadTarget, Seq)> {
    let room = room_id.parse().ok()?;
    let (epoch, head) = services(ctx).hub.open(&room)?;
    let after = match after {
        Some(cursor) => {
            let tag = services(ctx)
                .hub
                .tag(&room, head)
                .unwrap_or(EventTag::UNKNOWN);
            let position = position_in(ctx, &room, epoch, (head, tag), &cursor.0).await;
            position.ok()?.seq
        }
        None => head,
    };
    Some((ReadTarget::Log { room, after }, head))
}

async fn stored_log(
    ctx: &Context<'_>,
    room_id: &str,
    after: Option<CursorScalar>,
) -> Result<(ReadTarget, Seq), ApiError> {
    let room = readable_room(ctx, room_id).await?;
    let after = match after {
        Some(cursor) => position(ctx, &room, &cursor.0).await?.seq,
        None => room.head,
    };
    let source = ReadTarget::Log {
        room: room.id.clone(),
        after,
    };
    Ok((source, room.head))
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::{
        parse_schema,
        types::{TypeKind, TypeSystemDefinition},
    };

    use super::*;
    use crate::schema::sdl;

    #[test]
    fn every_subscription_responds_to_some_items() {
        let signal = FeedItem::Signal("a".parse().unwrap(), None);
        let mut responding = Vec::new();
        for definition in parse_schema(sdl()).unwrap().definitions {
            let TypeSystemDefinition::Type(definition) = definition else {
                continue;
            };
            let TypeKind::Object(object) = definition.node.kind else {
                continue;
            };
            if definition.node.name.node != "Subscription" {
                continue;
            }
            let names = object
                .fields
                .iter()
                .map(|field| field.node.name.node.as_str());
            // A field without an arm panics.
            responding.extend(
                names
                    .filter(|name| responds(name, &signal))
                    .map(str::to_owned),
            );
        }
        assert_eq!(responding, ["signals"]);
    }
}
