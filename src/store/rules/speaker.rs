//! The rule for showing that one is typing, and for sending a signal.

use std::sync::Arc;

use super::{Refusal, Rights, require_unmuted};
use crate::{
    domain::{Action, Role, Seq, Timestamp, User},
    store::Speaker,
};

/// The facts of [`speaker`].
pub(in crate::store) struct SpeakerFacts {
    /// The viewer; `None` if there is no such user.
    pub(in crate::store) user: Option<Arc<User>>,
    /// The room; `None` if there is no such room.
    pub(in crate::store) room: Option<SpeakerRoom>,
}

/// The room that a user wants to signal in.
pub(in crate::store) struct SpeakerRoom {
    pub(in crate::store) rights: Rights,
    /// When the viewer's mute ends, if they are or were muted.
    pub(in crate::store) muted_until: Option<Timestamp>,
    pub(in crate::store) head: Seq,
    /// The only recipient, if the viewer named one.
    pub(in crate::store) recipient: Option<Recipient>,
}

/// The recipient of a signal.
pub(in crate::store) struct Recipient {
    /// Whether there is such a user.
    pub(in crate::store) known: bool,
    /// Their role in the room; `None` if they are not a member.
    pub(in crate::store) role: Option<Role>,
}

/// Decides whether a user may signal. Slow mode does not apply.
pub(in crate::store) fn speaker(facts: SpeakerFacts, now: Timestamp) -> Result<Speaker, Refusal> {
    let user = facts.user.ok_or(Refusal::UnknownViewer)?;
    let room = facts.room.ok_or(Refusal::NotFound)?;
    room.rights.require(Action::Signal)?;
    require_unmuted(room.muted_until, now)?;
    if let Some(recipient) = room.recipient {
        let reads = Rights {
            role: recipient.role,
            ..room.rights
        };
        if !recipient.known || !reads.allow(Action::Read) {
            return Err(Refusal::NoUser);
        }
    }
    Ok(Speaker {
        user,
        checked: room.head,
    })
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::{UserId, UserName, Visibility};

    const NOW: Timestamp = Timestamp(10);
    const STRANGER: Recipient = Recipient {
        known: true,
        role: None,
    };
    const MEMBER: Recipient = Recipient {
        known: true,
        role: Some(Role::Member),
    };
    const NOBODY: Recipient = Recipient {
        known: false,
        role: None,
    };

    fn ann() -> Option<Arc<User>> {
        Some(Arc::new(User {
            id: UserId::from_uuid(Uuid::from_u128(1)),
            name: UserName::new("ann").unwrap(),
            created_at: Timestamp(0),
        }))
    }

    fn room(visibility: Visibility, role: Option<Role>) -> SpeakerRoom {
        SpeakerRoom {
            rights: Rights { visibility, role },
            muted_until: None,
            head: Seq(3),
            recipient: None,
        }
    }

    fn check(user: Option<Arc<User>>, room: Option<SpeakerRoom>, expected: &str) {
        let found = match speaker(SpeakerFacts { user, room }, NOW) {
            Ok(speaker) => format!("at {}", speaker.checked.0),
            Err(refusal) => format!("{refusal:?}"),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn a_user_may_signal_where_they_may_send() {
        use Visibility::{Private, Public};
        check(None, Some(room(Public, None)), "UnknownViewer");
        check(None, None, "UnknownViewer");
        check(ann(), None, "NotFound");
        check(ann(), Some(room(Private, None)), "NotFound");
        check(ann(), Some(room(Public, None)), "at 3");
        check(ann(), Some(room(Private, Some(Role::Member))), "at 3");
    }

    #[test]
    fn a_muted_user_may_not_signal() {
        let muted = |until, recipient| SpeakerRoom {
            muted_until: Some(Timestamp(until)),
            recipient,
            ..room(Visibility::Public, None)
        };
        check(ann(), Some(muted(11, None)), "Muted(Timestamp(11))");
        check(ann(), Some(muted(11, Some(NOBODY))), "Muted(Timestamp(11))");
        check(ann(), Some(muted(10, None)), "at 3");
    }

    #[test]
    fn a_recipient_who_may_not_read_the_room_is_refused_like_an_unknown_one() {
        use Visibility::{Private, Public};
        let to = |visibility, recipient| SpeakerRoom {
            recipient: Some(recipient),
            ..room(visibility, Some(Role::Member))
        };
        check(ann(), Some(to(Public, STRANGER)), "at 3");
        check(ann(), Some(to(Public, NOBODY)), "NoUser");
        check(ann(), Some(to(Private, MEMBER)), "at 3");
        check(ann(), Some(to(Private, STRANGER)), "NoUser");
        check(ann(), Some(to(Private, NOBODY)), "NoUser");
    }
}
