//! What was signalled in one room lately.

use std::{collections::VecDeque, sync::Arc};

use crate::domain::{SignalKind, Timestamp, User, UserId};

/// Something that one user says to another, or to all that listen in a room, and that nobody keeps.
#[derive(Clone, Debug)]
pub struct Signal {
    /// Who says it.
    pub sender: Arc<User>,
    /// To whom alone; none is everybody.
    pub to: Option<UserId>,
    /// What kind of thing it is, in the clients' own words.
    pub kind: SignalKind,
    /// What it says: a text in a format of the edge's.
    pub data: Arc<str>,
    /// When it was taken.
    pub sent_at: Timestamp,
}

impl Signal {
    /// About how many bytes of memory this holds, for bounds.
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.kind.as_str().len() + self.data.len()
    }
}

/// What came after a number.
#[derive(Clone, Debug)]
pub struct Heard {
    /// The signals and their numbers, ascending.
    pub signals: Vec<(u64, Arc<Signal>)>,
    /// Some that came before these are gone.
    pub lost: bool,
    /// Read on from here.
    pub upto: u64,
}

/// The last signals, bounded in number and bytes.
#[derive(Debug)]
pub(super) struct Signals {
    /// Their numbers follow each other up to the head.
    kept: VecDeque<Arc<Signal>>,
    bytes: usize,
    head: u64,
    kept_max: usize,
    bytes_max: usize,
}

impl Signals {
    /// None yet; the first one is number 2, so that 1 stands before it.
    pub(super) fn new(kept_max: usize, bytes_max: usize) -> Self {
        Self {
            kept: VecDeque::new(),
            bytes: 0,
            head: 1,
            kept_max,
            bytes_max,
        }
    }

    /// The number of the last one.
    pub(super) fn head(&self) -> u64 {
        self.head
    }

    pub(super) fn push(&mut self, signal: Signal) {
        self.head += 1;
        self.bytes += signal.bytes();
        self.kept.push_back(Arc::new(signal));
        while self.kept.len() > 1
            && (self.kept.len() > self.kept_max || self.bytes > self.bytes_max)
        {
            let Some(oldest) = self.kept.pop_front() else {
                break;
            };
            self.bytes -= oldest.bytes();
        }
    }

    /// Forgets all of them: nobody listens.
    pub(super) fn clear(&mut self) {
        (self.kept, self.bytes) = (VecDeque::new(), 0);
    }

    /// At most this many after a number.
    pub(super) fn after(&self, number: u64, most: usize) -> Heard {
        let floor = self.head - self.kept.len() as u64;
        let start = number.max(floor);
        let skipped = usize::try_from(start - floor).unwrap_or(usize::MAX);
        let signals: Vec<_> = (start + 1..)
            .zip(self.kept.iter().skip(skipped).take(most).cloned())
            .collect();
        let upto = signals.last().map_or(start, |(number, _)| *number);
        Heard {
            signals,
            lost: number < floor,
            upto,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::user, *};

    fn signal(data: &str) -> Signal {
        let kind = SignalKind::new("k").unwrap();
        Signal {
            sender: user(1),
            to: None,
            kind,
            data: data.into(),
            sent_at: Timestamp(0),
        }
    }

    fn heard(signals: &Signals, number: u64) -> (Vec<u64>, bool, u64) {
        let heard = signals.after(number, 100);
        (
            heard.signals.iter().map(|(number, _)| *number).collect(),
            heard.lost,
            heard.upto,
        )
    }

    #[test]
    fn e2_who_listens_reads_on_from_a_number_and_learns_what_is_gone() {
        let mut signals = Signals::new(3, usize::MAX);
        assert_eq!(heard(&signals, 1), (vec![], false, 1));
        ["a", "b", "c"]
            .into_iter()
            .for_each(|data| signals.push(signal(data)));
        assert_eq!(heard(&signals, 1), (vec![2, 3, 4], false, 4));
        assert_eq!(heard(&signals, 3), (vec![4], false, 4));
        assert_eq!(heard(&signals, 4), (vec![], false, 4));
        signals.push(signal("d"));
        assert_eq!(heard(&signals, 1), (vec![3, 4, 5], true, 5));
        assert_eq!(heard(&signals, 2), (vec![3, 4, 5], false, 5));
        let two = signals.after(2, 2);
        assert_eq!((two.upto, &*two.signals[1].1.data), (4, "c"));
    }

    #[test]
    fn e3_what_is_kept_is_bounded_in_bytes_and_the_newest_always_stays() {
        let mut signals = Signals::new(100, signal("12345").bytes() * 2);
        (0..3).for_each(|_| signals.push(signal("12345")));
        assert_eq!(heard(&signals, 1), (vec![3, 4], true, 4));
        signals.push(signal(&"x".repeat(10_000)));
        assert_eq!(heard(&signals, 4), (vec![5], false, 5));
        signals.clear();
        assert_eq!((heard(&signals, 5), signals.bytes), ((vec![], false, 5), 0));
        assert_eq!(heard(&signals, 4), (vec![], true, 5));
    }
}
