//! Sending messages: the facts and the writes of a run of sends.

use std::{collections::HashMap, sync::Arc};

use sqlx::{Row, SqliteConnection, sqlite::SqliteRow};

use super::rows::{self, message_columns};
use crate::{
    domain::{Nonce, Timestamp, User, UserId},
    store::{
        AppendError, CommandOutcome, SendMessage, StoreError,
        rules::{SendDecision, SendFacts, SendRun, SendTarget},
    },
};

/// The position of a run in its batch. Each call to the thread of the connection costs as much as
/// inserting a row, so the first call of a batch also begins and the last one also commits.
#[derive(Clone, Copy)]
pub(super) struct BatchPosition {
    pub(super) first: bool,
    pub(super) last: bool,
}

/// The facts of all sends of a run, one row per send. `?1` holds the sends.
macro_rules! facts {
    () => {
        concat!(
            "select r.visibility, r.head, r.slow_mode_seconds, b.role,
                    x.muted_until, x.last_sent_at, t.id is not null as has_reply_target, ",
            message_columns!(),
            " from json_each(?1) j
             left join users u on u.id = j.value ->> 0
             left join rooms r on r.id = j.value ->> 1 and r.deleted_at is null
             left join members b on b.room_id = r.id and b.user_id = u.id
             left join messages m on m.sender_id = u.id and m.nonce = j.value ->> 2
             left join restraints x on x.room_id = r.id and x.user_id = u.id
             left join messages t on t.id = j.value ->> 3 and t.room_id = r.id
             order by j.key"
        )
    };
}

/// Inserts into three tables in one call. `?1` holds the messages, `?2` the time, `?3` the new head
/// of each room.
macro_rules! insert {
    () => {
        "
    insert into messages (id, room_id, seq, sender_id, text, nonce, reply_to, created_at)
    select j.value ->> 0, j.value ->> 1, j.value ->> 2, j.value ->> 3, j.value ->> 4,
           j.value ->> 5, j.value ->> 6, ?2
    from json_each(?1) j;
    insert into events (room_id, seq, kind, at, message_id)
    select j.value ->> 1, j.value ->> 2, 0, ?2, j.value ->> 0 from json_each(?1) j;
    update rooms set head = j.value from json_each(?3) j where rooms.id = j.key;"
    };
}

/// Sends a run of messages, with one call that reads and one that writes.
pub(super) async fn send_messages(
    writer: &mut SqliteConnection,
    sends: &[&SendMessage],
    now: Timestamp,
    position: BatchPosition,
) -> Result<Vec<Result<CommandOutcome, AppendError>>, StoreError> {
    let rows = load(writer, sends, position.first).await?;
    let (mut run, mut senders) = (SendRun::new(now), HashMap::new());
    let mut decisions = Vec::with_capacity(sends.len());
    for (send, row) in sends.iter().zip(&rows) {
        decisions.push(run.decide(send, facts(row, send, &mut senders)?));
    }
    if run.heads().is_empty() {
        if position.last {
            sqlx::raw_sql("commit").execute(&mut *writer).await?;
        }
    } else {
        record_pace(writer, &run, now).await?;
        insert(writer, sends, &decisions, &run, now, position.last).await?;
    }
    let outcomes = decisions.into_iter().map(|decision| match decision {
        Ok(decision) => Ok(decision.outcome()),
        Err(refusal) => Err(refusal.into()),
    });
    Ok(outcomes.collect())
}

/// Reads the facts of a run.
async fn load(
    writer: &mut SqliteConnection,
    sends: &[&SendMessage],
    begin: bool,
) -> Result<Vec<SqliteRow>, sqlx::Error> {
    let asked: Vec<_> = sends
        .iter()
        .map(|send| {
            (
                send.viewer.to_string(),
                send.room.as_str(),
                send.nonce.as_ref().map(Nonce::as_str),
                send.reply_to.map(|id| id.to_string()),
            )
        })
        .collect();
    let sql = match begin {
        true => concat!("begin immediate;", facts!()),
        false => facts!(),
    };
    sqlx::query(sql)
        .bind(rows::json(&asked))
        .fetch_all(&mut *writer)
        .await
}

