//! The rules for changing a room, its members and its messages.
//!
//! Few of these rules need the same facts, and some facts are expensive. So a rule **asks** for a
//! fact when it gets to it: it stops with [`Stop::Needs`], the backend loads the fact, and the rule
//! is decided again from the start. A command that is refused early loads nothing more.

use std::sync::Arc;

use super::{
    Refusal, Rights,
    decision::{Decision, Membership, NewMember, Settings, Write},
};
use crate::{
    domain::{
        Action, Body, Change, ChangeKind, EventTag, MemberId, Message, MessageId, Role, Room,
        ShutsOut, Timestamp, UserId, Visibility,
    },
    store::{ChangeRoom, RoomChange},
};

/// A fact that a rule asks the backend for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Fact {
    /// [`ChangeFacts::message`], with this id.
    Message(MessageId),
    /// [`ChangeFacts::target_known`], of this user.
    TargetKnown(UserId),
    /// [`ChangeFacts::target`], of this user.
    Target(UserId),
    /// [`ChangeFacts::owners`].
    Owners,
    /// [`ChangeFacts::members`].
    Members,
    /// [`ChangeFacts::member_ids`].
    MemberIds,
}

/// The facts of [`change_room`]. The first three are always loaded. The others are `None` until a
/// rule asks for them.
#[derive(Default)]
pub(in crate::store) struct ChangeFacts {
    /// Whether the viewer is a user.
    pub(in crate::store) viewer_known: bool,
    /// The room; `None` if there is no such room.
    pub(in crate::store) room: Option<Room>,
    /// The viewer's role in the room; `None` if they are not a member.
    pub(in crate::store) role: Option<Role>,
    /// The message that the command is about, if it is in the room.
    pub(in crate::store) message: Option<Option<Arc<Message>>>,
    /// Whether the user that the command is about exists.
    pub(in crate::store) target_known: Option<bool>,
    /// The membership of the user that the command is about, if they are a member.
    pub(in crate::store) target: Option<Option<Membership>>,
    /// The number of owners of the room.
    pub(in crate::store) owners: Option<u64>,
    /// The number of members of the room.
    pub(in crate::store) members: Option<u64>,
    /// The members of the room, in ascending order.
    pub(in crate::store) member_ids: Option<Arc<[UserId]>>,
}

/// Why a rule did not come to a decision.
#[derive(Debug, thiserror::Error)]
pub(in crate::store) enum Stop {
    /// The command is refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The rule needs this fact: load it and decide again.
    #[error("needs {0:?}")]
    Needs(Fact),
}

/// Decides a change of a room. `members_max` is the largest number of members; 0 is no limit.
pub(in crate::store) fn change_room(
    command: &ChangeRoom,
    facts: &ChangeFacts,
    now: Timestamp,
    members_max: u32,
) -> Result<Decision, Stop> {
    if !facts.viewer_known {
        return Err(Refusal::UnknownViewer.into());
    }
    let room = facts.room.as_ref().ok_or(Refusal::NotFound)?;
    let rights = Rights {
        visibility: room.visibility,
        role: facts.role,
    };
    let is_adopted = matches!(command.change, RoomChange::Adopt(_));
    if !is_adopted {
        rights.require(Action::Read)?;
    }
    let rule = Rule {
        actor: command.viewer,
        room,
        rights,
        facts,
        now,
        members_max,
    };
    match &command.change {
        RoomChange::DeleteMessage(id) => rule.delete_message(*id),
        RoomChange::Join(id) => rule.join(*id),
        RoomChange::Leave => rule.leave(),
        RoomChange::AddMember { id, user, role } => rule.add_member(NewMember {
            id: *id,
            user: *user,
            role: *role,
        }),
        RoomChange::SetRole { user, role } => rule.set_role(*user, *role),
        RoomChange::RemoveMember(user) => rule.remove_member(*user),
        RoomChange::MuteMember { user, until } => rule.mute_member(*user, *until),
        RoomChange::Update {
            name,
            visibility,
            slow_mode_seconds,
        } => rule.update(Settings {
            name: name.as_ref().unwrap_or(&room.name).clone(),
            visibility: visibility.unwrap_or(room.visibility),
            slow_mode_seconds: slow_mode_seconds.unwrap_or(room.slow_mode_seconds),
        }),
        RoomChange::Delete => rule.delete_room(),
        RoomChange::Adopt(id) => rule.adopt(*id),
    }
}

