//! The durable record. Everything that the server ever acknowledged is in the store; the rest of
//! the server is a cache of it.
//!
//! Four traits divide the store, each for other holders: [`Log`] reads; [`Append`] writes to the
//! logs, and only the hub holds it; [`Accounts`] keeps users, the signing key and revoked tokens;
//! [`Maintenance`] is for the server, which opens and closes the database. [`Database`] holds all
//! four, and is the one place that chooses a backend.
//!
//! The rules in `rules/` decide whether a command is allowed, and which rows it writes. They are
//! pure code that every backend shares. A backend only loads facts and writes decisions.
//!
//! - **S1** Each operation is one transaction.
//! - **S2** A room's Seqs are 1, 2, 3 without holes: each event takes the next one when it commits.
//!   A refusal or a rollback takes none.
//! - **S3** Every acknowledged write survives `kill -9` and power loss.
//! - **S4** The same sender and nonce name the same message.
//! - **S5** Every read is bounded, by its caller or by a limit.
//! - **S6** Every backend passes the same contract tests.
//! - **S7** The right to a command is decided in the transaction that commits it: no command of a
//!   user commits after the event that took the right away.
//! - **S8** A write is acknowledged only if the database file is still the one that was opened.
//! - **V6** Deleting a message deletes its text from the store in the same transaction, so no later
//!   read can show it.
//!
//! `tests/store/` proves the contract for every backend. `tests/it/crash.rs` kills the server to
//! prove S3.

mod command;
mod copy;
mod open;
mod rules;
mod search;
pub mod sqlite;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

pub use command::{
    ChangeRoom, Command, CommandOutcome, Committed, CreateRoom, Refusal, RoomChange, SendMessage,
};
pub use copy::{CopyError, Inspection};
pub use open::Database;
pub use search::{Hit, Search, SearchOutcome};

use crate::domain::{
    Caller, Event, Identity, Member, MemberId, Message, MessageId, Revocation, Room, RoomId, Seq,
    Subject, Timestamp, TokenId, User, UserId,
};

/// The error of the database's library.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// The store failed. A [`Refusal`] is not a failure: it is an answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database did not answer in time: the caller may retry.
    #[error("the database is busy: {0}")]
    Busy(#[source] Cause),
    /// Nothing can be written at the moment, or until an operator has acted. Nothing was written.
    #[error("the database cannot be written: {0}")]
    Unwritable(WriteFault),
    /// The database failed, or holds damaged data: log the error and answer INTERNAL.
    #[error("the database failed: {0}")]
    Failed(#[source] Cause),
    /// The database cannot be opened: show the error to the operator and stop.
    #[error("cannot open the database {url}: {reason}")]
    Open {
        /// The URL of the database.
        url: String,
        /// The cause.
        reason: String,
    },
}

/// Why the database cannot be written. The text is one sentence for the operator, without a full
/// stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteFault {
    /// The disk is full. Writes succeed again when it has space.
    #[error("the disk is full")]
    Full,
    /// The file or its file system is read-only. Writes succeed again when it is not.
    #[error("the database is read-only")]
    ReadOnly,
    /// The disk failed to read or write.
    #[error("the disk has failed")]
    Disk,
    /// The content of the database is damaged.
    #[error("the database is damaged")]
    Damaged,
    /// A file of the database was deleted or moved.
    #[error("a file of the database is gone")]
    Missing,
    /// Another file is at the path of the database.
    #[error("a file of the database was replaced")]
    Replaced,
    /// Another process has written to the database file.
    #[error("another process has written to the database file")]
    Overwritten,
}

impl WriteFault {
    /// Whether writing stops until the server is started again.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Full | Self::ReadOnly)
    }

    /// What the operator does next.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Full => "free space on the disk; the server then writes again by itself",
            Self::ReadOnly => {
                "make the file system writable; the server then writes again by itself"
            }
            Self::Disk => {
                "check the disk, stop the server, check the database with `switchboard doctor`, \
                 and start the server again"
            }
            Self::Damaged => {
                "stop the server and copy the files of the database; then follow Recovery in \
                 docs/OPERATING.md"
            }
            Self::Missing | Self::Replaced | Self::Overwritten => {
                "everything acknowledged until now is in the files that were here before; stop \
                 the server, put the right files in place, and start it again"
            }
        }
    }
}

impl From<WriteFault> for StoreError {
    fn from(fault: WriteFault) -> Self {
        Self::Unwritable(fault)
    }
}

