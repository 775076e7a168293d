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

/// The columns of [`message`], in the order in which it reads them. The tables are `m` (messages),
/// `r` (rooms) and `u` (users).
macro_rules! message_columns {
    () => {
        "m.id, r.epoch, m.seq, m.created_at,
         u.id as user_id, u.name as user_name, u.created_at as user_created_at,
         m.deleted_at, m.text, m.reply_to, m.nonce, m.room_id"
    };
}

pub(super) use message_columns;
pub(super) use room_columns;

const SHUTS_OUT_NOBODY: i64 = 0;
const SHUTS_OUT_USER: i64 = 1;
const SHUTS_OUT_ALL_BUT: i64 = 2;
const SHUTS_OUT_EVERYBODY: i64 = 3;

/// The columns of a row, by name. Rows that are read and rows that are written come from different
/// libraries.
pub(super) trait Columns {
    /// An integer, or None for null.
    fn integer(&self, column: &str) -> Decoded<Option<i64>>;

    /// A text, or None for null.
    fn text(&self, column: &str) -> Decoded<Option<&str>>;

    /// A blob, or None for null.
    fn bytes(&self, column: &str) -> Decoded<Option<&[u8]>>;
}

impl Columns for SqliteRow {
    fn integer(&self, column: &str) -> Decoded<Option<i64>> {
        self.try_get(column)
            .map_err(|error| Damaged::new(column, error))
    }

    fn text(&self, column: &str) -> Decoded<Option<&str>> {
        self.try_get(column)
            .map_err(|error| Damaged::new(column, error))
    }

    fn bytes(&self, column: &str) -> Decoded<Option<&[u8]>> {
        self.try_get(column)
            .map_err(|error| Damaged::new(column, error))
    }
}

/// A column holds a value that it must not hold.
#[derive(Debug, thiserror::Error)]
#[error("the column {column} is damaged: {reason}")]
pub(super) struct Damaged {
    column: String,
    reason: String,
}

impl Damaged {
    pub(super) fn new(column: &str, reason: impl std::fmt::Display) -> Self {
        Self {
            column: column.to_owned(),
            reason: reason.to_string(),
        }
    }
}

impl From<Damaged> for sqlx::Error {
    fn from(damaged: Damaged) -> Self {
        Self::Decode(damaged.into())
    }
}

type Decoded<T> = Result<T, Damaged>;

fn text<'r>(row: &'r impl Columns, column: &str) -> Decoded<&'r str> {
    required(column, row.text(column)?)
}

pub(super) fn integer(row: &impl Columns, column: &str) -> Decoded<i64> {
    required(column, row.integer(column)?)
}

fn small(row: &impl Columns, column: &str) -> Decoded<u32> {
    let value = u32::try_from(integer(row, column)?);
    value.map_err(|error| Damaged::new(column, error))
}

pub(super) fn parsed<T>(row: &impl Columns, column: &str) -> Decoded<T>
where
    T: FromStr<Err: std::fmt::Display>,
{
    text(row, column)?
        .parse()
        .map_err(|error| Damaged::new(column, error))
}

pub(super) fn seq(row: &impl Columns, column: &str) -> Decoded<Seq> {
    Ok(Seq(integer(row, column)?.cast_unsigned()))
}

pub(super) fn number(row: &impl Columns) -> Decoded<u64> {
    Ok(integer(row, "number")?.cast_unsigned())
}

pub(super) fn epoch(row: &impl Columns) -> Decoded<Epoch> {
    Ok(Epoch(integer(row, "epoch")?.cast_unsigned()))
}

pub(super) fn timestamp(row: &impl Columns, column: &str) -> Decoded<Timestamp> {
    integer(row, column).map(Timestamp)
}

pub(super) fn optional_timestamp(row: &impl Columns, column: &str) -> Decoded<Option<Timestamp>> {
    Ok(row.integer(column)?.map(Timestamp))
}

fn body(row: &impl Columns) -> Decoded<Body> {
    if let Some(deleted_at) = optional_timestamp(row, "deleted_at")? {
        return Ok(Body::Deleted(deleted_at));
    }
    // The limit was checked when the message was sent. A lower limit today keeps old messages.
    let text = MessageText::stored(text(row, "text")?);
    Ok(Body::Text(text))
}

fn optional<T>(row: &impl Columns, column: &str) -> Decoded<Option<T>>
where
    T: FromStr<Err: std::fmt::Display>,
{
    let text = row.text(column)?;
    text.map(|text| text.parse().map_err(|error| Damaged::new(column, error)))
        .transpose()
}

