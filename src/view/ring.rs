//! The last frames of a view.

use std::collections::VecDeque;

use super::{Frame, budget::Share};
use crate::domain::Seq;

/// All frames after `floor` up to `head`, bounded in frames and bytes, and by what all rings hold together (V3).
#[derive(Debug)]
pub(super) struct Ring {
    frames: VecDeque<Frame>,
    share: Share,
    floor: Seq,
    head: Seq,
}

impl Ring {
    /// An empty ring of a view that begins after an event.
    pub(super) fn new(after: Seq, share: Share) -> Self {
        Self { frames: VecDeque::new(), share, floor: after, head: after }
    }

    /// Whether a reader that has seen `cursor` finds everything after it here.
    pub(super) fn reaches_back_to(&self, cursor: Seq) -> bool {
        cursor >= self.floor
    }

    /// The last event that the ring has seen.
    pub(super) fn head(&self) -> Seq {
        self.head
    }

    /// Adds the frames of the events up to `head`, and gives up the oldest beyond the bounds.
    pub(super) fn push(&mut self, frames: Vec<Frame>, head: Seq, frames_max: usize, bytes_max: usize) {
        self.share.take(frames.iter().map(Frame::bytes).sum());
        self.frames.extend(frames);
        self.head = head;
        while self.frames.len() > frames_max || self.share.bytes() > bytes_max || self.share.is_overdrawn() {
            let Some(oldest) = self.frames.pop_front() else { break };
            self.share.give_back(oldest.bytes());
            self.floor = oldest.seq;
        }
        if self.frames.capacity() > 2 * frames_max.max(8) {
            self.frames.shrink_to(frames_max);
        }
    }

    /// Takes the frames after `cursor` into `out`, as many as fit into `bytes_max` but at least one, and returns the
    /// position up to which there is nothing more to take.
    pub(super) fn take(&self, cursor: Seq, bytes_max: usize, out: &mut Vec<Frame>) -> Seq {
        let first = self.frames.partition_point(|frame| frame.seq <= cursor);
        take_within(self.frames.range(first..), bytes_max, out).unwrap_or(self.head).max(cursor)
    }
}

/// Takes frames into `out` within a bound of bytes, at least one. Returns the last one taken if some were left.
pub(super) fn take_within<'a>(
    frames: impl Iterator<Item = &'a Frame>,
    bytes_max: usize,
    out: &mut Vec<Frame>,
) -> Option<Seq> {
    let (mut bytes, mut last) = (0, None);
    for frame in frames {
        if last.is_some() && bytes + frame.payload.len() > bytes_max {
            return last;
        }
        bytes += frame.payload.len();
        last = Some(frame.seq);
        out.push(frame.clone());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::budget::Budget;

    fn ring(after: u64) -> Ring {
        Ring::new(Seq(after), Budget::new(0).share())
    }

    fn frames(seqs: std::ops::RangeInclusive<u64>) -> Vec<Frame> {
        seqs.map(|seq| Frame { seq: Seq(seq), payload: "0123456789".into() }).collect()
    }

    fn take(ring: &Ring, cursor: u64, bytes_max: usize) -> (Vec<u64>, u64) {
        let mut out = Vec::new();
        let position = ring.take(Seq(cursor), bytes_max, &mut out);
        (out.iter().map(|frame| frame.seq.0).collect(), position.0)
    }

    #[test]
    fn a_reader_takes_what_is_after_its_cursor() {
        let mut ring = ring(10);
        ring.push(frames(11..=15), Seq(15), 9, usize::MAX);
        assert_eq!(take(&ring, 10, 999), (vec![11, 12, 13, 14, 15], 15));
        assert_eq!(take(&ring, 13, 999), (vec![14, 15], 15));
        assert_eq!(take(&ring, 15, 999), (vec![], 15));
        assert_eq!(take(&ring, 99, 999), (vec![], 99), "a cursor never goes back");
        assert_eq!(take(&ring, 10, 25), (vec![11, 12], 12), "within the bound");
        assert_eq!(take(&ring, 10, 1), (vec![11], 11), "but always one");
    }

    #[test]
    fn v3_a_ring_is_bounded_and_knows_what_it_gave_up() {
        let mut ring = ring(0);
        ring.push(frames(1..=10), Seq(10), 3, usize::MAX);
        assert!(ring.reaches_back_to(Seq(7)) && !ring.reaches_back_to(Seq(6)));
        assert_eq!(take(&ring, 7, 999).0, [8, 9, 10]);
        let two = frames(1..=1)[0].bytes() * 2;
        ring.push(frames(11..=11), Seq(11), 99, two);
        assert!(ring.reaches_back_to(Seq(9)) && !ring.reaches_back_to(Seq(8)));
        ring.push(frames(12..=12), Seq(12), 99, 0);
        assert!(
            ring.reaches_back_to(Seq(12)) && !ring.reaches_back_to(Seq(11)),
            "nothing fits: all is read from pages"
        );
    }

    #[test]
    fn v3_rings_share_one_budget() {
        let budget = Budget::new(frames(1..=1)[0].bytes() * 3);
        let [mut first, mut second] = [(); 2].map(|()| Ring::new(Seq(0), budget.share()));
        first.push(frames(1..=2), Seq(2), 99, usize::MAX);
        second.push(frames(1..=2), Seq(2), 99, usize::MAX);
        assert!(first.reaches_back_to(Seq(0)), "who came first keeps what it has");
        assert!(second.reaches_back_to(Seq(1)) && !second.reaches_back_to(Seq(0)));
        drop(first);
        second.push(frames(3..=4), Seq(4), 99, usize::MAX);
        assert!(second.reaches_back_to(Seq(1)));
    }
}
