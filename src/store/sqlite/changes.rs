//! Everything but sending: rare, so each condition is a statement of its own inside the transaction.

use std::sync::Arc;

use sqlx::{Row, SqliteConnection};

use super::{
    SqliteLimits,
    append::Answer,
    log::{MESSAGE, members_at},
    rows,
    search::forget,
};
use crate::{
    domain::{
        Action, Body, Change, Cursor, Epoch, Event, MemberId, MessageId, Role, Room, RoomId, Seq,
        ShutsOut, Standing, Timestamp, UserId, Visibility, What, may, may_manage,
    },
    store::{ChangeRoom, CommandOutcome, Committed, CreateRoom, Refusal, RoomChange, StoreError},
};

type Refused<T> = Result<Result<T, Refusal>, StoreError>;

/// Makes a room, owned by its creator.
pub(super) async fn create_room(
    writer: &mut SqliteConnection,
    new: &CreateRoom,
    now: Timestamp,
) -> Result<Answer, StoreError> {
    let viewer = new.viewer.to_string();
    let known = sqlx::query("select 1 from users where id = ?1")
        .bind(&viewer)
        .fetch_optional(&mut *writer)
        .await?;
    if known.is_none() {
        return Ok(Err(Refusal::UnknownViewer));
    }
    let insert =
        "insert into rooms (id, name, visibility, created_at, epoch) values (?1, ?2, ?3, ?4, ?5)
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
    let owner = NewMember {
        room: &new.id,
        user: new.viewer,
        id: new.owner,
        role: Role::Owner,
        joined: Seq::START,
    };
    insert_member(writer, &owner, now).await?;
    Ok(Ok(CommandOutcome::Created(Room {
        id: new.id.clone(),
        name: new.name.clone(),
        visibility: new.visibility,
        created_at: now,
        epoch: new.epoch,
        head: Seq::START,
        slow_mode_seconds: 0,
        deleted_at: None,
    })))
}

struct NewMember<'a> {
    room: &'a RoomId,
    user: UserId,
    id: MemberId,
    role: Role,
    /// The event with which it begins.
    joined: Seq,
}

async fn insert_member(
    writer: &mut SqliteConnection,
    member: &NewMember<'_>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let sql = "insert into members (room_id, user_id, id, role, joined_at, joined_seq) values (?1, ?2, ?3, ?4, ?5, ?6)";
    sqlx::query(sql)
        .bind(member.room.as_str())
        .bind(member.user.to_string())
        .bind(member.id.to_string())
        .bind(rows::role_code(member.role))
        .bind(now.0)
        .bind(member.joined.0.cast_signed())
        .execute(&mut *writer)
        .await?;
    Ok(())
}

/// Changes a room, if the viewer may.
pub(super) async fn change_room(
    writer: &mut SqliteConnection,
    command: &ChangeRoom,
    now: Timestamp,
    limits: &SqliteLimits,
) -> Result<Answer, StoreError> {
    let mut stand = match Stand::read(writer, command, now).await? {
        Ok(stand) => stand,
        Err(refusal) => return Ok(Err(refusal)),
    };
    match &command.change {
        RoomChange::DeleteMessage(id) => stand.delete_message(writer, *id).await,
        RoomChange::Join(id) => stand.join(writer, *id, limits).await,
        RoomChange::Leave => stand.leave(writer).await,
        RoomChange::AddMember { id, user, role } => {
            stand.add_member(writer, (*id, *user, *role), limits).await
        }
        RoomChange::SetRole { user, role } => stand.set_role(writer, *user, *role).await,
        RoomChange::RemoveMember(user) => stand.remove_member(writer, *user).await,
        RoomChange::MuteMember { user, until } => stand.mute_member(writer, *user, *until).await,
        RoomChange::Update { .. } => stand.update(writer, &command.change).await,
        RoomChange::Delete => stand.delete(writer).await,
    }
}

/// The room as the command finds it, and what its viewer is there.
struct Stand<'a> {
    room: &'a RoomId,
    actor: UserId,
    role: Option<Role>,
    visibility: Visibility,
    epoch: Epoch,
    head: Seq,
    now: Timestamp,
}

/// A member that a command is about.
struct Target {
    role: Role,
    joined: Seq,
}

/// What the table of events holds beside an event's place, time and actor.
#[derive(Default)]
struct Columns {
    message: Option<MessageId>,
    user: Option<UserId>,
    role: Option<Role>,
    joined: Option<Seq>,
}

