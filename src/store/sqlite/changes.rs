//! Creating and changing rooms: the facts and the writes of one command.
//!
//! These commands are rare, so each fact is a statement of its own inside the transaction.

use std::sync::Arc;

use sqlx::{Row, SqliteConnection};

use super::{
    SqliteLimits,
    log::{MESSAGE, members_at},
    rows::{self, room_columns},
    search::replace_words,
};
use crate::{
    domain::{Change, Message, MessageId, Room, RoomId, Seq, Timestamp, UserId, folded},
    store::{
        AppendError, ChangeRoom, CommandOutcome, CreateRoom,
        rules::{
            self, ChangeFacts, CreateFacts, Decision, Fact, Membership, NewMember, Settings, Stop,
            Write,
        },
    },
};

/// Creates a room.
pub(super) async fn create_room(
    writer: &mut SqliteConnection,
    command: &CreateRoom,
    now: Timestamp,
) -> Result<CommandOutcome, AppendError> {
    let sql = "select exists (select 1 from users where id = ?1) as viewer_known,
               exists (select 1 from rooms where id = ?2) as id_taken";
    let row = sqlx::query(sql)
        .bind(command.viewer.to_string())
        .bind(command.id.as_str())
        .fetch_one(&mut *writer)
        .await?;
    let facts = CreateFacts {
        viewer_known: row.try_get("viewer_known")?,
        id_taken: row.try_get("id_taken")?,
    };
    let (room, owner) = rules::create_room(command, &facts, now)?;
    let sql = "insert into rooms (id, name, visibility, created_at, epoch, folded_name)
         values (?1, ?2, ?3, ?4, ?5, ?6)";
    sqlx::query(sql)
        .bind(room.id.as_str())
        .bind(room.name.as_str())
        .bind(rows::visibility_code(room.visibility))
        .bind(room.created_at.0)
        .bind(room.epoch.0.cast_signed())
        .bind(folded(room.name.as_str()))
        .execute(&mut *writer)
        .await?;
    insert_member(writer, &room.id, &owner, room.head, now).await?;
    Ok(CommandOutcome::Created(room))
}

/// Changes a room, its members or its messages.
pub(super) async fn change_room(
    writer: &mut SqliteConnection,
    command: &ChangeRoom,
    now: Timestamp,
    limits: &SqliteLimits,
) -> Result<CommandOutcome, AppendError> {
    let mut facts = load_room(writer, command).await?;
    let decision = loop {
        match rules::change_room(command, &facts, now, limits.members_per_room_max) {
            Ok(decision) => break decision,
            Err(Stop::Refused(refusal)) => return Err(refusal.into()),
            Err(Stop::Needs(fact)) => load(writer, fact, &mut facts).await?,
        }
    };
    match &decision {
        Decision::Nothing => {}
        Decision::Silently(write) => apply(writer, &command.room, write, None, now).await?,
        Decision::Append(change, write) => {
            apply(writer, &command.room, write, Some(change.cursor.seq), now).await?;
            append(writer, change, write).await?;
        }
    }
    Ok(decision.outcome())
}

/// The facts that every change needs.
async fn load_room(
    writer: &mut SqliteConnection,
    command: &ChangeRoom,
) -> Result<ChangeFacts, sqlx::Error> {
    let sql = concat!(
        "select u.id as user_id, b.role, ",
        room_columns!(),
        " from (select ?1 as viewer, ?2 as room) q
          left join users u on u.id = q.viewer
          left join rooms r on r.id = q.room and r.deleted_at is null
          left join members b on b.room_id = r.id and b.user_id = u.id"
    );
    let row = sqlx::query(sql)
        .bind(command.viewer.to_string())
        .bind(command.room.as_str())
        .fetch_one(&mut *writer)
        .await?;
    let has_room = row.try_get::<Option<&str>, _>("id")?.is_some();
    Ok(ChangeFacts {
        viewer_known: row.try_get::<Option<&str>, _>("user_id")?.is_some(),
        room: has_room.then(|| rows::room(&row)).transpose()?,
        role: rows::role(&row, "role")?,
        ..ChangeFacts::default()
    })
}

/// Loads a fact that the rule asked for.
async fn load(
    writer: &mut SqliteConnection,
    fact: Fact,
    facts: &mut ChangeFacts,
) -> Result<(), sqlx::Error> {
    let room = facts.room.as_ref().expect("a rule asks about a known room");
    match fact {
        Fact::Message(id) => facts.message = Some(message(writer, room, id).await?),
        Fact::Target(user) => facts.target = Some(membership(writer, &room.id, user).await?),
        Fact::TargetKnown(user) => {
            let found = sqlx::query("select 1 from users where id = ?1")
                .bind(user.to_string())
                .fetch_optional(&mut *writer)
                .await?;
            facts.target_known = Some(found.is_some());
        }
        Fact::Owners => {
            // The literal lets SQLite use the index of owners.
            let sql = "select count(*) as number from members where room_id = ?1 and role = 0";
            let row = sqlx::query(sql)
                .bind(room.id.as_str())
                .fetch_one(&mut *writer)
                .await?;
            facts.owners = Some(rows::number(&row)?);
        }
        Fact::Members => {
            let sql = "select member_count as number from rooms where id = ?1";
            let row = sqlx::query(sql)
                .bind(room.id.as_str())
                .fetch_one(&mut *writer)
                .await?;
            facts.members = Some(rows::number(&row)?);
        }
        Fact::MemberIds => {
            facts.member_ids = Some(members_at(writer, &room.id, room.head).await?);
        }
    }
    Ok(())
}

