//! The rules for changing a room, its members and its messages.
//!
//! Few of these rules need the same facts, and some facts are expensive. So a rule **asks** for a
//! fact when it gets to it: it stops with [`Stop::Needs`], the backend loads the fact, and the rule
//! is decided again from the start. A command that is refused early loads nothing more.

use std::sync::Arc;

use super::{
    Refusal, Rights,
    decision::{Decision, NewMember, Settings, Write},
};
use crate::{
    domain::{
        Action, Body, Change, MemberId, Message, MessageId, Role, Room, Seq, ShutsOut, Timestamp,
        UserId, Visibility, What,
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

/// What a change depends on. The first three fields are always loaded, the others when a rule asks.
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

/// A stored membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) struct Membership {
    pub(in crate::store) user: UserId,
    pub(in crate::store) role: Role,
    /// The Seq of the event with which it began.
    pub(in crate::store) joined: Seq,
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
    rights.require(Action::Read)?;
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
        let what = What::MessageDeleted {
            message: id,
            sent: before.cursor.seq,
        };
        let after = Arc::new(Message {
            body: Body::Deleted(self.now),
            ..Message::clone(&before)
        });
        let write = Write::Message { before, after };
        Ok(self.append(what, ShutsOut::Nobody, write))
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
        let what = What::MemberJoined {
            user: new.user,
            role: new.role,
        };
        Ok(self.append(what, ShutsOut::Nobody, Write::AddMember(new)))
    }

    fn leave(&self) -> Result<Decision, Stop> {
        match self.target(self.actor)? {
            Some(target) => self.expel(target),
            None => Ok(Decision::Nothing),
        }
    }

    fn remove_member(&self, user: UserId) -> Result<Decision, Stop> {
        let target = self.managed(user)?;
        self.expel(target)
    }

    fn expel(&self, target: Membership) -> Result<Decision, Stop> {
        self.keep_an_owner(target)?;
        let user = target.user;
        let shuts_out = match self.room.visibility {
            Visibility::Public => ShutsOut::Nobody,
            Visibility::Private => ShutsOut::User(user),
        };
        let what = What::MemberLeft { user };
        Ok(self.append(what, shuts_out, Write::RemoveMember(target)))
    }

    fn set_role(&self, user: UserId, role: Role) -> Result<Decision, Stop> {
        self.rights.require(Action::SetRole)?;
        let target = self.target(user)?.ok_or(Refusal::NoMember)?;
        if target.role == role {
            return Ok(Decision::Nothing);
        }
        self.keep_an_owner(target)?;
        let what = What::MemberRoleChanged { user, role };
        Ok(self.append(what, ShutsOut::Nobody, Write::SetRole(user, role)))
    }

    /// A mute is not part of the log. Nobody mutes themselves.
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
        Ok(self.append(What::RoomUpdated, shuts_out, Write::Settings(settings)))
    }

    fn delete_room(&self) -> Result<Decision, Stop> {
        self.rights.require(Action::DeleteRoom)?;
        Ok(self.append(What::RoomDeleted, ShutsOut::Everybody, Write::DeleteRoom))
    }

    /// A member whom the viewer may manage.
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
    fn append(&self, what: What, shuts_out: ShutsOut, write: Write) -> Decision {
        let change = Change {
            cursor: self.room.cursor(self.room.head.next()),
            at: self.now,
            actor: self.actor,
            what,
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
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::{Epoch, MessageText, RoomName, User, UserName};

    const NOW: Timestamp = Timestamp(10);
    const NAMES: [&str; 5] = ["ann", "moe", "bob", "eve", "ghost"];

    fn id(name: &str) -> UserId {
        let number = NAMES.iter().position(|known| *known == name).unwrap();
        UserId::from_uuid(Uuid::from_u128(number as u128))
    }

    fn name(id: UserId) -> &'static str {
        NAMES.into_iter().find(|name| self::id(name) == id).unwrap()
    }

    fn message_id(number: u128) -> MessageId {
        MessageId::from_uuid(Uuid::from_u128(number))
    }

    fn member_id() -> MemberId {
        MemberId::from_uuid(Uuid::from_u128(1))
    }

    /// A room of the owner Ann, the moderator Moe and the member Bob, who has sent message 2. Eve is
    /// a user who is not a member. There is no user Ghost.
    struct World {
        room: Room,
        roles: Vec<(&'static str, Role)>,
        deleted: bool,
        members_max: u32,
    }

    fn world(visibility: Visibility) -> World {
        World {
            room: Room {
                id: "a".parse().unwrap(),
                name: RoomName::new("A").unwrap(),
                visibility,
                created_at: Timestamp(0),
                epoch: Epoch(1),
                head: Seq(6),
                slow_mode_seconds: 0,
                deleted_at: None,
            },
            roles: vec![
                ("ann", Role::Owner),
                ("moe", Role::Moderator),
                ("bob", Role::Member),
            ],
            deleted: false,
            members_max: 0,
        }
    }

    impl World {
        fn role(&self, user: UserId) -> Option<Role> {
            let found = self.roles.iter().find(|(name, _)| id(name) == user);
            found.map(|(_, role)| *role)
        }

        fn message(&self) -> Arc<Message> {
            let text = MessageText::new("hello").unwrap();
            Arc::new(Message {
                id: message_id(2),
                cursor: self.room.cursor(Seq(2)),
                sender: Arc::new(User {
                    id: id("bob"),
                    name: UserName::new("bob").unwrap(),
                    created_at: Timestamp(0),
                }),
                body: match self.deleted {
                    true => Body::Deleted(Timestamp(9)),
                    false => Body::Text(text),
                },
                created_at: Timestamp(0),
                reply_to: None,
            })
        }

        fn load(&self, fact: Fact, facts: &mut ChangeFacts) {
            match fact {
                Fact::Message(id) => {
                    facts.message = Some((id == message_id(2)).then(|| self.message()));
                }
                Fact::TargetKnown(user) => facts.target_known = Some(name(user) != "ghost"),
                Fact::Target(user) => {
                    facts.target = Some(self.role(user).map(|role| Membership {
                        user,
                        role,
                        joined: Seq(1),
                    }));
                }
                Fact::Owners => {
                    let owners = self.roles.iter().filter(|(_, role)| *role == Role::Owner);
                    facts.owners = Some(owners.count() as u64);
                }
                Fact::Members => facts.members = Some(self.roles.len() as u64),
                Fact::MemberIds => {
                    facts.member_ids = Some(self.roles.iter().map(|(name, _)| id(name)).collect());
                }
            }
        }

        /// Decides as a backend does; returns the facts that it was asked for, too.
        fn decide(
            &self,
            viewer: &str,
            change: RoomChange,
        ) -> (Result<Decision, Refusal>, Vec<Fact>) {
            let command = ChangeRoom {
                viewer: id(viewer),
                room: self.room.id.clone(),
                change,
            };
            let mut facts = ChangeFacts {
                viewer_known: viewer != "ghost",
                room: Some(self.room.clone()),
                role: self.role(id(viewer)),
                ..ChangeFacts::default()
            };
            let mut asked = Vec::new();
            loop {
                match change_room(&command, &facts, NOW, self.members_max) {
                    Ok(decision) => return (Ok(decision), asked),
                    Err(Stop::Refused(refusal)) => return (Err(refusal), asked),
                    Err(Stop::Needs(fact)) => {
                        assert!(!asked.contains(&fact), "{fact:?} is asked for twice");
                        asked.push(fact);
                        self.load(fact, &mut facts);
                    }
                }
            }
        }
    }

    fn describe(decision: &Decision) -> String {
        let (change, write) = match decision {
            Decision::Nothing => return "nothing".to_owned(),
            Decision::Silently(Write::Mute(user, until)) => {
                return format!("mutes {} {until:?}", name(*user));
            }
            Decision::Silently(write) => return format!("{write:?}"),
            Decision::Append(change, write) => (change, write),
        };
        let seq = Seq(7);
        assert_eq!((change.cursor.seq, change.at), (seq, NOW), "S2");
        let what = match (change.what, write) {
            (What::MessageDeleted { sent, .. }, Write::Message { before, after }) => {
                assert_eq!((before.text(), after.text()), ("hello", ""), "V6");
                format!("deletes message {}", sent.0)
            }
            (What::MemberJoined { user, role }, Write::AddMember(new)) => {
                assert_eq!((new.user, new.role), (user, role));
                format!("{} joins as {role:?}", name(user))
            }
            (What::MemberLeft { user }, Write::RemoveMember(old)) if old.user == user => {
                format!("{} leaves", name(user))
            }
            (What::MemberRoleChanged { user, role }, Write::SetRole(..)) => {
                format!("{} becomes {role:?}", name(user))
            }
            (What::RoomUpdated, Write::Settings(new)) => format!(
                "{} {:?} {}",
                new.name, new.visibility, new.slow_mode_seconds
            ),
            (What::RoomDeleted, Write::DeleteRoom) => "deletes the room".to_owned(),
            other => panic!("an event with another write: {other:?}"),
        };
        match &change.shuts_out {
            ShutsOut::Nobody => what,
            ShutsOut::User(user) => format!("{what}, shuts out {}", name(*user)),
            ShutsOut::AllBut(members) => {
                let names: Vec<_> = members.iter().map(|user| name(*user)).collect();
                format!("{what}, shuts out all but {}", names.join(" "))
            }
            ShutsOut::Everybody => format!("{what}, shuts out everybody"),
        }
    }

    fn check(world: &World, viewer: &str, change: RoomChange, expected: &str) {
        let asked = format!("{viewer} {change:?}");
        let found = match world.decide(viewer, change).0 {
            Ok(decision) => describe(&decision),
            Err(refusal) => format!("{refusal:?}"),
        };
        assert_eq!(found, expected, "{asked}");
    }

    fn public() -> World {
        world(Visibility::Public)
    }

    fn private() -> World {
        world(Visibility::Private)
    }

    fn delete(number: u128) -> RoomChange {
        RoomChange::DeleteMessage(message_id(number))
    }

    fn join() -> RoomChange {
        RoomChange::Join(member_id())
    }

    fn add(user: &str, role: Role) -> RoomChange {
        RoomChange::AddMember {
            id: member_id(),
            user: id(user),
            role,
        }
    }

    fn set_role(user: &str, role: Role) -> RoomChange {
        RoomChange::SetRole {
            user: id(user),
            role,
        }
    }

    fn remove(user: &str) -> RoomChange {
        RoomChange::RemoveMember(id(user))
    }

    fn mute(user: &str) -> RoomChange {
        RoomChange::MuteMember {
            user: id(user),
            until: None,
        }
    }

    fn update(
        name: Option<&str>,
        visibility: Option<Visibility>,
        slow_mode_seconds: Option<u32>,
    ) -> RoomChange {
        RoomChange::Update {
            name: name.map(|name| RoomName::new(name).unwrap()),
            visibility,
            slow_mode_seconds,
        }
    }

    #[test]
    fn g5_a_room_that_the_viewer_may_not_read_is_unknown() {
        for change in [delete(2), join(), RoomChange::Leave, RoomChange::Delete] {
            check(&private(), "ghost", change.clone(), "UnknownViewer");
            check(&private(), "eve", change.clone(), "NotFound");
            let command = ChangeRoom {
                viewer: id("eve"),
                room: "b".parse().unwrap(),
                change,
            };
            let facts = ChangeFacts {
                viewer_known: true,
                ..ChangeFacts::default()
            };
            let stop = change_room(&command, &facts, NOW, 0).unwrap_err();
            assert!(matches!(stop, Stop::Refused(Refusal::NotFound)), "{stop:?}");
        }
    }

    #[test]
    fn v6_a_message_is_deleted_by_its_sender_or_a_moderator() {
        check(&public(), "bob", delete(2), "deletes message 2");
        check(&public(), "moe", delete(2), "deletes message 2");
        check(&public(), "ann", delete(2), "deletes message 2");
        check(&public(), "eve", delete(2), "Forbidden");
        check(&public(), "ann", delete(3), "NoMessage");
        let deleted = World {
            deleted: true,
            ..public()
        };
        check(&deleted, "bob", delete(2), "nothing");
        check(&deleted, "eve", delete(2), "Forbidden");
    }

    #[test]
    fn users_join_public_rooms() {
        check(&public(), "eve", join(), "eve joins as Member");
        check(&public(), "bob", join(), "nothing");
        check(&private(), "bob", join(), "nothing");
    }

    #[test]
    fn members_are_added_by_those_who_manage_their_role() {
        check(
            &public(),
            "ann",
            add("eve", Role::Owner),
            "eve joins as Owner",
        );
        check(
            &public(),
            "moe",
            add("eve", Role::Member),
            "eve joins as Member",
        );
        check(&public(), "moe", add("eve", Role::Moderator), "Forbidden");
        check(&public(), "bob", add("eve", Role::Member), "Forbidden");
        check(&public(), "eve", add("eve", Role::Member), "Forbidden");
        check(&public(), "ann", add("ghost", Role::Member), "NoUser");
        check(&public(), "ann", add("bob", Role::Member), "nothing");
        check(
            &public(),
            "ann",
            add("bob", Role::Moderator),
            "MemberAlready",
        );
    }

    #[test]
    fn a_full_room_takes_no_more_members() {
        let with_limit = |members_max| World {
            members_max,
            ..public()
        };
        check(&with_limit(4), "eve", join(), "eve joins as Member");
        check(&with_limit(3), "eve", join(), "RoomFull");
        check(&with_limit(3), "ann", add("eve", Role::Member), "RoomFull");
        check(&with_limit(3), "bob", join(), "nothing");
        check(
            &with_limit(3),
            "ann",
            add("bob", Role::Owner),
            "MemberAlready",
        );
    }

    #[test]
    fn leaving_a_private_room_shuts_the_member_out() {
        check(&public(), "bob", RoomChange::Leave, "bob leaves");
        check(
            &private(),
            "bob",
            RoomChange::Leave,
            "bob leaves, shuts out bob",
        );
        check(&public(), "eve", RoomChange::Leave, "nothing");
    }

    #[test]
    fn members_are_removed_by_those_who_manage_their_role() {
        check(&public(), "moe", remove("bob"), "bob leaves");
        check(
            &private(),
            "ann",
            remove("moe"),
            "moe leaves, shuts out moe",
        );
        check(&public(), "moe", remove("ann"), "Forbidden");
        check(&public(), "moe", remove("moe"), "Forbidden");
        check(&public(), "bob", remove("bob"), "Forbidden");
        check(&public(), "bob", remove("eve"), "Forbidden");
        check(&public(), "moe", remove("eve"), "NoMember");
    }

    #[test]
    fn owners_set_roles() {
        check(
            &public(),
            "ann",
            set_role("bob", Role::Owner),
            "bob becomes Owner",
        );
        check(&public(), "ann", set_role("bob", Role::Member), "nothing");
        check(&public(), "ann", set_role("eve", Role::Member), "NoMember");
        check(
            &public(),
            "moe",
            set_role("bob", Role::Moderator),
            "Forbidden",
        );
    }

    #[test]
    fn a_room_keeps_its_last_owner() {
        check(&public(), "ann", RoomChange::Leave, "LastOwner");
        check(&public(), "ann", remove("ann"), "LastOwner");
        check(&public(), "ann", set_role("ann", Role::Member), "LastOwner");
        let mut two = public();
        two.roles[1].1 = Role::Owner;
        check(&two, "ann", RoomChange::Leave, "ann leaves");
        check(&two, "ann", remove("moe"), "moe leaves");
        check(
            &two,
            "ann",
            set_role("ann", Role::Member),
            "ann becomes Member",
        );
    }

    #[test]
    fn members_are_muted_by_others_who_manage_their_role() {
        check(&public(), "moe", mute("bob"), "mutes bob None");
        check(&public(), "ann", mute("moe"), "mutes moe None");
        check(&public(), "ann", mute("ann"), "Forbidden");
        check(&public(), "moe", mute("ann"), "Forbidden");
        check(&public(), "bob", mute("moe"), "Forbidden");
        check(&public(), "bob", mute("eve"), "Forbidden");
        check(&public(), "moe", mute("eve"), "NoMember");
    }

    #[test]
    fn v5_a_room_made_private_shuts_out_all_but_its_members() {
        use Visibility::{Private, Public};
        let show = |visibility| update(None, Some(visibility), None);
        let closed = "A Private 0, shuts out all but ann moe bob";
        check(&public(), "ann", show(Private), closed);
        check(&public(), "ann", show(Public), "nothing");
        check(&private(), "ann", show(Private), "nothing");
        check(&private(), "ann", show(Public), "A Public 0");
        check(&public(), "moe", show(Private), "Forbidden");
    }

    #[test]
    fn only_given_settings_change() {
        use Visibility::Public;
        check(
            &public(),
            "ann",
            update(Some("B"), None, None),
            "B Public 0",
        );
        check(&public(), "ann", update(None, None, Some(5)), "A Public 5");
        check(&public(), "ann", update(None, None, None), "nothing");
        let same = update(Some("A"), Some(Public), Some(0));
        check(&public(), "ann", same, "nothing");
    }

    #[test]
    fn owners_delete_rooms() {
        let gone = "deletes the room, shuts out everybody";
        check(&public(), "ann", RoomChange::Delete, gone);
        check(&public(), "moe", RoomChange::Delete, "Forbidden");
        check(&public(), "eve", RoomChange::Delete, "Forbidden");
    }

    /// A fact that takes a scan of the members is loaded only for a command that may succeed.
    #[test]
    fn expensive_facts_are_loaded_last() {
        let full = World {
            members_max: 3,
            ..public()
        };
        let make_private = || update(None, Some(Visibility::Private), None);
        for (world, viewer, change, expected) in [
            (&full, "bob", join(), vec![]),
            (&full, "eve", join(), vec![Fact::Members]),
            (&public(), "eve", join(), vec![]),
            (&full, "bob", add("eve", Role::Member), vec![]),
            (&full, "moe", make_private(), vec![]),
            (&full, "ann", make_private(), vec![Fact::MemberIds]),
            (
                &full,
                "bob",
                RoomChange::Leave,
                vec![Fact::Target(id("bob"))],
            ),
            (
                &full,
                "ann",
                RoomChange::Leave,
                vec![Fact::Target(id("ann")), Fact::Owners],
            ),
        ] {
            assert_eq!(world.decide(viewer, change).1, expected, "{viewer}");
        }
    }
}
