//! What happens in a room besides messages.

use std::sync::Arc;

use super::{Cursor, MessageId, Role, Seq, Timestamp, UserId};

/// A change of a room, its members or its messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Where it stands in the room's log.
    pub cursor: Cursor,
    /// When it was committed.
    pub at: Timestamp,
    /// Who did it.
    pub actor: UserId,
    /// What was done.
    pub what: What,
    /// Who may not read on from here (V5).
    pub shuts_out: ShutsOut,
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A message lost its text.
    MessageDeleted {
        /// Which message.
        message: MessageId,
        /// The event that sent it.
        sent: Seq,
    },
    /// Somebody became a member.
    MemberJoined {
        /// Who.
        user: UserId,
        /// As what.
        role: Role,
    },
    /// Somebody left, or was removed: then the actor is somebody else.
    MemberLeft {
        /// Who.
        user: UserId,
    },
    /// A member became something else.
    MemberRoleChanged {
        /// Who.
        user: UserId,
        /// What they are now.
        role: Role,
    },
    /// The room has another name, visibility or pace.
    RoomUpdated,
    /// The room is gone.
    RoomDeleted,
}

/// Who may not read on from an event. Older events revoke nothing: whoever may read a room now may read its history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ShutsOut {
    /// Everybody may.
    #[default]
    Nobody,
    /// This user may not.
    User(UserId),
    /// Only those who were members at that moment may, in ascending order.
    AllBut(Arc<[UserId]>),
    /// Nobody may.
    Everybody,
}

impl What {
    /// Whether it says anything about who may read the room.
    pub fn is_about_the_room(&self) -> bool {
        matches!(self, Self::RoomUpdated | Self::RoomDeleted)
    }
}

impl ShutsOut {
    /// Whether a reader may not go on.
    pub fn applies_to(&self, reader: Option<UserId>) -> bool {
        match self {
            Self::Nobody => false,
            Self::User(user) => reader == Some(*user),
            Self::AllBut(members) => {
                reader.is_none_or(|reader| members.binary_search(&reader).is_err())
            }
            Self::Everybody => true,
        }
    }

    /// Memory beside the value itself, in bytes.
    pub fn bytes(&self) -> usize {
        match self {
            Self::AllBut(members) => size_of_val::<[UserId]>(members),
            Self::Nobody | Self::User(_) | Self::Everybody => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn v5_who_is_shut_out() {
        let [ann, bob] = [1, 2].map(|number| UserId::from_uuid(Uuid::from_u128(number)));
        for (shuts_out, expected) in [
            (ShutsOut::Nobody, [false, false, false]),
            (ShutsOut::User(ann), [false, true, false]),
            (ShutsOut::AllBut([ann].into()), [true, false, true]),
            (ShutsOut::AllBut([].into()), [true, true, true]),
            (ShutsOut::Everybody, [true, true, true]),
        ] {
            assert_eq!(
                [None, Some(ann), Some(bob)].map(|reader| shuts_out.applies_to(reader)),
                expected
            );
        }
    }
}
