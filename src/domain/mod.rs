//! The words of Switchboard: rooms, logs, cursors, messages and who may do what.
//!
//! Values here are valid by construction: whoever holds a [`RoomId`] holds a well-formed one. Nothing in this module
//! performs IO, awaits, reads a clock or knows a wire format.
//!
//! A room is a **log**: every committed event takes the room's next [`Seq`]. A subscription is a **[`Cursor`]** into it.

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

pub use change::{Change, ChangeRecord, ShutsOut, What};
pub use cursor::{Cursor, CursorError, Epoch, Seq};
pub use event::{Body, Event, Member, Message, Room, User};
pub use id::{IdError, MemberId, MessageId, RoomId, UserId};
pub use rights::{Action, Role, Standing, Visibility, may, may_manage};
pub use search::{Score, SearchError, SearchMark, SearchMarkError, SearchQuery};
pub use shut_outs::{Access, ShutOuts};
pub use text::{MessageText, Nonce, RoomName, SignalKind, TextError, UserName};
pub use timestamp::{Clock, Timestamp};
pub use viewer::{Caller, Identity, QuotaKey, Revocation, Subject, TokenId, Viewer};
pub use words::{folding, searchable_words};