/// Why a command was not carried out. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The rules do not allow the command: tell the client why.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The store failed: the command may be retried.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A range of a room's messages: those strictly between two Seqs, read from one end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Return only messages after this Seq.
    pub after: Seq,
    /// Return only messages before this Seq, if it is given.
    pub before: Option<Seq>,
    /// Return the last messages of the range instead of the first. The order is ascending either
    /// way.
    pub from_end: bool,
    /// The largest number of messages to return (S5).
    pub limit: u32,
}

/// A range of a room's members: those strictly between two ids, read from one end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberWindow {
    /// Return only members after this id, if it is given.
    pub after: Option<MemberId>,
    /// Return only members before this id, if it is given.
    pub before: Option<MemberId>,
    /// Return the last members of the range instead of the first. The order is ascending either
    /// way.
    pub from_end: bool,
    /// The largest number of members to return (S5).
    pub limit: u32,
}

/// A range of rooms: those strictly between two ids, read from one end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoomWindow<'a> {
    /// Return only rooms after this id, if it is given.
    pub after: Option<&'a str>,
    /// Return only rooms before this id, if it is given.
    pub before: Option<&'a str>,
    /// Return the last rooms of the range instead of the first. The order is ascending either way.
    pub from_end: bool,
    /// Return only rooms with this text in their id or name; case, accents and width do not matter.
    pub search: Option<&'a str>,
    /// The largest number of rooms to return (S5).
    pub limit: u32,
}

/// A user who wants to show that they are typing, or to send a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Speak<'a> {
    /// The room.
    pub room: &'a RoomId,
    /// The user.
    pub viewer: UserId,
    /// The only recipient; `None` is everybody in the room.
    pub to: Option<UserId>,
}

/// A user who may show that they are typing, or send a signal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Speaker {
    /// The user.
    pub user: Arc<User>,
    /// The head of the room's log when the store checked the right.
    pub checked: Seq,
}

/// Reading.
#[async_trait]
pub trait Log: Send + Sync + 'static {
    /// A room that the caller may read. A room that is unknown and a room that the caller may not
    /// read look alike: both are `None`.
    async fn room(&self, id: &RoomId, caller: Caller) -> Result<Option<Room>, StoreError>;

    /// The rooms of a window, ordered by id, that the caller may read: public rooms, and private
    /// rooms that the viewer is a member of.
    async fn rooms(&self, caller: Caller, window: RoomWindow<'_>) -> Result<Vec<Room>, StoreError>;

    /// The events with a Seq after `after` and not after `upto`, ascending, at most `limit`.
    async fn events(
        &self,
        id: &RoomId,
        after: Seq,
        upto: Seq,
        limit: u32,
    ) -> Result<Vec<Arc<Event>>, StoreError>;

    /// The messages of a window of a room, ascending. Deleted messages are included, without text.
    async fn messages(&self, id: &RoomId, window: Window) -> Result<Vec<Arc<Message>>, StoreError>;

    /// A room that the caller may read, and the messages of a window of it, as of the head of the
    /// returned room.
    async fn room_with_messages(
        &self,
        id: &RoomId,
        caller: Caller,
        window: Window,
    ) -> Result<Option<(Room, Vec<Arc<Message>>)>, StoreError> {
        let Some(room) = self.room(id, caller).await? else {
            return Ok(None);
        };
        let end = room.head.next();
        let before = window.before.map_or(end, |before| before.min(end));
        let window = Window {
            before: Some(before),
            ..window
        };
        let messages = self.messages(id, window).await?;
        Ok(Some((room, messages)))
    }

    /// A message, if it is in a room that the caller may read.
    async fn message(
        &self,
        id: &MessageId,
        caller: Caller,
    ) -> Result<Option<Arc<Message>>, StoreError>;

    /// A user's membership of a room. It does not check the right to read the room; the code that
    /// calls it does.
    async fn membership(
        &self,
        room: &RoomId,
        user: UserId,
        now: Timestamp,
    ) -> Result<Option<Member>, StoreError>;

    /// Checks whether a user may at this moment show that they are typing, or send a signal.
    ///
    /// A recipient who may not read the room is refused like one who does not exist, with
    /// [`Refusal::NoUser`].
    async fn speaker(&self, speak: Speak<'_>, now: Timestamp) -> Result<Speaker, AppendError>;

    /// A membership by its id, if it is of a room that the caller may read.
    async fn member(
        &self,
        id: &MemberId,
        caller: Caller,
        now: Timestamp,
    ) -> Result<Option<Member>, StoreError>;

    /// The members of a window of a room, ordered by id, which is the order in which they joined.
    async fn members(
        &self,
        room: &RoomId,
        window: MemberWindow,
        now: Timestamp,
    ) -> Result<Vec<Member>, StoreError>;

    /// The messages that contain every phrase of a query, best first, in one room or in all rooms
    /// that the caller may read.
    ///
    /// - A message that the caller may not read, or that was deleted, has no effect on the answer:
    ///   not on the hits, not on their order, not on where the answer ends.
    /// - A message is found as soon as it was acknowledged.
    /// - The search is bounded (S5). Of the messages that match, only the newest ones are ranked,
    ///   and after a time it looks for no older ones. Without a room it searches a limited number
    ///   of rooms: first those that the viewer is a member of, the last joined first; then public
    ///   rooms, the newest first.
    async fn search(&self, search: &Search, caller: Caller) -> Result<SearchOutcome, StoreError>;
}

/// Writing to the logs. Only the hub holds it.
#[async_trait]
pub trait Append: Send + Sync + 'static {
    /// Commits commands in order, in one transaction. Each command succeeds or is refused on its
    /// own. If the transaction fails, it is rolled back and the commands run again one by one.
    ///
    /// Returns one result per command. The results are durable when this returns.
    ///
    /// Must not be cancelled: a dropped future leaves a transaction open.
    async fn commit(
        &self,
        batch: &[Command],
        now: Timestamp,
    ) -> Vec<Result<CommandOutcome, AppendError>>;

    /// Does one bounded piece of background work, if any is due. The hub calls it after it has
    /// answered a batch, so no client waits for it. Must not be cancelled.
    async fn background_step(&self);
}

