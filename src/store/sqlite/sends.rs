//! Sending messages: a run of sends is one multi-row statement.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use sqlx::{Row, SqliteConnection, sqlite::SqliteRow};

use super::{
    append::{Answer, Place},
    rows,
};
use crate::{
    domain::{
        Action, Body, Cursor, Event, Message, Nonce, Role, RoomId, Seq, Standing, Timestamp, User,
        UserId, may,
    },
    store::{CommandOutcome, Committed, Refusal, SendMessage, StoreError},
};

/// Everything that the conditions of a send depend on, for all sends of the run at once.
macro_rules! conditions {
    () => {
        "
    select r.visibility, r.epoch, r.head, r.deleted_at as room_deleted_at, r.slow_mode_seconds, b.role,
           u.id as user_id, u.name as user_name, u.created_at as user_created_at,
           m.id, m.room_id, m.seq, m.text, m.created_at, m.deleted_at, m.reply_to,
           x.muted_until, x.last_sent_at, t.id as reply_target
    from json_each(?1) j
    left join users u on u.id = j.value ->> 0
    left join rooms r on r.id = j.value ->> 1
    left join members b on b.room_id = r.id and b.user_id = u.id
    left join messages m on m.sender_id = u.id and m.nonce = j.value ->> 2
    left join restraints x on x.room_id = r.id and x.user_id = u.id
    left join messages t on t.id = j.value ->> 3 and t.room_id = r.id
    order by j.key"
    };
}

/// The three tables in one call. `?1` holds the messages, `?2` the moment, `?3` the rooms' new heads.
macro_rules! insert {
    () => {
        "
    insert into messages (id, room_id, seq, sender_id, text, nonce, reply_to, created_at)
    select j.value ->> 0, j.value ->> 1, j.value ->> 2, j.value ->> 3, j.value ->> 4, j.value ->> 5, j.value ->> 6, ?2
    from json_each(?1) j;
    insert into events (room_id, seq, kind, at, message_id)
    select j.value ->> 1, j.value ->> 2, 0, ?2, j.value ->> 0 from json_each(?1) j;
    update rooms set head = j.value from json_each(?3) j where rooms.id = j.key;"
    };
}

/// Sends a run of messages: their conditions in one call, what passed in another.
pub(super) async fn send_messages(
    writer: &mut SqliteConnection,
    sends: &[&SendMessage],
    now: Timestamp,
    place: Place,
) -> Result<Vec<Answer>, StoreError> {
    let asked: Vec<_> = sends
        .iter()
        .map(|send| {
            let reply_to = send.reply_to.map(|id| id.to_string());
            (
                send.viewer.to_string(),
                send.room.as_str(),
                send.nonce.as_ref().map(Nonce::as_str),
                reply_to,
            )
        })
        .collect();
    let read = if place.first {
        concat!("begin immediate;", conditions!())
    } else {
        conditions!()
    };
    let conditions = sqlx::query(read)
        .bind(rows::json(&asked))
        .fetch_all(&mut *writer)
        .await?;

    let mut run = Run::new(now);
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
            let reply_to = message.reply_to.map(|id| id.to_string());
            (
                id,
                message.cursor.room.as_str(),
                message.cursor.seq.0,
                sender,
                message.text(),
                nonce,
                reply_to,
            )
        })
        .collect();
    if !run.paced.is_empty() {
        note_pace(writer, &run.paced, now).await?;
    }
    let heads: HashMap<&str, u64> = run
        .heads
        .iter()
        .map(|(room, head)| (room.as_str(), head.0))
        .collect();
    let write = if place.last {
        concat!(insert!(), "commit;")
    } else {
        insert!()
    };
    sqlx::query(write)
        .bind(rows::json(&messages))
        .bind(now.0)
        .bind(rows::json(&heads))
        .execute(&mut *writer)
        .await?;
    Ok(answers)
}

/// Remembers when somebody sent in a room that is in slow mode.
async fn note_pace(
    writer: &mut SqliteConnection,
    paced: &HashSet<(RoomId, UserId)>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let sql = "insert into restraints (room_id, user_id, last_sent_at)
               select j.value ->> 0, j.value ->> 1, ?2 from json_each(?1) j where true
               on conflict do update set last_sent_at = excluded.last_sent_at";
    let paced: Vec<_> = paced
        .iter()
        .map(|(room, user)| (room.as_str(), user.to_string()))
        .collect();
    sqlx::query(sql)
        .bind(rows::json(&paced))
        .bind(now.0)
        .execute(&mut *writer)
        .await?;
    Ok(())
}

/// What a run of sends has decided so far. Later sends see what stands before them.
struct Run {
    now: Timestamp,
    heads: HashMap<RoomId, Seq>,
    senders: HashMap<UserId, Arc<User>>,
    nonces: HashMap<(UserId, Nonce), Arc<Message>>,
    /// Who has sent in a room that is in slow mode.
    paced: HashSet<(RoomId, UserId)>,
    fresh: Vec<(Arc<Message>, Option<Nonce>)>,
}

