//! Reading, on connections that cannot write. Each operation is one statement, but for events that name the members of their
//! moment: those never change.

use std::sync::Arc;

use async_trait::async_trait;
use sqlx::{Row, SqliteExecutor, sqlite::SqliteRow};

use super::{Sqlite, rows};
use crate::{
    domain::{
        Action, Caller, Cursor, Event, Member, MemberId, Message, MessageId, Room, RoomId, Seq,
        ShutsOut, Standing, Timestamp, UserId, may,
    },
    store::{Found, Log, MemberWindow, Refusal, Search, Speak, Speaker, StoreError, Window},
};

/// Whether the room `r` may be read by [`asker`] `?1`. The table of rights as SQL: there, and public or with the asker in it.
/// A view goes on until its readers have been told that the room is gone.
macro_rules! readable {
    () => {
        "(?1 = '*' or (r.deleted_at is null and (r.visibility = 0
            or exists (select 1 from members b where b.room_id = r.id and b.user_id = ?1))))"
    };
}

macro_rules! room_columns {
    () => {
        "r.id, r.name, r.visibility, r.created_at, r.epoch, r.head, r.slow_mode_seconds, r.deleted_at"
    };
}

macro_rules! message_columns {
    () => {
        "m.id, m.room_id, m.seq, m.text, m.created_at, m.deleted_at, m.reply_to, r.epoch,
         u.id as user_id, u.name as user_name, u.created_at as user_created_at"
    };
}

const ROOM: &str = concat!(
    "select ",
    room_columns!(),
    " from rooms r where r.id = ?2 and ",
    readable!()
);

const ROOMS: &str = concat!(
    "select ",
    room_columns!(),
    " from rooms r where r.id > ?2
     and (?3 is null or instr(lower(r.id), lower(?3)) or instr(lower(r.name), lower(?3))) and ",
    readable!(),
    " order by r.id limit ?4"
);

const EVENTS: &str = concat!(
    "select e.kind, e.seq as event_seq, e.at, e.actor_id, e.user_id as subject_id, e.role, e.shuts_out, ",
    message_columns!(),
    " from events e join rooms r on r.id = e.room_id
      left join messages m on m.id = e.message_id left join users u on u.id = m.sender_id
      where e.room_id = ?1 and e.seq > ?2 and e.seq <= ?3 order by e.seq limit ?4"
);

pub(super) use message_columns;
pub(super) use readable;

macro_rules! messages {
    ($order:literal) => {
        concat!(
            "select ",
            message_columns!(),
            " from messages m join rooms r on r.id = m.room_id join users u on u.id = m.sender_id
              where m.room_id = ?1 and m.seq > ?2 and m.seq < ?3 order by m.seq ",
            $order,
            " limit ?4"
        )
    };
}

pub(super) const MESSAGE: &str = concat!(
    "select ",
    message_columns!(),
    " from messages m join rooms r on r.id = m.room_id join users u on u.id = m.sender_id where m.id = ?2 and ",
    readable!()
);

macro_rules! member {
    () => {
        "select b.id, b.room_id, b.role, b.joined_at, x.muted_until,
         u.id as user_id, u.name as user_name, u.created_at as user_created_at
         from members b join users u on u.id = b.user_id
         left join restraints x on x.room_id = b.room_id and x.user_id = b.user_id "
    };
}

/// Everything that the right to say something that is not kept depends on, in one row, if the viewer is known.
const SPEAKER: &str = "select u.id as user_id, u.name as user_name, u.created_at as user_created_at,
     r.visibility, r.head, b.role, x.muted_until, t.id is not null and (r.visibility = 0 or c.user_id is not null) as heard
     from users u
     left join rooms r on r.id = ?2 and r.deleted_at is null
     left join members b on b.room_id = r.id and b.user_id = u.id
     left join restraints x on x.room_id = r.id and x.user_id = u.id
     left join users t on t.id = ?3
     left join members c on c.room_id = r.id and c.user_id = t.id
     where u.id = ?1";

const MEMBERSHIP: &str = concat!(member!(), "where b.room_id = ?1 and b.user_id = ?2");

