//! Changes of a room: every event except a sent message.

use std::sync::Arc;

use super::{Cursor, MessageId, Role, Seq, Timestamp, UserId};

/// A change of a room, its members or its messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The position of this event in its room's log.
    pub cursor: Cursor,
    /// When the change was committed.
    pub at: Timestamp,
    /// The user who made the change.
    pub actor: UserId,
    /// The kind of change.
    pub kind: ChangeKind,
    /// The users who lose the right to read the room with this event (V5).
    pub shuts_out: ShutsOut,
}

/// The kind of a change, with its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// The text of a message was deleted.
    MessageDeleted {
        /// The message.
        message: MessageId,
        /// The Seq of the event that sent it.
        sent: Seq,
    },
    /// A user became a member.
    MemberJoined {
        /// The new member.
        user: UserId,
        /// Their role.
        role: Role,
    },
    /// A member left, or was removed; if they were removed, the actor is another user.
    MemberLeft {
        /// The former member.
        user: UserId,
    },
    /// A member got another role.
    MemberRoleChanged {
        /// The member.
        user: UserId,
        /// Their new role.
        role: Role,
    },
    /// The room's name, visibility or slow mode changed.
    RoomUpdated,
    /// The room was deleted.
    RoomDeleted,
}

/// A [`ChangeKind`] as stores keep it: a number for the kind, and a nullable column for each value.
///
/// [`ChangeKind::to_record`] gives each kind its number. A number never changes and is never
/// reused. Number 0 is a sent message ([`ChangeRecord::MESSAGE_SENT`]), which is not a
/// [`ChangeKind`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChangeRecord {
    /// The kind of the event.
    pub kind: i64,
    /// The message that the event is about.
    pub message: Option<MessageId>,
    /// The Seq of the event that sent that message. Stores read it from the message.
    pub sent: Option<Seq>,
    /// The user that the event is about.
    pub user: Option<UserId>,
    /// The role that the user got.
    pub role: Option<Role>,
}

impl ChangeRecord {
    /// The kind of the event that sends a message.
    pub const MESSAGE_SENT: i64 = 0;
}

impl ChangeKind {
    /// The change as stores keep it.
    pub fn to_record(self) -> ChangeRecord {
        let of_kind = |kind| ChangeRecord {
            kind,
            ..ChangeRecord::default()
        };
        match self {
            Self::MessageDeleted { message, sent } => ChangeRecord {
                message: Some(message),
                sent: Some(sent),
                ..of_kind(1)
            },
            Self::MemberJoined { user, role } => ChangeRecord {
                user: Some(user),
                role: Some(role),
                ..of_kind(2)
            },
            Self::MemberLeft { user } => ChangeRecord {
                user: Some(user),
                ..of_kind(3)
            },
            Self::MemberRoleChanged { user, role } => ChangeRecord {
                user: Some(user),
                role: Some(role),
                ..of_kind(4)
            },
            Self::RoomUpdated => of_kind(5),
            Self::RoomDeleted => of_kind(6),
        }
    }

    /// Reads a stored change; `None` if the record is damaged.
    pub fn from_record(record: &ChangeRecord) -> Option<Self> {
        let (user, role) = (record.user, record.role);
        Some(match record.kind {
            1 => Self::MessageDeleted {
                message: record.message?,
                sent: record.sent?,
            },
            2 => Self::MemberJoined {
                user: user?,
                role: role?,
            },
            3 => Self::MemberLeft { user: user? },
            4 => Self::MemberRoleChanged {
                user: user?,
                role: role?,
            },
            5 => Self::RoomUpdated,
            6 => Self::RoomDeleted,
            _ => return None,
        })
    }

    /// Whether the change may affect who can read the room.
    pub fn is_about_the_room(&self) -> bool {
        matches!(self, Self::RoomUpdated | Self::RoomDeleted)
    }
}

/// The users who lose the right to read a room with an event. They may read every event before it.
///
/// Only events after a reader's right was checked matter. Older ones never do: a user who may read
/// a room now may read all of its history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ShutsOut {
    /// Nobody.
    #[default]
    Nobody,
    /// This user.
    User(UserId),
    /// Everybody except the users who were members at this event, in ascending order.
    AllBut(Arc<[UserId]>),
    /// Everybody.
    Everybody,
}

impl ShutsOut {
    /// Whether a reader loses the right to read; `None` is an anonymous reader.
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

    /// The memory that this value holds besides itself, in bytes.
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
    fn a_change_survives_its_record() {
        let user = UserId::from_uuid(Uuid::from_u128(1));
        let changes = [
            ChangeKind::MessageDeleted {
                message: MessageId::from_uuid(Uuid::from_u128(2)),
                sent: Seq(3),
            },
            ChangeKind::MemberJoined {
                user,
                role: Role::Owner,
            },
            ChangeKind::MemberLeft { user },
            ChangeKind::MemberRoleChanged {
                user,
                role: Role::Member,
            },
            ChangeKind::RoomUpdated,
            ChangeKind::RoomDeleted,
        ];
        for (index, kind) in changes.into_iter().enumerate() {
            let record = kind.to_record();
            assert_eq!(record.kind, 1 + index as i64, "the numbers are stored");
            assert_eq!(ChangeKind::from_record(&record), Some(kind));
        }
    }

    #[test]
    fn a_damaged_record_is_no_change() {
        for kind in [-1, ChangeRecord::MESSAGE_SENT, 1, 2, 3, 4, 7] {
            let record = ChangeRecord {
                kind,
                ..ChangeRecord::default()
            };
            assert_eq!(ChangeKind::from_record(&record), None, "{kind}");
        }
    }

    #[test]
    fn v5_an_event_shuts_out_the_readers_that_it_names() {
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
