//! Searching, and the index that serves it.
//!
//! The index is a reader of the messages with a cursor, `search_state.upto`. Sends do not touch it.
//! After every [`STEP_MESSAGES`] messages one **step** puts them into the index, in a transaction
//! of its own, after their senders were answered.
//!
//! ```text
//! messages:  1 ───────────────── upto ─────────────── last
//!            found by the index       read by the search itself (the tail)
//! ```
//!
//! - A message is found as soon as it was acknowledged, because a search also reads the tail.
//! - **S5** A search ranks a limited number of messages, reads a limited tail, and stops at a
//!   limited time to look for older messages.
//! - **V6** Deleting a message deletes its words from the index in the same transaction.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    sync::atomic::Ordering,
};

use sqlx::{Row, SqliteConnection};

use super::{
    Sqlite, SqliteLimits,
    readable::{readable, reader_id},
    readers::{ReadConnection, ReadRow, SqliteReadError},
    rows::{self, Columns, Damaged, message_columns},
};
use crate::{
    domain::{
        Caller, Message, MessageId, RoomId, Score, SearchMark, SearchQuery, folding,
        searchable_words,
    },
    store::{Hit, Search, SearchOutcome, StoreError},
};

/// Messages that one step puts into the index. A step is due when this many messages are not in it.
const STEP_MESSAGES: u32 = 256;

/// The longest tail that a search reads. A longer tail means that the database is older than the
/// index, and the index is still being built.
const TAIL_MESSAGES_MAX: i64 = 4096;

/// The room of a search of one room, if the caller may read it.
const ROOM: &str = concat!(
    "select r.id, n.number from rooms r left join search_rooms n on n.room_id = r.id
     where r.id = ?2 and ",
    readable!()
);

/// The rooms of a search without a room, at most `?2`: first the viewer's own, the last joined
/// first; then public ones, the newest first.
const ROOMS: &str = "
    with own as (
        select r.id, 0 as rank, b.joined_at as since from members b join rooms r on r.id = b.room_id
        where b.user_id = ?1 and r.deleted_at is null order by b.joined_at desc limit ?2
    ), public as (
        select r.id, 1 as rank, r.created_at as since from rooms r
        where r.visibility = 0 and r.deleted_at is null order by r.created_at desc limit ?2
    )
    select r.id, n.number from (
        select * from own union all select * from public where id not in (select id from own)
        order by rank, since desc limit ?2
    ) r left join search_rooms n on n.room_id = r.id";

const STATE: &str =
    "select upto, (select coalesce(max(rowid), 0) from messages) as last from search_state";

const PLACE: &str = "select rowid as place from messages where id = ?1";

/// The messages that the index finds, newest first. `?1` is the query of the index.
const INDEXED: &str = concat!(
    "select s.rowid as place, ",
    message_columns!(),
    " from search s cross join messages m on m.rowid = s.rowid
      cross join rooms r on r.id = m.room_id cross join users u on u.id = m.sender_id
      where s.words match ?1 and s.rowid between ?2 and ?3 order by s.rowid desc limit ?4"
);

/// The messages of the tail, newest first, in the rooms of `?1`. The plus keeps the planner from
/// reading whole rooms.
const TAIL: &str = concat!(
    "select m.rowid as place, ",
    message_columns!(),
    " from messages m cross join rooms r on r.id = m.room_id
      cross join users u on u.id = m.sender_id
      where m.rowid between ?2 and ?3 and m.deleted_at is null
      and +m.room_id in (select value from json_each(?1)) order by m.rowid desc"
);

/// Gives a number to each room of the next `?1` messages that has none.
macro_rules! number_rooms {
    () => {
        "insert into search_rooms (room_id)
         select distinct room_id from (
             select room_id from messages where rowid > (select upto from search_state)
             order by rowid limit ?1
         ) where true on conflict do nothing"
    };
}

/// The next `?1` messages that are not in the index.
macro_rules! next_messages {
    () => {
        "select m.rowid as place, m.id, m.text, n.number
         from messages m cross join search_rooms n on n.room_id = m.room_id
         where m.rowid > (select upto from search_state) order by m.rowid limit ?1"
    };
}

