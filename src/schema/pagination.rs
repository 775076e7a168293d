//! Relay-style pagination: the arguments of a connection field, and a page of rows with its
//! `PageInfo`.

use async_graphql::{SimpleObject, Value};

use super::error::ApiError;

/// Entries of a page when the client gives neither `first` nor `last`.
const LENGTH_DEFAULT: u32 = 50;

/// The position of a page in its list.
#[derive(SimpleObject)]
pub(super) struct PageInfo {
    pub(super) has_previous_page: bool,
    pub(super) has_next_page: bool,
    pub(super) start_cursor: Option<String>,
    pub(super) end_cursor: Option<String>,
}

/// The arguments of a connection field. `C` is the type of its cursors.
pub(super) struct PageArgs<C> {
    pub(super) first: Option<i32>,
    pub(super) after: Option<C>,
    pub(super) last: Option<i32>,
    pub(super) before: Option<C>,
}

impl<C> PageArgs<C> {
    /// The arguments of a list that is read forwards only.
    pub(super) fn forwards(first: i32, after: Option<C>) -> Self {
        Self {
            first: Some(first),
            after,
            last: None,
            before: None,
        }
    }

    /// Reads `first` and `last`. Without either, it is the first page; if only `before` is given,
    /// it is the page that ends before that entry.
    ///
    /// # Errors
    /// BAD_USER_INPUT if both are given, or one is not from 0 to `page_max`.
    pub(super) fn slice(&self, page_max: u32) -> Result<Slice, ApiError> {
        let (name, length, from_end) = match (self.first, self.last) {
            (Some(_), Some(_)) => {
                return Err(ApiError::bad_user_input("Give first or last, not both."));
            }
            (Some(first), None) => ("first", first, false),
            (None, Some(last)) => ("last", last, true),
            (None, None) => {
                return Ok(Slice {
                    from_end: self.before.is_some() && self.after.is_none(),
                    length: LENGTH_DEFAULT.min(page_max),
                });
            }
        };
        match u32::try_from(length) {
            Ok(length) if length <= page_max => Ok(Slice { from_end, length }),
            _ => Err(ApiError::bad_user_input(format!(
                "{name} must be from 0 to {page_max}."
            ))),
        }
    }
}

/// The end of a list from which a page is read, and the largest number of its entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slice {
    pub(super) from_end: bool,
    length: u32,
}

impl Slice {
    /// Rows to read: one more than the page has. The extra row shows whether there are more.
    pub(super) fn rows_to_read(self) -> u32 {
        self.length + 1
    }
}

/// The rows of a page, in the order of the list.
pub(super) struct ListPage<T> {
    pub(super) rows: Vec<T>,
    pub(super) info: PageInfo,
}

impl<T> ListPage<T> {
    /// Makes a page from up to [`Slice::rows_to_read`] rows. `is_after` says that the page begins
    /// after an entry of the list, `is_before` that it ends before one.
    pub(super) fn new(
        slice: Slice,
        mut rows: Vec<T>,
        is_after: bool,
        is_before: bool,
        cursor: impl Fn(&T) -> String,
    ) -> Self {
        let has_more = rows.len() > slice.length as usize;
        if has_more {
            let extra = if slice.from_end { 0 } else { rows.len() - 1 };
            rows.remove(extra);
        }
        let (has_previous_page, has_next_page) = match slice.from_end {
            true => (has_more, is_before),
            false => (is_after, has_more),
        };
        let info = PageInfo {
            has_previous_page,
            has_next_page,
            start_cursor: rows.first().map(&cursor),
            end_cursor: rows.last().map(&cursor),
        };
        Self { rows, info }
    }
}

/// The cursor of an edge, as a value of the schema.
pub(super) trait CursorValue {
    fn value(&self) -> Value;
}

impl CursorValue for String {
    fn value(&self) -> Value {
        Value::String(self.clone())
    }
}

