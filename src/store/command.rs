//! What can be asked of the log's writer, and what it answers.

use std::sync::Arc;

use crate::domain::{Epoch, Event, Message, MessageId, MessageText, Nonce, Room, RoomId, RoomName, UserId, Visibility};

/// A change to the logs. It carries its viewer: the store decides the right to it (S7).
#[derive(Clone, Debug)]
pub enum Command {
    /// Send a message.
    SendMessage(SendMessage),
    /// Make a room.
    CreateRoom(CreateRoom),
}

impl Command {
    /// Who wants it.
    pub fn viewer(&self) -> UserId {
        match self {
            Self::SendMessage(send) => send.viewer,
            Self::CreateRoom(room) => room.viewer,
        }
    }

    /// Which room it is about.
    pub fn room(&self) -> &RoomId {
        match self {
            Self::SendMessage(send) => &send.room,
            Self::CreateRoom(room) => &room.id,
        }
    }

    /// The message to send, if this sends one.
    pub(super) fn as_send(&self) -> Option<&SendMessage> {
        match self {
            Self::SendMessage(send) => Some(send),
            Self::CreateRoom(_) => None,
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
}

/// Make a room, owned by its creator.
#[derive(Clone, Debug)]
pub struct CreateRoom {
    /// Who makes it.
    pub viewer: UserId,
    /// Its id.
    pub id: RoomId,
    /// Its name.
    pub name: RoomName,
    /// Who may read it.
    pub visibility: Visibility,
    /// The epoch of its log: random, made by the caller.
    pub epoch: Epoch,
}

/// What a command did.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// A new message stands in the log.
    Sent(Committed<Arc<Event>>, Arc<Message>),
    /// The message of this nonce stood there already.
    Repeated(Arc<Message>),
    /// A new room.
    Created(Room),
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
    /// The nonce names another message of this sender.
    #[error("this nonce was used for another message")]
    NonceTaken,
    /// The room's id is taken.
    #[error("this room id is taken")]
    RoomTaken,
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