/// The facts of one send. `senders` holds the users that were decoded from earlier rows.
fn facts(
    row: &SqliteRow,
    send: &SendMessage,
    senders: &mut HashMap<UserId, Arc<User>>,
) -> Result<SendFacts, sqlx::Error> {
    let sender = match senders.get(&send.viewer) {
        Some(sender) => Some(sender.clone()),
        None if row.try_get::<Option<&str>, _>("user_id")?.is_none() => None,
        None => {
            let sender = Arc::new(rows::user(row)?);
            senders.insert(send.viewer, sender.clone());
            Some(sender)
        }
    };
    let has_room = row.try_get::<Option<i64>, _>("epoch")?.is_some();
    let room = has_room.then(|| target(row, send)).transpose()?;
    Ok(SendFacts { sender, room })
}

fn target(row: &SqliteRow, send: &SendMessage) -> Result<SendTarget, sqlx::Error> {
    let has_prior = send.nonce.is_some() && row.try_get::<Option<&str>, _>("id")?.is_some();
    // If the prior message is in another room, its epoch is wrong here. The rule only compares the
    // room, and refuses the send.
    let prior = has_prior
        .then(|| rows::message(row, &rows::parsed(row, "room_id")?))
        .transpose()?;
    Ok(SendTarget {
        rights: rows::rights(row)?,
        epoch: rows::epoch(row)?,
        head: rows::seq(row, "head")?,
        slow_mode_seconds: row.try_get("slow_mode_seconds")?,
        muted_until: rows::optional_timestamp(row, "muted_until")?,
        last_sent_at: rows::optional_timestamp(row, "last_sent_at")?,
        prior,
        has_reply_target: row.try_get("has_reply_target")?,
    })
}

/// Records the time of sends in rooms that are in slow mode.
async fn record_pace(
    writer: &mut SqliteConnection,
    run: &SendRun,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    if run.paced().is_empty() {
        return Ok(());
    }
    let paced: Vec<_> = run
        .paced()
        .iter()
        .map(|(room, user)| (room.as_str(), user.to_string()))
        .collect();
    let sql = "insert into restraints (room_id, user_id, last_sent_at)
               select j.value ->> 0, j.value ->> 1, ?2 from json_each(?1) j where true
               on conflict do update set last_sent_at = excluded.last_sent_at";
    sqlx::query(sql)
        .bind(rows::json(&paced))
        .bind(now.0)
        .execute(&mut *writer)
        .await?;
    Ok(())
}

/// Writes the messages that the run appends.
async fn insert<E>(
    writer: &mut SqliteConnection,
    sends: &[&SendMessage],
    decisions: &[Result<SendDecision, E>],
    run: &SendRun,
    now: Timestamp,
    commit: bool,
) -> Result<(), sqlx::Error> {
    let messages: Vec<_> = sends
        .iter()
        .zip(decisions)
        .filter_map(|(send, decision)| match decision {
            Ok(SendDecision::Append(message)) => Some((
                message.id.to_string(),
                message.cursor.room.as_str(),
                message.cursor.seq.0,
                message.sender.id.to_string(),
                message.text(),
                send.nonce.as_ref().map(Nonce::as_str),
                message.reply_to.map(|id| id.to_string()),
            )),
            _ => None,
        })
        .collect();
    let heads: HashMap<&str, u64> = run
        .heads()
        .iter()
        .map(|(room, head)| (room.as_str(), head.0))
        .collect();
    let sql = match commit {
        true => concat!(insert!(), "commit;"),
        false => insert!(),
    };
    sqlx::query(sql)
        .bind(rows::json(&messages))
        .bind(now.0)
        .bind(rows::json(&heads))
        .execute(&mut *writer)
        .await?;
    Ok(())
}