const MEMBER: &str = concat!(
    member!(),
    "join rooms r on r.id = b.room_id where b.id = ?2 and ",
    readable!()
);

macro_rules! members {
    ($order:literal) => {
        concat!(
            member!(),
            "where b.room_id = ?1 and (?2 is null or b.id > ?2) and (?3 is null or b.id < ?3) order by b.id ",
            $order,
            " limit ?4"
        )
    };
}

/// Who was a member at a Seq: who is one since then or before, and who was and left later.
const MEMBERS_AT: &str = "select user_id from members where room_id = ?1 and joined_seq <= ?2
    union select user_id from events where room_id = ?1 and seq > ?2 and kind = 3 and joined_seq <= ?2
    order by user_id";

pub(super) fn asker(caller: Caller) -> Option<String> {
    match caller {
        Caller::Anonymous => None,
        Caller::Viewer(viewer) => Some(viewer.user.to_string()),
        Caller::Shared => Some("*".to_owned()),
    }
}

/// A Seq as SQLite holds numbers; one beyond its range stands after every event.
fn number(seq: Seq) -> i64 {
    i64::try_from(seq.0).unwrap_or(i64::MAX)
}

fn each<T>(
    rows: &[SqliteRow],
    decode: impl Fn(&SqliteRow) -> Result<T, sqlx::Error>,
) -> Result<Vec<T>, StoreError> {
    Ok(rows.iter().map(decode).collect::<Result<_, _>>()?)
}

#[async_trait]
impl Log for Sqlite {
    async fn room(&self, id: &RoomId, caller: Caller) -> Result<Option<Room>, StoreError> {
        let row = sqlx::query(ROOM)
            .bind(asker(caller))
            .bind(id.as_str())
            .fetch_optional(&self.readers)
            .await?;
        Ok(row.as_ref().map(rows::room).transpose()?)
    }

