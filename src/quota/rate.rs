//! How often something may happen.
//!
//! This is a token bucket of its own instead of the crate `governor`, for three reasons. Its memory
//! is bounded without a background task. The same few lines also serve single connections, which
//! have no key. And a map that drops full allowances is enough, because a full allowance equals
//! none. A cache that evicts by use could drop the allowance of an offender.

use std::{
    collections::HashMap,
    hash::Hash,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::sync::Mutex;

/// The keys that one [`Rates`] remembers at the same time. Keys beyond it are not limited until
/// others are forgotten; the bound on all connections together still holds.
const KEYS_MAX: usize = 100_000;

/// N per second or per day on average, and a burst after a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// The time after which one more is allowed. Zero is no limit.
    interval: Duration,
    /// How many at once after a pause. At least 1.
    burst_max: u64,
}

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Rate {
    /// No limit.
    pub const UNLIMITED: Self = Self {
        interval: Duration::ZERO,
        burst_max: 1,
    };

    /// At most `max` per second, and `burst_max` at once after a pause. A `max` of 0 is no limit.
    pub fn per_second(max: u32, burst_max: u32) -> Self {
        Self::per(SECOND, max.into(), burst_max.into())
    }

    /// At most `max` per day, which may be used at once. 0 is no limit.
    pub fn per_day(max: u64) -> Self {
        Self::per(DAY, max, max)
    }

    fn per(period: Duration, max: u64, burst_max: u64) -> Self {
        if max == 0 {
            return Self::UNLIMITED;
        }
        let nanos = period.as_nanos() / u128::from(max);
        Self {
            interval: Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX).max(1)),
            burst_max: burst_max.max(1),
        }
    }

    fn is_unlimited(self) -> bool {
        self.interval.is_zero()
    }

    /// The pause after which this many more are allowed.
    fn time_for(self, count: u64) -> Duration {
        let nanos = self.interval.as_nanos().saturating_mul(count.into());
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// The pause after which a whole burst is allowed again.
    fn refill(self) -> Duration {
        self.time_for(self.burst_max)
    }
}

/// The state of one token bucket: the moment at which it will be full again.
#[derive(Clone, Copy, Debug, Default)]
pub struct Allowance {
    /// The bucket is full if this is `None` or in the past.
    full_at: Option<Instant>,
}

impl Allowance {
    /// Takes one, or returns how long to wait for it. A refused try costs nothing.
    pub fn take(&mut self, rate: Rate, now: Instant) -> Result<(), Duration> {
        self.take_many(rate, 1, now)
    }

    /// Takes this many, or returns how long to wait for them. A refused try costs nothing. More
    /// than a burst are taken as a burst.
    fn take_many(&mut self, rate: Rate, count: u64, now: Instant) -> Result<(), Duration> {
        if rate.is_unlimited() {
            return Ok(());
        }
        let needed = rate.time_for(count.min(rate.burst_max));
        let full_at = self.full_at.map_or(now, |at| at.max(now)) + needed;
        let wait = full_at.duration_since(now).saturating_sub(rate.refill());
        if !wait.is_zero() {
            return Err(wait);
        }
        self.full_at = Some(full_at);
        Ok(())
    }

    fn is_full(&self, now: Instant) -> bool {
        self.full_at.is_none_or(|at| at <= now)
    }
}

/// A wait in whole seconds, rounded up and at least 1, for the `Retry-After` that clients receive.
pub fn retry_after_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0 || wait.is_zero())
}

/// An allowance for each key.
///
/// It remembers the keys that were used within the last two refills, and at most a fixed number of
/// them.
#[derive(Debug)]
pub struct Rates<K> {
    rate: Rate,
    buckets: Mutex<Buckets<K>>,
}

#[derive(Debug)]
struct Buckets<K> {
    allowances: HashMap<K, Allowance>,
    /// When full allowances are removed next.
    sweep_at: Option<Instant>,
}

impl<K: Hash + Eq> Rates<K> {
    /// The allowance of every key is full.
    pub fn new(rate: Rate) -> Self {
        Self {
            rate,
            buckets: Mutex::new(Buckets {
                allowances: HashMap::new(),
                sweep_at: None,
            }),
        }
    }

    /// Takes one from the allowance of this key, or returns how long to wait for it.
    pub fn take(&self, key: K, now: Instant) -> Result<(), Duration> {
        self.take_many(key, 1, now)
    }

    /// Takes this many from the allowance of this key, or returns how long to wait for them. More
    /// than a burst are taken as a burst.
    pub fn take_many(&self, key: K, count: u64, now: Instant) -> Result<(), Duration> {
        if self.rate.is_unlimited() {
            return Ok(());
        }
        let mut buckets = self.buckets.lock();
        buckets.sweep(self.rate, now);
        if buckets.allowances.len() >= KEYS_MAX && !buckets.allowances.contains_key(&key) {
            return Ok(());
        }
        buckets
            .allowances
            .entry(key)
            .or_default()
            .take_many(self.rate, count, now)
    }
}

/// The allowance of one address in several [`Rates`], for code that need not know the address. The
/// default has no limit.
#[derive(Clone, Debug, Default)]
pub struct AddressAllowance(Option<(Arc<[Rates<IpAddr>]>, IpAddr)>);

impl AddressAllowance {
    /// The allowance of this address.
    pub fn of(rates: &Arc<[Rates<IpAddr>]>, address: IpAddr) -> Self {
        Self(Some((rates.clone(), address)))
    }

