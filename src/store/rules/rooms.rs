//! The rule for creating a room.

use super::Refusal;
use crate::{
    domain::{EventTag, Role, Room, Seq, Timestamp},
    store::{CreateRoom, rules::NewMember},
};

/// The facts of [`create_room`].
pub(in crate::store) struct CreateFacts {
    /// Whether the viewer is a user.
    pub(in crate::store) viewer_known: bool,
    /// Whether there is a room with this id, deleted or not.
    pub(in crate::store) id_taken: bool,
}

/// Decides the creation of a room: returns the new room and its first owner.
pub(in crate::store) fn create_room(
    command: &CreateRoom,
    facts: &CreateFacts,
    now: Timestamp,
) -> Result<(Room, NewMember), Refusal> {
    if !facts.viewer_known {
        return Err(Refusal::UnknownViewer);
    }
    if facts.id_taken {
        return Err(Refusal::RoomTaken);
    }
    let room = Room {
        id: command.id.clone(),
        name: command.name.clone(),
        visibility: command.visibility,
        created_at: now,
        epoch: command.epoch,
        head: Seq::START,
        head_tag: EventTag::UNKNOWN,
        slow_mode_seconds: 0,
        member_count: 1,
        deleted_at: None,
    };
    let owner = NewMember {
        id: command.owner,
        user: command.viewer,
        role: Role::Owner,
    };
    Ok((room, owner))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::{Epoch, MemberId, RoomName, UserId, Visibility};

    #[test]
    fn the_creator_owns_the_room() {
        let command = CreateRoom {
            viewer: UserId::from_uuid(Uuid::from_u128(1)),
            id: "a".parse().unwrap(),
            owner: MemberId::from_uuid(Uuid::from_u128(2)),
            name: RoomName::new("A").unwrap(),
            visibility: Visibility::Private,
            epoch: Epoch(7),
        };
        let decide = |viewer_known, id_taken| {
            let facts = CreateFacts {
                viewer_known,
                id_taken,
            };
            create_room(&command, &facts, Timestamp(5))
        };
        assert_eq!(decide(false, true).unwrap_err(), Refusal::UnknownViewer);
        assert_eq!(decide(true, true).unwrap_err(), Refusal::RoomTaken);
        let (room, owner) = decide(true, false).unwrap();
        assert_eq!((room.head, room.created_at), (Seq(0), Timestamp(5)));
        assert_eq!((owner.user, owner.role), (command.viewer, Role::Owner));
    }
}