    async fn rooms(
        &self,
        caller: Caller,
        after: Option<&str>,
        search: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Room>, StoreError> {
        let found = sqlx::query(ROOMS)
            .bind(asker(caller))
            .bind(after.unwrap_or_default())
            .bind(search)
            .bind(limit)
            .fetch_all(&self.readers)
            .await?;
        each(&found, rows::room)
    }

    async fn events(
        &self,
        id: &RoomId,
        after: Seq,
        upto: Seq,
        limit: u32,
    ) -> Result<Vec<Arc<Event>>, StoreError> {
        let found = sqlx::query(EVENTS)
            .bind(id.as_str())
            .bind(number(after))
            .bind(number(upto))
            .bind(limit)
            .fetch_all(&self.readers)
            .await?;
        let mut events = each(&found, |row| rows::event(row, id))?;
        for event in &mut events {
            self.name_members(event).await?;
        }
        Ok(events.into_iter().map(Arc::new).collect())
    }

    async fn messages(&self, id: &RoomId, window: Window) -> Result<Vec<Arc<Message>>, StoreError> {
        let sql = if window.from_end {
            messages!("desc")
        } else {
            messages!("asc")
        };
        let mut found = sqlx::query(sql)
            .bind(id.as_str())
            .bind(number(window.after))
            .bind(window.before.map_or(i64::MAX, number))
            .bind(window.limit)
            .fetch_all(&self.readers)
            .await?;
        if window.from_end {
            found.reverse();
        }
        each(&found, |row| rows::message(row, id))
    }

    async fn message(
        &self,
        id: &MessageId,
        caller: Caller,
    ) -> Result<Option<Arc<Message>>, StoreError> {
        let row = sqlx::query(MESSAGE)
            .bind(asker(caller))
            .bind(id.to_string())
            .fetch_optional(&self.readers)
            .await?;
        let decode = |row: &SqliteRow| rows::message(row, &rows::parsed(row, "room_id")?);
        Ok(row.as_ref().map(decode).transpose()?)
    }

    async fn membership(
        &self,
        room: &RoomId,
        user: UserId,
        now: Timestamp,
    ) -> Result<Option<Member>, StoreError> {
        let query = sqlx::query(MEMBERSHIP)
            .bind(room.as_str())
            .bind(user.to_string());
        let row = query.fetch_optional(&self.readers).await?;
        Ok(row.as_ref().map(|row| rows::member(row, now)).transpose()?)
    }

    async fn speaker(
        &self,
        speak: Speak<'_>,
        now: Timestamp,
    ) -> Result<Result<Speaker, Refusal>, StoreError> {
        let query = sqlx::query(SPEAKER)
            .bind(speak.viewer.to_string())
            .bind(speak.room.as_str());
        let row = query
            .bind(speak.to.map(|to| to.to_string()))
            .fetch_optional(&self.readers)
            .await?;
        let Some(row) = row else {
            return Ok(Err(Refusal::UnknownViewer));
        };
        Ok(speaker(&row, speak, now)?)
    }

    async fn member(
        &self,
        id: &MemberId,
        caller: Caller,
        now: Timestamp,
    ) -> Result<Option<Member>, StoreError> {
        let row = sqlx::query(MEMBER)
            .bind(asker(caller))
            .bind(id.to_string())
            .fetch_optional(&self.readers)
            .await?;
        Ok(row.as_ref().map(|row| rows::member(row, now)).transpose()?)
    }

    async fn members(
        &self,
        room: &RoomId,
        window: MemberWindow,
        now: Timestamp,
    ) -> Result<Vec<Member>, StoreError> {
        let sql = if window.from_end {
            members!("desc")
        } else {
            members!("asc")
        };
        let mut found = sqlx::query(sql)
            .bind(room.as_str())
            .bind(window.after.map(|id| id.to_string()))
            .bind(window.before.map(|id| id.to_string()))
            .bind(window.limit)
            .fetch_all(&self.readers)
            .await?;
        if window.from_end {
            found.reverse();
        }
        each(&found, |row| rows::member(row, now))
    }

    async fn search(&self, search: &Search, caller: Caller) -> Result<Found, StoreError> {
        self.find(search, caller).await
    }
}

/// Who may not read the room learns nothing else about it.
fn speaker(
    row: &SqliteRow,
    speak: Speak<'_>,
    now: Timestamp,
) -> Result<Result<Speaker, Refusal>, sqlx::Error> {
    if row.try_get::<Option<i64>, _>("head")?.is_none() {
        return Ok(Err(Refusal::NotFound));
    }
    let visibility = rows::visibility(row)?;
    let standing = rows::role(row, "role")?.map_or(Standing::Outsider, Standing::Member);
    if !may(standing, visibility, Action::Read) {
        return Ok(Err(Refusal::NotFound));
    }
    if !may(standing, visibility, Action::Signal) {
        return Ok(Err(Refusal::Forbidden));
    }
    let muted_until = row.try_get::<Option<i64>, _>("muted_until")?.map(Timestamp);
    if let Some(until) = muted_until.filter(|until| *until > now) {
        return Ok(Err(Refusal::Muted(until)));
    }
    if speak.to.is_some() && !row.try_get::<bool, _>("heard")? {
        return Ok(Err(Refusal::NoUser));
    }
    Ok(Ok(Speaker {
        user: Arc::new(rows::user(row)?),
        checked: rows::seq(row, "head")?,
    }))
}

impl Sqlite {
    /// Puts the members of that moment into an event that shuts out all others.
    async fn name_members(&self, event: &mut Event) -> Result<(), StoreError> {
        let Event::Changed(change) = event else {
            return Ok(());
        };
        if matches!(change.shuts_out, ShutsOut::AllBut(_)) {
            let members = members_at(&self.readers, &change.cursor).await?;
            Arc::make_mut(change).shuts_out = ShutsOut::AllBut(members);
        }
        Ok(())
    }
}

/// Who was a member of a room when an event was committed, in ascending order.
pub(super) async fn members_at<'c>(
    reader: impl SqliteExecutor<'c>,
    cursor: &Cursor,
) -> Result<Arc<[UserId]>, StoreError> {
    let found = sqlx::query(MEMBERS_AT)
        .bind(cursor.room.as_str())
        .bind(number(cursor.seq))
        .fetch_all(reader)
        .await?;
    let mut members = each(&found, |row| rows::parsed::<UserId>(row, "user_id"))?;
    members.sort_unstable();
    Ok(members.into())
}
