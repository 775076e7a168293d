//! What is told of a lobby: an opening for whoever begins, and what follows it.

use std::{collections::VecDeque, sync::Arc};

use super::Frame;
use crate::{
    domain::{Seq, UserId},
    quota::ByteShare,
};

/// Something that follows the opening.
#[derive(Clone, Debug)]
pub(super) struct Note {
    pub(super) number: Seq,
    pub(super) payload: Arc<str>,
    /// For whom alone it is; none is everybody.
    pub(super) to: Option<UserId>,
}

impl Note {
    fn is_for(&self, reader: Option<UserId>) -> bool {
        self.to.is_none() || self.to == reader
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + self.payload.len()
    }
}

/// Where the opening leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opens {
    /// To what follows the reader's own beginning.
    Anywhere,
    /// To what follows this number: it shows how things stood there.
    After(Seq),
}

/// The opening, and all notes after `floor` up to `head`, bounded in number and bytes (V3). Whoever is before the floor begins
/// anew.
#[derive(Debug)]
pub(super) struct Series {
    opening: Option<(Arc<str>, Opens)>,
    notes: VecDeque<Note>,
    floor: Seq,
    head: Seq,
    share: ByteShare,
}

impl Series {
    /// Nothing is told yet, and nothing will be told of what is up to `after`.
    pub(super) fn new(after: Seq, share: ByteShare) -> Self {
        Self {
            opening: None,
            notes: VecDeque::new(),
            floor: after,
            head: after,
            share,
        }
    }

    /// From now on this stands in front.
    pub(super) fn open(&mut self, payload: Arc<str>) {
        self.set_opening(payload, Opens::Anywhere);
    }

    /// From now on this stands in front for whoever begins; it shows how things stood at a number, up to which notes were told.
    pub(super) fn reopen(&mut self, payload: Arc<str>, at: Seq) {
        self.set_opening(payload, Opens::After(at));
    }

    /// How many notes follow the opening, and their bytes.
    pub(super) fn since_opening(&self) -> (usize, usize) {
        let after = self.opening_at();
        let notes = self
            .notes
            .iter()
            .rev()
            .take_while(|note| note.number > after);
        notes.fold((0, 0), |(notes, bytes), note| {
            (notes + 1, bytes + note.bytes())
        })
    }

    fn opening_at(&self) -> Seq {
        match &self.opening {
            Some((_, Opens::After(at))) => *at,
            _ => Seq(u64::MAX),
        }
    }

    /// From now on this stands for everything up to a number.
    pub(super) fn replace(&mut self, payload: Arc<str>, at: Seq) {
        self.lose(at);
        self.set_opening(payload, Opens::After(at));
    }

    /// Adds notes, and gives up the oldest beyond the bounds, but never all, and none that the opening leads to: who fills it
    /// opens it anew before those are too many.
    pub(super) fn push(&mut self, notes: Vec<Note>, head: Seq, notes_max: usize, bytes_max: usize) {
        self.share.grow(notes.iter().map(Note::bytes).sum());
        self.notes.extend(notes);
        self.head = head;
        let needed = self.opening_at();
        while self
            .notes
            .front()
            .is_some_and(|oldest| oldest.number <= needed)
            && self.notes.len() > 1
            && (self.notes.len() > notes_max
                || self.share.held() > bytes_max
                || self.share.is_over())
        {
            self.give_up_oldest();
        }
    }

    /// What was up to a number will not be told any more.
    pub(super) fn lose(&mut self, upto: Seq) {
        while !self.notes.is_empty() {
            self.give_up_oldest();
        }
        (self.floor, self.head) = (upto, upto);
    }

    fn give_up_oldest(&mut self) {
        if let Some(oldest) = self.notes.pop_front() {
            self.share.shrink(oldest.bytes());
            self.floor = oldest.number;
        }
    }

    fn set_opening(&mut self, payload: Arc<str>, opens: Opens) {
        self.share.grow(payload.len());
        if let Some((before, _)) = self.opening.replace((payload, opens)) {
            self.share.shrink(before.len());
        }
    }

