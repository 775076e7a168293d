//! The latest events of a room that took the right to read from users.
//!
//! Readers check their right against this list instead of the store. The list is bounded, so it
//! keeps only the latest of these events, and says so when it cannot answer ([`Access::Unknown`]).

use std::collections::VecDeque;

use super::{Seq, ShutsOut, UserId};

/// Whether a reader may continue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// The reader may continue. No event up to this one took their right away.
    Open(Seq),
    /// The reader has lost the right.
    Shut,
    /// The list does not reach back far enough: check the right in the store again.
    Unknown,
}

/// The latest events of a room that took the right to read from users.
#[derive(Debug)]
pub struct ShutOuts {
    events: VecDeque<(Seq, ShutsOut)>,
    /// The last event that may have shut users out and is not in the list.
    forgotten: Seq,
    kept_max: usize,
}

impl ShutOuts {
    /// An empty list that keeps at most `kept_max` events.
    pub fn new(kept_max: usize) -> Self {
        Self {
            events: VecDeque::new(),
            forgotten: Seq::START,
            kept_max,
        }
    }

    /// The Seq of the last event in the list.
    pub fn head(&self) -> Seq {
        self.events.back().map_or(self.forgotten, |(at, _)| *at)
    }

    /// Declares that events up to `after` may be missing from the list.
    pub fn begin(&mut self, after: Seq) {
        self.forgotten = self.forgotten.max(after);
    }

    /// Adds an event, which must be later than all others in the list.
    pub fn push(&mut self, at: Seq, shuts_out: ShutsOut) {
        self.events.push_back((at, shuts_out));
        if self.events.len() > self.kept_max
            && let Some((oldest, _)) = self.events.pop_front()
        {
            self.forgotten = self.forgotten.max(oldest);
        }
    }

    /// Whether a reader may continue if it had the right at the event `checked`.
    pub fn access(&self, checked: Seq, reader: Option<UserId>) -> Access {
        self.access_upto(checked, self.head(), reader)
    }

    /// Whether a reader may see the room as of the event `upto`, if it had the right at the event
    /// `checked`.
    pub fn access_upto(&self, checked: Seq, upto: Seq, reader: Option<UserId>) -> Access {
        let between = self
            .events
            .iter()
            .rev()
            .skip_while(|(at, _)| *at > upto)
            .take_while(|(at, _)| *at > checked);
        match between
            .into_iter()
            .any(|(_, shuts_out)| shuts_out.applies_to(reader))
        {
            true => Access::Shut,
            false if self.forgotten > checked => Access::Unknown,
            false => Access::Open(self.head().min(upto).max(checked)),
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn id(number: u128) -> UserId {
        UserId::from_uuid(Uuid::from_u128(number))
    }

    #[test]
    fn e4_only_events_after_the_check_count() {
        let mut shut_outs = ShutOuts::new(3);
        let (ann, bob) = (Some(id(1)), Some(id(2)));
        assert_eq!(shut_outs.access(Seq(7), ann), Access::Open(Seq(7)));
        shut_outs.push(Seq(8), ShutsOut::User(id(1)));
        assert_eq!(shut_outs.access(Seq(7), ann), Access::Shut);
        assert_eq!(
            shut_outs.access(Seq(8), ann),
            Access::Open(Seq(8)),
            "the right was checked after the event"
        );
        assert_eq!(shut_outs.access(Seq(7), bob), Access::Open(Seq(8)));
        shut_outs.push(Seq(9), ShutsOut::AllBut([id(2)].into()));
        assert_eq!(shut_outs.access(Seq(7), bob), Access::Open(Seq(9)));
        assert_eq!(shut_outs.access(Seq(8), None), Access::Shut);
        // A reader may see the room as of an event before the one that shut them out.
        assert_eq!(
            shut_outs.access_upto(Seq(7), Seq(8), bob),
            Access::Open(Seq(8))
        );
        assert_eq!(
            shut_outs.access_upto(Seq(7), Seq(9), bob),
            Access::Open(Seq(9))
        );
        assert_eq!(
            shut_outs.access_upto(Seq(7), Seq(7), ann),
            Access::Open(Seq(7))
        );
        assert_eq!(shut_outs.access_upto(Seq(8), Seq(20), None), Access::Shut);
    }

    #[test]
    fn e3_a_forgotten_event_makes_access_unknown() {
        let mut shut_outs = ShutOuts::new(2);
        for at in 1..=3 {
            shut_outs.push(Seq(at), ShutsOut::User(id(9)));
        }
        assert_eq!(shut_outs.access(Seq(0), Some(id(1))), Access::Unknown);
        assert_eq!(shut_outs.access(Seq(1), Some(id(1))), Access::Open(Seq(3)));
        assert_eq!(shut_outs.events.len(), 2);
        shut_outs.begin(Seq(5));
        assert_eq!(shut_outs.access(Seq(4), Some(id(1))), Access::Unknown);
        assert_eq!(shut_outs.access(Seq(5), Some(id(1))), Access::Open(Seq(5)));
    }
}
