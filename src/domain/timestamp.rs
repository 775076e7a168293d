//! Points in time, as plain numbers.
//!
//! Nothing in this module reads a clock. Code that needs the current time takes it as an argument,
//! or takes a [`Clock`] that a test can replace.

use std::{sync::Arc, time::Duration};

const MICROS_PER_SECOND: i64 = 1_000_000;
const NANOS_PER_MICRO: i128 = 1_000;

/// A point in time in UTC, in microseconds since 1970-01-01.
///
/// Arithmetic saturates: a result out of range becomes the first or the last timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(pub i64);

/// A source of the current time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

impl Timestamp {
    /// The timestamp that is this many seconds after 1970-01-01.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(MICROS_PER_SECOND))
    }

    /// The timestamp that is this many seconds after 1970-01-01, rounded towards 1970 to a
    /// microsecond.
    pub fn from_fractional_seconds(seconds: f64) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "saturates")]
        Self((seconds * 1e6) as i64)
    }

    /// The timestamp that is this long after 1970-01-01.
    pub fn since_1970(elapsed: Duration) -> Self {
        Self(0).plus(elapsed)
    }

    /// The timestamp that is this many nanoseconds after 1970-01-01, rounded towards 1970 to a
    /// microsecond; `None` if it is out of range.
    pub fn from_nanoseconds(nanoseconds: i128) -> Option<Self> {
        i64::try_from(nanoseconds / NANOS_PER_MICRO).ok().map(Self)
    }

    /// Whole seconds since 1970-01-01, rounded down.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(MICROS_PER_SECOND)
    }

    /// Nanoseconds since 1970-01-01.
    pub fn nanoseconds(self) -> i128 {
        i128::from(self.0) * NANOS_PER_MICRO
    }

    /// The timestamp that is this much later.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(micros(duration)))
    }

    /// The timestamp that is this much earlier.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(micros(duration)))
    }

    /// The time from this timestamp to a later one; zero if `later` is not later.
    pub fn until(self, later: Self) -> Duration {
        let micros = later.0.saturating_sub(self.0);
        Duration::from_micros(u64::try_from(micros).unwrap_or(0))
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const FIRST: Timestamp = Timestamp(i64::MIN);
    const LAST: Timestamp = Timestamp(i64::MAX);

    #[test]
    fn seconds_are_whole_and_rounded_down() {
        for (micros, seconds) in [(0, 0), (999_999, 0), (1_000_000, 1), (-1, -1)] {
            assert_eq!(Timestamp(micros).seconds(), seconds, "{micros}");
        }
        assert_eq!(Timestamp::from_seconds(3), Timestamp(3_000_000));
        assert_eq!(Timestamp::from_fractional_seconds(0.5), Timestamp(500_000));
    }

    #[test]
    fn nanoseconds_round_towards_1970() {
        assert_eq!(Timestamp::from_nanoseconds(1_999), Some(Timestamp(1)));
        assert_eq!(Timestamp::from_nanoseconds(-1_999), Some(Timestamp(-1)));
        assert_eq!(Timestamp::from_nanoseconds(i128::MAX), None);
        assert_eq!(Timestamp(7).nanoseconds(), 7_000);
    }

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(Timestamp(5).plus(SECOND), Timestamp(1_000_005));
        assert_eq!(Timestamp(5).minus(SECOND), Timestamp(-999_995));
        assert_eq!(LAST.plus(Duration::MAX), LAST);
        assert_eq!(FIRST.minus(Duration::MAX), FIRST);
        assert_eq!(Timestamp::from_seconds(i64::MAX), LAST);
        assert_eq!(Timestamp::since_1970(Duration::MAX), LAST);
        assert_eq!(Timestamp::from_fractional_seconds(1e300), LAST);
    }

    #[test]
    fn the_time_until_an_earlier_timestamp_is_zero() {
        assert_eq!(Timestamp(1).until(Timestamp(1_000_001)), SECOND);
        assert_eq!(Timestamp(1).until(Timestamp(1)), Duration::ZERO);
        assert_eq!(LAST.until(FIRST), Duration::ZERO);
    }
}
