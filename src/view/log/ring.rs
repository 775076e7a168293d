//! The newest frames of a view, in memory.

use std::collections::VecDeque;

use crate::{
    domain::{Access, Seq},
    quota::ByteShare,
    view::frame::{Entry, Frame, Gate, TakeEnd, take_within},
};

/// All entries after `floor` and up to `head`. It is bounded in number and bytes, and all rings are
/// bounded together (V3).
#[derive(Debug)]
pub(in crate::view) struct Ring {
    entries: VecDeque<Entry>,
    share: ByteShare,
    floor: Seq,
    head: Seq,
}

impl Ring {
    /// An empty ring, for the events after `after`.
    pub(super) fn new(after: Seq, share: ByteShare) -> Self {
        Self {
            entries: VecDeque::new(),
            share,
            floor: after,
            head: after,
        }
    }

    /// Whether everything after a cursor is here.
    pub(super) fn reaches_back_to(&self, cursor: Seq) -> bool {
        cursor >= self.floor
    }

    /// The last event that the ring covers.
    pub(super) fn head(&self) -> Seq {
        self.head
    }

    /// Adds the entries of the events up to `head`. Drops the oldest entries beyond the bounds, and
    /// the stale ones.
    pub(super) fn push(
        &mut self,
        entries: Vec<Entry>,
        head: Seq,
        stale_upto: Seq,
        entries_max: usize,
        bytes_max: usize,
    ) {
        self.share.grow(entries.iter().map(Entry::bytes).sum());
        self.entries.extend(entries);
        self.head = head;
        loop {
            let beyond = self.entries.len() > entries_max
                || self.share.held() > bytes_max
                || self.share.is_over();
            let Some(oldest) = self
                .entries
                .pop_front_if(|oldest| beyond || oldest.seq <= stale_upto)
            else {
                break;
            };
            self.share.shrink(oldest.bytes());
            self.floor = oldest.seq;
        }
        if self.entries.capacity() > 2 * entries_max.max(8) {
            self.entries.shrink_to(entries_max);
        }
    }

    /// Takes the frames after a cursor into `out`; see [`take_within`].
    pub(super) fn take(
        &self,
        cursor: Seq,
        gate: &mut Gate,
        access: impl Fn(Gate, Seq) -> Access,
        bytes_max: usize,
        out: &mut Vec<Frame>,
    ) -> TakeEnd {
        let first = self.entries.partition_point(|entry| entry.seq <= cursor);
        take_within(self.entries.range(first..), gate, access, bytes_max, out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quota::Bytes;

    const OPEN: Gate = Gate {
        checked: Seq(u64::MAX),
        reader: None,
    };

    fn ring(after: u64) -> Ring {
        Ring::new(Seq(after), Bytes::new(0, 0).share())
    }

    fn entries(seqs: std::ops::RangeInclusive<u64>) -> Vec<Entry> {
        seqs.map(|seq| Entry::plain(Seq(seq), "0123456789"))
            .collect()
    }

    fn take(ring: &Ring, cursor: u64, bytes_max: usize) -> (Vec<u64>, TakeEnd) {
        let mut out = Vec::new();
        let taken = ring.take(
            Seq(cursor),
            &mut OPEN.clone(),
            |gate, _| Access::Open(gate.checked),
            bytes_max,
            &mut out,
        );
        (out.iter().map(|frame| frame.seq.0).collect(), taken)
    }

    #[test]
    fn a_reader_takes_the_frames_after_its_cursor() {
        let mut ring = ring(10);
        ring.push(entries(11..=15), Seq(15), Seq(0), 9, usize::MAX);
        assert_eq!(
            take(&ring, 10, 999),
            (vec![11, 12, 13, 14, 15], TakeEnd::All)
        );
        assert_eq!(take(&ring, 13, 999), (vec![14, 15], TakeEnd::All));
        assert_eq!(take(&ring, 15, 999), (vec![], TakeEnd::All));
        assert_eq!(
            take(&ring, 10, 25),
            (vec![11, 12], TakeEnd::Upto(Seq(12))),
            "within the bound"
        );
        assert_eq!(
            take(&ring, 10, 1),
            (vec![11], TakeEnd::Upto(Seq(11))),
            "but always one frame"
        );
    }

    #[test]
    fn v3_a_ring_is_bounded_and_knows_its_floor() {
        let mut ring = ring(0);
        ring.push(entries(1..=10), Seq(10), Seq(0), 3, usize::MAX);
        assert!(ring.reaches_back_to(Seq(7)) && !ring.reaches_back_to(Seq(6)));
        assert_eq!(take(&ring, 7, 999).0, [8, 9, 10]);
        let two = entries(1..=1)[0].bytes() * 2;
        ring.push(entries(11..=11), Seq(11), Seq(0), 99, two);
        assert!(ring.reaches_back_to(Seq(9)) && !ring.reaches_back_to(Seq(8)));
        ring.push(entries(12..=12), Seq(12), Seq(0), 99, 0);
        assert!(
            ring.reaches_back_to(Seq(12)) && !ring.reaches_back_to(Seq(11)),
            "no entry fits, so readers take pages"
        );
    }

    #[test]
    fn v3_rings_are_bounded_together() {
        let bytes = Bytes::new(0, entries(1..=1)[0].bytes() * 3);
        let [mut first, mut second] = [(); 2].map(|()| Ring::new(Seq(0), bytes.share()));
        first.push(entries(1..=2), Seq(2), Seq(0), 99, usize::MAX);
        second.push(entries(1..=2), Seq(2), Seq(0), 99, usize::MAX);
        assert!(
            first.reaches_back_to(Seq(0)),
            "an earlier ring keeps its entries"
        );
        assert!(second.reaches_back_to(Seq(1)) && !second.reaches_back_to(Seq(0)));
        drop(first);
        second.push(entries(3..=4), Seq(4), Seq(0), 99, usize::MAX);
        assert!(second.reaches_back_to(Seq(1)));
    }

    #[test]
    fn v6_stale_entries_are_dropped() {
        let mut ring = ring(0);
        ring.push(entries(1..=5), Seq(5), Seq(0), 99, usize::MAX);
        ring.push(entries(6..=7), Seq(7), Seq(4), 99, usize::MAX);
        assert!(ring.reaches_back_to(Seq(4)) && !ring.reaches_back_to(Seq(3)));
        assert_eq!(take(&ring, 4, 999).0, [5, 6, 7]);
    }
}
