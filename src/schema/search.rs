//! The query `searchMessages`.

use async_graphql::Context;

use super::{
    context::{caller, search_turn, services},
    error::{ApiError, Code},
    loader::loader,
    objects::MessageObject,
    pagination::{ListPage, PageArgs, connection},
};
use crate::{
    domain::{RoomId, SearchError, SearchMark, SearchMarkError, SearchQuery},
    store::{Search, SearchOutcome},
};

connection! {
    /// A page of search results, best match first.
    MessageSearchConnection,
    /// A message that matches, and its cursor in the list of results.
    MessageSearchEdge { cursor: String, node: MessageObject }
}

/// A page of the messages that match a search.
///
/// # Errors
/// BAD_USER_INPUT for an invalid query or cursor, NOT_FOUND for a room that the caller may not
/// read, UNAVAILABLE while older messages are being added to the search index.
pub(super) async fn search(
    ctx: &Context<'_>,
    query: &str,
    room: Option<&str>,
    args: PageArgs<String>,
) -> Result<MessageSearchConnection, ApiError> {
    let services = services(ctx);
    let slice = args.slice(services.limits.page_max)?;
    let query = SearchQuery::parse(
        query,
        services.limits.search_bytes_max,
        services.limits.search_words_max,
    )?;
    let room: Option<RoomId> = room
        .map(|room| room.parse().map_err(|_| ApiError::no_such_room()))
        .transpose()?;
    let after = args
        .after
        .map(|after| SearchMark::parse(&after, &query, room.as_ref()))
        .transpose()?;
    let search = Search {
        query,
        room,
        after,
        limit: slice.rows_to_read(),
    };
    let found = async {
        let _turn = search_turn(ctx).await;
        services.log.search(&search, caller(ctx)).await
    };
    let hits = match loader(ctx).read(found).await? {
        SearchOutcome::Hits(hits) => hits,
        SearchOutcome::NoRoom => return Err(ApiError::no_such_room()),
        SearchOutcome::NoMark => return Err(SearchMarkError.into()),
        SearchOutcome::NotYet => {
            let message = "Older messages are still being added to the search index; try again in \
                           a moment.";
            return Err(ApiError::new(Code::Unavailable, message));
        }
    };
    let rows: Vec<_> = hits
        .into_iter()
        .map(|hit| {
            let cursor = hit.mark.text(&search.query, search.room.as_ref());
            (cursor, hit.message)
        })
        .collect();
    let page = ListPage::new(slice, rows, search.after.is_some(), false, |row| {
        row.0.clone()
    });
    Ok(MessageSearchConnection::new(page, |(cursor, message)| {
        (cursor, MessageObject::from(message))
    }))
}

impl From<SearchError> for ApiError {
    fn from(error: SearchError) -> Self {
        Self::bad_user_input(error.to_string())
    }
}

impl From<SearchMarkError> for ApiError {
    fn from(error: SearchMarkError) -> Self {
        Self::bad_user_input(error.to_string())
    }
}
