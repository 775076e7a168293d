//! The users who are present in one room.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    time::Duration,
};

use tokio::time::Instant;

use super::position::Position;
use crate::domain::{ShutsOut, Timestamp, UserId};

/// A user who is present in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Person {
    /// The user.
    pub user: UserId,
    /// When they came.
    pub since: Timestamp,
}

/// A snapshot of the users who are present, and the changes since a position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Occupancy {
    /// The users who have been present longest, up to a bound.
    pub present: Vec<Person>,
    /// The number of users who are present.
    pub count: usize,
    /// The users who came since the position and are still present.
    pub joined: Vec<Person>,
    /// The users who were present at the position and have left.
    pub left: Vec<UserId>,
    /// The changes since the position are not known any more. Only the snapshot is valid.
    pub lost: bool,
    /// The position from which to read on. The first one is 1.
    pub upto: Position,
    /// When the next user will have left, unless they come back.
    pub leaves_at: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
enum Move {
    Joined(Person),
    Left(Person),
}

#[derive(Debug)]
struct Stay {
    person: Person,
    /// The order of arrival. It also distinguishes this stay from others of the same user.
    number: u64,
    /// How many attendances the user has at the same time.
    times: usize,
    /// The user has no attendance, and has left at this moment.
    leaves_at: Option<Instant>,
}

/// The users who are present, and the newest arrivals and departures.
#[derive(Debug)]
pub(super) struct Occupants {
    here: HashMap<UserId, Stay>,
    by_stay: BTreeMap<u64, UserId>,
    stay_next: u64,
    /// The users whose grace has begun, in the order in which it ends.
    leaving: VecDeque<(Instant, UserId)>,
    /// Their positions follow each other up to the head.
    moves: VecDeque<Move>,
    head: Position,
    grace: Duration,
    moves_max: usize,
}

impl Occupants {
    /// No user is present.
    pub(super) fn new(grace: Duration, moves_max: usize) -> Self {
        Self {
            here: HashMap::new(),
            by_stay: BTreeMap::new(),
            stay_next: 0,
            leaving: VecDeque::new(),
            moves: VecDeque::new(),
            head: Position::FIRST,
            grace,
            moves_max,
        }
    }

    pub(super) fn head(&self) -> Position {
        self.head
    }

    /// Adds a user, or one more attendance of a present user. Returns the number of their stay.
    pub(super) fn arrive(&mut self, person: Person, now: Instant) -> u64 {
        self.lapse(now);
        if let Some(here) = self.here.get_mut(&person.user) {
            here.times += 1;
            here.leaves_at = None;
            return here.number;
        }
        let stay = self.stay_next;
        self.stay_next += 1;
        self.by_stay.insert(stay, person.user);
        self.here.insert(
            person.user,
            Stay {
                person,
                number: stay,
                times: 1,
                leaves_at: None,
            },
        );
        self.record(Move::Joined(person));
        stay
    }

    /// Ends one attendance of this stay. After the last one the user leaves when the grace ends,
    /// unless they come back.
    pub(super) fn depart(&mut self, user: UserId, stay: u64, now: Instant) {
        self.lapse(now);
        let Some(here) = self.here.get_mut(&user).filter(|here| here.number == stay) else {
            return;
        };
        here.times -= 1;
        if here.times == 0 {
            let at = now + self.grace;
            here.leaves_at = Some(at);
            self.leaving.push_back((at, user));
        }
    }

    /// Removes the users who may no longer read the room, at once.
    pub(super) fn shut_out(&mut self, shuts_out: &ShutsOut) {
        let removed: Vec<UserId> = match shuts_out {
            ShutsOut::User(user) => vec![*user],
            others => self
                .here
                .keys()
                .filter(|user| others.applies_to(Some(**user)))
                .copied()
                .collect(),
        };
        removed.into_iter().for_each(|user| self.leave(user));
    }