/// Users, the key that signs guest tokens, and revoked tokens.
#[async_trait]
pub trait Accounts: Send + Sync + 'static {
    /// Adds a user.
    async fn create_user(&self, user: &User) -> Result<(), StoreError>;

    /// A user, if there is one with this id.
    async fn user(&self, id: &UserId) -> Result<Option<User>, StoreError>;

    /// The users with these ids, in any order; ids without a user are left out. The caller bounds
    /// the number of ids (S5).
    async fn users(&self, ids: &[UserId]) -> Result<Vec<User>, StoreError>;

    /// The key that signs guest tokens. The first call stores `candidate` as the key; later calls
    /// return the stored key.
    async fn signing_key(&self, candidate: [u8; 32]) -> Result<[u8; 32], StoreError>;

    /// The user of an identity at an identity provider. The first call for an identity stores
    /// `candidate`; later calls return the stored user.
    ///
    /// If the provider gave the candidate's name later than the stored name, the name is updated.
    async fn subject(
        &self,
        identity: &Identity,
        candidate: &Subject,
        now: Timestamp,
    ) -> Result<Subject, StoreError>;

    /// Revokes a token. The revocation is kept until the token would have expired; expired ones are
    /// deleted.
    async fn revoke(
        &self,
        token: TokenId,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// Whether a token was revoked.
    async fn is_revoked(&self, token: TokenId) -> Result<bool, StoreError>;

    /// The number of the last stored revocation; 0 if there is none.
    async fn revocations_head(&self) -> Result<u64, StoreError>;

    /// The stored revocations after this number, ascending, at most `limit` (S5).
    async fn revocations(&self, after: u64, limit: u32) -> Result<Vec<Revocation>, StoreError>;
}

/// Work on the database as a whole.
#[async_trait]
pub trait Maintenance: Send + Sync + 'static {
    /// Does one bounded step of the work that an older version of the program left undone, such as
    /// indexing its messages. Returns whether more is left. Must not be cancelled.
    async fn catch_up(&self) -> Result<bool, StoreError>;

    /// Does the small work that is due every second: checks whether the database can be written,
    /// and shortens files that have grown. Must not be cancelled.
    async fn tick(&self);

    /// Keeps the rest of each mute as long as it was: the clock was set back by `by`, and showed
    /// `before` until then. Must not be cancelled.
    async fn clock_was_set_back(&self, before: Timestamp, by: Duration) -> Result<(), StoreError>;

    /// Why the database cannot be written. None if it can.
    fn write_fault(&self) -> Option<WriteFault>;

    /// Waits for running statements and closes the database.
    async fn close(&self);
}