/// The message at a row id.
const AT_PLACE: &str = concat!(
    "select ",
    message_columns!(),
    " from messages m join rooms r on r.id = m.room_id join users u on u.id = m.sender_id
      where m.rowid = ?1"
);

/// A message that matches, and may be on the page.
struct Candidate {
    score: Score,
    /// The row id of the message. Row ids are 1, 2, 3 in the order of arrival.
    place: i64,
    id: MessageId,
}

/// The messages that the answer ranks, by their row ids, and the hit that the page begins after.
struct RankedRange {
    oldest: i64,
    newest: i64,
    after: Option<(Score, i64)>,
}

/// The rooms to search, each with its number in the index, if it has one.
type SearchedRooms = Vec<(RoomId, Option<i64>)>;

/// Searches. The rights and the hits are read in one transaction.
pub(super) fn find(
    reader: &ReadConnection,
    search: &Search,
    caller: Caller,
    limits: &SqliteLimits,
) -> Result<SearchOutcome, SqliteReadError> {
    reader.in_transaction(|reader| {
        let rooms = rooms_of(reader, search, caller, limits)?;
        if search.room.is_some() && rooms.is_empty() {
            return Ok(SearchOutcome::NoRoom);
        }
        let Some(range) = range(reader, search.after)? else {
            return Ok(SearchOutcome::NoMark);
        };
        let state =
            |row: &ReadRow<'_>| Ok((rows::integer(row, "upto")?, rows::integer(row, "last")?));
        let (upto, last) = reader.optional(STATE, [], state)?.unwrap_or_default();
        if last - upto > TAIL_MESSAGES_MAX {
            return Ok(SearchOutcome::NotYet);
        }
        let found = reader.within(limits.search_timeout, |reader| {
            ranked(reader, search, &rooms, &range, (upto, last), limits)
        })?;
        page(reader, search, &range, found)
    })
}

/// The candidates of the tail and of the index, newest first, as far as the time suffices.
fn ranked(
    reader: &ReadConnection,
    search: &Search,
    rooms: &SearchedRooms,
    range: &RankedRange,
    (upto, last): (i64, i64),
    limits: &SqliteLimits,
) -> Result<Vec<Candidate>, SqliteReadError> {
    let mut found = Vec::new();
    let (from, to) = (range.oldest.max(upto + 1), range.newest.min(last));
    if from <= to {
        let rooms: Vec<&str> = rooms.iter().map(|(room, _)| room.as_str()).collect();
        let arguments = (rows::json(&rooms), from, to);
        reader.until_interrupted(TAIL, arguments, |row| {
            add_match(row, &search.query, &mut found)
        })?;
    }
    found.truncate(limits.search_candidates_max as usize);
    let left = limits.search_candidates_max - u32::try_from(found.len()).unwrap_or(u32::MAX);
    if let Some(words) = index_query(&search.query, rooms) {
        let arguments = (words, range.oldest, range.newest.min(upto), left);
        reader.until_interrupted(INDEXED, arguments, |row| {
            add_match(row, &search.query, &mut found)
        })?;
    }
    Ok(found)
}

/// Adds a row if it matches the query.
fn add_match(
    row: &ReadRow<'_>,
    query: &SearchQuery,
    found: &mut Vec<Candidate>,
) -> Result<(), Damaged> {
    if let Some(score) = query.score(row.text("text")?.unwrap_or_default()) {
        found.push(Candidate {
            score,
            place: rows::integer(row, "place")?,
            id: rows::parsed(row, "id")?,
        });
    }
    Ok(())
}

fn rooms_of(
    reader: &ReadConnection,
    search: &Search,
    caller: Caller,
    limits: &SqliteLimits,
) -> Result<SearchedRooms, SqliteReadError> {
    let room = |row: &ReadRow<'_>| Ok((rows::parsed(row, "id")?, row.integer("number")?));
    match &search.room {
        Some(id) => reader.all(ROOM, (reader_id(caller), id.as_str()), room),
        None => reader.all(ROOMS, (reader_id(caller), limits.search_rooms_max), room),
    }
}

