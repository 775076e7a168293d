//! Tests of the rules for changes: one line per case, no database.

use uuid::Uuid;

use super::*;
use crate::domain::{Epoch, EventTag, MessageText, RoomName, Seq, User, UserName};

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
            head_tag: EventTag::UNKNOWN,
            slow_mode_seconds: 0,
            member_count: 3,
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
            cursor: self.room.cursor(Seq(2), EventTag::UNKNOWN),
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
            nonce: None,
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
    fn decide(&self, viewer: &str, change: RoomChange) -> (Result<Decision, Refusal>, Vec<Fact>) {
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
    let text = match (change.kind, write) {
        (ChangeKind::MessageDeleted { sent, .. }, Write::Message { before, after }) => {
            assert_eq!((before.text(), after.text()), ("hello", ""), "V6");
            format!("deletes message {}", sent.0)
        }
        (ChangeKind::MemberJoined { user, role }, Write::AddMember(new)) => {
            assert_eq!((new.user, new.role), (user, role));
            format!("{} joins as {role:?}", name(user))
        }
        (ChangeKind::MemberLeft { user }, Write::RemoveMember(old)) if old.user == user => {
            format!("{} leaves", name(user))
        }
        (ChangeKind::MemberRoleChanged { user, role }, Write::SetRole(..)) => {
            format!("{} becomes {role:?}", name(user))
        }
        (ChangeKind::RoomUpdated, Write::Settings(new)) => format!(
            "{} {:?} {}",
            new.name, new.visibility, new.slow_mode_seconds
        ),
        (ChangeKind::RoomDeleted, Write::DeleteRoom) => "deletes the room".to_owned(),
        other => panic!("an event with another write: {other:?}"),
    };
    match &change.shuts_out {
        ShutsOut::Nobody => text,
        ShutsOut::User(user) => format!("{text}, shuts out {}", name(*user)),
        ShutsOut::AllBut(members) => {
            let names: Vec<_> = members.iter().map(|user| name(*user)).collect();
            format!("{text}, shuts out all but {}", names.join(" "))
        }
        ShutsOut::Everybody => format!("{text}, shuts out everybody"),
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

#[test]
fn the_operator_can_make_every_user_an_owner() {
    let adopt = || RoomChange::Adopt(member_id());
    check(&public(), "ann", adopt(), "nothing");
    let changed = "bob becomes Owner";
    check(&public(), "bob", adopt(), changed);
    check(&private(), "bob", adopt(), changed);
    check(&private(), "eve", adopt(), "eve joins as Owner");
    check(&private(), "ghost", adopt(), "UnknownViewer");
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