impl<'a> Stand<'a> {
    /// Who may not read the room is told that there is none.
    async fn read(
        writer: &mut SqliteConnection,
        command: &'a ChangeRoom,
        now: Timestamp,
    ) -> Refused<Self> {
        let sql = "select u.id as user_id, r.id, r.visibility, r.epoch, r.head, b.role
                   from (select ?1 as viewer, ?2 as room) q
                   left join users u on u.id = q.viewer
                   left join rooms r on r.id = q.room and r.deleted_at is null
                   left join members b on b.room_id = r.id and b.user_id = u.id";
        let query = sqlx::query(sql)
            .bind(command.viewer.to_string())
            .bind(command.room.as_str());
        let row = query.fetch_one(&mut *writer).await?;
        if row.try_get::<Option<&str>, _>("user_id")?.is_none() {
            return Ok(Err(Refusal::UnknownViewer));
        }
        if row.try_get::<Option<&str>, _>("id")?.is_none() {
            return Ok(Err(Refusal::NotFound));
        }
        let stand = Self {
            room: &command.room,
            actor: command.viewer,
            role: rows::role(&row, "role")?,
            visibility: rows::visibility(&row)?,
            epoch: rows::epoch(&row)?,
            head: rows::seq(&row, "head")?,
            now,
        };
        Ok(if stand.may(Action::Read) {
            Ok(stand)
        } else {
            Err(Refusal::NotFound)
        })
    }

    fn may(&self, action: Action) -> bool {
        may(
            self.role.map_or(Standing::Outsider, Standing::Member),
            self.visibility,
            action,
        )
    }

    /// Whether the viewer may do this to somebody of this role.
    fn may_to(&self, action: Action, role: Role) -> bool {
        self.may(action) && self.role.is_some_and(|own| may_manage(own, role))
    }

    /// Whom it shuts out when this member is one no longer: from a public room nobody.
    fn without(&self, user: UserId) -> ShutsOut {
        match self.visibility {
            Visibility::Public => ShutsOut::Nobody,
            Visibility::Private => ShutsOut::User(user),
        }
    }

    async fn target(
        &self,
        writer: &mut SqliteConnection,
        user: UserId,
    ) -> Result<Option<Target>, StoreError> {
        let sql = "select role, joined_seq from members where room_id = ?1 and user_id = ?2";
        let query = sqlx::query(sql)
            .bind(self.room.as_str())
            .bind(user.to_string());
        let Some(row) = query.fetch_optional(&mut *writer).await? else {
            return Ok(None);
        };
        let role = rows::required("role", rows::role(&row, "role")?)?;
        Ok(Some(Target {
            role,
            joined: rows::seq(&row, "joined_seq")?,
        }))
    }

    /// Whether this owner is the only one.
    async fn is_last_owner(
        &self,
        writer: &mut SqliteConnection,
        target: &Target,
    ) -> Result<bool, StoreError> {
        if target.role != Role::Owner {
            return Ok(false);
        }
        let sql = "select count(*) as owners from members where room_id = ?1 and role = ?2";
        let query = sqlx::query(sql)
            .bind(self.room.as_str())
            .bind(rows::role_code(Role::Owner));
        Ok(query
            .fetch_one(&mut *writer)
            .await?
            .try_get::<i64, _>("owners")?
            <= 1)
    }

    /// Writes the next event of the room.
    async fn append(
        &mut self,
        writer: &mut SqliteConnection,
        what: What,
        shuts_out: ShutsOut,
        columns: Columns,
    ) -> Result<Committed<Arc<Event>>, StoreError> {
        self.head = self.head.next();
        let seq = self.head.0.cast_signed();
        let sql =
            "insert into events (room_id, seq, kind, at, actor_id, message_id, user_id, role, joined_seq, shuts_out)
                   values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
        sqlx::query(sql)
            .bind(self.room.as_str())
            .bind(seq)
            .bind(rows::kind_code(&what))
            .bind(self.now.0)
            .bind(self.actor.to_string())
            .bind(columns.message.map(|id| id.to_string()))
            .bind(columns.user.map(|id| id.to_string()))
            .bind(columns.role.map(rows::role_code))
            .bind(columns.joined.map(|joined| joined.0.cast_signed()))
            .bind(rows::shuts_out_code(&shuts_out))
            .execute(&mut *writer)
            .await?;
        let update = sqlx::query("update rooms set head = ?2 where id = ?1")
            .bind(self.room.as_str())
            .bind(seq);
        update.execute(&mut *writer).await?;
        let (cursor, at, actor) = (self.cursor(), self.now, self.actor);
        Ok(Committed::new(Arc::new(Event::Changed(Arc::new(Change {
            cursor,
            at,
            actor,
            what,
            shuts_out,
        })))))
    }

    fn cursor(&self) -> Cursor {
        Cursor {
            room: self.room.clone(),
            epoch: self.epoch,
            seq: self.head,
        }
    }

