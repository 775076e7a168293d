//! The buffer of an ephemeral view: a snapshot, and the deltas that follow it.

use std::{collections::VecDeque, sync::Arc};

use crate::{
    domain::{EventTag, Seq, UserId},
    presence::Position,
    quota::ByteShare,
    view::frame::Frame,
};

/// A change that follows the snapshot.
#[derive(Clone, Debug)]
pub(super) struct Delta {
    pub(super) position: Position,
    pub(super) payload: Arc<str>,
    /// The only user who receives it. `None` is every reader.
    pub(super) recipient: Option<UserId>,
}

impl Delta {
    fn is_for(&self, reader: Option<UserId>) -> bool {
        self.recipient.is_none() || self.recipient == reader
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + self.payload.len()
    }
}

/// The deltas that follow a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FollowedBy {
    /// Those after the reader's own beginning. The snapshot shows no state.
    ReaderBegin,
    /// Those after this position: the snapshot shows the state as of it.
    After(Position),
}

/// The snapshot, and all deltas after `floor` and up to `head`. They are bounded in number and
/// bytes (V3). A reader before the floor receives the snapshot.
#[derive(Debug)]
pub(in crate::view) struct Snapshots {
    snapshot: Option<(Arc<str>, FollowedBy)>,
    deltas: VecDeque<Delta>,
    floor: Position,
    head: Position,
    share: ByteShare,
}

impl Snapshots {
    /// No snapshot yet. Deltas up to `after` will never be here.
    pub(super) fn new(after: Position, share: ByteShare) -> Self {
        Self {
            snapshot: None,
            deltas: VecDeque::new(),
            floor: after,
            head: after,
            share,
        }
    }

    /// Sets a snapshot that shows no state: it announces that the stream is live.
    pub(super) fn open(&mut self, payload: Arc<str>) {
        self.set_snapshot(payload, FollowedBy::ReaderBegin);
    }

    /// Sets the snapshot as of a position, for readers that begin later. The deltas stay.
    pub(super) fn renew(&mut self, payload: Arc<str>, at: Position) {
        self.set_snapshot(payload, FollowedBy::After(at));
    }

    /// Sets the snapshot as of a position, for all readers. It replaces the deltas.
    pub(super) fn replace(&mut self, payload: Arc<str>, at: Position) {
        self.lose(at);
        self.set_snapshot(payload, FollowedBy::After(at));
    }

    /// The number of deltas after the snapshot, and their bytes.
    pub(super) fn since_snapshot(&self) -> (usize, usize) {
        let after = self.snapshot_at();
        let deltas = self.deltas.iter().rev();
        deltas
            .take_while(|delta| delta.position > after)
            .fold((0, 0), |(count, bytes), delta| {
                (count + 1, bytes + delta.bytes())
            })
    }

    fn snapshot_at(&self) -> Position {
        match &self.snapshot {
            Some((_, FollowedBy::After(at))) => *at,
            _ => Position(u64::MAX),
        }
    }

    /// Adds deltas, and drops the oldest ones beyond the bounds.
    ///
    /// The newest delta and those that follow the snapshot are never dropped. The pump sets a new
    /// snapshot before those are too many.
    pub(super) fn push(
        &mut self,
        deltas: Vec<Delta>,
        head: Position,
        deltas_max: usize,
        bytes_max: usize,
    ) {
        self.share.grow(deltas.iter().map(Delta::bytes).sum());
        self.deltas.extend(deltas);
        self.head = head;
        let needed_after = self.snapshot_at();
        let is_spare = |oldest: &Delta| oldest.position <= needed_after;
        while self.deltas.front().is_some_and(is_spare)
            && self.deltas.len() > 1
            && (self.deltas.len() > deltas_max
                || self.share.held() > bytes_max
                || self.share.is_over())
        {
            self.drop_oldest();
        }
    }