/// A change by a viewer who may read the room.
struct Rule<'a> {
    actor: UserId,
    room: &'a Room,
    rights: Rights,
    facts: &'a ChangeFacts,
    now: Timestamp,
    members_max: u32,
}

impl Rule<'_> {
    fn delete_message(&self, id: MessageId) -> Result<Decision, Stop> {
        let before = self.message(id)?.ok_or(Refusal::NoMessage)?;
        self.rights.require(match before.sender.id == self.actor {
            true => Action::DeleteOwn,
            false => Action::DeleteAny,
        })?;
        if matches!(before.body, Body::Deleted(_)) {
            return Ok(Decision::Nothing);
        }
        let kind = ChangeKind::MessageDeleted {
            message: id,
            sent: before.cursor.seq,
        };
        let after = Arc::new(Message {
            body: Body::Deleted(self.now),
            ..Message::clone(&before)
        });
        let write = Write::Message { before, after };
        Ok(self.append(kind, ShutsOut::Nobody, write))
    }

    fn join(&self, id: MemberId) -> Result<Decision, Stop> {
        if self.rights.role.is_some() {
            return Ok(Decision::Nothing);
        }
        self.rights.require(Action::Join)?;
        self.admit(NewMember {
            id,
            user: self.actor,
            role: Role::Member,
        })
    }

    fn add_member(&self, new: NewMember) -> Result<Decision, Stop> {
        if !self.rights.allow_to(Action::AddMember, new.role) {
            return Err(Refusal::Forbidden.into());
        }
        if !self.target_known(new.user)? {
            return Err(Refusal::NoUser.into());
        }
        match self.target(new.user)? {
            Some(target) if target.role == new.role => Ok(Decision::Nothing),
            Some(_) => Err(Refusal::MemberAlready.into()),
            None => self.admit(new),
        }
    }

    fn admit(&self, new: NewMember) -> Result<Decision, Stop> {
        if self.members_max != 0 && self.members()? >= u64::from(self.members_max) {
            return Err(Refusal::RoomFull.into());
        }
        let kind = ChangeKind::MemberJoined {
            user: new.user,
            role: new.role,
        };
        Ok(self.append(kind, ShutsOut::Nobody, Write::AddMember(new)))
    }

    fn leave(&self) -> Result<Decision, Stop> {
        match self.target(self.actor)? {
            Some(target) => self.end_membership(target),
            None => Ok(Decision::Nothing),
        }
    }

    fn remove_member(&self, user: UserId) -> Result<Decision, Stop> {
        let target = self.managed(user)?;
        self.end_membership(target)
    }

    fn end_membership(&self, target: Membership) -> Result<Decision, Stop> {
        self.keep_an_owner(target)?;
        let user = target.user;
        let shuts_out = match self.room.visibility {
            Visibility::Public => ShutsOut::Nobody,
            Visibility::Private => ShutsOut::User(user),
        };
        let kind = ChangeKind::MemberLeft { user };
        Ok(self.append(kind, shuts_out, Write::RemoveMember(target)))
    }

    fn set_role(&self, user: UserId, role: Role) -> Result<Decision, Stop> {
        self.rights.require(Action::SetRole)?;
        let target = self.target(user)?.ok_or(Refusal::NoMember)?;
        if target.role == role {
            return Ok(Decision::Nothing);
        }
        self.keep_an_owner(target)?;
        let kind = ChangeKind::MemberRoleChanged { user, role };
        Ok(self.append(kind, ShutsOut::Nobody, Write::SetRole(user, role)))
    }

    fn adopt(&self, id: MemberId) -> Result<Decision, Stop> {
        let (user, role) = (self.actor, Role::Owner);
        match self.rights.role {
            Some(Role::Owner) => Ok(Decision::Nothing),
            Some(_) => {
                let kind = ChangeKind::MemberRoleChanged { user, role };
                Ok(self.append(kind, ShutsOut::Nobody, Write::SetRole(user, role)))
            }
            None => self.admit(NewMember { id, user, role }),
        }
    }

    /// A mute is not part of the log. Users cannot mute themselves.
    fn mute_member(&self, user: UserId, until: Option<Timestamp>) -> Result<Decision, Stop> {
        let target = self.managed(user)?;
        if target.user == self.actor {
            return Err(Refusal::Forbidden.into());
        }
        Ok(Decision::Silently(Write::Mute(user, until)))
    }

    fn update(&self, settings: Settings) -> Result<Decision, Stop> {
        self.rights.require(Action::UpdateRoom)?;
        let current = Settings {
            name: self.room.name.clone(),
            visibility: self.room.visibility,
            slow_mode_seconds: self.room.slow_mode_seconds,
        };
        if settings == current {
            return Ok(Decision::Nothing);
        }
        let shuts_out = match (current.visibility, settings.visibility) {
            (Visibility::Public, Visibility::Private) => ShutsOut::AllBut(self.member_ids()?),
            _ => ShutsOut::Nobody,
        };
        Ok(self.append(
            ChangeKind::RoomUpdated,
            shuts_out,
            Write::Settings(settings),
        ))
    }

    fn delete_room(&self) -> Result<Decision, Stop> {
        self.rights.require(Action::DeleteRoom)?;
        Ok(self.append(
            ChangeKind::RoomDeleted,
            ShutsOut::Everybody,
            Write::DeleteRoom,
        ))
    }

    /// The membership of a user, if the viewer may manage it.
    fn managed(&self, user: UserId) -> Result<Membership, Stop> {
        match self.target(user)? {
            Some(target) if self.rights.allow_to(Action::ManageMember, target.role) => Ok(target),
            None if self.rights.allow(Action::ManageMember) => Err(Refusal::NoMember.into()),
            _ => Err(Refusal::Forbidden.into()),
        }
    }

    /// Refuses to take the role of the last owner of the room.
    fn keep_an_owner(&self, target: Membership) -> Result<(), Stop> {
        if target.role == Role::Owner && self.owners()? <= 1 {
            return Err(Refusal::LastOwner.into());
        }
        Ok(())
    }

    /// Appends the next event of the room (S2).
    fn append(&self, kind: ChangeKind, shuts_out: ShutsOut, write: Write) -> Decision {
        let change = Change {
            cursor: self
                .room
                .cursor(self.room.head.next(), EventTag::of(self.now)),
            at: self.now,
            actor: self.actor,
            kind,
            shuts_out,
        };
        Decision::Append(change, write)
    }
}

/// The facts that rules ask for.
impl Rule<'_> {
    fn message(&self, id: MessageId) -> Result<Option<Arc<Message>>, Stop> {
        let message = self.facts.message.clone();
        message.ok_or(Stop::Needs(Fact::Message(id)))
    }

    fn target_known(&self, user: UserId) -> Result<bool, Stop> {
        let known = self.facts.target_known;
        known.ok_or(Stop::Needs(Fact::TargetKnown(user)))
    }

    fn target(&self, user: UserId) -> Result<Option<Membership>, Stop> {
        self.facts.target.ok_or(Stop::Needs(Fact::Target(user)))
    }

    fn owners(&self) -> Result<u64, Stop> {
        self.facts.owners.ok_or(Stop::Needs(Fact::Owners))
    }

    fn members(&self) -> Result<u64, Stop> {
        self.facts.members.ok_or(Stop::Needs(Fact::Members))
    }

    fn member_ids(&self) -> Result<Arc<[UserId]>, Stop> {
        let ids = self.facts.member_ids.clone();
        ids.ok_or(Stop::Needs(Fact::MemberIds))
    }
}

#[cfg(test)]
mod tests;
