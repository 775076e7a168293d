//! Rooms, and the contents of their logs.

use std::sync::Arc;

use super::{
    Change, Cursor, Epoch, EventTag, MemberId, MessageId, MessageText, Nonce, Role, RoomId,
    RoomName, Seq, ShutsOut, Timestamp, UserId, UserName, Visibility,
};

/// A user: a guest, or a person whom an identity provider named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The id of the user.
    pub id: UserId,
    /// The name that others see. It is not unique.
    pub name: UserName,
    /// When the user first signed in.
    pub created_at: Timestamp,
}

/// A room, as of the time when it was read. All fields were read together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Room {
    /// The id of the room.
    pub id: RoomId,
    /// The name of the room.
    pub name: RoomName,
    /// Who may read the room.
    pub visibility: Visibility,
    /// When the room was created.
    pub created_at: Timestamp,
    /// The epoch of its log.
    pub epoch: Epoch,
    /// The Seq of the last event of its log.
    pub head: Seq,
    /// The tag of that event.
    pub head_tag: EventTag,
    /// How long a member waits between two messages, in seconds; 0 if there is no slow mode.
    pub slow_mode_seconds: u32,
    /// The number of members.
    pub member_count: u32,
    /// When the room was deleted. Only views read a deleted room, to send its last events.
    pub deleted_at: Option<Timestamp>,
}

impl Room {
    /// Whether everybody may read the room.
    pub fn is_open(&self) -> bool {
        self.visibility == Visibility::Public && self.deleted_at.is_none()
    }

    /// The position of an event of this room with this tag.
    pub fn cursor(&self, seq: Seq, tag: EventTag) -> Cursor {
        Cursor {
            room: self.id.clone(),
            epoch: self.epoch,
            seq,
            tag,
        }
    }

    /// The position of the last event of its log.
    pub fn head_cursor(&self) -> Cursor {
        self.cursor(self.head, self.head_tag)
    }
}

/// A message. Its sender is loaded with it, so no reader needs a second read per message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The id of the message.
    pub id: MessageId,
    /// The position of the event that sent it.
    pub cursor: Cursor,
    /// The sender.
    pub sender: Arc<User>,
    /// The content of the message.
    pub body: Body,
    /// When the message was committed.
    pub created_at: Timestamp,
    /// The message of the same room that this one replies to.
    pub reply_to: Option<MessageId>,
    /// The name that the sender gave to the message, so that it can be sent again safely.
    pub nonce: Option<Nonce>,
}

impl Message {
    /// The text of the message; empty if it was deleted.
    pub fn text(&self) -> &str {
        match &self.body {
            Body::Text(text) => text.as_str(),
            Body::Deleted(_) => "",
        }
    }
}

/// The content of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// A text.
    Text(MessageText),
    /// Nothing: the text was deleted at this time, from the store too (V6).
    Deleted(Timestamp),
}

impl Body {
    /// Whether the message may have been sent with this text. The text of a deleted message is no
    /// longer known, so the answer is yes.
    pub fn may_be_sent_as(&self, text: &MessageText) -> bool {
        match self {
            Self::Text(sent) => sent == text,
            Self::Deleted(_) => true,
        }
    }
}

/// A membership of a room, as of the time when it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The id of the membership.
    pub id: MemberId,
    /// The room.
    pub room: RoomId,
    /// The member.
    pub user: Arc<User>,
    /// The member's role.
    pub role: Role,
    /// When the membership began.
    pub joined_at: Timestamp,
    /// When the member's mute ends, if they are muted.
    pub muted_until: Option<Timestamp>,
}

/// An entry of the log of a room. It is immutable, with one exception: deleting a message deletes
/// its text from the event that sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A message was sent.
    MessageSent(Arc<Message>),
    /// The room, its members or its messages changed.
    Changed(Arc<Change>),
}

impl Event {
    /// The position of this event.
    pub fn cursor(&self) -> &Cursor {
        match self {
            Self::MessageSent(message) => &message.cursor,
            Self::Changed(change) => &change.cursor,
        }
    }

    /// The number of this event in the log of its room.
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

    /// The users who lose the right to read the room with this event.
    pub fn shuts_out(&self) -> &ShutsOut {
        match self {
            Self::MessageSent(_) => &ShutsOut::Nobody,
            Self::Changed(change) => &change.shuts_out,
        }
    }

    /// An estimate of the memory that this event holds, in bytes.
    pub fn bytes(&self) -> usize {
        match self {
            Self::MessageSent(message) => size_of::<Message>() + message.text().len(),
            Self::Changed(change) => size_of::<Change>() + change.shuts_out.bytes(),
        }
    }
}