impl Sqlite {
    /// Puts the next messages into the index. Returns whether more are left. Must not be cancelled.
    pub(super) async fn index_step(&self) -> Result<bool, StoreError> {
        let mut writer = self.writing().await?;
        let result = step(&mut writer)
            .await
            .inspect_err(|error| self.health.seen(error));
        if result.is_err() {
            // SQLite may have rolled back by itself; no transaction is open either way.
            let _ = sqlx::raw_sql("rollback").execute(&mut *writer).await;
        }
        let left = result?;
        self.unindexed.store(left, Ordering::Relaxed);
        Ok(left > 0)
    }

    /// Whether enough messages were sent since the last step for the next one.
    pub(super) fn step_is_due(&self) -> bool {
        self.unindexed.load(Ordering::Relaxed) >= u64::from(STEP_MESSAGES)
    }
}

/// The range that the answer ranks; `None` if the mark names a message that does not exist.
fn range(
    reader: &ReadConnection,
    after: Option<SearchMark>,
) -> Result<Option<RankedRange>, SqliteReadError> {
    let Some(mark) = after else {
        return Ok(Some(RankedRange {
            oldest: 1,
            newest: i64::MAX,
            after: None,
        }));
    };
    let mut places = Vec::with_capacity(3);
    for id in [mark.oldest, mark.newest, mark.message] {
        let place = |row: &ReadRow<'_>| rows::integer(row, "place");
        let Some(place) = reader.optional(PLACE, [id.to_string()], place)? else {
            return Ok(None);
        };
        places.push(place);
    }
    Ok(Some(RankedRange {
        oldest: places[0],
        newest: places[1],
        after: Some((mark.score, places[2])),
    }))
}

/// The best hits after the mark, of equally good ones the newer first. `found` comes newest first.
fn page(
    reader: &ReadConnection,
    search: &Search,
    range: &RankedRange,
    mut found: Vec<Candidate>,
) -> Result<SearchOutcome, SqliteReadError> {
    let (Some(newest), Some(oldest)) = (found.first(), found.last()) else {
        return Ok(SearchOutcome::Hits(Vec::new()));
    };
    // Later pages rank the same messages as the first page, even if the messages at its ends were
    // deleted.
    let (oldest, newest) = search
        .after
        .map_or((oldest.id, newest.id), |mark| (mark.oldest, mark.newest));
    found.sort_unstable_by_key(|candidate| Reverse((candidate.score, candidate.place)));
    if let Some(after) = range.after {
        found.retain(|candidate| (candidate.score, candidate.place) < after);
    }
    found.truncate(search.limit as usize);
    let mut rooms: HashMap<String, RoomId> = HashMap::new();
    let mut hits = Vec::with_capacity(found.len());
    for Candidate { score, place, .. } in found {
        let message = reader.optional(AT_PLACE, [place], |row| {
            let room: RoomId = rows::parsed(row, "room_id")?;
            let room = rooms.entry(room.to_string()).or_insert(room);
            rows::message(row, room)
        })?;
        // It is there: the whole search reads one state of the database.
        let Some(message) = message else { continue };
        let mark = SearchMark {
            oldest,
            newest,
            message: message.id,
            score,
        };
        hits.push(Hit { message, mark });
    }
    Ok(SearchOutcome::Hits(hits))
}

/// The query in the language of the index, where each word carries the number of its room; `None`
/// if no room is in the index.
fn index_query(query: &SearchQuery, rooms: &[(RoomId, Option<i64>)]) -> Option<String> {
    let numbers: Vec<i64> = rooms.iter().filter_map(|(_, number)| *number).collect();
    let phrase = |number: i64, words: &[String]| {
        let words: Vec<String> = words
            .iter()
            .map(|word| format!("{number:x}_{word}"))
            .collect();
        format!("\"{}\"", words.join(" "))
    };
    let of_room = |number: &i64| {
        let phrases: Vec<String> = query
            .phrases()
            .map(|words| phrase(*number, words))
            .collect();
        format!("({})", phrases.join(" AND "))
    };
    let all: Vec<String> = numbers.iter().map(of_room).collect();
    (!all.is_empty()).then(|| all.join(" OR "))
}

