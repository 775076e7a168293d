//! Reading: each operation is one statement on a connection that cannot write.

use std::sync::Arc;

use async_trait::async_trait;
use sqlx::sqlite::SqliteRow;

use super::{Sqlite, rows};
use crate::{
    domain::{Event, Message, MessageId, Room, RoomId, Seq, Who},
    store::{Log, StoreError, Window},
};

/// Whether the room `r` may be read by [`asker`] `?1`. The table of rights as SQL: public, or a member.
macro_rules! readable {
    () => {
        "(r.visibility = 0 or ?1 = '*' or exists (select 1 from members b where b.room_id = r.id and b.user_id = ?1))"
    };
}

macro_rules! message_columns {
    () => {
        "m.id, m.room_id, m.seq, m.text, m.created_at, r.epoch,
         u.id as user_id, u.name as user_name, u.created_at as user_created_at"
    };
}

const ROOM: &str = concat!(
    "select r.id, r.name, r.visibility, r.created_at, r.epoch, r.head from rooms r where r.id = ?2 and ",
    readable!()
);

const ROOMS: &str = concat!(
    "select r.id, r.name, r.visibility, r.created_at, r.epoch, r.head from rooms r where r.id > ?2
     and (?3 is null or instr(lower(r.id), lower(?3)) or instr(lower(r.name), lower(?3))) and ",
    readable!(),
    " order by r.id limit ?4"
);

const EVENTS: &str = concat!(
    "select e.kind, ",
    message_columns!(),
    " from events e join rooms r on r.id = e.room_id
      join messages m on m.id = e.message_id join users u on u.id = m.sender_id
      where e.room_id = ?1 and e.seq > ?2 and e.seq <= ?3 order by e.seq limit ?4"
);

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

const MESSAGE: &str = concat!(
    "select ",
    message_columns!(),
    " from messages m join rooms r on r.id = m.room_id join users u on u.id = m.sender_id where m.id = ?2 and ",
    readable!()
);

fn asker(who: Who) -> Option<String> {
    match who {
        Who::Nobody => None,
        Who::Viewer(viewer) => Some(viewer.user.to_string()),
        Who::Shared => Some("*".to_owned()),
    }
}

/// A Seq as SQLite holds numbers; one beyond its range stands after every event.
fn number(seq: Seq) -> i64 {
    i64::try_from(seq.0).unwrap_or(i64::MAX)
}

fn each<T>(rows: &[SqliteRow], decode: impl Fn(&SqliteRow) -> Result<T, sqlx::Error>) -> Result<Vec<T>, StoreError> {
    Ok(rows.iter().map(decode).collect::<Result<_, _>>()?)
}

#[async_trait]
impl Log for Sqlite {
    async fn room(&self, id: &RoomId, who: Who) -> Result<Option<Room>, StoreError> {
        let row = sqlx::query(ROOM).bind(asker(who)).bind(id.as_str()).fetch_optional(&self.readers).await?;
        Ok(row.as_ref().map(rows::room).transpose()?)
    }

    async fn rooms(
        &self,
        who: Who,
        after: Option<&str>,
        search: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Room>, StoreError> {
        let found = sqlx::query(ROOMS)
            .bind(asker(who))
            .bind(after.unwrap_or_default())
            .bind(search)
            .bind(limit)
            .fetch_all(&self.readers)
            .await?;
        each(&found, rows::room)
    }

    async fn events(&self, id: &RoomId, after: Seq, upto: Seq, limit: u32) -> Result<Vec<Arc<Event>>, StoreError> {
        let found = sqlx::query(EVENTS)
            .bind(id.as_str())
            .bind(number(after))
            .bind(number(upto))
            .bind(limit)
            .fetch_all(&self.readers)
            .await?;
        each(&found, |row| rows::event(row, id))
    }

    async fn messages(&self, id: &RoomId, window: Window) -> Result<Vec<Arc<Message>>, StoreError> {
        let sql = if window.from_end { messages!("desc") } else { messages!("asc") };
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

    async fn message(&self, id: &MessageId, who: Who) -> Result<Option<Arc<Message>>, StoreError> {
        let row = sqlx::query(MESSAGE).bind(asker(who)).bind(id.to_string()).fetch_optional(&self.readers).await?;
        let decode = |row: &SqliteRow| rows::message(row, &rows::parsed(row, "room_id")?);
        Ok(row.as_ref().map(decode).transpose()?)
    }
}
