//! Commands to the writer of the logs, and their outcomes.

use std::sync::Arc;

use crate::domain::{
    Epoch, Event, MemberId, Message, MessageId, MessageText, Nonce, Role, Room, RoomId, RoomName,
    Timestamp, UserId, Visibility,
};

/// A change to the logs. It carries its viewer, because the store decides the right to it (S7).
#[derive(Clone, Debug)]
pub enum Command {
    /// Send a message.
    SendMessage(SendMessage),
    /// Create a room.
    CreateRoom(CreateRoom),
    /// Change a room, its members or its messages.
    ChangeRoom(ChangeRoom),
}

impl Command {
    /// The user who wants the change.
    pub fn viewer(&self) -> UserId {
        match self {
            Self::SendMessage(send) => send.viewer,
            Self::CreateRoom(room) => room.viewer,
            Self::ChangeRoom(change) => change.viewer,
        }
    }

    /// The room that the command is for.
    pub fn room(&self) -> &RoomId {
        match self {
            Self::SendMessage(send) => &send.room,
            Self::CreateRoom(room) => &room.id,
            Self::ChangeRoom(change) => &change.room,
        }
    }

    /// The message to send, if this command sends one.
    pub(super) fn as_send(&self) -> Option<&SendMessage> {
        match self {
            Self::SendMessage(send) => Some(send),
            Self::CreateRoom(_) | Self::ChangeRoom(_) => None,
        }
    }
}

/// Send a message.
#[derive(Clone, Debug)]
pub struct SendMessage {
    /// The sender.
    pub viewer: UserId,
    /// The room to send it to.
    pub room: RoomId,
    /// The id that the message gets if it is new.
    pub id: MessageId,
    /// The text of the message.
    pub text: MessageText,
    /// The sender's name for this message. Sending it again with the same nonce is safe (S4).
    pub nonce: Option<Nonce>,
    /// The message of the same room that this one replies to.
    pub reply_to: Option<MessageId>,
}

/// Create a room. Its creator becomes its first owner.
#[derive(Clone, Debug)]
pub struct CreateRoom {
    /// The creator.
    pub viewer: UserId,
    /// The id of the room.
    pub id: RoomId,
    /// The id of the creator's membership.
    pub owner: MemberId,
    /// The name of the room.
    pub name: RoomName,
    /// Who may read the room.
    pub visibility: Visibility,
    /// The epoch of the room's log. The caller makes a random one.
    pub epoch: Epoch,
}

/// Change a room, its members or its messages.
#[derive(Clone, Debug)]
pub struct ChangeRoom {
    /// The user who wants the change.
    pub viewer: UserId,
    /// The room to change.
    pub room: RoomId,
    /// The change.
    pub change: RoomChange,
}

/// A change to a room, its members or its messages.
#[derive(Clone, Debug)]
pub enum RoomChange {
    /// Delete the text of a message.
    DeleteMessage(MessageId),
    /// Make the viewer a member; the membership gets this id.
    Join(MemberId),
    /// End the viewer's membership.
    Leave,
    /// Make a user a member.
    AddMember {
        /// The id of the new membership.
        id: MemberId,
        /// The user to add.
        user: UserId,
        /// The role of the new member.
        role: Role,
    },
    /// Give a member another role.
    SetRole {
        /// The member.
        user: UserId,
        /// The new role.
        role: Role,
    },
    /// End a user's membership.
    RemoveMember(UserId),
    /// Keep a member from sending.
    MuteMember {
        /// The member.
        user: UserId,
        /// When the mute ends; `None` ends it now.
        until: Option<Timestamp>,
    },
    /// Change the settings that are given.
    Update {
        /// The new name of the room.
        name: Option<RoomName>,
        /// Who may read the room from now on.
        visibility: Option<Visibility>,
        /// How long a member waits between two messages, in seconds; 0 ends slow mode.
        slow_mode_seconds: Option<u32>,
    },
    /// Delete the room. Its id stays taken.
    Delete,
    /// Make the viewer an owner, whatever their rights. Only the operator does this, with a command
    /// beside the database. If the viewer is not a member, the membership gets this id.
    Adopt(MemberId),
}

/// The outcome of a command.
#[derive(Clone, Debug)]
pub enum CommandOutcome {
    /// A new message is in the log.
    Sent(Committed<Arc<Event>>, Arc<Message>),
    /// The sender had used this nonce before: here is the message that it names.
    Repeated(Arc<Message>),
    /// The room was created.
    Created(Room),
    /// The content of a stored message changed: here is the message as it is now. Copies of the
    /// message from before this event are stale.
    Rewritten(Committed<Arc<Event>>, Arc<Message>),
    /// The room or its members changed.
    Changed(Committed<Arc<Event>>),
    /// The command succeeded and appended no event: either nothing changed, or the change is not
    /// part of the log.
    Done,
}

impl CommandOutcome {
    /// The event that the command appended to the log, if any.
    pub fn event(&self) -> Option<&Arc<Event>> {
        match self {
            Self::Sent(event, _) | Self::Rewritten(event, _) | Self::Changed(event) => {
                Some(event.get())
            }
            Self::Repeated(_) | Self::Created(_) | Self::Done => None,
        }
    }
}

/// Why a command was refused. Nothing was written.
///
/// The sentences that users see are in `schema/error.rs`. The text here is for logs and tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("refused: {self:?}")]
pub enum Refusal {
    /// The token is valid, but there is no such user: ask the client to sign in again.
    UnknownViewer,
    /// There is no such room, or the viewer may not read it. Callers must not tell the two apart.
    NotFound,
    /// The viewer may read the room, but has no right to this command.
    Forbidden,
    /// The viewer is muted until this time; retry after it.
    Muted(Timestamp),
    /// The room is in slow mode: retry after this many seconds.
    TooSoon(u32),
    /// The sender used this nonce for another message: use a new nonce.
    NonceTaken,
    /// The id of the new room is taken: choose another one.
    RoomTaken,
    /// The room has no message with this id.
    NoMessage,
    /// There is no such user.
    NoUser,
    /// The user is not a member of the room: add them first.
    NoMember,
    /// The user is already a member, with another role: set the role instead.
    MemberAlready,
    /// The room would lose its last owner: make another member an owner first.
    LastOwner,
    /// The room has as many members as the limit allows.
    RoomFull,
}

/// A value that is durable. Only a store can make one, so whatever is announced was committed (H1).
#[derive(Clone, Debug)]
pub struct Committed<T>(T);

impl<T> Committed<T> {
    pub(super) fn new(value: T) -> Self {
        Self(value)
    }

    /// The value.
    pub fn get(&self) -> &T {
        &self.0
    }
}