    /// Takes what is for a reader after its cursor into `out`, as much as fits into `bytes_max` but at least one, and moves the
    /// cursor; also past what is for others. A reader that is before the floor is given the opening; its own beginning is `begin`.
    pub(super) fn take(
        &self,
        cursor: &mut Seq,
        begin: Seq,
        reader: Option<UserId>,
        bytes_max: usize,
        out: &mut Vec<Frame>,
    ) {
        let (mut bytes, before) = (0, out.len());
        if *cursor < self.floor {
            let Some((payload, opens)) = &self.opening else {
                return;
            };
            *cursor = match opens {
                Opens::Anywhere => begin.max(self.floor),
                Opens::After(at) => *at,
            };
            bytes = payload.len();
            out.push(Frame {
                seq: *cursor,
                payload: payload.clone(),
            });
        }
        let first = self.notes.partition_point(|note| note.number <= *cursor);
        for note in self.notes.range(first..) {
            if note.is_for(reader) {
                if out.len() > before && bytes + note.payload.len() > bytes_max {
                    return;
                }
                bytes += note.payload.len();
                out.push(Frame {
                    seq: note.number,
                    payload: note.payload.clone(),
                });
            }
            *cursor = note.number;
        }
        *cursor = self.head.max(*cursor);
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::quota::Bytes;

    fn series() -> Series {
        Series::new(Seq(1), Bytes::new(0, 0).share())
    }

    fn user(number: u128) -> UserId {
        UserId::from_uuid(Uuid::from_u128(number))
    }

    fn note(number: u64, to: Option<UserId>) -> Note {
        Note {
            number: Seq(number),
            payload: number.to_string().into(),
            to,
        }
    }

    fn push(series: &mut Series, numbers: std::ops::RangeInclusive<u64>, notes_max: usize) {
        let head = Seq(*numbers.end());
        series.push(
            numbers.map(|number| note(number, None)).collect(),
            head,
            notes_max,
            usize::MAX,
        );
    }

    fn take(
        series: &Series,
        cursor: &mut u64,
        begin: u64,
        reader: Option<UserId>,
        bytes_max: usize,
    ) -> String {
        let (mut at, mut out) = (Seq(*cursor), Vec::new());
        series.take(&mut at, Seq(begin), reader, bytes_max, &mut out);
        *cursor = at.0;
        out.iter()
            .map(|frame| &*frame.payload)
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn e2_whoever_begins_gets_the_opening_and_what_follows_its_beginning() {
        let (mut series, mut cursor) = (series(), 0);
        assert_eq!(take(&series, &mut cursor, 1, None, 99), "");
        series.open("open".into());
        push(&mut series, 2..=4, 99);
        assert_eq!(take(&series, &mut cursor, 1, None, 99), "open 2 3 4");
        assert_eq!(
            (take(&series, &mut cursor, 1, None, 99), cursor),
            (String::new(), 4)
        );
        let (mut later, mut ahead) = (0, 0);
        assert_eq!(take(&series, &mut later, 3, None, 99), "open 4");
        assert_eq!(
            (take(&series, &mut ahead, 7, None, 99), ahead),
            ("open".to_owned(), 7)
        );
        push(&mut series, 5..=8, 99);
        assert_eq!(take(&series, &mut ahead, 7, None, 99), "8");
        assert_eq!(
            take(&series, &mut cursor, 1, None, 1),
            "5",
            "one portion is bounded"
        );
        assert_eq!(take(&series, &mut cursor, 1, None, 2), "6 7");
    }

    #[test]
    fn e2_whoever_falls_out_begins_anew() {
        let (mut series, mut slow) = (series(), 0);
        series.open("open".into());
        push(&mut series, 2..=3, 99);
        assert_eq!(take(&series, &mut slow, 1, None, 99), "open 2 3");
        push(&mut series, 4..=9, 3);
        assert_eq!(take(&series, &mut slow, 1, None, 99), "open 7 8 9");
        series.lose(Seq(20));
        assert_eq!(take(&series, &mut slow, 1, None, 99), "open");
        push(&mut series, 21..=21, 3);
        assert_eq!(take(&series, &mut slow, 1, None, 99), "21");
    }

    #[test]
    fn what_is_for_others_is_passed_over() {
        let (mut series, ann, bob) = (series(), Some(user(1)), Some(user(2)));
        series.open("open".into());
        series.push(
            vec![note(2, ann), note(3, None), note(4, bob)],
            Seq(4),
            99,
            usize::MAX,
        );
        for (reader, seen) in [(ann, "open 2 3"), (bob, "open 3 4"), (None, "open 3")] {
            let mut cursor = 0;
            assert_eq!(
                (take(&series, &mut cursor, 1, reader, 99).as_str(), cursor),
                (seen, 4)
            );
        }
    }

    #[test]
    fn e1_a_state_replaces_what_was_before() {
        let (mut series, mut cursor, mut late) = (series(), 0, 0);
        series.replace("a".into(), Seq(1));
        assert_eq!(take(&series, &mut cursor, 0, None, 99), "a");
        series.replace("b".into(), Seq(2));
        series.replace("c".into(), Seq(5));
        assert_eq!(
            (take(&series, &mut cursor, 0, None, 99), cursor),
            ("c".to_owned(), 5)
        );
        assert_eq!(take(&series, &mut late, 0, None, 99), "c");
        assert_eq!(take(&series, &mut late, 0, None, 99), "");
    }

    #[test]
    fn e1_an_opening_leads_to_every_note_after_it() {
        let (mut series, mut old) = (series(), 0);
        series.replace("at 1".into(), Seq(1));
        assert_eq!(take(&series, &mut old, 0, None, 99), "at 1");
        push(&mut series, 2..=5, 2);
        assert_eq!(series.since_opening().0, 4, "none of them is given up");
        let mut cursor = 0;
        assert_eq!(take(&series, &mut cursor, 0, None, 99), "at 1 2 3 4 5");
        series.reopen("at 5".into(), Seq(5));
        push(&mut series, 6..=6, 2);
        assert_eq!((series.since_opening().0, series.notes.len()), (1, 2));
        let mut late = 0;
        assert_eq!(take(&series, &mut late, 0, None, 99), "at 5 6");
        assert_eq!(take(&series, &mut cursor, 0, None, 99), "6");
        assert_eq!(
            take(&series, &mut old, 0, None, 99),
            "at 5 6",
            "it was too slow for what came between"
        );
    }

    #[test]
    fn v3_what_is_held_is_given_back() {
        let budget = Bytes::new(0, 10_000);
        let mut series = Series::new(Seq(1), budget.share());
        series.open("open".into());
        push(&mut series, 2..=50, 10);
        assert_eq!(series.notes.len(), 10);
        series.push(vec![note(51, None)], Seq(51), 99, 1);
        assert_eq!(series.notes.len(), 1, "the newest one stays");
        series.lose(Seq(52));
        series.replace("x".into(), Seq(53));
        assert_eq!(series.share.held(), 1);
    }
}
