//! The types of the domain: rooms, logs, cursors, messages, users and rights.
//!
//! A room is a **log**: each committed event takes the next [`Seq`] of its room. A subscription is
//! a **[`Cursor`]** into that log.
//!
//! Values are valid by construction: every [`RoomId`] is well formed, every [`MessageText`] has a
//! valid length. Nothing in this module performs IO, awaits, reads a clock or knows a wire format.

mod change;
mod cursor;
mod event;
mod id;
mod rights;
mod search;
mod shut_outs;
mod text;
mod timestamp;
mod viewer;
mod words;

pub use change::{Change, ChangeKind, ChangeRecord, ShutsOut};
pub use cursor::{Cursor, CursorError, Epoch, EventTag, Seq};
pub use event::{Body, Event, Member, Message, Room, User};
pub use id::{IdError, MemberId, MessageId, RoomId, UserId};
pub use rights::{Action, Role, Standing, Visibility, may, may_manage};
pub use search::{Score, SearchError, SearchMark, SearchMarkError, SearchQuery};
pub use shut_outs::{Access, ShutOuts};
pub use text::{MessageText, Nonce, RoomName, SignalKind, TextError, UserName, in_one_line};
pub use timestamp::{Clock, Timestamp};
pub use viewer::{Caller, Identity, QuotaKey, Revocation, Subject, TokenId, Viewer};
pub use words::{folded, folding, searchable_words};
