//! From rows to the domain's words. A row that holds what the domain refuses is damage, and an error.

use std::{str::FromStr, sync::Arc};

use sqlx::{Row, sqlite::SqliteRow};

use crate::domain::{
    Body, Change, Cursor, Epoch, Event, Member, Message, MessageText, Role, Room, RoomId, RoomName,
    Seq, ShutsOut, Timestamp, User, UserName, Visibility, What,
};

const MESSAGE_SENT: i64 = 0;
const MESSAGE_DELETED: i64 = 1;
const MEMBER_JOINED: i64 = 2;
const MEMBER_LEFT: i64 = 3;
const MEMBER_ROLE_CHANGED: i64 = 4;
const ROOM_UPDATED: i64 = 5;
const ROOM_DELETED: i64 = 6;

const SHUTS_OUT_NOBODY: i64 = 0;
const SHUTS_OUT_USER: i64 = 1;
const SHUTS_OUT_ALL_BUT: i64 = 2;
const SHUTS_OUT_EVERYBODY: i64 = 3;

type Decoded<T> = Result<T, sqlx::Error>;

fn damaged(column: &str, error: impl std::fmt::Display) -> sqlx::Error {
    sqlx::Error::ColumnDecode {
        index: column.to_owned(),
        source: error.to_string().into(),
    }
}

pub(super) fn parsed<T>(row: &SqliteRow, column: &str) -> Decoded<T>
where
    T: FromStr<Err: std::fmt::Display>,
{
    row.try_get::<&str, _>(column)?
        .parse()
        .map_err(|error| damaged(column, error))
}

pub(super) fn seq(row: &SqliteRow, column: &str) -> Decoded<Seq> {
    Ok(Seq(row.try_get::<i64, _>(column)?.cast_unsigned()))
}

pub(super) fn number(row: &SqliteRow) -> Decoded<u64> {
    Ok(row.try_get::<i64, _>("number")?.cast_unsigned())
}

pub(super) fn epoch(row: &SqliteRow) -> Decoded<Epoch> {
    Ok(Epoch(row.try_get::<i64, _>("epoch")?.cast_unsigned()))
}

pub(super) fn timestamp(row: &SqliteRow, column: &str) -> Decoded<Timestamp> {
    row.try_get(column).map(Timestamp)
}

fn body(row: &SqliteRow) -> Decoded<Body> {
    if let Some(deleted) = row.try_get("deleted_at")? {
        return Ok(Body::Deleted(Timestamp(deleted)));
    }
    // The bound was checked when the message came in; a lower one today does not unsay old messages.
    let text = MessageText::within(row.try_get("text")?, usize::MAX)
        .map_err(|error| damaged("text", error))?;
    Ok(Body::Text(text))
}