    /// Takes one of each rate, or returns how long to wait for it.
    pub fn take(&self, now: Instant) -> Result<(), Duration> {
        let Some((rates, address)) = &self.0 else {
            return Ok(());
        };
        rates.iter().try_for_each(|rates| rates.take(*address, now))
    }
}

impl<K: Hash + Eq> Buckets<K> {
    /// Removes full allowances, at most once per refill, so that the cost per call stays small.
    fn sweep(&mut self, rate: Rate, now: Instant) {
        if self.sweep_at.is_none_or(|at| at <= now) {
            self.allowances
                .retain(|_, allowance| !allowance.is_full(now));
            self.sweep_at = Some(now + rate.refill());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_millis(100);
    const RATE: Rate = Rate {
        interval: INTERVAL,
        burst_max: 3,
    };

    #[test]
    fn rates_are_per_second_or_per_day() {
        assert_eq!(Rate::per_second(10, 3), RATE);
        assert_eq!(Rate::per_second(0, 3), Rate::UNLIMITED);
        assert_eq!(Rate::per_day(0), Rate::UNLIMITED);
        let (daily, start) = (Rates::new(Rate::per_day(1000)), Instant::now());
        assert_eq!(daily.take_many("a", 999, start), Ok(()));
        let interval = DAY / 1000;
        assert_eq!(daily.take_many("a", 2, start), Err(interval));
        assert_eq!(daily.take_many("a", 2, start + interval), Ok(()));
        assert_eq!(daily.take_many("a", 1, start + interval), Err(interval));
        // More than a day's worth fits into a full allowance.
        assert_eq!(daily.take_many("b", 5000, start), Ok(()));
        assert_eq!(daily.take_many("b", 1, start), Err(interval));
    }

    #[test]
    fn a_burst_is_allowed_and_then_one_in_each_interval() {
        let (mut allowance, start) = (Allowance::default(), Instant::now());
        for _ in 0..3 {
            assert_eq!(allowance.take(RATE, start), Ok(()));
        }
        assert_eq!(allowance.take(RATE, start), Err(INTERVAL));
        assert_eq!(
            allowance.take(RATE, start + INTERVAL / 4),
            Err(INTERVAL * 3 / 4),
            "a refused try costs nothing"
        );
        for number in 1..=5 {
            assert_eq!(allowance.take(RATE, start + INTERVAL * number), Ok(()));
            assert_eq!(
                allowance.take(RATE, start + INTERVAL * number),
                Err(INTERVAL)
            );
        }
        // A pause allows one burst, and no more.
        let later = start + INTERVAL * 1000;
        let allowed = (0..10)
            .filter(|_| allowance.take(RATE, later).is_ok())
            .count();
        assert_eq!(allowed, 3);
    }

    #[test]
    fn without_a_limit_nothing_is_refused_or_remembered() {
        let (rates, now) = (Rates::new(Rate::UNLIMITED), Instant::now());
        assert!((0..10_000).all(|key| rates.take(key % 7, now).is_ok()));
        assert!(rates.buckets.lock().allowances.is_empty());
    }

    #[test]
    fn copies_of_an_address_allowance_share_one_bucket() {
        let (rates, now): (Arc<[_]>, _) = ([Rates::new(RATE)].into(), Instant::now());
        let share = |last| AddressAllowance::of(&rates, IpAddr::from([192, 0, 2, last]));
        let allowed = |share: AddressAllowance| (0..2).filter(|_| share.take(now).is_ok()).count();
        assert_eq!(
            (allowed(share(1)), allowed(share(1)), allowed(share(2))),
            (2, 1, 2)
        );
        assert!((0..100).all(|_| AddressAllowance::default().take(now).is_ok()));
        let both: Arc<[_]> = [Rates::new(Rate::UNLIMITED), Rates::new(RATE)].into();
        let both = AddressAllowance::of(&both, IpAddr::from([192, 0, 2, 1]));
        assert_eq!((0..9).filter(|_| both.take(now).is_ok()).count(), 3);
    }

    #[test]
    fn each_key_has_an_allowance_of_its_own() {
        let (rates, now) = (Rates::new(RATE), Instant::now());
        let allowed = |key: u32| (0..9).filter(|_| rates.take(key, now).is_ok()).count();
        assert_eq!((allowed(1), allowed(2), allowed(1)), (3, 3, 0));
    }

    #[test]
    fn full_allowances_are_forgotten_and_offenders_are_not() {
        let (rates, start) = (Rates::new(RATE), Instant::now());
        for round in 0..100_u32 {
            let now = start + RATE.refill() * round;
            for key in 1..=50 {
                rates.take(round * 1000 + key, now).unwrap();
            }
            // A key that never stops is refused in every round.
            assert!((0..10).any(|_| rates.take(0, now).is_err()), "{round}");
        }
        assert!(rates.buckets.lock().allowances.len() <= 2 * 51);
    }

    #[test]
    fn keys_are_bounded_and_keys_beyond_it_are_not_limited() {
        let (rates, now) = (Rates::new(RATE), Instant::now());
        assert!((0..KEYS_MAX + 100).all(|key| rates.take(key, now).is_ok()));
        assert_eq!(rates.buckets.lock().allowances.len(), KEYS_MAX);
        assert!((0..3).any(|_| rates.take(0, now).is_err()));
        assert!((0..9).all(|_| rates.take(KEYS_MAX + 1, now).is_ok()));
    }

    #[test]
    fn retry_after_is_rounded_up_to_whole_seconds() {
        let seconds = [0, 1, 999, 1000, 1001]
            .map(|millis| retry_after_seconds(Duration::from_millis(millis)));
        assert_eq!(seconds, [1, 1, 1, 1, 2]);
    }
}
