//! From rows to the domain's words. A row that holds what the domain refuses is damage, and an error.

use std::{str::FromStr, sync::Arc};

use sqlx::{Row, sqlite::SqliteRow};

use crate::domain::{
    Cursor, Epoch, Event, Message, MessageText, Role, Room, RoomId, RoomName, Seq, Timestamp, User, UserName,
    Visibility,
};

type Decoded<T> = Result<T, sqlx::Error>;

fn damaged(column: &str, error: impl std::fmt::Display) -> sqlx::Error {
    sqlx::Error::ColumnDecode { index: column.to_owned(), source: error.to_string().into() }
}

pub(super) fn parsed<T>(row: &SqliteRow, column: &str) -> Decoded<T>
where
    T: FromStr<Err: std::fmt::Display>,
{
    row.try_get::<&str, _>(column)?.parse().map_err(|error| damaged(column, error))
}

pub(super) fn seq(row: &SqliteRow, column: &str) -> Decoded<Seq> {
    Ok(Seq(row.try_get::<i64, _>(column)?.cast_unsigned()))
}

pub(super) fn epoch(row: &SqliteRow) -> Decoded<Epoch> {
    Ok(Epoch(row.try_get::<i64, _>("epoch")?.cast_unsigned()))
}

pub(super) fn timestamp(row: &SqliteRow, column: &str) -> Decoded<Timestamp> {
    row.try_get(column).map(Timestamp)
}

pub(super) fn message_text(row: &SqliteRow, column: &str) -> Decoded<MessageText> {
    // The bound was checked when the message came in; a lower one today does not unsay old messages.
    MessageText::within(row.try_get(column)?, usize::MAX).map_err(|error| damaged(column, error))
}

pub(super) fn visibility(row: &SqliteRow) -> Decoded<Visibility> {
    match row.try_get("visibility")? {
        0 => Ok(Visibility::Public),
        1 => Ok(Visibility::Private),
        other => Err(damaged("visibility", format_args!("{other}"))),
    }
}

pub(super) fn visibility_code(visibility: Visibility) -> i64 {
    match visibility {
        Visibility::Public => 0,
        Visibility::Private => 1,
    }
}

pub(super) const OWNER: i64 = 0;

pub(super) fn role(row: &SqliteRow) -> Decoded<Option<Role>> {
    match row.try_get("role")? {
        None => Ok(None),
        Some(OWNER) => Ok(Some(Role::Owner)),
        Some(1) => Ok(Some(Role::Moderator)),
        Some(2) => Ok(Some(Role::Member)),
        Some(other) => Err(damaged("role", format_args!("{other}"))),
    }
}

pub(super) fn user(row: &SqliteRow) -> Decoded<User> {
    Ok(User {
        id: parsed(row, "user_id")?,
        name: UserName::within(row.try_get("user_name")?, usize::MAX).map_err(|error| damaged("user_name", error))?,
        created_at: timestamp(row, "user_created_at")?,
    })
}

pub(super) fn room(row: &SqliteRow) -> Decoded<Room> {
    Ok(Room {
        id: parsed(row, "id")?,
        name: RoomName::within(row.try_get("name")?, usize::MAX).map_err(|error| damaged("name", error))?,
        visibility: visibility(row)?,
        created_at: timestamp(row, "created_at")?,
        epoch: epoch(row)?,
        head: seq(row, "head")?,
    })
}

/// A message with its sender; the caller knows the room, so that its id is shared and not read again.
pub(super) fn message(row: &SqliteRow, room: &RoomId) -> Decoded<Arc<Message>> {
    Ok(Arc::new(Message {
        id: parsed(row, "id")?,
        cursor: Cursor { room: room.clone(), epoch: epoch(row)?, seq: seq(row, "seq")? },
        sender: Arc::new(user(row)?),
        text: message_text(row, "text")?,
        created_at: timestamp(row, "created_at")?,
    }))
}

pub(super) fn event(row: &SqliteRow, room: &RoomId) -> Decoded<Arc<Event>> {
    match row.try_get::<i64, _>("kind")? {
        0 => Ok(Arc::new(Event::MessageSent(message(row, room)?))),
        other => Err(damaged("kind", format_args!("{other}"))),
    }
}
