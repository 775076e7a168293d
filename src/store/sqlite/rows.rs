//! Between rows and domain types.
//!
//! A row that holds a value that the domain refuses is damaged, and reading it is an error.

use std::{str::FromStr, sync::Arc};

use sqlx::{Row, SqliteConnection, sqlite::SqliteRow};

use crate::{
    domain::{
        Body, Change, ChangeKind, ChangeRecord, Cursor, Epoch, Event, EventTag, Member, Message,
        MessageText, Nonce, Role, Room, RoomId, RoomName, Seq, ShutsOut, Timestamp, User, UserName,
        Visibility,
    },
    store::rules::Rights,
};

/// The columns of [`room`], of a table `r`.
macro_rules! room_columns {
    () => {
        "r.id, r.name, r.visibility, r.created_at, r.epoch, r.head, r.slow_mode_seconds,
         r.member_count,
         r.deleted_at,
         (select h.at from events h where h.room_id = r.id and h.seq = r.head) as head_at"
    };
}

/// The columns of [`message`], of the tables `m` (messages), `r` (rooms) and `u` (users).
macro_rules! message_columns {
    () => {
        "m.id, m.room_id, m.seq, m.text, m.created_at, m.deleted_at, m.reply_to, m.nonce, r.epoch,
         u.id as user_id, u.name as user_name, u.created_at as user_created_at"
    };
}

pub(super) use message_columns;
pub(super) use room_columns;

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

pub(super) fn optional_timestamp(row: &SqliteRow, column: &str) -> Decoded<Option<Timestamp>> {
    Ok(row.try_get::<Option<i64>, _>(column)?.map(Timestamp))
}

fn body(row: &SqliteRow) -> Decoded<Body> {
    if let Some(deleted_at) = optional_timestamp(row, "deleted_at")? {
        return Ok(Body::Deleted(deleted_at));
    }
    // The limit was checked when the message was sent. A lower limit today keeps old messages.
    let text = MessageText::stored(row.try_get("text")?);
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

/// The rights of a user in a room, from the columns `visibility` and `role`.
pub(super) fn rights(row: &SqliteRow) -> Decoded<Rights> {
    Ok(Rights {
        visibility: visibility(row)?,
        role: role(row, "role")?,
    })
}

pub(super) fn user(row: &SqliteRow) -> Decoded<User> {
    Ok(User {
        id: parsed(row, "user_id")?,
        name: UserName::stored(row.try_get("user_name")?),
        created_at: timestamp(row, "user_created_at")?,
    })
}

pub(super) fn room(row: &SqliteRow) -> Decoded<Room> {
    Ok(Room {
        id: parsed(row, "id")?,
        name: RoomName::stored(row.try_get("name")?),
        visibility: visibility(row)?,
        created_at: timestamp(row, "created_at")?,
        epoch: epoch(row)?,
        head: seq(row, "head")?,
        head_tag: optional_timestamp(row, "head_at")?.map_or(EventTag::UNKNOWN, EventTag::of),
        slow_mode_seconds: row.try_get("slow_mode_seconds")?,
        member_count: row.try_get("member_count")?,
        deleted_at: optional_timestamp(row, "deleted_at")?,
    })
}

/// A message and its sender. The caller passes the id of the room, so that messages share it.
pub(super) fn message(row: &SqliteRow, room: &RoomId) -> Decoded<Arc<Message>> {
    Ok(Arc::new(Message {
        id: parsed(row, "id")?,
        cursor: Cursor {
            room: room.clone(),
            epoch: epoch(row)?,
            seq: seq(row, "seq")?,
            tag: EventTag::of(timestamp(row, "created_at")?),
        },
        sender: Arc::new(user(row)?),
        body: body(row)?,
        created_at: timestamp(row, "created_at")?,
        reply_to: optional(row, "reply_to")?,
        nonce: row.try_get::<Option<&str>, _>("nonce")?.map(Nonce::stored),
    }))
}

/// Replaces the content of a stored message.
pub(super) async fn update_message(
    writer: &mut SqliteConnection,
    message: &Message,
) -> Decoded<()> {
    let deleted_at = match message.body {
        Body::Text(_) => None,
        Body::Deleted(at) => Some(at.0),
    };
    sqlx::query("update messages set text = ?2, deleted_at = ?3 where id = ?1")
        .bind(message.id.to_string())
        .bind(message.text())
        .bind(deleted_at)
        .execute(writer)
        .await?;
    Ok(())
}

/// A member. A mute that has ended is left out.
pub(super) fn member(row: &SqliteRow, now: Timestamp) -> Decoded<Member> {
    let muted_until = optional_timestamp(row, "muted_until")?;
    Ok(Member {
        id: parsed(row, "id")?,
        room: parsed(row, "room_id")?,
        user: Arc::new(user(row)?),
        role: required("role", role(row, "role")?)?,
        joined_at: timestamp(row, "joined_at")?,
        muted_until: muted_until.filter(|until| *until > now),
    })
}

/// A value that must not be null.
pub(super) fn required<T>(column: &str, value: Option<T>) -> Decoded<T> {
    value.ok_or_else(|| damaged(column, "null"))
}

/// An event. [`ShutsOut::AllBut`] comes without its members: the caller adds them.
pub(super) fn event(row: &SqliteRow, room: &RoomId) -> Decoded<Event> {
    let kind = row.try_get("kind")?;
    if kind == ChangeRecord::MESSAGE_SENT {
        return Ok(Event::MessageSent(message(row, room)?));
    }
    let sent = row.try_get::<Option<i64>, _>("seq")?;
    let record = ChangeRecord {
        kind,
        message: optional(row, "id")?,
        sent: sent.map(|seq| Seq(seq.cast_unsigned())),
        user: optional(row, "subject_id")?,
        role: role(row, "role")?,
    };
    let kind = ChangeKind::from_record(&record)
        .ok_or_else(|| damaged("kind", format_args!("{record:?}")))?;
    let shuts_out = match row.try_get::<i64, _>("shuts_out")? {
        SHUTS_OUT_NOBODY => ShutsOut::Nobody,
        SHUTS_OUT_USER => ShutsOut::User(parsed(row, "subject_id")?),
        SHUTS_OUT_ALL_BUT => ShutsOut::AllBut(Arc::default()),
        SHUTS_OUT_EVERYBODY => ShutsOut::Everybody,
        other => return Err(damaged("shuts_out", format_args!("{other}"))),
    };
    let at = timestamp(row, "at")?;
    let cursor = Cursor {
        room: room.clone(),
        epoch: epoch(row)?,
        seq: seq(row, "event_seq")?,
        tag: EventTag::of(at),
    };
    let actor = parsed(row, "actor_id")?;
    Ok(Event::Changed(Arc::new(Change {
        cursor,
        at,
        actor,
        kind,
        shuts_out,
    })))
}

pub(super) fn shuts_out_code(shuts_out: &ShutsOut) -> i64 {
    match shuts_out {
        ShutsOut::Nobody => SHUTS_OUT_NOBODY,
        ShutsOut::User(_) => SHUTS_OUT_USER,
        ShutsOut::AllBut(_) => SHUTS_OUT_ALL_BUT,
        ShutsOut::Everybody => SHUTS_OUT_EVERYBODY,
    }
}

/// A table as one argument of a statement, for `json_each`.
pub(super) fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("strings and numbers have a JSON form")
}
