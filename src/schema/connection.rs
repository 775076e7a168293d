//! Pages, as Relay has them.

use async_graphql::SimpleObject;

use super::{
    SchemaLimits,
    error::{ApiError, Code},
    member::MemberObject,
    object::{MessageObject, RoomObject},
    scalar::Cursor,
};

/// Where a page stands in its list.
#[derive(SimpleObject)]
pub(super) struct PageInfo {
    pub(super) has_previous_page: bool,
    pub(super) has_next_page: bool,
    pub(super) start_cursor: Option<String>,
    pub(super) end_cursor: Option<String>,
}

/// A message and where it stands.
#[derive(SimpleObject)]
pub(super) struct MessageEdge {
    pub(super) cursor: Cursor,
    pub(super) node: MessageObject,
}

/// A page of messages, oldest first.
#[derive(SimpleObject)]
pub(super) struct MessageConnection {
    pub(super) edges: Vec<MessageEdge>,
    pub(super) nodes: Vec<MessageObject>,
    pub(super) page_info: PageInfo,
}

/// A room and where it stands.
#[derive(SimpleObject)]
pub(super) struct RoomEdge {
    pub(super) cursor: String,
    pub(super) node: RoomObject,
}

/// A page of rooms, by id.
#[derive(SimpleObject)]
pub(super) struct RoomConnection {
    pub(super) edges: Vec<RoomEdge>,
    pub(super) nodes: Vec<RoomObject>,
    pub(super) page_info: PageInfo,
}

/// A member and where they stand.
#[derive(SimpleObject)]
pub(super) struct MemberEdge {
    pub(super) cursor: String,
    pub(super) node: MemberObject,
}

/// A page of members, in the order in which they joined.
#[derive(SimpleObject)]
pub(super) struct MemberConnection {
    pub(super) edges: Vec<MemberEdge>,
    pub(super) nodes: Vec<MemberObject>,
    pub(super) page_info: PageInfo,
}

/// A message that was found, and where it stands among those.
#[derive(SimpleObject)]
pub(super) struct MessageSearchEdge {
    pub(super) cursor: String,
    pub(super) node: MessageObject,
}

/// A page of messages that were found, the best first.
#[derive(SimpleObject)]
pub(super) struct MessageSearchConnection {
    pub(super) edges: Vec<MessageSearchEdge>,
    pub(super) nodes: Vec<MessageObject>,
    pub(super) page_info: PageInfo,
}

/// Which end of a list a page is taken from, and how many entries it has at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slice {
    pub(super) from_end: bool,
    pub(super) length: u32,
}

const LENGTH_DEFAULT: u32 = 50;

impl Slice {
    /// Reads `first` and `last`. Without either, the first ones; before a cursor, the last ones before it.
    pub(super) fn new(
        first: Option<i32>,
        last: Option<i32>,
        before_given: bool,
        limits: &SchemaLimits,
    ) -> Result<Self, ApiError> {
        let (name, asked, from_end) = match (first, last) {
            (Some(_), Some(_)) => return Err(bad("Give first or last, not both.".to_owned())),
            (Some(first), None) => ("first", first, false),
            (None, Some(last)) => ("last", last, true),
            (None, None) => {
                return Ok(Self {
                    from_end: before_given,
                    length: LENGTH_DEFAULT.min(limits.page_max),
                });
            }
        };
        match u32::try_from(asked) {
            Ok(length) if length <= limits.page_max => Ok(Self { from_end, length }),
            _ => Err(bad(format!(
                "{name} must be from 0 to {}.",
                limits.page_max
            ))),
        }
    }

    /// Takes out the entry that was read only to know whether there are more; whether there are.
    pub(super) fn cut<T>(self, found: &mut Vec<T>) -> bool {
        let more = found.len() > self.length as usize;
        if more {
            let surplus = if self.from_end { 0 } else { found.len() - 1 };
            found.remove(surplus);
        }
        more
    }
}

fn bad(message: String) -> ApiError {
    ApiError::new(Code::BadUserInput, message)
}
