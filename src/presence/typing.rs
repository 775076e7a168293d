//! The users who are typing in one room.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::position::Position;
use crate::domain::{ShutsOut, User, UserId};

/// A snapshot of the users who are typing.
#[derive(Clone, Debug)]
pub struct TypingState {
    /// Moves whenever the users change. The first version is 1.
    pub version: Position,
    /// The users, in the order in which they began. Bounded.
    pub users: Arc<[Arc<User>]>,
    /// When the state of the first user lapses, unless their client repeats it.
    pub lapses_at: Option<Instant>,
}

/// The users who are typing, and when the state of each lapses.
#[derive(Debug)]
pub(super) struct Typing {
    version: Position,
    users: Vec<(Arc<User>, Instant)>,
    users_max: usize,
    lapse: Duration,
}

impl Typing {
    /// No user is typing.
    pub(super) fn new(users_max: usize, lapse: Duration) -> Self {
        Self {
            version: Position::FIRST,
            users: Vec::new(),
            users_max,
            lapse,
        }
    }

    pub(super) fn version(&self) -> Position {
        self.version
    }

    /// Marks a user as typing from now on, until the mark lapses. Returns false if the bound on the
    /// users who are shown is reached.
    pub(super) fn begin(&mut self, user: Arc<User>, now: Instant) -> bool {
        self.lapse(now);
        let until = now + self.lapse;
        if let Some((known, lapses)) = self.users.iter_mut().find(|(known, _)| known.id == user.id)
        {
            (*known, *lapses) = (user, until);
            return true;
        }
        if self.users.len() >= self.users_max {
            return false;
        }
        self.users.push((user, until));
        self.version = self.version.next();
        true
    }

    /// Removes the mark of a user who has stopped typing.
    pub(super) fn end(&mut self, user: UserId, now: Instant) {
        self.lapse(now);
        self.retain(|known, _| known.id != user);
    }

    /// Removes the users who may no longer read the room.
    pub(super) fn shut_out(&mut self, shuts_out: &ShutsOut) {
        self.retain(|user, _| !shuts_out.applies_to(Some(user.id)));
    }

    /// The snapshot at this moment.
    pub(super) fn state(&mut self, now: Instant) -> TypingState {
        self.lapse(now);
        TypingState {
            version: self.version,
            users: self.users.iter().map(|(user, _)| user.clone()).collect(),
            lapses_at: self.users.iter().map(|(_, until)| *until).min(),
        }
    }

    /// When the last state lapses, unless a client repeats it.
    pub(super) fn lasts_until(&self) -> Option<Instant> {
        self.users.iter().map(|(_, until)| *until).max()
    }

    fn lapse(&mut self, now: Instant) {
        self.retain(|_, until| until > now);
    }

    fn retain(&mut self, keep: impl Fn(&User, Instant) -> bool) {
        let before = self.users.len();
        self.users.retain(|(user, until)| keep(user, *until));
        if self.users.len() != before {
            self.version = self.version.next();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::testing::{id, names, user},
        *,
    };

    const LAPSE: Duration = Duration::from_secs(6);

    #[test]
    fn e1_a_snapshot_is_complete_and_its_version_moves_only_when_it_changes() {
        let (mut typing, now) = (Typing::new(20, LAPSE), Instant::now());
        assert!(names(&typing.state(now)).is_empty());
        assert!(typing.begin(user(1), now) && typing.begin(user(2), now));
        let state = typing.state(now);
        assert_eq!(
            (names(&state), state.version),
            (vec!["1".to_owned(), "2".to_owned()], Position(3))
        );
        assert!(typing.begin(user(1), now), "a repeat");
        typing.end(id(3), now);
        assert_eq!(typing.state(now).version, Position(3), "nothing changed");
        typing.end(id(1), now);
        assert_eq!(
            (names(&typing.state(now)), typing.version()),
            (vec!["2".to_owned()], Position(4))
        );
    }

    #[test]
    fn typing_lapses_unless_it_is_repeated() {
        let (mut typing, start) = (Typing::new(20, LAPSE), Instant::now());
        typing.begin(user(1), start);
        typing.begin(user(2), start);
        typing.begin(user(2), start + LAPSE / 2);
        let state = typing.state(start + LAPSE - Duration::from_nanos(1));
        assert_eq!(
            (names(&state).len(), state.lapses_at),
            (2, Some(start + LAPSE))
        );
        let state = typing.state(start + LAPSE);
        assert_eq!(
            (names(&state), state.lapses_at),
            (vec!["2".to_owned()], Some(start + LAPSE * 3 / 2))
        );
        assert_eq!(typing.lasts_until(), state.lapses_at);
        assert!(names(&typing.state(start + LAPSE * 2)).is_empty());
        assert_eq!(
            (typing.version(), typing.lasts_until()),
            (Position(5), None)
        );
    }

    #[test]
    fn e3_the_users_who_are_shown_are_bounded() {
        let (mut typing, now) = (Typing::new(3, LAPSE), Instant::now());
        assert!((1..=3).all(|number| typing.begin(user(number), now)));
        assert!(!typing.begin(user(4), now));
        assert!(
            typing.begin(user(2), now + LAPSE / 2),
            "a user who is shown may continue"
        );
        assert_eq!(names(&typing.state(now)), ["1", "2", "3"]);
        assert!(typing.begin(user(4), now + LAPSE), "the others have lapsed");
    }

    #[test]
    fn e4_a_user_who_is_shut_out_stops_typing() {
        let (mut typing, now) = (Typing::new(20, LAPSE), Instant::now());
        (1..=4).for_each(|number| assert!(typing.begin(user(number), now)));
        typing.shut_out(&ShutsOut::User(id(2)));
        assert_eq!(names(&typing.state(now)), ["1", "3", "4"]);
        typing.shut_out(&ShutsOut::AllBut([id(3)].into()));
        assert_eq!(names(&typing.state(now)), ["3"]);
        typing.shut_out(&ShutsOut::Everybody);
        assert!(names(&typing.state(now)).is_empty());
    }
}
