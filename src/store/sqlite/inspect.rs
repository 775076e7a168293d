//! Whether the content of a database file is complete and fits together.

use std::{fs, io, path::Path, time::Duration};

use futures::{StreamExt, TryStreamExt};
use sqlx::{
    ConnectOptions, Connection, Row, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteRow},
};

use crate::store::Inspection;

/// How long a read waits for the lock of another process.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Problems of one kind that are listed; a damaged file can have millions.
const PROBLEMS_MAX: i64 = 20;

/// Rooms in which the Seqs are not 1, 2, 3 up to the head (S2).
const GAPS: &str = "
    select r.id, r.head, count(e.seq) as events, coalesce(max(e.seq), 0) as newest
    from rooms r left join events e on e.room_id = r.id
    group by r.id
    having events <> r.head or newest <> r.head
    limit ?1";

/// Messages that are in no log.
const STRAYS: &str = "
    select m.id from messages m
    where not exists (select 1 from events e
                      where e.room_id = m.room_id and e.seq = m.seq and e.message_id = m.id)
    limit ?1";

/// Reads the whole database file at a path, and its write-ahead log. It changes neither.
pub(super) async fn inspect(path: &Path) -> Inspection {
    let mut found = Inspection::default();
    if let Err(error) = read(path, &mut found).await {
        found.problems.push(error.to_string());
    }
    found
}

/// A connection that reads a database, and does not create it.
pub(super) async fn open_read_only(path: &Path) -> Result<SqliteConnection, sqlx::Error> {
    // SQLite would delete the write-ahead log beside an empty file.
    if fs::metadata(path)?.len() == 0 {
        return Err(io::Error::other("it is empty").into());
    }
    SqliteConnectOptions::new()
        .filename(path)
        .read_only(true)
        .busy_timeout(BUSY_TIMEOUT)
        .disable_statement_logging()
        .connect()
        .await
}

async fn read(path: &Path, found: &mut Inspection) -> Result<(), sqlx::Error> {
    let mut connection = open_read_only(path).await?;
    // All statements read the same state.
    let mut reading = connection.begin().await?;
    let sql = "select count(*) from sqlite_master where name in ('_sqlx_migrations', 'rooms')";
    let tables: i64 = sqlx::query_scalar(sql).fetch_one(&mut *reading).await?;
    if tables < 2 {
        found
            .problems
            .push("it is no database of Switchboard".to_owned());
        return Ok(());
    }
    let damage: Vec<String> = sqlx::query_scalar("pragma integrity_check(20)")
        .fetch_all(&mut *reading)
        .await?;
    // SQLite puts several problems into one row.
    let lines = damage.iter().flat_map(|row| row.lines());
    let lines = lines.filter(|line| *line != "ok" && !line.starts_with("***"));
    found.problems.extend(lines.map(str::to_owned));
    if !found.problems.is_empty() {
        return Ok(());
    }
    for row in sqlx::query(GAPS)
        .bind(PROBLEMS_MAX)
        .fetch_all(&mut *reading)
        .await?
    {
        let (room, head): (String, i64) = (row.try_get("id")?, row.try_get("head")?);
        let (events, newest): (i64, i64) = (row.try_get("events")?, row.try_get("newest")?);
        found.problems.push(format!(
            "the log of the room {room} has {events} events; the newest has number {newest}, and \
             the room's head is {head}"
        ));
    }
    let strays: Vec<String> = sqlx::query_scalar(STRAYS)
        .bind(PROBLEMS_MAX)
        .fetch_all(&mut *reading)
        .await?;
    let in_no_log = |id| format!("the message {id} is in no log");
    found.problems.extend(strays.into_iter().map(in_no_log));
    let missing: Vec<SqliteRow> = sqlx::query("pragma foreign_key_check")
        .fetch(&mut *reading)
        .take(usize::try_from(PROBLEMS_MAX).unwrap_or(usize::MAX))
        .try_collect()
        .await?;
    for row in missing {
        let (table, parent): (String, String) = (row.try_get("table")?, row.try_get("parent")?);
        let text = format!("a row of {table} names a row of {parent} that is missing");
        found.problems.push(text);
    }
    let sql =
        "select (select count(*) from rooms) as rooms, (select sum(head) from rooms) as events";
    let counts = sqlx::query(sql).fetch_one(&mut *reading).await?;
    found.rooms = counts.try_get::<i64, _>("rooms")?.cast_unsigned();
    found.events = counts.try_get::<i64, _>("events")?.cast_unsigned();
    reading.rollback().await
}