    async fn delete_message(
        &mut self,
        writer: &mut SqliteConnection,
        id: MessageId,
    ) -> Result<Answer, StoreError> {
        let query = sqlx::query(MESSAGE).bind("*").bind(id.to_string());
        let row = query.fetch_optional(&mut *writer).await?;
        let found = row
            .as_ref()
            .map(|row| rows::message(row, self.room))
            .transpose()?;
        let here = row
            .as_ref()
            .map(|row| row.try_get::<&str, _>("room_id"))
            .transpose()?
            == Some(self.room.as_str());
        let Some(mut message) = found.filter(|_| here) else {
            return Ok(Err(Refusal::NoMessage));
        };
        let action = if message.sender.id == self.actor {
            Action::DeleteOwn
        } else {
            Action::DeleteAny
        };
        if !self.may(action) {
            return Ok(Err(Refusal::Forbidden));
        }
        if matches!(message.body, Body::Deleted(_)) {
            return Ok(Ok(CommandOutcome::Done));
        }
        forget(writer, &message).await?;
        let sql = "update messages set text = '', deleted_at = ?2 where id = ?1";
        sqlx::query(sql)
            .bind(id.to_string())
            .bind(self.now.0)
            .execute(&mut *writer)
            .await?;
        Arc::make_mut(&mut message).body = Body::Deleted(self.now);
        let what = What::MessageDeleted {
            message: id,
            sent: message.cursor.seq,
        };
        let columns = Columns {
            message: Some(id),
            ..Columns::default()
        };
        let event = self.append(writer, what, ShutsOut::Nobody, columns).await?;
        Ok(Ok(CommandOutcome::Redacted(event, message)))
    }

    async fn join(
        &mut self,
        writer: &mut SqliteConnection,
        id: MemberId,
        limits: &SqliteLimits,
    ) -> Result<Answer, StoreError> {
        if self.role.is_some() {
            return Ok(Ok(CommandOutcome::Done));
        }
        if !self.may(Action::Join) {
            return Ok(Err(Refusal::Forbidden));
        }
        self.admit(writer, (id, self.actor, Role::Member), limits)
            .await
    }

    async fn add_member(
        &mut self,
        writer: &mut SqliteConnection,
        (id, user, role): (MemberId, UserId, Role),
        limits: &SqliteLimits,
    ) -> Result<Answer, StoreError> {
        if !self.may_to(Action::AddMember, role) {
            return Ok(Err(Refusal::Forbidden));
        }
        let known = sqlx::query("select 1 from users where id = ?1").bind(user.to_string());
        if known.fetch_optional(&mut *writer).await?.is_none() {
            return Ok(Err(Refusal::NoUser));
        }
        match self.target(writer, user).await? {
            Some(target) if target.role == role => Ok(Ok(CommandOutcome::Done)),
            Some(_) => Ok(Err(Refusal::MemberAlready)),
            None => self.admit(writer, (id, user, role), limits).await,
        }
    }

    async fn admit(
        &mut self,
        writer: &mut SqliteConnection,
        (id, user, role): (MemberId, UserId, Role),
        limits: &SqliteLimits,
    ) -> Result<Answer, StoreError> {
        let most = i64::from(limits.members_per_room_max);
        let count = sqlx::query("select count(*) as members from members where room_id = ?1")
            .bind(self.room.as_str());
        if most != 0
            && count
                .fetch_one(&mut *writer)
                .await?
                .try_get::<i64, _>("members")?
                >= most
        {
            return Ok(Err(Refusal::RoomFull));
        }
        let columns = Columns {
            user: Some(user),
            role: Some(role),
            ..Columns::default()
        };
        let event = self
            .append(
                writer,
                What::MemberJoined { user, role },
                ShutsOut::Nobody,
                columns,
            )
            .await?;
        insert_member(
            writer,
            &NewMember {
                room: self.room,
                user,
                id,
                role,
                joined: self.head,
            },
            self.now,
        )
        .await?;
        Ok(Ok(CommandOutcome::Changed(event)))
    }

    async fn leave(&mut self, writer: &mut SqliteConnection) -> Result<Answer, StoreError> {
        match self.target(writer, self.actor).await? {
            Some(target) => self.expel(writer, self.actor, &target).await,
            None => Ok(Ok(CommandOutcome::Done)),
        }
    }

    async fn remove_member(
        &mut self,
        writer: &mut SqliteConnection,
        user: UserId,
    ) -> Result<Answer, StoreError> {
        match self.target(writer, user).await? {
            Some(target) if self.may_to(Action::ManageMember, target.role) => {
                self.expel(writer, user, &target).await
            }
            None if self.may(Action::ManageMember) => Ok(Err(Refusal::NoMember)),
            _ => Ok(Err(Refusal::Forbidden)),
        }
    }