pub(super) fn visibility(row: &impl Columns) -> Decoded<Visibility> {
    match integer(row, "visibility")? {
        0 => Ok(Visibility::Public),
        1 => Ok(Visibility::Private),
        other => Err(Damaged::new("visibility", format_args!("{other}"))),
    }
}

pub(super) fn visibility_code(visibility: Visibility) -> i64 {
    match visibility {
        Visibility::Public => 0,
        Visibility::Private => 1,
    }
}

pub(super) fn role(row: &impl Columns, column: &str) -> Decoded<Option<Role>> {
    match row.integer(column)? {
        None => Ok(None),
        Some(0) => Ok(Some(Role::Owner)),
        Some(1) => Ok(Some(Role::Moderator)),
        Some(2) => Ok(Some(Role::Member)),
        Some(other) => Err(Damaged::new(column, format_args!("{other}"))),
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
pub(super) fn rights(row: &impl Columns) -> Decoded<Rights> {
    Ok(Rights {
        visibility: visibility(row)?,
        role: role(row, "role")?,
    })
}

pub(super) fn user(row: &impl Columns) -> Decoded<User> {
    Ok(User {
        id: parsed(row, "user_id")?,
        name: UserName::stored(text(row, "user_name")?),
        created_at: timestamp(row, "user_created_at")?,
    })
}

pub(super) fn room(row: &impl Columns) -> Decoded<Room> {
    Ok(Room {
        id: parsed(row, "id")?,
        name: RoomName::stored(text(row, "name")?),
        visibility: visibility(row)?,
        created_at: timestamp(row, "created_at")?,
        epoch: epoch(row)?,
        head: seq(row, "head")?,
        head_tag: optional_timestamp(row, "head_at")?.map_or(EventTag::UNKNOWN, EventTag::of),
        slow_mode_seconds: small(row, "slow_mode_seconds")?,
        member_count: small(row, "member_count")?,
        deleted_at: optional_timestamp(row, "deleted_at")?,
    })
}

/// A message and its sender. The caller passes the id of the room, so that messages share it.
pub(super) fn message(row: &impl Columns, room: &RoomId) -> Decoded<Arc<Message>> {
    let id = parsed(row, "id")?;
    let (epoch, seq, created_at) = (epoch(row)?, seq(row, "seq")?, timestamp(row, "created_at")?);
    Ok(Arc::new(Message {
        id,
        cursor: Cursor {
            room: room.clone(),
            epoch,
            seq,
            tag: EventTag::of(created_at),
        },
        sender: Arc::new(user(row)?),
        body: body(row)?,
        created_at,
        reply_to: optional(row, "reply_to")?,
        nonce: row.text("nonce")?.map(Nonce::stored),
    }))
}

/// Replaces the content of a stored message.
pub(super) async fn update_message(
    writer: &mut SqliteConnection,
    message: &Message,
) -> Result<(), sqlx::Error> {
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
pub(super) fn member(row: &impl Columns, now: Timestamp) -> Decoded<Member> {
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
    value.ok_or_else(|| Damaged::new(column, "null"))
}

/// An event. [`ShutsOut::AllBut`] comes without its members: the caller adds them.
pub(super) fn event(row: &impl Columns, room: &RoomId) -> Decoded<Event> {
    let kind = integer(row, "kind")?;
    if kind == ChangeRecord::MESSAGE_SENT {
        return Ok(Event::MessageSent(message(row, room)?));
    }
    let sent = row.integer("seq")?;
    let record = ChangeRecord {
        kind,
        message: optional(row, "id")?,
        sent: sent.map(|seq| Seq(seq.cast_unsigned())),
        user: optional(row, "subject_id")?,
        role: role(row, "role")?,
    };
    let kind = ChangeKind::from_record(&record)
        .ok_or_else(|| Damaged::new("kind", format_args!("{record:?}")))?;
    let shuts_out = match integer(row, "shuts_out")? {
        SHUTS_OUT_NOBODY => ShutsOut::Nobody,
        SHUTS_OUT_USER => ShutsOut::User(parsed(row, "subject_id")?),
        SHUTS_OUT_ALL_BUT => ShutsOut::AllBut(Arc::default()),
        SHUTS_OUT_EVERYBODY => ShutsOut::Everybody,
        other => return Err(Damaged::new("shuts_out", format_args!("{other}"))),
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
