//! Who lost the right to read a room lately.

use std::collections::VecDeque;

use super::{Seq, ShutsOut, UserId};

/// Whether somebody may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// They may: nothing up to this event says otherwise.
    Open(Seq),
    /// They may not.
    Shut,
    /// It is not known any more: their right must be read anew.
    Unknown,
}

/// The last events that took the right to read from somebody, bounded in number.
#[derive(Debug)]
pub struct ShutOuts {
    events: VecDeque<(Seq, ShutsOut)>,
    /// The last one that is not among them any more, or may have been one.
    forgotten: Seq,
    kept_max: usize,
}

impl ShutOuts {
    /// None yet; at most so many are kept.
    pub fn new(kept_max: usize) -> Self {
        Self {
            events: VecDeque::new(),
            forgotten: Seq::START,
            kept_max,
        }
    }

    /// The last of them.
    pub fn head(&self) -> Seq {
        self.events.back().map_or(self.forgotten, |(at, _)| *at)
    }

    /// Of events up to this one nothing is known but what was kept.
    pub fn begin(&mut self, after: Seq) {
        self.forgotten = self.forgotten.max(after);
    }

    /// One more, later than all before.
    pub fn push(&mut self, at: Seq, shuts_out: ShutsOut) {
        self.events.push_back((at, shuts_out));
        if self.events.len() > self.kept_max
            && let Some((oldest, _)) = self.events.pop_front()
        {
            self.forgotten = self.forgotten.max(oldest);
        }
    }

    /// Whether somebody may go on whose right was good at the event `checked`.
    pub fn access(&self, checked: Seq, reader: Option<UserId>) -> Access {
        self.access_upto(checked, self.head(), reader)
    }

    /// Whether somebody whose right was good at the event `checked` may be shown how things stood at the event `upto`.
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
    fn e4_only_what_came_after_the_right_was_read_counts() {
        let mut shut_outs = ShutOuts::new(3);
        let (ann, bob) = (Some(id(1)), Some(id(2)));
        assert_eq!(shut_outs.access(Seq(7), ann), Access::Open(Seq(7)));
        shut_outs.push(Seq(8), ShutsOut::User(id(1)));
        assert_eq!(shut_outs.access(Seq(7), ann), Access::Shut);
        assert_eq!(
            shut_outs.access(Seq(8), ann),
            Access::Open(Seq(8)),
            "let in again after that"
        );
        assert_eq!(shut_outs.access(Seq(7), bob), Access::Open(Seq(8)));
        shut_outs.push(Seq(9), ShutsOut::AllBut([id(2)].into()));
        assert_eq!(shut_outs.access(Seq(7), bob), Access::Open(Seq(9)));
        assert_eq!(shut_outs.access(Seq(8), None), Access::Shut);
        // How things stood before that may be shown.
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
    fn e3_what_is_forgotten_is_not_taken_for_nothing() {
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
