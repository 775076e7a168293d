//! The newest signals of one room.

use std::{collections::VecDeque, sync::Arc};

use super::position::Position;
use crate::domain::{SignalKind, Timestamp, User, UserId};

/// A short message from one user to another, or to all listeners of a room. It is never stored.
#[derive(Clone, Debug)]
pub struct Signal {
    /// The sender.
    pub sender: Arc<User>,
    /// The only recipient. `None` is every listener.
    pub to: Option<UserId>,
    /// The kind, which the clients define.
    pub kind: SignalKind,
    /// The content, as text in a format that the edge defines.
    pub data: Arc<str>,
    /// When the server accepted it.
    pub sent_at: Timestamp,
}

impl Signal {
    /// The estimated bytes of memory that this signal holds.
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.kind.as_str().len() + self.data.len()
    }
}

/// The signals after a position.
#[derive(Clone, Debug)]
pub struct SignalBatch {
    /// The signals and their positions, ascending.
    pub signals: Vec<(Position, Arc<Signal>)>,
    /// Signals between the position and these were dropped.
    pub lost: bool,
    /// The position from which to read on.
    pub upto: Position,
}

/// A ring of the newest signals, bounded in number and bytes.
#[derive(Debug)]
pub(super) struct SignalRing {
    /// Their positions follow each other up to the head.
    kept: VecDeque<Arc<Signal>>,
    bytes: usize,
    head: Position,
    kept_max: usize,
    bytes_max: usize,
}

impl SignalRing {
    /// No signals yet. The first one has position 2, so that a listener can be before it, at 1.
    pub(super) fn new(kept_max: usize, bytes_max: usize) -> Self {
        Self {
            kept: VecDeque::new(),
            bytes: 0,
            head: Position::FIRST,
            kept_max,
            bytes_max,
        }
    }

    /// The position of the newest signal.
    pub(super) fn head(&self) -> Position {
        self.head
    }

    pub(super) fn push(&mut self, signal: Signal) {
        self.head = self.head.next();
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

    /// Drops all signals, for a room without listeners.
    pub(super) fn clear(&mut self) {
        (self.kept, self.bytes) = (VecDeque::new(), 0);
    }

    /// At most `limit` signals after a position.
    pub(super) fn after(&self, position: Position, limit: usize) -> SignalBatch {
        let floor = Position(self.head.0 - self.kept.len() as u64);
        let start = position.max(floor);
        let skipped = usize::try_from(start.0 - floor.0).unwrap_or(usize::MAX);
        let signals: Vec<_> = (start.0 + 1..)
            .map(Position)
            .zip(self.kept.iter().skip(skipped).take(limit).cloned())
            .collect();
        let upto = signals.last().map_or(start, |(position, _)| *position);
        SignalBatch {
            signals,
            lost: position < floor,
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

    fn after(signals: &SignalRing, position: u64) -> (Vec<u64>, bool, u64) {
        let batch = signals.after(Position(position), 100);
        (
            batch.signals.iter().map(|(at, _)| at.0).collect(),
            batch.lost,
            batch.upto.0,
        )
    }

    #[test]
    fn e2_a_listener_reads_on_from_its_position_and_learns_of_losses() {
        let mut signals = SignalRing::new(3, usize::MAX);
        assert_eq!(after(&signals, 1), (vec![], false, 1));
        ["a", "b", "c"]
            .into_iter()
            .for_each(|data| signals.push(signal(data)));
        assert_eq!(after(&signals, 1), (vec![2, 3, 4], false, 4));
        assert_eq!(after(&signals, 3), (vec![4], false, 4));
        assert_eq!(after(&signals, 4), (vec![], false, 4));
        signals.push(signal("d"));
        assert_eq!(after(&signals, 1), (vec![3, 4, 5], true, 5));
        assert_eq!(after(&signals, 2), (vec![3, 4, 5], false, 5));
        let two = signals.after(Position(2), 2);
        assert_eq!((two.upto.0, &*two.signals[1].1.data), (4, "c"));
    }

    #[test]
    fn e3_signals_are_bounded_in_bytes_and_the_newest_always_stays() {
        let mut signals = SignalRing::new(100, signal("12345").bytes() * 2);
        (0..3).for_each(|_| signals.push(signal("12345")));
        assert_eq!(after(&signals, 1), (vec![3, 4], true, 4));
        signals.push(signal(&"x".repeat(10_000)));
        assert_eq!(after(&signals, 4), (vec![5], false, 5));
        signals.clear();
        assert_eq!((after(&signals, 5), signals.bytes), ((vec![], false, 5), 0));
        assert_eq!(after(&signals, 4), (vec![], true, 5));
    }
}