    /// A snapshot, and the changes after a position.
    pub(super) fn occupancy(
        &mut self,
        after: Position,
        shown_max: usize,
        now: Instant,
    ) -> Occupancy {
        self.lapse(now);
        let floor = Position(self.head.0 - self.moves.len() as u64);
        let skipped = usize::try_from(after.0.saturating_sub(floor.0)).unwrap_or(usize::MAX);
        let (joined, left) = net(self.moves.iter().skip(skipped));
        Occupancy {
            present: self.present(shown_max),
            count: self.here.len(),
            joined,
            left,
            lost: after < floor,
            upto: self.head,
            leaves_at: self.leaving.front().map(|(at, _)| *at),
        }
    }

    /// Drops the changes, for a room without listeners for presence.
    pub(super) fn clear_moves(&mut self) {
        self.moves = VecDeque::new();
    }

    fn present(&self, shown_max: usize) -> Vec<Person> {
        self.by_stay
            .values()
            .take(shown_max)
            .filter_map(|user| self.here.get(user))
            .map(|here| here.person)
            .collect()
    }

    /// Removes the users whose grace has ended.
    fn lapse(&mut self, now: Instant) {
        while let Some((at, user)) = self.leaving.pop_front_if(|(at, _)| *at <= now) {
            // The user may have come back and gone again, with a later moment.
            if self
                .here
                .get(&user)
                .is_some_and(|here| here.leaves_at == Some(at))
            {
                self.leave(user);
            }
        }
    }

    fn leave(&mut self, user: UserId) {
        if let Some(here) = self.here.remove(&user) {
            self.by_stay.remove(&here.number);
            self.record(Move::Left(here.person));
        }
    }

    fn record(&mut self, change: Move) {
        self.head = self.head.next();
        self.moves.push_back(change);
        if self.moves.len() > self.moves_max {
            self.moves.pop_front();
        }
    }
}

/// The net result of moves: a user who came and left again is in neither list.
fn net<'a>(moves: impl Iterator<Item = &'a Move>) -> (Vec<Person>, Vec<UserId>) {
    let mut order = Vec::new();
    // Whether the user was present before, and their last move.
    let mut ends: HashMap<UserId, (bool, Move)> = HashMap::new();
    for change in moves {
        let (Move::Joined(person) | Move::Left(person)) = change;
        ends.entry(person.user)
            .and_modify(|(_, last)| *last = *change)
            .or_insert_with(|| {
                order.push(person.user);
                (matches!(change, Move::Left(_)), *change)
            });
    }
    let (mut joined, mut left) = (Vec::new(), Vec::new());
    for user in order {
        match ends[&user] {
            (false, Move::Joined(person)) => joined.push(person),
            (true, Move::Left(_)) => left.push(user),
            (true, Move::Joined(_)) | (false, Move::Left(_)) => {}
        }
    }
    (joined, left)
}

#[cfg(test)]
mod tests {
    use super::{super::testing::id, *};

    const GRACE: Duration = Duration::from_secs(5);

    fn person(number: u32) -> Person {
        Person {
            user: id(number),
            since: Timestamp(number.into()),
        }
    }

    fn numbers(occupants: &[Person]) -> Vec<i64> {
        occupants.iter().map(|person| person.since.0).collect()
    }

    /// The users who are present, who joined and who left, and the position from which to read on.
    fn occupancy(
        occupants: &mut Occupants,
        after: u64,
        now: Instant,
    ) -> (Vec<i64>, Vec<i64>, Vec<UserId>, u64) {
        let occupancy = occupants.occupancy(Position(after), 200, now);
        (
            numbers(&occupancy.present),
            numbers(&occupancy.joined),
            occupancy.left,
            occupancy.upto.0,
        )
    }