/// The words of a message in the index. Each carries the number of its room, so that a search of
/// one room never meets the words of another.
fn entry(room: i64, text: &str) -> String {
    let prefix = format!("{room:x}_");
    let mut entry = String::with_capacity(2 * text.len());
    for word in searchable_words(text) {
        entry.push_str(&prefix);
        entry.push_str(&word);
        entry.push(' ');
    }
    entry
}

/// Puts the next messages into the index, in one transaction. Returns how many are left.
async fn step(writer: &mut SqliteConnection) -> Result<u64, StoreError> {
    let found = sqlx::query(concat!(
        "begin immediate;",
        number_rooms!(),
        ";",
        next_messages!()
    ));
    let found = found.bind(STEP_MESSAGES).fetch_all(&mut *writer).await?;
    let mut entries: BTreeMap<i64, String> = BTreeMap::new();
    for row in &found {
        // Deleted messages have no words; neither has a message of emoji only.
        let words = entry(row.try_get("number")?, row.try_get("text")?);
        if !words.is_empty() {
            entries.insert(row.try_get("place")?, words);
        }
    }
    if let Some(last) = found.last() {
        let (place, id): (i64, &str) = (last.try_get("place")?, last.try_get("id")?);
        let insert = "
            insert into search (rowid, words)
            select cast(j.key as integer), j.value from json_each(?1) j;
            update search_state set upto = ?2, message_id = ?3;";
        let query = sqlx::query(insert)
            .bind(rows::json(&entries))
            .bind(place)
            .bind(id);
        query.execute(&mut *writer).await?;
    }
    sqlx::raw_sql("commit").execute(&mut *writer).await?;
    let row = sqlx::query(STATE).fetch_one(&mut *writer).await?;
    let left = row.try_get::<i64, _>("last")? - row.try_get::<i64, _>("upto")?;
    Ok(u64::try_from(left).unwrap_or_default())
}

/// Replaces the words of a message whose text changes, in the transaction that changes it (V6).
pub(super) async fn replace_words(
    writer: &mut SqliteConnection,
    before: &Message,
    after: &Message,
) -> Result<(), sqlx::Error> {
    let sql = "select m.rowid as place, n.number from messages m, search_state t
               join search_rooms n on n.room_id = m.room_id where m.id = ?1 and m.rowid <= t.upto";
    let Some(row) = sqlx::query(sql)
        .bind(before.id.to_string())
        .fetch_optional(&mut *writer)
        .await?
    else {
        // The index does not hold the message yet. A later step reads its new text.
        return Ok(());
    };
    let (place, room): (i64, i64) = (row.try_get("place")?, row.try_get("number")?);
    let delete = "insert into search (search, rowid, words) values ('delete', ?1, ?2)";
    let insert = "insert into search (rowid, words) values (?1, ?2)";
    for (sql, message) in [(delete, before), (insert, after)] {
        let words = entry(room, message.text());
        if !words.is_empty() {
            sqlx::query(sql)
                .bind(place)
                .bind(words)
                .execute(&mut *writer)
                .await?;
        }
    }
    Ok(())
}

