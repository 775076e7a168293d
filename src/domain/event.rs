//! What rooms hold.

use std::sync::Arc;

use super::{Cursor, Epoch, MessageId, MessageText, RoomId, RoomName, Seq, Timestamp, UserId, UserName, Visibility};

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
}

impl Room {
    /// The position of an event of this room.
    pub fn cursor(&self, seq: Seq) -> Cursor {
        Cursor { room: self.id.clone(), epoch: self.epoch, seq }
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
    pub text: MessageText,
    /// When it was committed.
    pub created_at: Timestamp,
}

/// An entry of a room's log: stored and immutable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Somebody sent a message.
    MessageSent(Arc<Message>),
}

impl Event {
    /// Where in which log this event stands.
    pub fn cursor(&self) -> &Cursor {
        match self {
            Self::MessageSent(message) => &message.cursor,
        }
    }

    /// The number of this event in its room's log.
    pub fn seq(&self) -> Seq {
        self.cursor().seq
    }

    /// About how many bytes of memory this event holds, for bounds.
    pub fn bytes(&self) -> usize {
        match self {
            Self::MessageSent(message) => size_of::<Message>() + message.text.as_str().len(),
        }
    }
}