fn optional<T>(row: &SqliteRow, column: &str) -> Decoded<Option<T>>
where
    T: FromStr<Err: std::fmt::Display>,
{
    let text = row.try_get::<Option<&str>, _>(column)?;
    text.map(|text| text.parse().map_err(|error| damaged(column, error)))
        .transpose()
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

pub(super) fn role(row: &SqliteRow, column: &str) -> Decoded<Option<Role>> {
    match row.try_get::<Option<i64>, _>(column)? {
        None => Ok(None),
        Some(0) => Ok(Some(Role::Owner)),
        Some(1) => Ok(Some(Role::Moderator)),
        Some(2) => Ok(Some(Role::Member)),
        Some(other) => Err(damaged(column, format_args!("{other}"))),
    }
}

pub(super) fn role_code(role: Role) -> i64 {
    match role {
        Role::Owner => 0,
        Role::Moderator => 1,
        Role::Member => 2,
    }
}

pub(super) fn user(row: &SqliteRow) -> Decoded<User> {
    Ok(User {
        id: parsed(row, "user_id")?,
        name: UserName::within(row.try_get("user_name")?, usize::MAX)
            .map_err(|error| damaged("user_name", error))?,
        created_at: timestamp(row, "user_created_at")?,
    })
}

pub(super) fn room(row: &SqliteRow) -> Decoded<Room> {
    Ok(Room {
        id: parsed(row, "id")?,
        name: RoomName::within(row.try_get("name")?, usize::MAX)
            .map_err(|error| damaged("name", error))?,
        visibility: visibility(row)?,
        created_at: timestamp(row, "created_at")?,
        epoch: epoch(row)?,
        head: seq(row, "head")?,
        slow_mode_seconds: row.try_get("slow_mode_seconds")?,
        deleted_at: row.try_get::<Option<i64>, _>("deleted_at")?.map(Timestamp),
    })
}

/// A message with its sender; the caller knows the room, so that its id is shared and not read again.
pub(super) fn message(row: &SqliteRow, room: &RoomId) -> Decoded<Arc<Message>> {
    Ok(Arc::new(Message {
        id: parsed(row, "id")?,
        cursor: Cursor {
            room: room.clone(),
            epoch: epoch(row)?,
            seq: seq(row, "seq")?,
        },
        sender: Arc::new(user(row)?),
        body: body(row)?,
        created_at: timestamp(row, "created_at")?,
        reply_to: optional(row, "reply_to")?,
    }))
}

/// A member; a mute that is over is none.
pub(super) fn member(row: &SqliteRow, now: Timestamp) -> Decoded<Member> {
    let muted_until = row.try_get::<Option<i64>, _>("muted_until")?.map(Timestamp);
    Ok(Member {
        id: parsed(row, "id")?,
        room: parsed(row, "room_id")?,
        user: Arc::new(user(row)?),
        role: required("role", role(row, "role")?)?,
        joined_at: timestamp(row, "joined_at")?,
        muted_until: muted_until.filter(|until| *until > now),
    })
}

/// A value that a row must have.
pub(super) fn required<T>(column: &str, value: Option<T>) -> Decoded<T> {
    value.ok_or_else(|| damaged(column, "null"))
}

/// An event. Whom a change shuts out is known when only the user's id is needed for it; else the caller puts it in.
pub(super) fn event(row: &SqliteRow, room: &RoomId) -> Decoded<Event> {
    let kind = row.try_get::<i64, _>("kind")?;
    if kind == MESSAGE_SENT {
        return Ok(Event::MessageSent(message(row, room)?));
    }
    let user = || parsed(row, "subject_id");
    let role = || required("role", role(row, "role")?);
    let what = match kind {
        MESSAGE_DELETED => What::MessageDeleted {
            message: parsed(row, "id")?,
            sent: seq(row, "seq")?,
        },
        MEMBER_JOINED => What::MemberJoined {
            user: user()?,
            role: role()?,
        },
        MEMBER_LEFT => What::MemberLeft { user: user()? },
        MEMBER_ROLE_CHANGED => What::MemberRoleChanged {
            user: user()?,
            role: role()?,
        },
        ROOM_UPDATED => What::RoomUpdated,
        ROOM_DELETED => What::RoomDeleted,
        other => return Err(damaged("kind", format_args!("{other}"))),
    };
    let shuts_out = match row.try_get::<i64, _>("shuts_out")? {
        SHUTS_OUT_NOBODY => ShutsOut::Nobody,
        SHUTS_OUT_USER => ShutsOut::User(user()?),
        SHUTS_OUT_ALL_BUT => ShutsOut::AllBut(Arc::default()),
        SHUTS_OUT_EVERYBODY => ShutsOut::Everybody,
        other => return Err(damaged("shuts_out", format_args!("{other}"))),
    };
    let cursor = Cursor {
        room: room.clone(),
        epoch: epoch(row)?,
        seq: seq(row, "event_seq")?,
    };
    let (at, actor) = (timestamp(row, "at")?, parsed(row, "actor_id")?);
    Ok(Event::Changed(Arc::new(Change {
        cursor,
        at,
        actor,
        what,
        shuts_out,
    })))
}

pub(super) fn kind_code(what: &What) -> i64 {
    match what {
        What::MessageDeleted { .. } => MESSAGE_DELETED,
        What::MemberJoined { .. } => MEMBER_JOINED,
        What::MemberLeft { .. } => MEMBER_LEFT,
        What::MemberRoleChanged { .. } => MEMBER_ROLE_CHANGED,
        What::RoomUpdated => ROOM_UPDATED,
        What::RoomDeleted => ROOM_DELETED,
    }
}

pub(super) fn shuts_out_code(shuts_out: &ShutsOut) -> i64 {
    match shuts_out {
        ShutsOut::Nobody => SHUTS_OUT_NOBODY,
        ShutsOut::User(_) => SHUTS_OUT_USER,
        ShutsOut::AllBut(_) => SHUTS_OUT_ALL_BUT,
        ShutsOut::Everybody => SHUTS_OUT_EVERYBODY,
    }
}

/// A table as one argument of a statement.
pub(super) fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("strings and numbers have a JSON form")
}