/// Clears the index if it was built by other rules or from other messages. Returns how many
/// messages it does not hold.
pub(super) async fn check_index(writer: &mut SqliteConnection) -> Result<u64, StoreError> {
    let sql =
        "select t.folding = ?1 and t.message_id is (select id from messages where rowid = t.upto)
               as is_current from search_state t";
    let row = sqlx::query(sql)
        .bind(folding())
        .fetch_one(&mut *writer)
        .await?;
    if !row.try_get::<bool, _>("is_current")? {
        let clear = "begin immediate;
                    insert into search (search) values ('delete-all');
                    update search_state set upto = 0, message_id = null, folding = ?1;
                    commit;";
        sqlx::query(clear)
            .bind(folding())
            .execute(&mut *writer)
            .await?;
    }
    let row = sqlx::query(STATE).fetch_one(&mut *writer).await?;
    let left = row.try_get::<i64, _>("last")? - row.try_get::<i64, _>("upto")?;
    Ok(u64::try_from(left).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use sqlx::{ConnectOptions, sqlite::SqliteConnectOptions};

    use std::sync::Arc;

    use super::*;
    use crate::domain::{
        Body, Cursor, Epoch, EventTag, MessageText, Seq, Timestamp, User, UserId, UserName,
    };

    async fn database() -> SqliteConnection {
        let options = SqliteConnectOptions::new().in_memory(true);
        let mut connection = options.connect().await.unwrap();
        super::super::migrator().run(&mut connection).await.unwrap();
        connection
    }

    fn message(text: &str) -> Message {
        Message {
            id: "msg_00000000000000000000000000000001".parse().unwrap(),
            cursor: Cursor {
                room: "room-1".parse().unwrap(),
                epoch: Epoch(1),
                seq: Seq(1),
                tag: EventTag::UNKNOWN,
            },
            sender: Arc::new(User {
                id: UserId::from_bytes([1; 16]),
                name: UserName::new("ann").unwrap(),
                created_at: Timestamp(0),
            }),
            body: Body::Text(MessageText::new(text).unwrap()),
            created_at: Timestamp(0),
            reply_to: None,
            nonce: None,
        }
    }

    #[tokio::test]
    async fn v6_the_words_of_a_message_follow_its_text() {
        let mut writer = database().await;
        let (first, second) = (message("needle in hay"), message("hay and straw"));
        let user = first.sender.id.to_string();
        sqlx::query("insert into users (id, name, created_at) values (?1, 'ann', 0)")
            .bind(&user)
            .execute(&mut writer)
            .await
            .unwrap();
        sqlx::query(
            "insert into messages (id, room_id, seq, sender_id, text, created_at)
             values (?1, 'room-1', 1, ?2, ?3, 0)",
        )
        .bind(first.id.to_string())
        .bind(&user)
        .bind(first.text())
        .execute(&mut writer)
        .await
        .unwrap();
        step(&mut writer).await.unwrap();
        let deleted = Message {
            body: Body::Deleted(Timestamp(1)),
            ..second.clone()
        };
        for (before, after, expected) in [
            (&first, &first, ["1_needle", "1_hay"].as_slice()),
            (&first, &second, &["1_hay", "1_straw"]),
            (&second, &deleted, &[]),
        ] {
            replace_words(&mut writer, before, after).await.unwrap();
            let mut found = Vec::new();
            for word in ["1_needle", "1_hay", "1_straw"] {
                let row = sqlx::query("select rowid from search where words match ?1")
                    .bind(word)
                    .fetch_optional(&mut writer)
                    .await
                    .unwrap();
                found.extend(row.map(|_| word));
            }
            assert_eq!(found, expected, "{}", after.text());
        }
    }

    /// Only small sets, such as rooms, may be sorted or scanned.
    #[tokio::test]
    async fn s5_no_statement_sorts_or_scans_messages() {
        let mut connection = database().await;
        for sql in [
            ROOM,
            INDEXED,
            TAIL,
            PLACE,
            STATE,
            number_rooms!(),
            next_messages!(),
        ] {
            let plan = sqlx::query(sqlx::AssertSqlSafe(format!("explain query plan {sql}")));
            let rows = plan.fetch_all(&mut connection).await.unwrap();
            let steps: Vec<&str> = rows
                .iter()
                .map(|row| row.try_get("detail").unwrap())
                .collect();
            let bad = |step: &&str| {
                step.contains("FOR ORDER BY")
                    || ["SCAN m", "SCAN messages", "SCAN r"].contains(step)
            };
            assert!(!steps.iter().any(bad), "{sql}\n{steps:#?}");
        }
    }
}
