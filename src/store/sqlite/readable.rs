//! The right to read a room, in SQL.

use crate::domain::Caller;

/// Whether [`reader_id`] `?1` may read the room `r`: the row `Read` of the table of rights in SQL,
/// so that every query filters in the same way (G5). `*` reads every room, even a deleted one,
/// because a view goes on until its readers have received the event that deletes the room.
macro_rules! readable {
    () => {
        "(?1 = '*' or (r.deleted_at is null and (r.visibility = 0
            or exists (select 1 from members b where b.room_id = r.id and b.user_id = ?1))))"
    };
}

pub(super) use readable;

/// The caller as `?1` of [`readable`]: a user's id, `*` for all readers of a view, or null.
pub(super) fn reader_id(caller: Caller) -> Option<String> {
    match caller {
        Caller::Anonymous => None,
        Caller::Viewer(viewer) => Some(viewer.user.to_string()),
        Caller::Shared => Some("*".to_owned()),
    }
}
