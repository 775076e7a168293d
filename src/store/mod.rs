//! Durable truth. Everything that was ever acknowledged is here; the rest of the server is a cache of it.
//!
//! Three small traits split it by who may hold them: [`Log`] reads, [`Append`] writes to logs and is held by the hub
//! alone, [`Accounts`] keeps users and keys.
//!
//! - **S1** One operation is one transaction.
//! - **S2** A room's Seq starts at 1 and each commit takes exactly the next; a rollback takes none.
//! - **S3** What was acknowledged survives `kill -9` and power loss (WAL, `synchronous = FULL`).
//! - **S4** The same sender and nonce yield the same message.
//! - **S5** Every read is bounded by its caller.
//! - **S7** The right to do something is decided in the transaction that commits it: no event of a viewer is committed
//!   after the event that took the right away.
//! - **V6** Deleting a message takes its text out of the store in the same transaction, so that no event shows it again.
//!
//! Proved in `tests/store/`, which runs one contract over every implementation, and in
//! `tests/it/crash.rs`.

mod command;
mod search;
pub mod sqlite;

use std::sync::Arc;

use async_trait::async_trait;

pub use command::{
    ChangeRoom, Command, Committed, CreateRoom, Outcome, Refusal, RoomChange, SendMessage,
};
pub use search::{Found, Hit, Search};

use crate::domain::{
    Event, Identity, Member, MemberId, Message, MessageId, Revocation, Room, RoomId, Seq, Subject,
    Timestamp, TokenId, User, UserId, Who,
};

/// The store could not answer. Refusals are no errors: they are answers ([`Refusal`]).
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It did not answer in time: the caller may try again.
    #[error("the database is busy: {0}")]
    Busy(#[source] sqlx::Error),
    /// It failed, or holds what it must not hold: log it and answer INTERNAL.
    #[error("the database failed: {0}")]
    Failed(#[source] sqlx::Error),
    /// The database cannot be opened: tell the operator and stop.
    #[error("cannot open the database {url}: {reason}")]
    Open {
        /// Which database.
        url: String,
        /// Why not.
        reason: String,
    },
}

/// Which messages of a room to read: those strictly between two Seqs, from one end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Only messages after this one.
    pub after: Seq,
    /// Only messages before this one, if any.
    pub before: Option<Seq>,
    /// Take the last ones instead of the first ones; the answer is ascending all the same.
    pub from_end: bool,
    /// How many at most (S5).
    pub limit: u32,
}

/// Which members of a room to read: those strictly between two ids, from one end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberWindow {
    /// Only members after this one, if any.
    pub after: Option<MemberId>,
    /// Only members before this one, if any.
    pub before: Option<MemberId>,
    /// Take the last ones instead of the first ones; the answer is ascending all the same.
    pub from_end: bool,
    /// How many at most (S5).
    pub limit: u32,
}

/// Who wants to say something in a room that its log does not keep, and perhaps to whom alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Speak<'a> {
    /// Where.
    pub room: &'a RoomId,
    /// Who.
    pub viewer: UserId,
    /// To whom; none is everybody.
    pub to: Option<UserId>,
}

/// Somebody who may say something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Speaker {
    /// Who.
    pub user: Arc<User>,
    /// The head of the room's log at which that was so.
    pub checked: Seq,
}

