//! Writing: a batch is one transaction, and sends in a row are one multi-row statement.

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use sqlx::{Row, SqliteConnection, sqlite::SqliteRow};

use super::{Sqlite, rows};
use crate::{
    domain::{Action, Cursor, Event, Message, Nonce, Room, RoomId, Seq, Standing, Timestamp, User, UserId, may},
    store::{Append, AppendError, Command, Committed, CreateRoom, Outcome, Refusal, SendMessage, StoreError},
};

type Answer = Result<Outcome, Refusal>;

#[async_trait]
impl Append for Sqlite {
    async fn commit(&self, batch: &[Command], now: Timestamp) -> Vec<Result<Outcome, AppendError>> {
        let mut writer = self.writer.lock().await;
        match transaction(&mut writer, batch, now).await {
            Ok(answers) => answers.into_iter().map(|answer| answer.map_err(AppendError::Refused)).collect(),
            Err(error) if batch.len() == 1 => vec![Err(AppendError::Store(error))],
            Err(error) => {
                tracing::warn!(%error, commands = batch.len(), "a batch failed; its commands run one by one");
                let mut answers = Vec::with_capacity(batch.len());
                for command in batch {
                    answers.push(alone(&mut writer, command, now).await);
                }
                answers
            }
        }
    }
}

async fn alone(writer: &mut SqliteConnection, command: &Command, now: Timestamp) -> Result<Outcome, AppendError> {
    let mut answers = transaction(writer, std::slice::from_ref(command), now).await?;
    Ok(answers.pop().expect("one answer per command")?)
}

/// Runs the batch between `begin` and `commit`; a failure anywhere takes all of it back.
async fn transaction(
    writer: &mut SqliteConnection,
    batch: &[Command],
    now: Timestamp,
) -> Result<Vec<Answer>, StoreError> {
    let result = runs(writer, batch, now).await;
    if result.is_err() {
        // SQLite may have rolled back by itself already; then this says so, and nothing is open either way.
        if let Err(error) = sqlx::raw_sql("rollback").execute(&mut *writer).await {
            tracing::debug!(%error, "nothing was left to roll back");
        }
    }
    result
}

/// Where a run stands in its transaction. Each call to the connection's thread and back costs as much as a row, so a run of
/// sends begins and commits in the same calls that read and write.
#[derive(Clone, Copy)]
struct Place {
    first: bool,
    last: bool,
}

async fn runs(writer: &mut SqliteConnection, batch: &[Command], now: Timestamp) -> Result<Vec<Answer>, StoreError> {
    let mut answers = Vec::with_capacity(batch.len());
    let together = |a: &Command, b: &Command| matches!((a, b), (Command::SendMessage(_), Command::SendMessage(_)));
    for run in batch.chunk_by(together) {
        let place = Place { first: answers.is_empty(), last: answers.len() + run.len() == batch.len() };
        match &run[0] {
            Command::CreateRoom(room) => {
                if place.first {
                    sqlx::raw_sql("begin immediate").execute(&mut *writer).await?;
                }
                answers.push(create_room(writer, room, now).await?);
                if place.last {
                    sqlx::raw_sql("commit").execute(&mut *writer).await?;
                }
            }
            Command::SendMessage(_) => {
                let sends: Vec<&SendMessage> = run.iter().filter_map(Command::as_send).collect();
                answers.extend(send_messages(writer, &sends, now, place).await?);
            }
        }
    }
    Ok(answers)
}

async fn create_room(writer: &mut SqliteConnection, new: &CreateRoom, now: Timestamp) -> Result<Answer, StoreError> {
    let viewer = new.viewer.to_string();
    let known = sqlx::query("select 1 from users where id = ?1").bind(&viewer).fetch_optional(&mut *writer).await?;
    if known.is_none() {
        return Ok(Err(Refusal::UnknownViewer));
    }
    let insert = "insert into rooms (id, name, visibility, created_at, epoch) values (?1, ?2, ?3, ?4, ?5)
                  on conflict do nothing";
    let inserted = sqlx::query(insert)
        .bind(new.id.as_str())
        .bind(new.name.as_str())
        .bind(rows::visibility_code(new.visibility))
        .bind(now.0)
        .bind(new.epoch.0.cast_signed())
        .execute(&mut *writer)
        .await?;
    if inserted.rows_affected() == 0 {
        return Ok(Err(Refusal::RoomTaken));
    }
    sqlx::query("insert into members (room_id, user_id, role, joined_at) values (?1, ?2, ?3, ?4)")
        .bind(new.id.as_str())
        .bind(&viewer)
        .bind(rows::OWNER)
        .bind(now.0)
        .execute(&mut *writer)
        .await?;
    Ok(Ok(Outcome::Created(Room {
        id: new.id.clone(),
        name: new.name.clone(),
        visibility: new.visibility,
        created_at: now,
        epoch: new.epoch,
        head: Seq::START,
    })))
}

/// Everything that the conditions of a send depend on, for all sends of the run at once.
macro_rules! conditions {
    () => {
        "
    select r.visibility, r.epoch, r.head, b.role,
           u.id as user_id, u.name as user_name, u.created_at as user_created_at,
           m.id, m.room_id, m.seq, m.text, m.created_at
    from json_each(?1) j
    left join users u on u.id = j.value ->> 0
    left join rooms r on r.id = j.value ->> 1
    left join members b on b.room_id = r.id and b.user_id = u.id
    left join messages m on m.sender_id = u.id and m.nonce = j.value ->> 2
    order by j.key"
    };
}

