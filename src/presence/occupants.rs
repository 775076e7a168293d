//! Who is in one room.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    time::Duration,
};

use tokio::time::Instant;

use crate::domain::{ShutsOut, Timestamp, UserId};

/// Somebody who is in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Person {
    /// Who.
    pub user: UserId,
    /// Since when.
    pub since: Timestamp,
}

/// Who is in a room, and who came and went since a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Occupancy {
    /// Those who have been here longest, up to a bound.
    pub present: Vec<Person>,
    /// How many are here in all.
    pub count: usize,
    /// Those who came since and are still here.
    pub joined: Vec<Person>,
    /// Those who were here then and are not any more.
    pub left: Vec<UserId>,
    /// Who came and went is not known from that number on: only who is here now.
    pub lost: bool,
    /// Read on from here. The first number is 1.
    pub upto: u64,
    /// When somebody will have left, unless they come back.
    pub leaves_at: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
enum Move {
    Joined(Person),
    Left(Person),
}

#[derive(Debug)]
struct Here {
    person: Person,
    /// In which order people came; also tells this stay from others of the same user.
    stay: u64,
    /// How many times they are here at once.
    times: usize,
    /// They are not, and have left for good at this moment.
    leaves_at: Option<Instant>,
}

/// Who is here, and the last that came and went.
#[derive(Debug)]
pub(super) struct Occupants {
    here: HashMap<UserId, Here>,
    by_stay: BTreeMap<u64, UserId>,
    stay_next: u64,
    /// Those who may have left, in the order of the moments.
    leaving: VecDeque<(Instant, UserId)>,
    /// Their numbers follow each other up to the head.
    moves: VecDeque<Move>,
    head: u64,
    grace: Duration,
    moves_max: usize,
}

impl Occupants {
    /// Nobody is.
    pub(super) fn new(grace: Duration, moves_max: usize) -> Self {
        Self {
            here: HashMap::new(),
            by_stay: BTreeMap::new(),
            stay_next: 0,
            leaving: VecDeque::new(),
            moves: VecDeque::new(),
            head: 1,
            grace,
            moves_max,
        }
    }

    pub(super) fn head(&self) -> u64 {
        self.head
    }

    /// Somebody comes, once more perhaps; returns which stay of theirs this is.
    pub(super) fn come(&mut self, person: Person, now: Instant) -> u64 {
        self.lapse(now);
        if let Some(here) = self.here.get_mut(&person.user) {
            here.times += 1;
            here.leaves_at = None;
            return here.stay;
        }
        let stay = self.stay_next;
        self.stay_next += 1;
        self.by_stay.insert(stay, person.user);
        self.here.insert(
            person.user,
            Here {
                person,
                stay,
                times: 1,
                leaves_at: None,
            },
        );
        self.moved(Move::Joined(person));
        stay
    }

    /// Somebody goes, of this stay of theirs. The last time they do they have left after the grace, unless they come back.
    pub(super) fn go(&mut self, user: UserId, stay: u64, now: Instant) {
        self.lapse(now);
        let Some(here) = self.here.get_mut(&user).filter(|here| here.stay == stay) else {
            return;
        };
        here.times -= 1;
        if here.times == 0 {
            let at = now + self.grace;
            here.leaves_at = Some(at);
            self.leaving.push_back((at, user));
        }
    }

    /// Those who may not read the room any more are not in it.
    pub(super) fn shut_out(&mut self, shuts_out: &ShutsOut) {
        let gone: Vec<UserId> = match shuts_out {
            ShutsOut::User(user) => vec![*user],
            others => self
                .here
                .keys()
                .filter(|user| others.applies_to(Some(**user)))
                .copied()
                .collect(),
        };
        gone.into_iter().for_each(|user| self.leave(user));
    }

