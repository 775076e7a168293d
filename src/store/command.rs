//! What can be asked of the log's writer, and what it answers.

use std::sync::Arc;

use crate::domain::{
    Epoch, Event, MemberId, Message, MessageId, MessageText, Nonce, Role, Room, RoomId, RoomName,
    Timestamp, UserId, Visibility,
};

/// A change to the logs. It carries its viewer: the store decides the right to it (S7).
#[derive(Clone, Debug)]
pub enum Command {
    /// Send a message.
    SendMessage(SendMessage),
    /// Make a room.
    CreateRoom(CreateRoom),
    /// Change a room, its members or its messages.
    ChangeRoom(ChangeRoom),
}

impl Command {
    /// Who wants it.
    pub fn viewer(&self) -> UserId {
        match self {
            Self::SendMessage(send) => send.viewer,
            Self::CreateRoom(room) => room.viewer,
            Self::ChangeRoom(change) => change.viewer,
        }
    }

    /// Which room it is about.
    pub fn room(&self) -> &RoomId {
        match self {
            Self::SendMessage(send) => &send.room,
            Self::CreateRoom(room) => &room.id,
            Self::ChangeRoom(change) => &change.room,
        }
    }

    /// The message to send, if this sends one.
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
    /// Who sends it.
    pub viewer: UserId,
    /// Where to.
    pub room: RoomId,
    /// The id that the message gets if it is new.
    pub id: MessageId,
    /// What it says.
    pub text: MessageText,
    /// The sender's own name for it, if a repeat must be safe.
    pub nonce: Option<Nonce>,
    /// The message of the same room that it answers.
    pub reply_to: Option<MessageId>,
}

/// Make a room, owned by its creator.
#[derive(Clone, Debug)]
pub struct CreateRoom {
    /// Who makes it.
    pub viewer: UserId,
    /// Its id.
    pub id: RoomId,
    /// The id of its first owner's membership.
    pub owner: MemberId,
    /// Its name.
    pub name: RoomName,
    /// Who may read it.
    pub visibility: Visibility,
    /// The epoch of its log: random, made by the caller.
    pub epoch: Epoch,
}

/// Change a room, its members or its messages.
#[derive(Clone, Debug)]
pub struct ChangeRoom {
    /// Who wants it.
    pub viewer: UserId,
    /// Which room.
    pub room: RoomId,
    /// What is to be done.
    pub change: RoomChange,
}

/// What is to be done with a room.
#[derive(Clone, Debug)]
pub enum RoomChange {
    /// Take the text out of a message.
    DeleteMessage(MessageId),
    /// Make the viewer a member, with this id.
    Join(MemberId),
    /// End the viewer's membership.
    Leave,
    /// Make somebody a member.
    AddMember {
        /// The membership's id.
        id: MemberId,
        /// Who.
        user: UserId,
        /// As what.
        role: Role,
    },
    /// Give a member another role.
    SetRole {
        /// Who.
        user: UserId,
        /// What they become.
        role: Role,
    },
    /// End somebody's membership.
    RemoveMember(UserId),
    /// Keep a member from sending.
    MuteMember {
        /// Who.
        user: UserId,
        /// Until when; none ends it.
        until: Option<Timestamp>,
    },
    /// Change what is given.
    Update {
        /// The room's name.
        name: Option<RoomName>,
        /// Who may read it.
        visibility: Option<Visibility>,
        /// How long a member waits between two messages, in seconds.
        slow_mode_seconds: Option<u32>,
    },
    /// Delete the room. Its id stays taken.
    Delete,
}

/// What a command did.
#[derive(Clone, Debug)]
pub enum CommandOutcome {
    /// A new message stands in the log.
    Sent(Committed<Arc<Event>>, Arc<Message>),
    /// The message of this nonce stood there already.
    Repeated(Arc<Message>),
    /// A new room.
    Created(Room),
    /// A message lost its text; here is what is left of it.
    Redacted(Committed<Arc<Event>>, Arc<Message>),
    /// The room changed.
    Changed(Committed<Arc<Event>>),
    /// Done, without an event: it was so already, or it is nothing that the log tells.
    Done,
}

impl CommandOutcome {
    /// The event that now stands in the log, if there is one.
    pub fn event(&self) -> Option<&Arc<Event>> {
        match self {
            Self::Sent(event, _) | Self::Redacted(event, _) | Self::Changed(event) => {
                Some(event.get())
            }
            Self::Repeated(_) | Self::Created(_) | Self::Done => None,
        }
    }
}

/// Why a command was refused. Nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The viewer's token is good, but the viewer is not known here: sign in again.
    #[error("this user does not exist")]
    UnknownViewer,
    /// There is no such room, or none that the viewer may read.
    #[error("there is no such room")]
    NotFound,
    /// The viewer may read the room but not do this.
    #[error("you may not do this in this room")]
    Forbidden,
    /// The viewer may not send before this moment.
    #[error("you are muted in this room")]
    Muted(Timestamp),
    /// The room is in slow mode: the viewer may send again after this many seconds.
    #[error("this room is in slow mode")]
    TooSoon(u32),
    /// The nonce names another message of this sender.
    #[error("this nonce was used for another message")]
    NonceTaken,
    /// The room's id is taken.
    #[error("this room id is taken")]
    RoomTaken,
    /// The room has no such message.
    #[error("there is no such message in this room")]
    NoMessage,
    /// There is no such user.
    #[error("there is no such user")]
    NoUser,
    /// The user is no member of the room.
    #[error("this user is no member of this room")]
    NoMember,
    /// The user is a member already, in another role: that is changed by setting it.
    #[error("this user is a member already, in another role")]
    MemberAlready,
    /// A room keeps one owner at least.
    #[error("a room needs an owner")]
    LastOwner,
    /// The room has as many members as it may have.
    #[error("this room has as many members as it may have")]
    RoomFull,
}

/// Something that is durable. Only a store can make one: what is announced was committed (H1).
#[derive(Clone, Debug)]
pub struct Committed<T>(T);

impl<T> Committed<T> {
    pub(super) fn new(value: T) -> Self {
        Self(value)
    }

    /// What was committed.
    pub fn get(&self) -> &T {
        &self.0
    }
}
