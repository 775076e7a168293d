//! Reading, on connections that cannot write.
//!
//! Each operation is one statement, so it needs no transaction (S1). The one exception is an event
//! that names the members of its time: a second statement reads them, and they never change.

use std::sync::Arc;

use async_trait::async_trait;
use sqlx::SqliteConnection;

use super::{
    Sqlite,
    readable::{readable, reader_id},
    readers::{ReadConnection, SqliteReadError},
    rows::{self, Columns, Damaged, message_columns, room_columns},
    search::find,
};
use crate::{
    domain::{
        Caller, Event, Member, MemberId, Message, MessageId, Room, RoomId, Seq, ShutsOut,
        Timestamp, UserId, folded,
    },
    store::{
        AppendError, Log, MemberWindow, RoomWindow, Search, SearchOutcome, Speak, Speaker,
        StoreError, Window,
        rules::{self, Recipient, SpeakerFacts, SpeakerRoom},
    },
};

const ROOM: &str = concat!(
    "select ",
    room_columns!(),
    " from rooms r where r.id = ?2 and ",
    readable!()
);

/// A page of the rooms that the caller may read: public rooms, and private rooms of the viewer.
/// Each of the two parts is read in the order of ids from an index, so private rooms of others cost
/// nothing. `$found` is a condition on the room `r`.
macro_rules! rooms {
    ($found:literal, $order:literal) => {
        concat!(
            "select ",
            room_columns!(),
            " from rooms r where r.id in (
                select id from (
                    select r.id from rooms r indexed by rooms_public_by_id
                    where r.visibility = 0 and r.deleted_at is null and r.id > ?2 and r.id < ?5
                    and ",
            $found,
            " order by r.id ",
            $order,
            " limit ?4)
                union all
                select id from (
                    select r.id from members b indexed by members_by_user_and_room
                    cross join rooms r on r.id = b.room_id
                    where b.user_id = ?1 and b.room_id > ?2 and b.room_id < ?5
                    and r.visibility <> 0 and r.deleted_at is null and ",
            $found,
            " order by b.room_id ",
            $order,
            " limit ?4)
              ) order by r.id ",
            $order,
            " limit ?4"
        )
    };
}

/// A page of all rooms, or of those with the text `?3` in their id or name, for which SQLite may
/// have to look at all rooms.
fn rooms_sql(window: &RoomWindow<'_>) -> &'static str {
    match (window.search.is_some(), window.from_end) {
        (false, false) => rooms!("?3 is null", "asc"),
        (false, true) => rooms!("?3 is null", "desc"),
        (true, false) => rooms!("(instr(r.id, ?3) or instr(r.folded_name, ?3))", "asc"),
        (true, true) => rooms!("(instr(r.id, ?3) or instr(r.folded_name, ?3))", "desc"),
    }
}

/// A text after every id of a room.
const AFTER_ALL_ROOMS: &str = "~";

const EVENTS: &str = concat!(
    "select e.kind, e.seq as event_seq, e.at, e.actor_id, e.user_id as subject_id, e.role,
     e.shuts_out, ",
    message_columns!(),
    " from events e join rooms r on r.id = e.room_id
      left join messages m on m.id = e.message_id left join users u on u.id = m.sender_id
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

pub(super) const MESSAGE: &str = concat!(
    "select ",
    message_columns!(),
    " from messages m join rooms r on r.id = m.room_id join users u on u.id = m.sender_id
      where m.id = ?2 and ",
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

/// The facts of [`rules::speaker`]. No row if the viewer is unknown. `?1` is the viewer, `?2` the
/// room, `?3` the recipient.
const SPEAKER: &str =
    "select u.id as user_id, u.name as user_name, u.created_at as user_created_at,
     r.visibility, r.head, b.role, x.muted_until,
     t.id is not null as recipient_known, c.role as recipient_role
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
            "where b.room_id = ?1 and (?2 is null or b.id > ?2) and (?3 is null or b.id < ?3)
             order by b.id ",
            $order,
            " limit ?4"
        )
    };
}

/// The users who were members right after an event. They joined with it or before it, and either
/// are members still or left later.
const MEMBERS_AT: &str = "select user_id from members where room_id = ?1 and joined_seq <= ?2
    union select user_id from events
    where room_id = ?1 and seq > ?2 and kind = 3 and joined_seq <= ?2
    order by user_id";

/// A Seq as an SQLite integer. A larger Seq becomes the largest integer, which is after every
/// event.
fn number(seq: Seq) -> i64 {
    i64::try_from(seq.0).unwrap_or(i64::MAX)
}

#[async_trait]
impl Log for Sqlite {
    async fn room(&self, id: &RoomId, caller: Caller) -> Result<Option<Room>, StoreError> {
        let (caller, id) = (reader_id(caller), id.clone());
        self.read(move |reader| reader.optional(ROOM, (caller, id.as_str()), |row| rows::room(row)))
            .await
    }

    async fn rooms(&self, caller: Caller, window: RoomWindow<'_>) -> Result<Vec<Room>, StoreError> {
        let arguments = (
            reader_id(caller),
            window.after.unwrap_or_default().to_owned(),
            window.search.map(folded),
            window.limit,
            window.before.unwrap_or(AFTER_ALL_ROOMS).to_owned(),
        );
        let sql = rooms_sql(&window);
        let read = move |reader: &ReadConnection| reader.all(sql, arguments, |row| rows::room(row));
        let mut found = match window.search {
            None => self.read(read).await?,
            Some(_) => {
                let timeout = self.limits.database_busy_timeout;
                let limited = move |reader: &ReadConnection| reader.within(timeout, read);
                self.read_long(limited).await?
            }
        };
        if window.from_end {
            found.reverse();
        }
        Ok(found)
    }

    async fn events(
        &self,
        id: &RoomId,
        after: Seq,
        upto: Seq,
        limit: u32,
    ) -> Result<Vec<Arc<Event>>, StoreError> {
        let id = id.clone();
        self.read(move |reader| {
            let arguments = (id.as_str(), number(after), number(upto), limit);
            let mut events = reader.all(EVENTS, arguments, |row| rows::event(row, &id))?;
            for event in &mut events {
                name_members(reader, event)?;
            }
            Ok::<_, SqliteReadError>(events.into_iter().map(Arc::new).collect())
        })
        .await
    }

    async fn messages(&self, id: &RoomId, window: Window) -> Result<Vec<Arc<Message>>, StoreError> {
        let id = id.clone();
        self.read(move |reader| messages(reader, &id, window)).await
    }

    async fn room_with_messages(
        &self,
        id: &RoomId,
        caller: Caller,
        window: Window,
    ) -> Result<Option<(Room, Vec<Arc<Message>>)>, StoreError> {
        let (caller, id) = (reader_id(caller), id.clone());
        self.read(move |reader| {
            // So that the room and the messages have the same head.
            reader.in_transaction(|reader| {
                let room = reader.optional(ROOM, (caller, id.as_str()), |row| rows::room(row))?;
                let with_messages = |room: Room| Ok((room, messages(reader, &id, window)?));
                room.map(with_messages).transpose()
            })
        })
        .await
    }

    async fn message(
        &self,
        id: &MessageId,
        caller: Caller,
    ) -> Result<Option<Arc<Message>>, StoreError> {
        let arguments = (reader_id(caller), id.to_string());
        self.read(move |reader| {
            reader.optional(MESSAGE, arguments, |row| {
                rows::message(row, &rows::parsed(row, "room_id")?)
            })
        })
        .await
    }

    async fn membership(
        &self,
        room: &RoomId,
        user: UserId,
        now: Timestamp,
    ) -> Result<Option<Member>, StoreError> {
        let arguments = (room.as_str().to_owned(), user.to_string());
        self.read(move |reader| {
            reader.optional(MEMBERSHIP, arguments, |row| rows::member(row, now))
        })
        .await
    }

    async fn speaker(&self, speak: Speak<'_>, now: Timestamp) -> Result<Speaker, AppendError> {
        let to = speak.to.map(|to| to.to_string());
        let asks_for_recipient = to.is_some();
        let arguments = (speak.viewer.to_string(), speak.room.as_str().to_owned(), to);
        let read = self.read(move |reader| {
            reader.optional(SPEAKER, arguments, |row| {
                speaker_facts(row, asks_for_recipient)
            })
        });
        let facts = read.await?.unwrap_or(SpeakerFacts {
            user: None,
            room: None,
        });
        Ok(rules::speaker(facts, now)?)
    }

    async fn member(
        &self,
        id: &MemberId,
        caller: Caller,
        now: Timestamp,
    ) -> Result<Option<Member>, StoreError> {
        let arguments = (reader_id(caller), id.to_string());
        self.read(move |reader| reader.optional(MEMBER, arguments, |row| rows::member(row, now)))
            .await
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
        let arguments = (
            room.as_str().to_owned(),
            window.after.map(|id| id.to_string()),
            window.before.map(|id| id.to_string()),
            window.limit,
        );
        let read =
            self.read(move |reader| reader.all(sql, arguments, |row| rows::member(row, now)));
        let mut found = read.await?;
        if window.from_end {
            found.reverse();
        }
        Ok(found)
    }

    async fn search(&self, search: &Search, caller: Caller) -> Result<SearchOutcome, StoreError> {
        let (search, limits) = (search.clone(), self.limits);
        self.read_long(move |reader| find(reader, &search, caller, &limits))
            .await
    }
}

fn speaker_facts(row: &impl Columns, asks_for_recipient: bool) -> Result<SpeakerFacts, Damaged> {
    let user = Some(Arc::new(rows::user(row)?));
    if row.integer("head")?.is_none() {
        return Ok(SpeakerFacts { user, room: None });
    }
    let recipient = if asks_for_recipient {
        Some(Recipient {
            known: rows::integer(row, "recipient_known")? != 0,
            role: rows::role(row, "recipient_role")?,
        })
    } else {
        None
    };
    let room = SpeakerRoom {
        rights: rows::rights(row)?,
        muted_until: rows::optional_timestamp(row, "muted_until")?,
        head: rows::seq(row, "head")?,
        recipient,
    };
    Ok(SpeakerFacts {
        user,
        room: Some(room),
    })
}

impl Sqlite {
    /// Runs a short read.
    pub(super) async fn read<T, E>(
        &self,
        read: impl FnOnce(&ReadConnection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        E: Into<StoreError> + Send + 'static,
    {
        let result = self.readers.read(read).await;
        result.inspect_err(|error| self.health.seen(error))
    }

    /// Runs a read that may take long. It must end by itself after a time.
    async fn read_long<T, E>(
        &self,
        read: impl FnOnce(&ReadConnection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        E: Into<StoreError> + Send + 'static,
    {
        let result = self.searchers.read(read).await;
        result.inspect_err(|error| self.health.seen(error))
    }
}

fn messages(
    reader: &ReadConnection,
    room: &RoomId,
    window: Window,
) -> Result<Vec<Arc<Message>>, SqliteReadError> {
    let sql = if window.from_end {
        messages!("desc")
    } else {
        messages!("asc")
    };
    let before = window.before.map_or(i64::MAX, number);
    let arguments = (room.as_str(), number(window.after), before, window.limit);
    let mut found = reader.all(sql, arguments, |row| rows::message(row, room))?;
    if window.from_end {
        found.reverse();
    }
    Ok(found)
}

/// Adds the members to an event that shuts out all others.
fn name_members(reader: &ReadConnection, event: &mut Event) -> Result<(), SqliteReadError> {
    let Event::Changed(change) = event else {
        return Ok(());
    };
    if matches!(change.shuts_out, ShutsOut::AllBut(_)) {
        let arguments = (change.cursor.room.as_str(), number(change.cursor.seq));
        let mut members: Vec<UserId> =
            reader.all(MEMBERS_AT, arguments, |row| rows::parsed(row, "user_id"))?;
        members.sort_unstable();
        Arc::make_mut(change).shuts_out = ShutsOut::AllBut(members.into());
    }
    Ok(())
}

/// The members of a room at an event, in ascending order, for the connection that writes.
pub(super) async fn members_at(
    writer: &mut SqliteConnection,
    room: &RoomId,
    seq: Seq,
) -> Result<Arc<[UserId]>, sqlx::Error> {
    let found = sqlx::query(MEMBERS_AT)
        .bind(room.as_str())
        .bind(number(seq))
        .fetch_all(writer)
        .await?;
    let members = found.iter().map(|row| rows::parsed(row, "user_id"));
    let mut members: Vec<UserId> = members.collect::<Result<_, _>>()?;
    members.sort_unstable();
    Ok(members.into())
}
