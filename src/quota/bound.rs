//! Bounds, and which of them is reached.

/// The bound at which [`Slots`](super::Slots) or [`Bytes`](super::Bytes) refuse to give more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exhausted {
    /// This key has as much as it may have. Other keys may still get more.
    Key,
    /// All keys together have as much as they may have.
    All,
}

/// A bound as a number, from a setting in which 0 is no limit.
pub(super) fn bound(max: usize) -> usize {
    if max == 0 { usize::MAX } else { max }
}