impl Run {
    fn new(now: Timestamp) -> Self {
        Self {
            now,
            heads: HashMap::new(),
            senders: HashMap::new(),
            nonces: HashMap::new(),
            paced: HashSet::new(),
            fresh: Vec::new(),
        }
    }

    /// The right comes before the nonce: who may not read a room learns nothing about it.
    fn decide(&mut self, send: &SendMessage, row: &SqliteRow) -> Result<Answer, sqlx::Error> {
        if row.try_get::<Option<&str>, _>("user_id")?.is_none() {
            return Ok(Err(Refusal::UnknownViewer));
        }
        let gone = row.try_get::<Option<i64>, _>("room_deleted_at")?.is_some();
        if gone || row.try_get::<Option<i64>, _>("epoch")?.is_none() {
            return Ok(Err(Refusal::NotFound));
        }
        let visibility = rows::visibility(row)?;
        let standing = rows::role(row, "role")?.map_or(Standing::Outsider, Standing::Member);
        if !may(standing, visibility, Action::Read) {
            return Ok(Err(Refusal::NotFound));
        }
        if !may(standing, visibility, Action::Send) {
            return Ok(Err(Refusal::Forbidden));
        }
        if let Some(prior) = self.prior(send, row)? {
            // What a deleted message said is not known any more.
            let same_text =
                matches!(prior.body, Body::Deleted(_)) || prior.text() == send.text.as_str();
            let same =
                prior.cursor.room == send.room && same_text && prior.reply_to == send.reply_to;
            return Ok(if same {
                Ok(CommandOutcome::Repeated(prior))
            } else {
                Err(Refusal::NonceTaken)
            });
        }
        if send.reply_to.is_some() && row.try_get::<Option<&str>, _>("reply_target")?.is_none() {
            return Ok(Err(Refusal::NoMessage));
        }
        if let Some(refusal) = self.restrained(send, row, standing)? {
            return Ok(Err(refusal));
        }
        self.append(send, row).map(Ok)
    }

    /// What holds this sender back, if anything does: a mute, or the room's slow mode, which does not bind those who keep
    /// order.
    fn restrained(
        &mut self,
        send: &SendMessage,
        row: &SqliteRow,
        standing: Standing,
    ) -> Result<Option<Refusal>, sqlx::Error> {
        let muted_until = row.try_get::<Option<i64>, _>("muted_until")?.map(Timestamp);
        if let Some(until) = muted_until.filter(|until| *until > self.now) {
            return Ok(Some(Refusal::Muted(until)));
        }
        let seconds: u32 = row.try_get("slow_mode_seconds")?;
        if seconds == 0 || matches!(standing, Standing::Member(Role::Owner | Role::Moderator)) {
            return Ok(None);
        }
        let key = (send.room.clone(), send.viewer);
        let last = if self.paced.contains(&key) {
            Some(self.now.0)
        } else {
            row.try_get("last_sent_at")?
        };
        let left = last.map_or(0, |last| last + i64::from(seconds) * 1_000_000 - self.now.0);
        if left > 0 {
            let left = u32::try_from(left.cast_unsigned().div_ceil(1_000_000)).unwrap_or(seconds);
            return Ok(Some(Refusal::TooSoon(left.min(seconds))));
        }
        self.paced.insert(key);
        Ok(None)
    }

    /// The message that this sender's nonce names, in the tables or earlier in this run.
    fn prior(
        &self,
        send: &SendMessage,
        row: &SqliteRow,
    ) -> Result<Option<Arc<Message>>, sqlx::Error> {
        let Some(nonce) = &send.nonce else {
            return Ok(None);
        };
        if row.try_get::<Option<&str>, _>("id")?.is_some() {
            // The epoch in this row is that of the room asked for; another room's is a conflict in any case.
            return rows::message(row, &rows::parsed(row, "room_id")?).map(Some);
        }
        Ok(self.nonces.get(&(send.viewer, nonce.clone())).cloned())
    }

    fn append(
        &mut self,
        send: &SendMessage,
        row: &SqliteRow,
    ) -> Result<CommandOutcome, sqlx::Error> {
        let stored = rows::seq(row, "head")?;
        let head = self.heads.entry(send.room.clone()).or_insert(stored);
        *head = head.next();
        let sender = match self.senders.get(&send.viewer) {
            Some(sender) => sender.clone(),
            None => self
                .senders
                .entry(send.viewer)
                .or_insert(Arc::new(rows::user(row)?))
                .clone(),
        };
        let message = Arc::new(Message {
            id: send.id,
            cursor: Cursor {
                room: send.room.clone(),
                epoch: rows::epoch(row)?,
                seq: *head,
            },
            sender,
            body: Body::Text(send.text.clone()),
            created_at: self.now,
            reply_to: send.reply_to,
        });
        if let Some(nonce) = &send.nonce {
            self.nonces
                .insert((send.viewer, nonce.clone()), message.clone());
        }
        self.fresh.push((message.clone(), send.nonce.clone()));
        let event = Arc::new(Event::MessageSent(message.clone()));
        Ok(CommandOutcome::Sent(Committed::new(event), message))
    }
}