/// Defines the connection type of a node type and its edge type.
macro_rules! connection {
    (
        $(#[$connection_doc:meta])* $connection:ident,
        $(#[$edge_doc:meta])* $edge:ident { cursor: $cursor:ty, node: $node:ty }
    ) => {
        $(#[$edge_doc])*
        #[derive(async_graphql::SimpleObject)]
        pub(super) struct $edge {
            cursor: $cursor,
            node: $node,
        }

        $(#[$connection_doc])*
        #[derive(async_graphql::SimpleObject)]
        pub(super) struct $connection {
            edges: $crate::schema::ready::ReadyList<$edge>,
            nodes: $crate::schema::ready::ReadyList<$node>,
            page_info: $crate::schema::pagination::PageInfo,
        }

        impl $crate::schema::ready::ReadyObject for $edge {
            const TYPES: &'static [&'static str] = &[stringify!($edge)];

            fn ready(
                field: &async_graphql::parser::types::Field,
                fragments: &$crate::schema::ready::DocumentFragments,
            ) -> Option<$crate::schema::ready::MakeValue<Self>> {
                use $crate::schema::ready::ReadyFields;
                Some(match field.name.node.as_str() {
                    "cursor" => Box::new(|edge| $crate::schema::pagination::CursorValue::value(&edge.cursor)),
                    "node" => {
                        let fields = ReadyFields::below(field, fragments)?;
                        Box::new(move |edge| fields.value(&edge.node))
                    }
                    _ => return None,
                })
            }
        }

        impl $connection {
            /// A connection from a page of rows. `edge` gives the cursor and the node of a row.
            pub(super) fn new<T>(
                page: $crate::schema::pagination::ListPage<T>,
                edge: impl Fn(T) -> ($cursor, $node),
            ) -> Self {
                use $crate::schema::ready::ReadyList;
                let edges: Vec<_> = page
                    .rows
                    .into_iter()
                    .map(|row| {
                        let (cursor, node) = edge(row);
                        $edge { cursor, node }
                    })
                    .collect();
                Self {
                    nodes: ReadyList(edges.iter().map(|edge| edge.node.clone()).collect()),
                    edges: ReadyList(edges),
                    page_info: page.info,
                }
            }
        }
    };
}

pub(super) use connection;

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE_MAX: u32 = 100;

    fn args(first: Option<i32>, last: Option<i32>) -> PageArgs<&'static str> {
        PageArgs {
            first,
            after: None,
            last,
            before: None,
        }
    }

    #[test]
    fn first_and_last_are_bounded_and_exclude_each_other() {
        for (first, last) in [(Some(-1), None), (None, Some(101)), (Some(1), Some(1))] {
            assert!(
                args(first, last).slice(PAGE_MAX).is_err(),
                "{first:?} {last:?}"
            );
        }
        for (first, last, from_end, length) in [
            (Some(0), None, false, 0),
            (None, Some(100), true, 100),
            (None, None, false, 50),
        ] {
            let slice = args(first, last).slice(PAGE_MAX).unwrap();
            assert_eq!(slice, Slice { from_end, length });
        }
        let before = PageArgs {
            before: Some("b"),
            ..args(None, None)
        };
        assert!(before.slice(PAGE_MAX).unwrap().from_end);
    }

    #[test]
    fn the_extra_row_is_cut_from_the_far_end() {
        let page = |from_end, rows: &[u32], is_after, is_before| {
            let slice = Slice {
                from_end,
                length: 2,
            };
            let page = ListPage::new(slice, rows.to_vec(), is_after, is_before, u32::to_string);
            let info = page.info;
            (page.rows, info.has_previous_page, info.has_next_page)
        };
        assert_eq!(
            page(false, &[1, 2, 3], false, true),
            (vec![1, 2], false, true)
        );
        assert_eq!(page(false, &[1, 2], true, true), (vec![1, 2], true, false));
        assert_eq!(
            page(true, &[1, 2, 3], true, false),
            (vec![2, 3], true, false)
        );
        assert_eq!(page(true, &[2, 3], true, true), (vec![2, 3], false, true));
        assert_eq!(page(true, &[], true, false), (vec![], false, false));
    }
}