    /// Drops all deltas up to a position. Readers before it receive the snapshot again.
    pub(super) fn lose(&mut self, upto: Position) {
        while !self.deltas.is_empty() {
            self.drop_oldest();
        }
        (self.floor, self.head) = (upto, upto);
    }

    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.deltas.pop_front() {
            self.share.shrink(oldest.bytes());
            self.floor = oldest.position;
        }
    }

    fn set_snapshot(&mut self, payload: Arc<str>, followed_by: FollowedBy) {
        self.share.grow(payload.len());
        if let Some((before, _)) = self.snapshot.replace((payload, followed_by)) {
            self.share.shrink(before.len());
        }
    }

    /// Takes the frames for a reader after its cursor into `out`: at least one, more while they fit
    /// into `bytes_max`. Moves the cursor, also past deltas for other recipients.
    ///
    /// A reader before the floor receives the snapshot. `begin` is the position at which the reader
    /// began.
    pub(super) fn take(
        &self,
        cursor: &mut Position,
        begin: Position,
        reader: Option<UserId>,
        bytes_max: usize,
        out: &mut Vec<Frame>,
    ) {
        let (mut bytes, before) = (0, out.len());
        if *cursor < self.floor {
            let Some((payload, followed_by)) = &self.snapshot else {
                return;
            };
            *cursor = match followed_by {
                FollowedBy::ReaderBegin => begin.max(self.floor),
                FollowedBy::After(at) => *at,
            };
            bytes = payload.len();
            out.push(frame(payload));
        }
        let first = self
            .deltas
            .partition_point(|delta| delta.position <= *cursor);
        for delta in self.deltas.range(first..) {
            if delta.is_for(reader) {
                if out.len() > before && bytes + delta.payload.len() > bytes_max {
                    return;
                }
                bytes += delta.payload.len();
                out.push(frame(&delta.payload));
            }
            *cursor = delta.position;
        }
        *cursor = self.head.max(*cursor);
    }
}

