//! What rooms hold.

use std::sync::Arc;

use super::{
    Change, Cursor, Epoch, MemberId, MessageId, MessageText, Role, RoomId, RoomName, Seq, ShutsOut,
    Timestamp, UserId, UserName, Visibility,
};

/// Somebody who signed in once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Who.
    pub id: UserId,
    /// What they are called.
    pub name: UserName,
    /// When they signed in first.
    pub created_at: Timestamp,
}

/// A room as it stood when it was read; its head was read with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Room {
    /// Which room.
    pub id: RoomId,
    /// What it is called.
    pub name: RoomName,
    /// Who may read it.
    pub visibility: Visibility,
    /// When it was made.
    pub created_at: Timestamp,
    /// The epoch of its log.
    pub epoch: Epoch,
    /// The last event of its log.
    pub head: Seq,
    /// How long a member waits between two messages, in seconds; 0 is not at all.
    pub slow_mode_seconds: u32,
    /// Since when it is gone. Only its readers, who are still being told, are shown such a room.
    pub deleted_at: Option<Timestamp>,
}

impl Room {
    /// Whether anybody may read it.
    pub fn is_open(&self) -> bool {
        self.visibility == Visibility::Public && self.deleted_at.is_none()
    }

    /// The position of an event of this room.
    pub fn cursor(&self, seq: Seq) -> Cursor {
        Cursor {
            room: self.id.clone(),
            epoch: self.epoch,
            seq,
        }
    }
}

/// A message. Its sender is loaded with it: no reader needs a second read per message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Which message.
    pub id: MessageId,
    /// The event that sent it.
    pub cursor: Cursor,
    /// Who sent it.
    pub sender: Arc<User>,
    /// What it says.
    pub body: Body,
    /// When it was committed.
    pub created_at: Timestamp,
    /// The message of the same room that it answers.
    pub reply_to: Option<MessageId>,
}

impl Message {
    /// What it says; nothing once it was deleted.
    pub fn text(&self) -> &str {
        match &self.body {
            Body::Text(text) => text.as_str(),
            Body::Deleted(_) => "",
        }
    }
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// This.
    Text(MessageText),
    /// Nothing any more, since this moment. The text is gone from the store as well (V6).
    Deleted(Timestamp),
}

/// Somebody in a room, as they stood when it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Which membership.
    pub id: MemberId,
    /// Of which room.
    pub room: RoomId,
    /// Who.
    pub user: Arc<User>,
    /// What they are there.
    pub role: Role,
    /// Since when.
    pub joined_at: Timestamp,
    /// Until when they may not send, if that is still to come.
    pub muted_until: Option<Timestamp>,
}

/// An entry of a room's log: stored and immutable, but for the text of a message that is deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Somebody sent a message.
    MessageSent(Arc<Message>),
    /// Something changed in the room.
    Changed(Arc<Change>),
}

impl Event {
    /// Where in which log this event stands.
    pub fn cursor(&self) -> &Cursor {
        match self {
            Self::MessageSent(message) => &message.cursor,
            Self::Changed(change) => &change.cursor,
        }
    }

    /// The number of this event in its room's log.
    pub fn seq(&self) -> Seq {
        self.cursor().seq
    }

    /// The message, if this event sent one.
    pub fn as_message_sent(&self) -> Option<&Arc<Message>> {
        match self {
            Self::MessageSent(message) => Some(message),
            Self::Changed(_) => None,
        }
    }

    /// Who may not read on from this event.
    pub fn shuts_out(&self) -> &ShutsOut {
        match self {
            Self::MessageSent(_) => &ShutsOut::Nobody,
            Self::Changed(change) => &change.shuts_out,
        }
    }

    /// About how many bytes of memory this event holds, for bounds.
    pub fn bytes(&self) -> usize {
        match self {
            Self::MessageSent(message) => size_of::<Message>() + message.text().len(),
            Self::Changed(change) => size_of::<Change>() + change.shuts_out.bytes(),
        }
    }
}