    async fn expel(
        &mut self,
        writer: &mut SqliteConnection,
        user: UserId,
        target: &Target,
    ) -> Result<Answer, StoreError> {
        if self.is_last_owner(writer, target).await? {
            return Ok(Err(Refusal::LastOwner));
        }
        let sql = "delete from members where room_id = ?1 and user_id = ?2";
        sqlx::query(sql)
            .bind(self.room.as_str())
            .bind(user.to_string())
            .execute(&mut *writer)
            .await?;
        let columns = Columns {
            user: Some(user),
            joined: Some(target.joined),
            ..Columns::default()
        };
        let event = self
            .append(
                writer,
                What::MemberLeft { user },
                self.without(user),
                columns,
            )
            .await?;
        Ok(Ok(CommandOutcome::Changed(event)))
    }

    async fn set_role(
        &mut self,
        writer: &mut SqliteConnection,
        user: UserId,
        role: Role,
    ) -> Result<Answer, StoreError> {
        if !self.may(Action::SetRole) {
            return Ok(Err(Refusal::Forbidden));
        }
        let Some(target) = self.target(writer, user).await? else {
            return Ok(Err(Refusal::NoMember));
        };
        if target.role == role {
            return Ok(Ok(CommandOutcome::Done));
        }
        if self.is_last_owner(writer, &target).await? {
            return Ok(Err(Refusal::LastOwner));
        }
        let sql = "update members set role = ?3 where room_id = ?1 and user_id = ?2";
        let query = sqlx::query(sql)
            .bind(self.room.as_str())
            .bind(user.to_string())
            .bind(rows::role_code(role));
        query.execute(&mut *writer).await?;
        let columns = Columns {
            user: Some(user),
            role: Some(role),
            ..Columns::default()
        };
        let event = self
            .append(
                writer,
                What::MemberRoleChanged { user, role },
                ShutsOut::Nobody,
                columns,
            )
            .await?;
        Ok(Ok(CommandOutcome::Changed(event)))
    }

    async fn mute_member(
        &self,
        writer: &mut SqliteConnection,
        user: UserId,
        until: Option<Timestamp>,
    ) -> Result<Answer, StoreError> {
        match self.target(writer, user).await? {
            Some(target)
                if user != self.actor && self.may_to(Action::ManageMember, target.role) => {}
            None if self.may(Action::ManageMember) => return Ok(Err(Refusal::NoMember)),
            _ => return Ok(Err(Refusal::Forbidden)),
        }
        let sql = "insert into restraints (room_id, user_id, muted_until) values (?1, ?2, ?3)
                   on conflict do update set muted_until = excluded.muted_until";
        sqlx::query(sql)
            .bind(self.room.as_str())
            .bind(user.to_string())
            .bind(until.map(|until| until.0))
            .execute(&mut *writer)
            .await?;
        Ok(Ok(CommandOutcome::Done))
    }

    async fn update(
        &mut self,
        writer: &mut SqliteConnection,
        change: &RoomChange,
    ) -> Result<Answer, StoreError> {
        let RoomChange::Update {
            name,
            visibility,
            slow_mode_seconds,
        } = change
        else {
            return Ok(Ok(CommandOutcome::Done));
        };
        if !self.may(Action::UpdateRoom) {
            return Ok(Err(Refusal::Forbidden));
        }
        let sql = "update rooms set name = coalesce(?2, name), visibility = coalesce(?3, visibility),
                   slow_mode_seconds = coalesce(?4, slow_mode_seconds)
                   where id = ?1 and (name, visibility, slow_mode_seconds)
                   is not (coalesce(?2, name), coalesce(?3, visibility), coalesce(?4, slow_mode_seconds))";
        let updated = sqlx::query(sql)
            .bind(self.room.as_str())
            .bind(name.as_ref().map(|name| name.as_str()))
            .bind(visibility.map(rows::visibility_code))
            .bind(*slow_mode_seconds)
            .execute(&mut *writer)
            .await?;
        if updated.rows_affected() == 0 {
            return Ok(Ok(CommandOutcome::Done));
        }
        let closes =
            (self.visibility, *visibility) == (Visibility::Public, Some(Visibility::Private));
        let shuts_out = match closes {
            true => ShutsOut::AllBut(members_at(&mut *writer, &self.cursor()).await?),
            false => ShutsOut::Nobody,
        };
        let event = self
            .append(writer, What::RoomUpdated, shuts_out, Columns::default())
            .await?;
        Ok(Ok(CommandOutcome::Changed(event)))
    }

    async fn delete(&mut self, writer: &mut SqliteConnection) -> Result<Answer, StoreError> {
        if !self.may(Action::DeleteRoom) {
            return Ok(Err(Refusal::Forbidden));
        }
        let query =
            sqlx::query("update rooms set deleted_at = ?2 where id = ?1").bind(self.room.as_str());
        query.bind(self.now.0).execute(&mut *writer).await?;
        let event = self
            .append(
                writer,
                What::RoomDeleted,
                ShutsOut::Everybody,
                Columns::default(),
            )
            .await?;
        Ok(Ok(CommandOutcome::Changed(event)))
    }
}