fn frame(payload: &Arc<str>) -> Frame {
    Frame {
        seq: Seq::START,
        tag: EventTag::UNKNOWN,
        payload: payload.clone(),
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::quota::Bytes;

    fn snapshots() -> Snapshots {
        Snapshots::new(Position(1), Bytes::new(0, 0).share())
    }

    fn user(number: u128) -> UserId {
        UserId::from_uuid(Uuid::from_u128(number))
    }

    fn delta(number: u64, recipient: Option<UserId>) -> Delta {
        Delta {
            position: Position(number),
            payload: number.to_string().into(),
            recipient,
        }
    }

    fn push(buffer: &mut Snapshots, numbers: std::ops::RangeInclusive<u64>, deltas_max: usize) {
        let head = Position(*numbers.end());
        buffer.push(
            numbers.map(|number| delta(number, None)).collect(),
            head,
            deltas_max,
            usize::MAX,
        );
    }

    fn take(
        buffer: &Snapshots,
        cursor: &mut u64,
        begin: u64,
        reader: Option<UserId>,
        bytes_max: usize,
    ) -> String {
        let (mut at, mut out) = (Position(*cursor), Vec::new());
        buffer.take(&mut at, Position(begin), reader, bytes_max, &mut out);
        *cursor = at.0;
        out.iter()
            .map(|frame| &*frame.payload)
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn e2_a_reader_gets_the_snapshot_and_the_deltas_after_its_beginning() {
        let (mut buffer, mut cursor) = (snapshots(), 0);
        assert_eq!(take(&buffer, &mut cursor, 1, None, 99), "");
        buffer.open("open".into());
        push(&mut buffer, 2..=4, 99);
        assert_eq!(take(&buffer, &mut cursor, 1, None, 99), "open 2 3 4");
        assert_eq!(
            (take(&buffer, &mut cursor, 1, None, 99), cursor),
            (String::new(), 4)
        );
        let (mut later, mut ahead) = (0, 0);
        assert_eq!(take(&buffer, &mut later, 3, None, 99), "open 4");
        assert_eq!(
            (take(&buffer, &mut ahead, 7, None, 99), ahead),
            ("open".to_owned(), 7)
        );
        push(&mut buffer, 5..=8, 99);
        assert_eq!(take(&buffer, &mut ahead, 7, None, 99), "8");
        assert_eq!(
            take(&buffer, &mut cursor, 1, None, 1),
            "5",
            "one portion is bounded"
        );
        assert_eq!(take(&buffer, &mut cursor, 1, None, 2), "6 7");
    }

    #[test]
    fn e2_a_reader_that_falls_behind_gets_the_snapshot_again() {
        let (mut buffer, mut slow) = (snapshots(), 0);
        buffer.open("open".into());
        push(&mut buffer, 2..=3, 99);
        assert_eq!(take(&buffer, &mut slow, 1, None, 99), "open 2 3");
        push(&mut buffer, 4..=9, 3);
        assert_eq!(take(&buffer, &mut slow, 1, None, 99), "open 7 8 9");
        buffer.lose(Position(20));
        assert_eq!(take(&buffer, &mut slow, 1, None, 99), "open");
        push(&mut buffer, 21..=21, 3);
        assert_eq!(take(&buffer, &mut slow, 1, None, 99), "21");
    }

    #[test]
    fn deltas_for_other_recipients_are_skipped() {
        let (mut buffer, ann, bob) = (snapshots(), Some(user(1)), Some(user(2)));
        buffer.open("open".into());
        buffer.push(
            vec![delta(2, ann), delta(3, None), delta(4, bob)],
            Position(4),
            99,
            usize::MAX,
        );
        for (reader, seen) in [(ann, "open 2 3"), (bob, "open 3 4"), (None, "open 3")] {
            let mut cursor = 0;
            assert_eq!(
                (take(&buffer, &mut cursor, 1, reader, 99).as_str(), cursor),
                (seen, 4)
            );
        }
    }

    #[test]
    fn e1_a_snapshot_replaces_everything_before_it() {
        let (mut buffer, mut cursor, mut late) = (snapshots(), 0, 0);
        buffer.replace("a".into(), Position(1));
        assert_eq!(take(&buffer, &mut cursor, 0, None, 99), "a");
        buffer.replace("b".into(), Position(2));
        buffer.replace("c".into(), Position(5));
        assert_eq!(
            (take(&buffer, &mut cursor, 0, None, 99), cursor),
            ("c".to_owned(), 5)
        );
        assert_eq!(take(&buffer, &mut late, 0, None, 99), "c");
        assert_eq!(take(&buffer, &mut late, 0, None, 99), "");
    }

    #[test]
    fn e1_a_snapshot_is_followed_by_every_delta_after_it() {
        let (mut buffer, mut old) = (snapshots(), 0);
        buffer.replace("at 1".into(), Position(1));
        assert_eq!(take(&buffer, &mut old, 0, None, 99), "at 1");
        push(&mut buffer, 2..=5, 2);
        assert_eq!(buffer.since_snapshot().0, 4, "none of them is dropped");
        let mut cursor = 0;
        assert_eq!(take(&buffer, &mut cursor, 0, None, 99), "at 1 2 3 4 5");
        buffer.renew("at 5".into(), Position(5));
        push(&mut buffer, 6..=6, 2);
        assert_eq!((buffer.since_snapshot().0, buffer.deltas.len()), (1, 2));
        let mut late = 0;
        assert_eq!(take(&buffer, &mut late, 0, None, 99), "at 5 6");
        assert_eq!(take(&buffer, &mut cursor, 0, None, 99), "6");
        assert_eq!(
            take(&buffer, &mut old, 0, None, 99),
            "at 5 6",
            "this reader was too slow for the deltas in between"
        );
    }

    #[test]
    fn v3_dropped_deltas_give_their_bytes_back() {
        let bytes = Bytes::new(0, 10_000);
        let mut buffer = Snapshots::new(Position(1), bytes.share());
        buffer.open("open".into());
        push(&mut buffer, 2..=50, 10);
        assert_eq!(buffer.deltas.len(), 10);
        buffer.push(vec![delta(51, None)], Position(51), 99, 1);
        assert_eq!(buffer.deltas.len(), 1, "the newest delta stays");
        buffer.lose(Position(52));
        buffer.replace("x".into(), Position(53));
        assert_eq!(buffer.share.held(), 1);
    }
}
