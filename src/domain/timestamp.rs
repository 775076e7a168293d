//! Moments. Here they are only numbers: whoever needs the time is handed a clock.

use std::sync::Arc;

/// A moment in UTC, in microseconds since 1970-01-01.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(pub i64);

/// Where the time comes from. Handed in, so that a test can have its own.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;