/// Reading.
#[async_trait]
pub trait Log: Send + Sync + 'static {
    /// A room, if there is one that may be read by whoever asks. Unknown and unreadable cannot be told apart.
    async fn room(&self, id: &RoomId, who: Who) -> Result<Option<Room>, StoreError>;

    /// The rooms that may be read by whoever asks, by id, after one of them; `search` is a part of an id or a name.
    async fn rooms(
        &self,
        who: Who,
        after: Option<&str>,
        search: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Room>, StoreError>;

    /// The events after `after` up to `upto`, ascending, at most `limit`.
    async fn events(
        &self,
        id: &RoomId,
        after: Seq,
        upto: Seq,
        limit: u32,
    ) -> Result<Vec<Arc<Event>>, StoreError>;

    /// The messages of a window of a room, ascending. Deleted ones are among them, without their texts.
    async fn messages(&self, id: &RoomId, window: Window) -> Result<Vec<Arc<Message>>, StoreError>;

    /// A message, if there is one in a room that may be read by whoever asks.
    async fn message(&self, id: &MessageId, who: Who) -> Result<Option<Arc<Message>>, StoreError>;

    /// A user's membership of a room, if there is one. Whether the room may be read is the caller's question.
    async fn membership(
        &self,
        room: &RoomId,
        user: UserId,
        now: Timestamp,
    ) -> Result<Option<Member>, StoreError>;

    /// Whoever wants to say something that is not kept, if they may at this moment, and if it may be read by whom it is for.
    /// Somebody who may not read the room is as unknown as one who does not exist ([`Refusal::NoUser`]).
    async fn speaker(
        &self,
        speak: Speak<'_>,
        now: Timestamp,
    ) -> Result<Result<Speaker, Refusal>, StoreError>;

    /// A membership by its id, if there is one of a room that may be read by whoever asks.
    async fn member(
        &self,
        id: &MemberId,
        who: Who,
        now: Timestamp,
    ) -> Result<Option<Member>, StoreError>;

    /// The members of a window of a room, by id, which is the order in which they joined.
    async fn members(
        &self,
        room: &RoomId,
        window: MemberWindow,
        now: Timestamp,
    ) -> Result<Vec<Member>, StoreError>;

    /// The messages that hold every phrase of a query, in a room or in those that may be read by whoever asks, best first.
    /// What may not be read and what was deleted plays no part in the answer, nor in its order and its ends. Everything
    /// that was answered before is found.
    ///
    /// Bounded (S5): only the newest so many of the messages that match are ranked, and without a room only so many rooms
    /// are looked through: those in which the viewer is a member, the last joined first, then public ones, the newest first.
    async fn search(&self, search: &Search, who: Who) -> Result<Found, StoreError>;
}

/// Writing to logs. Only the hub holds it.
#[async_trait]
pub trait Append: Send + Sync + 'static {
    /// Commits commands in their order, in one transaction; each succeeds or is refused by itself. If the transaction
    /// fails it is taken back whole and the commands run one by one. The answers are durable when this returns.
    ///
    /// Must not be cancelled: a dropped future leaves a transaction open.
    async fn commit(&self, batch: &[Command], now: Timestamp) -> Vec<Result<Outcome, AppendError>>;

    /// Does a bounded piece of what nobody waits for, if some is due. Called when a batch was answered; must not be
    /// cancelled.
    async fn tend(&self);
}

/// Why a command was not committed.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// It may not or cannot be done; nothing was written.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Users, keys, and tokens that were signed out.
#[async_trait]
pub trait Accounts: Send + Sync + 'static {
    /// Makes a user known.
    async fn create_user(&self, user: &User) -> Result<(), StoreError>;

    /// A user, if there is one.
    async fn user(&self, id: &UserId) -> Result<Option<User>, StoreError>;

    /// Those of these users that there are, in any order. The caller bounds how many it asks for (S5).
    async fn users(&self, ids: &[UserId]) -> Result<Vec<User>, StoreError>;

    /// The key that signs guest tokens: the one kept, or `candidate`, which is kept from now on.
    async fn signing_key(&self, candidate: [u8; 32]) -> Result<[u8; 32], StoreError>;

    /// The user who stands for somebody whom a provider named: the one kept, or a new one with the candidate's id. A name
    /// that the provider gave later than the one kept takes its place.
    async fn subject(
        &self,
        identity: &Identity,
        candidate: &Subject,
        now: Timestamp,
    ) -> Result<Subject, StoreError>;

    /// Keeps in mind that a token is no longer good, until it would have expired; forgets those that have.
    async fn revoke(
        &self,
        token: TokenId,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// Whether a token was revoked.
    async fn is_revoked(&self, token: TokenId) -> Result<bool, StoreError>;

    /// The number of the last revocation that is kept; 0 if none is.
    async fn revocations_head(&self) -> Result<u64, StoreError>;

    /// The revocations after this number that are kept, in their order, at most `limit` (S5).
    async fn revocations(&self, after: u64, limit: u32) -> Result<Vec<Revocation>, StoreError>;
}
