//! A clock that tests can set (`--test-clock`).

use std::time::Duration;

use crate::{
    domain::{Clock, Timestamp},
    sync::Mutex,
};

/// 9999-12-31T23:59:59Z, the last second that the API can write.
const LAST: Timestamp = Timestamp::from_seconds(253_402_300_799);

/// A clock that follows the system's clock until a test sets, advances or freezes it.
pub struct TestClock {
    system: Clock,
    state: Mutex<ClockState>,
}

/// How far the clock is from the system's clock.
#[derive(Clone, Copy, Default)]
struct ClockState {
    ahead: Duration,
    behind: Duration,
    /// The time at which the clock stands still.
    frozen: Option<Timestamp>,
}

/// The time that a clock is set to.
#[derive(Clone, Copy, Debug)]
pub enum NewTime {
    /// The time that it shows already.
    Same,
    /// This time.
    At(Timestamp),
    /// This much later than the time that it shows.
    LaterBy(Duration),
}

/// The time is before 1970 or after 9999. The clock stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the clock can be set to the years 1970 to 9999")]
pub struct TimeOutOfRange;

impl TestClock {
    /// A clock that shows the system's time.
    pub fn new(system: Clock) -> Self {
        Self {
            system,
            state: Mutex::default(),
        }
    }

    /// The time that the clock shows.
    pub fn now(&self) -> Timestamp {
        let state = *self.state.lock();
        state.at((self.system)())
    }

    /// Whether the clock stands still.
    pub fn is_frozen(&self) -> bool {
        self.state.lock().frozen.is_some()
    }

    /// Sets the clock. It goes on from there, unless it is frozen.
    pub fn set(&self, time: Timestamp) -> Result<(), TimeOutOfRange> {
        self.change(NewTime::At(time), None)
    }

    /// Sets the clock forward.
    pub fn advance(&self, by: Duration) -> Result<(), TimeOutOfRange> {
        self.change(NewTime::LaterBy(by), None)
    }

    /// Stops the clock, or lets it go on from the time that it shows.
    pub fn freeze(&self, frozen: bool) -> Result<(), TimeOutOfRange> {
        self.change(NewTime::Same, Some(frozen))
    }

    /// Sets the clock, and freezes it or lets it go on, in one step. Without `frozen`, a frozen
    /// clock stays frozen.
    pub fn change(&self, time: NewTime, frozen: Option<bool>) -> Result<(), TimeOutOfRange> {
        let (mut state, system) = (self.state.lock(), (self.system)());
        let now = match time {
            NewTime::Same => state.at(system),
            NewTime::At(time) => time,
            NewTime::LaterBy(duration) => state.at(system).plus(duration),
        };
        if !(Timestamp(0)..=LAST).contains(&now) {
            return Err(TimeOutOfRange);
        }
        let frozen = frozen.unwrap_or(state.frozen.is_some());
        *state = ClockState {
            ahead: system.until(now),
            behind: now.until(system),
            frozen: frozen.then_some(now),
        };
        Ok(())
    }

    /// Returns to the system's time.
    pub fn reset(&self) {
        *self.state.lock() = ClockState::default();
    }
}

impl ClockState {
    fn at(self, system: Timestamp) -> Timestamp {
        let moving = system.plus(self.ahead).minus(self.behind);
        self.frozen.unwrap_or(moving)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A clock, and a function that lets a second of the system's clock pass.
    fn clock() -> (TestClock, impl Fn()) {
        let system = Arc::new(Mutex::new(Timestamp::from_seconds(1_000)));
        let source = system.clone();
        let pass = move || {
            let mut system = system.lock();
            *system = system.plus(SECOND);
        };
        (TestClock::new(Arc::new(move || *source.lock())), pass)
    }

    #[test]
    fn it_follows_the_system_from_the_time_that_was_set() {
        let (clock, pass) = clock();
        let seconds = |clock: &TestClock| clock.now().seconds();
        assert_eq!(seconds(&clock), 1_000);
        clock.set(Timestamp::from_seconds(5_000)).unwrap();
        pass();
        assert_eq!(seconds(&clock), 5_001);
        clock.set(Timestamp::from_seconds(7)).unwrap();
        pass();
        assert_eq!(seconds(&clock), 8);
        clock.advance(3 * SECOND).unwrap();
        assert_eq!(seconds(&clock), 11);
        clock.reset();
        assert_eq!(seconds(&clock), 1_002);
    }

    #[test]
    fn a_frozen_clock_moves_only_when_it_is_set() {
        let (clock, pass) = clock();
        clock.freeze(true).unwrap();
        pass();
        assert!(clock.is_frozen());
        assert_eq!(clock.now().seconds(), 1_000);
        clock.advance(SECOND).unwrap();
        pass();
        assert_eq!(clock.now().seconds(), 1_001);
        clock.freeze(false).unwrap();
        pass();
        assert!(!clock.is_frozen());
        assert_eq!(clock.now().seconds(), 1_002);
    }

    #[test]
    fn a_time_out_of_range_changes_nothing() {
        let (clock, _) = clock();
        assert_eq!(clock.set(Timestamp(-1)), Err(TimeOutOfRange));
        assert_eq!(clock.set(LAST.plus(SECOND)), Err(TimeOutOfRange));
        assert_eq!(clock.advance(Duration::MAX), Err(TimeOutOfRange));
        assert_eq!(clock.now().seconds(), 1_000);
        clock.set(LAST).unwrap();
        assert_eq!(clock.now(), LAST);
    }
}