    #[test]
    fn e1_a_user_joins_and_leaves_once_for_any_number_of_attendances() {
        let (mut occupants, now) = (Occupants::new(GRACE, 99), Instant::now());
        let first = occupants.arrive(person(1), now);
        let again = occupants.arrive(person(1), now);
        occupants.arrive(person(2), now);
        assert_eq!(
            (first, occupancy(&mut occupants, 1, now)),
            (again, (vec![1, 2], vec![1, 2], vec![], 3))
        );
        occupants.depart(id(1), first, now);
        assert_eq!(
            occupancy(&mut occupants, 3, now + GRACE).3,
            3,
            "one attendance is left"
        );
        occupants.depart(id(1), first, now);
        assert_eq!(
            occupants.occupancy(Position(3), 200, now).leaves_at,
            Some(now + GRACE)
        );
        assert_eq!(
            occupancy(&mut occupants, 3, now + GRACE),
            (vec![2], vec![], vec![id(1)], 4)
        );
        assert_eq!(
            occupancy(&mut occupants, 1, now + GRACE),
            (vec![2], vec![2], vec![], 4),
            "a move that was undone is not reported"
        );
    }

    #[test]
    fn a_user_who_comes_back_within_the_grace_never_left() {
        let (mut occupants, now) = (Occupants::new(GRACE, 99), Instant::now());
        let stay = occupants.arrive(person(1), now);
        occupants.depart(id(1), stay, now);
        assert_eq!(occupants.arrive(person(1), now + GRACE / 2), stay);
        occupants.depart(id(1), stay, now + GRACE / 2);
        assert_eq!(
            occupancy(&mut occupants, 2, now + GRACE).3,
            2,
            "the first grace was cancelled"
        );
        assert_eq!(
            occupancy(&mut occupants, 2, now + GRACE * 3 / 2),
            (vec![], vec![], vec![id(1)], 3)
        );
        occupants.arrive(person(1), now + GRACE * 2);
        assert_eq!(
            occupancy(&mut occupants, 2, now + GRACE * 2),
            (vec![1], vec![], vec![], 4),
            "to leave and come back is no change"
        );
    }

    #[test]
    fn e4_a_user_who_is_shut_out_leaves_at_once_and_an_old_stay_ends_no_new_one() {
        let (mut occupants, now) = (Occupants::new(GRACE, 99), Instant::now());
        let old = occupants.arrive(person(1), now);
        occupants.arrive(person(2), now);
        occupants.shut_out(&ShutsOut::User(id(1)));
        assert_eq!(
            occupancy(&mut occupants, 3, now),
            (vec![2], vec![], vec![id(1)], 4)
        );
        let new = occupants.arrive(person(1), now);
        occupants.depart(id(1), old, now);
        assert_eq!(occupancy(&mut occupants, 4, now + GRACE).0, [2, 1]);
        occupants.depart(id(1), new, now);
        occupants.shut_out(&ShutsOut::AllBut([id(1)].into()));
        assert_eq!(occupancy(&mut occupants, 4, now).0, [1]);
        occupants.shut_out(&ShutsOut::Everybody);
        assert_eq!(occupants.occupancy(Position(0), 200, now).count, 0);
        assert!(occupants.here.is_empty() && occupants.by_stay.is_empty());
    }

    #[test]
    fn e3_the_users_who_are_shown_and_the_moves_that_are_kept_are_bounded() {
        let (mut occupants, now) = (Occupants::new(GRACE, 3), Instant::now());
        (1..=5).for_each(|number| _ = occupants.arrive(person(number), now));
        let shown = occupants.occupancy(Position(3), 2, now);
        assert_eq!(
            (numbers(&shown.present), shown.count, shown.upto.0),
            (vec![1, 2], 5, 6)
        );
        assert_eq!((numbers(&shown.joined), shown.lost), (vec![3, 4, 5], false));
        assert!(occupants.occupancy(Position(2), 2, now).lost);
        occupants.clear_moves();
        assert!(
            occupants.occupancy(Position(5), 2, now).lost
                && !occupants.occupancy(Position(6), 2, now).lost
        );
    }
}