/// A message, if it is in this room.
async fn message(
    writer: &mut SqliteConnection,
    room: &Room,
    id: MessageId,
) -> Result<Option<Arc<Message>>, sqlx::Error> {
    let row = sqlx::query(MESSAGE)
        .bind("*")
        .bind(id.to_string())
        .fetch_optional(&mut *writer)
        .await?;
    match row {
        Some(row) if row.try_get::<&str, _>("room_id")? == room.id.as_str() => {
            Ok(Some(rows::message(&row, &room.id)?))
        }
        _ => Ok(None),
    }
}

async fn membership(
    writer: &mut SqliteConnection,
    room: &RoomId,
    user: UserId,
) -> Result<Option<Membership>, sqlx::Error> {
    let row =
        sqlx::query("select role, joined_seq from members where room_id = ?1 and user_id = ?2")
            .bind(room.as_str())
            .bind(user.to_string())
            .fetch_optional(&mut *writer)
            .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Membership {
        user,
        role: rows::required("role", rows::role(&row, "role")?)?,
        joined: rows::seq(&row, "joined_seq")?,
    }))
}

/// Writes the rows of a decision. `seq` is the Seq of the event that it appends, if it appends one.
async fn apply(
    writer: &mut SqliteConnection,
    room: &RoomId,
    write: &Write,
    seq: Option<Seq>,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    match write {
        Write::Message { before, after } => {
            replace_words(writer, before, after).await?;
            rows::update_message(writer, after).await?;
        }
        Write::AddMember(new) => {
            insert_member(writer, room, new, seq.unwrap_or(Seq::START), now).await?;
        }
        Write::RemoveMember(old) => {
            sqlx::query("delete from members where room_id = ?1 and user_id = ?2")
                .bind(room.as_str())
                .bind(old.user.to_string())
                .execute(&mut *writer)
                .await?;
            count_member(writer, room, -1).await?;
        }
        Write::SetRole(user, role) => {
            sqlx::query("update members set role = ?3 where room_id = ?1 and user_id = ?2")
                .bind(room.as_str())
                .bind(user.to_string())
                .bind(rows::role_code(*role))
                .execute(writer)
                .await?;
        }
        Write::Mute(user, until) => mute(writer, room, *user, *until).await?,
        Write::Settings(settings) => update_room(writer, room, settings).await?,
        Write::DeleteRoom => {
            sqlx::query("update rooms set deleted_at = ?2 where id = ?1")
                .bind(room.as_str())
                .bind(now.0)
                .execute(writer)
                .await?;
        }
    }
    Ok(())
}

/// Adds a member. The membership begins with the event `joined`.
async fn insert_member(
    writer: &mut SqliteConnection,
    room: &RoomId,
    new: &NewMember,
    joined: Seq,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let sql = "insert into members (room_id, user_id, id, role, joined_at, joined_seq)
               values (?1, ?2, ?3, ?4, ?5, ?6)";
    sqlx::query(sql)
        .bind(room.as_str())
        .bind(new.user.to_string())
        .bind(new.id.to_string())
        .bind(rows::role_code(new.role))
        .bind(now.0)
        .bind(joined.0.cast_signed())
        .execute(&mut *writer)
        .await?;
    count_member(writer, room, 1).await
}

async fn count_member(
    writer: &mut SqliteConnection,
    room: &RoomId,
    change: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query("update rooms set member_count = member_count + ?2 where id = ?1")
        .bind(room.as_str())
        .bind(change)
        .execute(writer)
        .await?;
    Ok(())
}

async fn mute(
    writer: &mut SqliteConnection,
    room: &RoomId,
    user: UserId,
    until: Option<Timestamp>,
) -> Result<(), sqlx::Error> {
    let sql = "insert into restraints (room_id, user_id, muted_until) values (?1, ?2, ?3)
               on conflict do update set muted_until = excluded.muted_until";
    sqlx::query(sql)
        .bind(room.as_str())
        .bind(user.to_string())
        .bind(until.map(|until| until.0))
        .execute(writer)
        .await?;
    Ok(())
}

async fn update_room(
    writer: &mut SqliteConnection,
    room: &RoomId,
    settings: &Settings,
) -> Result<(), sqlx::Error> {
    let sql = "update rooms set name = ?2, visibility = ?3, slow_mode_seconds = ?4,
               folded_name = ?5 where id = ?1";
    sqlx::query(sql)
        .bind(room.as_str())
        .bind(settings.name.as_str())
        .bind(rows::visibility_code(settings.visibility))
        .bind(settings.slow_mode_seconds)
        .bind(folded(settings.name.as_str()))
        .execute(writer)
        .await?;
    Ok(())
}

/// Appends an event to the log of its room.
async fn append(
    writer: &mut SqliteConnection,
    change: &Change,
    write: &Write,
) -> Result<(), sqlx::Error> {
    let joined = match write {
        Write::RemoveMember(old) => Some(old.joined),
        _ => None,
    };
    let (record, seq) = (change.kind.to_record(), change.cursor.seq.0.cast_signed());
    let sql = "insert into events (room_id, seq, kind, at, actor_id, message_id, user_id, role,
                                   joined_seq, shuts_out)
               values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
    sqlx::query(sql)
        .bind(change.cursor.room.as_str())
        .bind(seq)
        .bind(record.kind)
        .bind(change.at.0)
        .bind(change.actor.to_string())
        .bind(record.message.map(|id| id.to_string()))
        .bind(record.user.map(|id| id.to_string()))
        .bind(record.role.map(rows::role_code))
        .bind(joined.map(|joined| joined.0.cast_signed()))
        .bind(rows::shuts_out_code(&change.shuts_out))
        .execute(&mut *writer)
        .await?;
    sqlx::query("update rooms set head = ?2 where id = ?1")
        .bind(change.cursor.room.as_str())
        .bind(seq)
        .execute(writer)
        .await?;
    Ok(())
}
