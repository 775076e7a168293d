//! Positions in the streams of a lobby.

/// A position in an ephemeral stream: the version of a state, or the number of a signal.
///
/// Positions compare only within one stream of one lobby. They begin again when the lobby is
/// dropped, so clients never see them. A position in a log is a [`Seq`](crate::domain::Seq).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position(pub u64);

impl Position {
    /// Before everything. A reader at this position has not received a snapshot yet.
    pub const START: Self = Self(0);

    /// The position of a stream in a new lobby.
    pub(super) const FIRST: Self = Self(1);

    /// The position after this one.
    pub(super) fn next(self) -> Self {
        Self(self.0 + 1)
    }
}
