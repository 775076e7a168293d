//! What can be searched for, and what comes back.

use std::sync::Arc;

use crate::domain::{Message, RoomId, SearchMark, SearchQuery};

/// Which search, and how much of its answer.
#[derive(Clone, Debug)]
pub struct Search {
    /// What was asked for.
    pub query: SearchQuery,
    /// In which room; none is in all that may be read.
    pub room: Option<RoomId>,
    /// Behind which hit of an earlier page.
    pub after: Option<SearchMark>,
    /// How many hits at most.
    pub limit: u32,
}

/// What a search comes to.
#[derive(Clone, Debug)]
pub enum Found {
    /// The hits, best first, the newer ones first where they are equally good.
    Hits(Vec<Hit>),
    /// There is no such room, or none that may be read by whoever asks.
    NoRoom,
    /// The mark is of no answer to this search.
    NoMark,
    /// Messages from before there was an index are still being put into it: ask again later.
    NotYet,
}

/// A message that answers a search.
#[derive(Clone, Debug)]
pub struct Hit {
    /// The message.
    pub message: Arc<Message>,
    /// Where it stands in the answer.
    pub mark: SearchMark,
}
