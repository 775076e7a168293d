//! Finding messages by what they say.

use async_graphql::Context;

use super::{
    budget::spending,
    connection::{MessageSearchConnection, MessageSearchEdge, PageInfo, Slice},
    context::{caller, no_such_room, services},
    error::{ApiError, Code},
    object::MessageObject,
};
use crate::{
    domain::{RoomId, SearchError, SearchMark, SearchMarkError, SearchQuery},
    store::{Search, SearchOutcome},
};

/// A page of the messages that answer a search.
pub(super) async fn search(
    ctx: &Context<'_>,
    query: &str,
    room: Option<&str>,
    first: i32,
    after: Option<&str>,
) -> Result<MessageSearchConnection, ApiError> {
    let services = services(ctx);
    let slice = Slice::new(Some(first), None, false, &services.limits)?;
    let query = SearchQuery::parse(
        query,
        services.limits.search_bytes_max,
        services.limits.search_words_max,
    )?;
    let room: Option<RoomId> = room
        .map(|room| room.parse().map_err(|_| no_such_room()))
        .transpose()?;
    let after = after
        .map(|after| SearchMark::parse(after, &query, room.as_ref()))
        .transpose()?;
    // One more than asked for tells whether there are more.
    let search = Search {
        query,
        room,
        after,
        limit: slice.length + 1,
    };
    let mut hits = match spending(ctx)
        .read(services.log.search(&search, caller(ctx)))
        .await?
    {
        SearchOutcome::Hits(hits) => hits,
        SearchOutcome::NoRoom => return Err(no_such_room()),
        SearchOutcome::NoMark => return Err(SearchMarkError.into()),
        SearchOutcome::NotYet => {
            let message =
                "Older messages are still being made ready to be searched; try again in a moment.";
            return Err(ApiError::new(Code::Unavailable, message));
        }
    };
    let has_next_page = slice.cut(&mut hits);
    let edges: Vec<_> = hits
        .into_iter()
        .map(|hit| MessageSearchEdge {
            cursor: hit.mark.text(&search.query, search.room.as_ref()),
            node: MessageObject::from(hit.message),
        })
        .collect();
    let page_info = PageInfo {
        has_previous_page: search.after.is_some(),
        has_next_page,
        start_cursor: edges.first().map(|edge| edge.cursor.clone()),
        end_cursor: edges.last().map(|edge| edge.cursor.clone()),
    };
    Ok(MessageSearchConnection {
        nodes: edges.iter().map(|edge| edge.node.clone()).collect(),
        edges,
        page_info,
    })
}

impl From<SearchError> for ApiError {
    fn from(error: SearchError) -> Self {
        Self::new(Code::BadUserInput, error.to_string())
    }
}

impl From<SearchMarkError> for ApiError {
    fn from(error: SearchMarkError) -> Self {
        Self::new(Code::BadUserInput, error.to_string())
    }
}
