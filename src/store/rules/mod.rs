//! The rules of the store: whether a command is allowed, and which rows it writes.
//!
//! The rules are pure: no SQL, no IO, no clock. A backend loads the **facts** that a rule needs,
//! calls the rule, and writes the **decision** that it returns, all in one transaction (S7). No
//! backend repeats a rule.
//!
//! ```text
//! command ──> backend loads facts ──> rule ──> decision ──> backend writes it ──> outcome
//!                                      └────> refusal
//! ```
//!
//! - A room that was deleted counts as unknown: backends load it as `None`.
//! - The right to read a room is checked first. A viewer without it is refused as if the room did
//!   not exist, and learns nothing else about it (G5).

mod changes;
mod decision;
mod rooms;
mod sends;
mod speaker;

use crate::domain::{Action, Role, Standing, Timestamp, Visibility, may, may_manage};

pub(super) use changes::{ChangeFacts, Fact, Stop, change_room};
pub(super) use decision::{Decision, Membership, NewMember, Settings, Write};
pub(super) use rooms::{CreateFacts, create_room};
pub(super) use sends::{SendDecision, SendFacts, SendRun, SendTarget};
pub(super) use speaker::{Recipient, SpeakerFacts, SpeakerRoom, speaker};

use super::Refusal;

/// The rights of a user in a room.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rights {
    pub(super) visibility: Visibility,
    /// The user's role; `None` if they are not a member.
    pub(super) role: Option<Role>,
}

impl Rights {
    /// Whether the user may do this.
    fn allow(self, action: Action) -> bool {
        let standing = self.role.map_or(Standing::Outsider, Standing::Member);
        may(standing, self.visibility, action)
    }

    /// Whether the user may do this to a member with this role.
    fn allow_to(self, action: Action, target: Role) -> bool {
        self.allow(action) && self.role.is_some_and(|role| may_manage(role, target))
    }

    /// Refuses a user who may not do this. For a user who may not even read the room, the answer is
    /// that there is no such room.
    fn require(self, action: Action) -> Result<(), Refusal> {
        if !self.allow(Action::Read) {
            Err(Refusal::NotFound)
        } else if !self.allow(action) {
            Err(Refusal::Forbidden)
        } else {
            Ok(())
        }
    }

    /// Whether the user is exempt from slow mode.
    fn moderates(self) -> bool {
        matches!(self.role, Some(Role::Owner | Role::Moderator))
    }
}

/// Refuses a muted user. The mute ends at `muted_until`, if there is one.
fn require_unmuted(muted_until: Option<Timestamp>, now: Timestamp) -> Result<(), Refusal> {
    match muted_until {
        Some(until) if until > now => Err(Refusal::Muted(until)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(visibility: Visibility, role: Option<Role>, action: Action, expected: &str) {
        let rights = Rights { visibility, role };
        let found = match rights.require(action) {
            Ok(()) => "allowed".to_owned(),
            Err(refusal) => format!("{refusal:?}"),
        };
        assert_eq!(found, expected, "{rights:?} {action:?}");
    }

    #[test]
    fn g5_a_viewer_who_may_not_read_a_room_is_told_that_there_is_none() {
        use Visibility::{Private, Public};
        check(Public, None, Action::Send, "allowed");
        check(Public, None, Action::DeleteRoom, "Forbidden");
        check(Private, None, Action::Read, "NotFound");
        check(Private, None, Action::DeleteRoom, "NotFound");
        check(Private, Some(Role::Member), Action::Send, "allowed");
        check(Private, Some(Role::Member), Action::DeleteRoom, "Forbidden");
    }

    #[test]
    fn a_mute_ends_at_its_time() {
        let now = Timestamp(10);
        for (until, expected) in [
            (None, Ok(())),
            (Some(Timestamp(9)), Ok(())),
            (Some(Timestamp(10)), Ok(())),
            (Some(Timestamp(11)), Err(Refusal::Muted(Timestamp(11)))),
        ] {
            assert_eq!(require_unmuted(until, now), expected, "{until:?}");
        }
    }
}