    /// Who is here, and who came and went after a number.
    pub(super) fn occupancy(&mut self, after: u64, shown_max: usize, now: Instant) -> Occupancy {
        self.lapse(now);
        let floor = self.head - self.moves.len() as u64;
        let skipped = usize::try_from(after.saturating_sub(floor)).unwrap_or(usize::MAX);
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

    /// Forgets who came and went: nobody follows it.
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

    /// Those whose grace is over have left.
    fn lapse(&mut self, now: Instant) {
        while let Some((at, user)) = self.leaving.pop_front_if(|(at, _)| *at <= now) {
            // Whoever came back meanwhile may have gone again, later than this.
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
            self.by_stay.remove(&here.stay);
            self.moved(Move::Left(here.person));
        }
    }

    fn moved(&mut self, what: Move) {
        self.head += 1;
        self.moves.push_back(what);
        if self.moves.len() > self.moves_max {
            self.moves.pop_front();
        }
    }
}

/// What is left of moves when those that undo each other are taken out.
fn net<'a>(moves: impl Iterator<Item = &'a Move>) -> (Vec<Person>, Vec<UserId>) {
    let mut order = Vec::new();
    // Whether they were here before, and the last that is known of them.
    let mut ends: HashMap<UserId, (bool, Move)> = HashMap::new();
    for what in moves {
        let (Move::Joined(person) | Move::Left(person)) = what;
        ends.entry(person.user)
            .and_modify(|(_, last)| *last = *what)
            .or_insert_with(|| {
                order.push(person.user);
                (matches!(what, Move::Left(_)), *what)
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

    /// Who is here, who joined, who left, and the number to go on from.
    fn occupancy(
        occupants: &mut Occupants,
        after: u64,
        now: Instant,
    ) -> (Vec<i64>, Vec<i64>, Vec<UserId>, u64) {
        let occupancy = occupants.occupancy(after, 200, now);
        (
            numbers(&occupancy.present),
            numbers(&occupancy.joined),
            occupancy.left,
            occupancy.upto,
        )
    }

    #[test]
    fn e1_who_comes_and_goes_is_told_once_whatever_they_have_open() {
        let (mut occupants, now) = (Occupants::new(GRACE, 99), Instant::now());
        let first = occupants.come(person(1), now);
        let again = occupants.come(person(1), now);
        occupants.come(person(2), now);
        assert_eq!(
            (first, occupancy(&mut occupants, 1, now)),
            (again, (vec![1, 2], vec![1, 2], vec![], 3))
        );
        occupants.go(id(1), first, now);
        assert_eq!(
            occupancy(&mut occupants, 3, now + GRACE).3,
            3,
            "they are here once more"
        );
        occupants.go(id(1), first, now);
        assert_eq!(
            occupants.occupancy(3, 200, now).leaves_at,
            Some(now + GRACE)
        );
        assert_eq!(
            occupancy(&mut occupants, 3, now + GRACE),
            (vec![2], vec![], vec![id(1)], 4)
        );
        assert_eq!(
            occupancy(&mut occupants, 1, now + GRACE),
            (vec![2], vec![2], vec![], 4),
            "what was undone is not told"
        );
    }

    #[test]
    fn who_comes_back_within_the_grace_never_left() {
        let (mut occupants, now) = (Occupants::new(GRACE, 99), Instant::now());
        let stay = occupants.come(person(1), now);
        occupants.go(id(1), stay, now);
        assert_eq!(occupants.come(person(1), now + GRACE / 2), stay);
        occupants.go(id(1), stay, now + GRACE / 2);
        assert_eq!(
            occupancy(&mut occupants, 2, now + GRACE).3,
            2,
            "the first moment does not count any more"
        );
        assert_eq!(
            occupancy(&mut occupants, 2, now + GRACE * 3 / 2),
            (vec![], vec![], vec![id(1)], 3)
        );
        occupants.come(person(1), now + GRACE * 2);
        assert_eq!(
            occupancy(&mut occupants, 2, now + GRACE * 2),
            (vec![1], vec![], vec![], 4),
            "left and back is nothing"
        );
    }

    #[test]
    fn e4_who_is_shut_out_has_left_at_once_and_an_old_stay_ends_no_new_one() {
        let (mut occupants, now) = (Occupants::new(GRACE, 99), Instant::now());
        let old = occupants.come(person(1), now);
        occupants.come(person(2), now);
        occupants.shut_out(&ShutsOut::User(id(1)));
        assert_eq!(
            occupancy(&mut occupants, 3, now),
            (vec![2], vec![], vec![id(1)], 4)
        );
        let new = occupants.come(person(1), now);
        occupants.go(id(1), old, now);
        assert_eq!(occupancy(&mut occupants, 4, now + GRACE).0, [2, 1]);
        occupants.go(id(1), new, now);
        occupants.shut_out(&ShutsOut::AllBut([id(1)].into()));
        assert_eq!(occupancy(&mut occupants, 4, now).0, [1]);
        occupants.shut_out(&ShutsOut::Everybody);
        assert_eq!(occupants.occupancy(0, 200, now).count, 0);
        assert!(occupants.here.is_empty() && occupants.by_stay.is_empty());
    }

    #[test]
    fn e3_what_is_shown_and_what_is_kept_are_bounded_at_and_past_the_edge() {
        let (mut occupants, now) = (Occupants::new(GRACE, 3), Instant::now());
        (1..=5).for_each(|number| _ = occupants.come(person(number), now));
        let shown = occupants.occupancy(3, 2, now);
        assert_eq!(
            (numbers(&shown.present), shown.count, shown.upto),
            (vec![1, 2], 5, 6)
        );
        assert_eq!((numbers(&shown.joined), shown.lost), (vec![3, 4, 5], false));
        assert!(occupants.occupancy(2, 2, now).lost);
        occupants.clear_moves();
        assert!(occupants.occupancy(5, 2, now).lost && !occupants.occupancy(6, 2, now).lost);
    }
}
