//! Decisions on changes, as a backend writes them.

use std::sync::Arc;

use crate::{
    domain::{
        Change, Event, MemberId, Message, Role, RoomName, Seq, Timestamp, UserId, Visibility,
    },
    store::{CommandOutcome, Committed},
};

/// A stored membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) struct Membership {
    pub(in crate::store) user: UserId,
    pub(in crate::store) role: Role,
    /// The Seq of the event with which it began.
    pub(in crate::store) joined: Seq,
}

/// A membership to store. It begins with the event that it is written with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) struct NewMember {
    pub(in crate::store) id: MemberId,
    pub(in crate::store) user: UserId,
    pub(in crate::store) role: Role,
}

/// The decision on a change that is allowed.
#[derive(Debug)]
pub(in crate::store) enum Decision {
    /// Write nothing: the room is already as the command wants it.
    Nothing,
    /// Write this. It is not part of the log.
    Silently(Write),
    /// Append this event to the log, and write this.
    Append(Change, Write),
}

/// A change of stored rows.
#[derive(Debug)]
pub(in crate::store) enum Write {
    /// Replace the content of a message: in its row and in the search index.
    Message {
        before: Arc<Message>,
        after: Arc<Message>,
    },
    /// Add a member.
    AddMember(NewMember),
    /// Delete a membership.
    RemoveMember(Membership),
    /// Give a member another role.
    SetRole(UserId, Role),
    /// Set when a user's mute ends; `None` ends it.
    Mute(UserId, Option<Timestamp>),
    /// Change the settings of the room.
    Settings(Settings),
    /// Mark the room as deleted.
    DeleteRoom,
}

/// The settings of a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) struct Settings {
    pub(in crate::store) name: RoomName,
    pub(in crate::store) visibility: Visibility,
    pub(in crate::store) slow_mode_seconds: u32,
}

impl Decision {
    /// The outcome, once the decision is written.
    pub(in crate::store) fn outcome(self) -> CommandOutcome {
        let (change, write) = match self {
            Self::Nothing | Self::Silently(_) => return CommandOutcome::Done,
            Self::Append(change, write) => (change, write),
        };
        let event = Committed::new(Arc::new(Event::Changed(Arc::new(change))));
        match write {
            Write::Message { after, .. } => CommandOutcome::Rewritten(event, after),
            _ => CommandOutcome::Changed(event),
        }
    }
}
