//! A search for messages, and its outcomes.

use std::sync::Arc;

use crate::domain::{Message, RoomId, SearchMark, SearchQuery};

/// A search, and the page of its answer that is wanted.
#[derive(Clone, Debug)]
pub struct Search {
    /// The words and phrases that a message must contain.
    pub query: SearchQuery,
    /// The room to search; `None` searches all rooms that the caller may read.
    pub room: Option<RoomId>,
    /// The last hit of the page before this one; `None` for the first page.
    pub after: Option<SearchMark>,
    /// The largest number of hits to return.
    pub limit: u32,
}

/// The outcome of a search.
#[derive(Clone, Debug)]
pub enum SearchOutcome {
    /// The hits, best first. Of two equally good hits the newer one comes first.
    Hits(Vec<Hit>),
    /// There is no such room, or the caller may not read it.
    NoRoom,
    /// `Search::after` names a message that does not exist.
    NoMark,
    /// The index does not yet hold the messages that are older than the index itself: retry later.
    NotYet,
}

/// A message that a search found.
#[derive(Clone, Debug)]
pub struct Hit {
    /// The message.
    pub message: Arc<Message>,
    /// The position of the hit in the answer.
    pub mark: SearchMark,
}
