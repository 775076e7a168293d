//! Moments. Taken from a clock elsewhere; here they are only numbers.

/// A moment in UTC, in microseconds since 1970-01-01.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(pub i64);