/// The three tables in one call. `?1` holds the messages, `?2` the moment, `?3` the rooms' new heads.
macro_rules! insert {
    () => {
        "
    insert into messages (id, room_id, seq, sender_id, text, nonce, created_at)
    select j.value ->> 0, j.value ->> 1, j.value ->> 2, j.value ->> 3, j.value ->> 4, j.value ->> 5, ?2
    from json_each(?1) j;
    insert into events (room_id, seq, kind, at, message_id)
    select j.value ->> 1, j.value ->> 2, 0, ?2, j.value ->> 0 from json_each(?1) j;
    update rooms set head = j.value from json_each(?3) j where rooms.id = j.key;"
    };
}

async fn send_messages(
    writer: &mut SqliteConnection,
    sends: &[&SendMessage],
    now: Timestamp,
    place: Place,
) -> Result<Vec<Answer>, StoreError> {
    let asked: Vec<_> = sends
        .iter()
        .map(|send| (send.viewer.to_string(), send.room.as_str(), send.nonce.as_ref().map(Nonce::as_str)))
        .collect();
    let read = if place.first { concat!("begin immediate;", conditions!()) } else { conditions!() };
    let conditions = sqlx::query(read).bind(json(&asked)).fetch_all(&mut *writer).await?;

    let mut run =
        Run { now, heads: HashMap::new(), senders: HashMap::new(), nonces: HashMap::new(), fresh: Vec::new() };
    let mut answers = Vec::with_capacity(sends.len());
    for (send, row) in sends.iter().zip(&conditions) {
        answers.push(run.decide(send, row)?);
    }
    if run.fresh.is_empty() {
        if place.last {
            sqlx::raw_sql("commit").execute(&mut *writer).await?;
        }
        return Ok(answers);
    }
    let messages: Vec<_> = run
        .fresh
        .iter()
        .map(|(message, nonce)| {
            let (id, sender) = (message.id.to_string(), message.sender.id.to_string());
            let nonce = nonce.as_ref().map(|nonce| nonce.as_str());
            (id, message.cursor.room.as_str(), message.cursor.seq.0, sender, message.text.as_str(), nonce)
        })
        .collect();
    let heads: HashMap<&str, u64> = run.heads.iter().map(|(room, head)| (room.as_str(), head.0)).collect();
    let write = if place.last { concat!(insert!(), "commit;") } else { insert!() };
    sqlx::query(write).bind(json(&messages)).bind(now.0).bind(json(&heads)).execute(&mut *writer).await?;
    Ok(answers)
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("strings and numbers have a JSON form")
}

/// What a run of sends has decided so far. Later sends see what stands before them.
struct Run {
    now: Timestamp,
    heads: HashMap<RoomId, Seq>,
    senders: HashMap<UserId, Arc<User>>,
    nonces: HashMap<(UserId, Nonce), Arc<Message>>,
    fresh: Vec<(Arc<Message>, Option<Nonce>)>,
}

impl Run {
    /// The right comes before the nonce: who may not read a room learns nothing about it.
    fn decide(&mut self, send: &SendMessage, row: &SqliteRow) -> Result<Answer, sqlx::Error> {
        if row.try_get::<Option<&str>, _>("user_id")?.is_none() {
            return Ok(Err(Refusal::UnknownViewer));
        }
        if row.try_get::<Option<i64>, _>("epoch")?.is_none() {
            return Ok(Err(Refusal::NotFound));
        }
        let visibility = rows::visibility(row)?;
        let standing = rows::role(row)?.map_or(Standing::Outsider, Standing::Member);
        if !may(standing, visibility, Action::Read) {
            return Ok(Err(Refusal::NotFound));
        }
        if !may(standing, visibility, Action::Send) {
            return Ok(Err(Refusal::Forbidden));
        }
        if let Some(prior) = self.prior(send, row)? {
            let same = prior.cursor.room == send.room && prior.text == send.text;
            return Ok(if same { Ok(Outcome::Repeated(prior)) } else { Err(Refusal::NonceTaken) });
        }
        self.append(send, row).map(Ok)
    }

    /// The message that this sender's nonce names, in the tables or earlier in this run.
    fn prior(&self, send: &SendMessage, row: &SqliteRow) -> Result<Option<Arc<Message>>, sqlx::Error> {
        let Some(nonce) = &send.nonce else { return Ok(None) };
        if row.try_get::<Option<&str>, _>("id")?.is_some() {
            // The epoch in this row is that of the room asked for; another room's is a conflict in any case.
            return rows::message(row, &rows::parsed(row, "room_id")?).map(Some);
        }
        Ok(self.nonces.get(&(send.viewer, nonce.clone())).cloned())
    }

    fn append(&mut self, send: &SendMessage, row: &SqliteRow) -> Result<Outcome, sqlx::Error> {
        let stored = rows::seq(row, "head")?;
        let head = self.heads.entry(send.room.clone()).or_insert(stored);
        *head = head.next();
        let sender = match self.senders.get(&send.viewer) {
            Some(sender) => sender.clone(),
            None => self.senders.entry(send.viewer).or_insert(Arc::new(rows::user(row)?)).clone(),
        };
        let message = Arc::new(Message {
            id: send.id,
            cursor: Cursor { room: send.room.clone(), epoch: rows::epoch(row)?, seq: *head },
            sender,
            text: send.text.clone(),
            created_at: self.now,
        });
        if let Some(nonce) = &send.nonce {
            self.nonces.insert((send.viewer, nonce.clone()), message.clone());
        }
        self.fresh.push((message.clone(), send.nonce.clone()));
        let event = Arc::new(Event::MessageSent(message.clone()));
        Ok(Outcome::Sent(Committed::new(event), message))
    }
}
