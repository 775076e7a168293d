//! How often and how many: the arithmetic of limits per address, per user and per connection. No IO and no clock: moments are
//! arguments.
//!
//! By hand and not by the crate `governor`, because what is held must be bounded without a task that tidies up, because the same
//! few lines also serve single connections, and because an allowance that is whole again is the same as none: a map that
//! forgets those is all there is to it. A cache that evicts by use could forget an offender.

use std::{
    collections::HashMap,
    hash::Hash,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

/// Keys that one set of rates remembers at the same time. Those that come beyond it go uncounted until others are forgotten;
/// the bounds on all connections together still hold.
const KEYS_MAX: usize = 100_000;

/// So many a second on average, and so many at once. 0 a second is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many a second.
    pub per_second_max: u32,
    /// How many at once, after a while without any. At least 1.
    pub burst_max: u32,
}

impl Rate {
    /// As often as anybody likes.
    pub const UNLIMITED: Self = Self {
        per_second_max: 0,
        burst_max: 1,
    };

    fn is_unlimited(self) -> bool {
        self.per_second_max == 0
    }

    /// After how long one more is allowed again.
    fn interval(self) -> Duration {
        (Duration::from_secs(1) / self.per_second_max.max(1)).max(Duration::from_nanos(1))
    }

    /// After how long without any a burst is allowed again.
    fn refill(self) -> Duration {
        self.interval().saturating_mul(self.burst_max.max(1))
    }
}

/// What one may still do: a token bucket, told by the moment at which it is full again.
#[derive(Clone, Copy, Debug, Default)]
pub struct Allowance {
    /// None, or a moment that has passed: it is full.
    full_at: Option<Instant>,
}

impl Allowance {
    /// Takes one, or tells how long to wait for it. Who is refused loses nothing by having asked.
    pub fn take(&mut self, rate: Rate, now: Instant) -> Result<(), Duration> {
        if rate.is_unlimited() {
            return Ok(());
        }
        let full_at = self.full_at.map_or(now, |at| at.max(now));
        let wait = (full_at + rate.interval())
            .duration_since(now)
            .saturating_sub(rate.refill());
        if !wait.is_zero() {
            return Err(wait);
        }
        self.full_at = Some(full_at + rate.interval());
        Ok(())
    }

    fn is_full(&self, now: Instant) -> bool {
        self.full_at.is_none_or(|at| at <= now)
    }
}

/// Whole seconds after which it is worth trying again, at least one: what clients are told.
pub fn retry_after_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0 || wait.is_zero())
}

/// An allowance for each key. It holds those that were used within the last two refills, and no more than a fixed number.
#[derive(Debug)]
pub struct Rates<K> {
    rate: Rate,
    known: Mutex<Buckets<K>>,
}

#[derive(Debug)]
struct Buckets<K> {
    allowances: HashMap<K, Allowance>,
    /// When those that are full are forgotten next.
    sweep_at: Option<Instant>,
}

impl<K: Hash + Eq> Rates<K> {
    /// Everybody's allowance is full.
    pub fn new(rate: Rate) -> Self {
        Self {
            rate,
            known: Mutex::new(Buckets {
                allowances: HashMap::new(),
                sweep_at: None,
            }),
        }
    }

    /// Takes one of this key's, or tells how long to wait for it.
    pub fn take(&self, key: K, now: Instant) -> Result<(), Duration> {
        if self.rate.is_unlimited() {
            return Ok(());
        }
        let mut known = self.known.lock().expect("no panic under this lock");
        known.sweep(self.rate, now);
        if known.allowances.len() >= KEYS_MAX && !known.allowances.contains_key(&key) {
            return Ok(());
        }
        known
            .allowances
            .entry(key)
            .or_default()
            .take(self.rate, now)
    }
}

/// One address's share of a set of rates, for whoever need not know whose it is. By default it is without limit.
#[derive(Clone, Debug, Default)]
pub struct AddressAllowance(Option<(Arc<Rates<IpAddr>>, IpAddr)>);

impl AddressAllowance {
    /// The share of this address.
    pub fn of(rates: &Arc<Rates<IpAddr>>, address: IpAddr) -> Self {
        Self(Some((rates.clone(), address)))
    }

    /// Takes one of it, or tells how long to wait for it.
    pub fn take(&self, now: Instant) -> Result<(), Duration> {
        self.0
            .as_ref()
            .map_or(Ok(()), |(rates, address)| rates.take(*address, now))
    }
}

impl<K: Hash + Eq> Buckets<K> {
    /// At most once in a refill, so that it costs each caller next to nothing.
    fn sweep(&mut self, rate: Rate, now: Instant) {
        if self.sweep_at.is_none_or(|at| at <= now) {
            self.allowances
                .retain(|_, allowance| !allowance.is_full(now));
            self.sweep_at = Some(now + rate.refill());
        }
    }
}

/// How many each key has, and how many all have together.
#[derive(Debug)]
pub struct Slots<K> {
    each_max: usize,
    all_max: usize,
    taken: Mutex<SlotCounts<K>>,
}

#[derive(Debug)]
struct SlotCounts<K> {
    by_key: HashMap<K, usize>,
    all: usize,
}

/// One of them, given back when it is dropped.
#[derive(Debug)]
pub struct Slot<K: Hash + Eq> {
    seats: Arc<Slots<K>>,
    key: K,
}

impl<K: Hash + Eq + Clone> Slots<K> {
    /// None is taken. 0 is no limit.
    pub fn new(each_max: usize, all_max: usize) -> Arc<Self> {
        Arc::new(Self {
            each_max,
            all_max,
            taken: Mutex::new(SlotCounts {
                by_key: HashMap::new(),
                all: 0,
            }),
        })
    }

    /// One for this key, if there is one.
    pub fn take(self: &Arc<Self>, key: K) -> Option<Slot<K>> {
        let may = |taken: usize, most: usize| most == 0 || taken < most;
        let mut taken = self.lock();
        let of_key = taken.by_key.get(&key).copied().unwrap_or(0);
        if !may(of_key, self.each_max) || !may(taken.all, self.all_max) {
            return None;
        }
        taken.all += 1;
        taken.by_key.insert(key.clone(), of_key + 1);
        Some(Slot {
            seats: self.clone(),
            key,
        })
    }
}

impl<K> Slots<K> {
    /// How many are taken.
    pub fn taken(&self) -> usize {
        self.lock().all
    }

    fn lock(&self) -> MutexGuard<'_, SlotCounts<K>> {
        self.taken.lock().expect("no panic under this lock")
    }
}

impl<K: Hash + Eq> Drop for Slot<K> {
    fn drop(&mut self) {
        let mut taken = self.seats.lock();
        taken.all -= 1;
        match taken.by_key.get_mut(&self.key) {
            Some(of_key) if *of_key > 1 => *of_key -= 1,
            _ => {
                taken.by_key.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate {
        per_second_max: 10,
        burst_max: 3,
    };
    const INTERVAL: Duration = Duration::from_millis(100);

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
            "asking costs nothing"
        );
        for number in 1..=5 {
            assert_eq!(allowance.take(RATE, start + INTERVAL * number), Ok(()));
            assert_eq!(
                allowance.take(RATE, start + INTERVAL * number),
                Err(INTERVAL)
            );
        }
        // A pause brings back a burst, and no more than that.
        let later = start + INTERVAL * 1000;
        let allowed = (0..10)
            .filter(|_| allowance.take(RATE, later).is_ok())
            .count();
        assert_eq!(allowed, 3);
    }

    #[test]
    fn nobody_waits_without_a_limit_and_nothing_is_remembered() {
        let (rates, now) = (Rates::new(Rate::UNLIMITED), Instant::now());
        assert!((0..10_000).all(|key| rates.take(key % 7, now).is_ok()));
        assert!(rates.known.lock().unwrap().allowances.is_empty());
    }

    #[test]
    fn a_share_is_that_of_its_address_wherever_it_is_held() {
        let (rates, now) = (Arc::new(Rates::new(RATE)), Instant::now());
        let share = |last| AddressAllowance::of(&rates, IpAddr::from([192, 0, 2, last]));
        let allowed = |share: AddressAllowance| (0..2).filter(|_| share.take(now).is_ok()).count();
        assert_eq!(
            (allowed(share(1)), allowed(share(1)), allowed(share(2))),
            (2, 1, 2)
        );
        assert!((0..100).all(|_| AddressAllowance::default().take(now).is_ok()));
    }

    #[test]
    fn each_key_has_an_allowance_of_its_own() {
        let (rates, now) = (Rates::new(RATE), Instant::now());
        let allowed = |key: u32| (0..9).filter(|_| rates.take(key, now).is_ok()).count();
        assert_eq!((allowed(1), allowed(2), allowed(1)), (3, 3, 0));
    }

    #[test]
    fn what_is_full_again_is_forgotten_and_an_offender_is_not() {
        let (rates, start) = (Rates::new(RATE), Instant::now());
        for round in 0..100_u32 {
            let now = start + RATE.refill() * round;
            for key in 1..=50 {
                rates.take(round * 1000 + key, now).unwrap();
            }
            // One that never stops is refused in every round, whatever is forgotten around it.
            assert!((0..10).any(|_| rates.take(0, now).is_err()), "{round}");
        }
        assert!(rates.known.lock().unwrap().allowances.len() <= 2 * 51);
    }

    #[test]
    fn keys_are_bounded_and_those_beyond_it_go_uncounted() {
        let (rates, now) = (Rates::new(RATE), Instant::now());
        assert!((0..KEYS_MAX + 100).all(|key| rates.take(key, now).is_ok()));
        assert_eq!(rates.known.lock().unwrap().allowances.len(), KEYS_MAX);
        assert!((0..3).any(|_| rates.take(0, now).is_err()));
        assert!((0..9).all(|_| rates.take(KEYS_MAX + 1, now).is_ok()));
    }

    #[test]
    fn seats_are_bounded_per_key_and_in_all_and_come_back() {
        let seats = Slots::new(2, 3);
        let (a, b, c) = (seats.take("a"), seats.take("a"), seats.take("b"));
        assert!(a.is_some() && b.is_some() && c.is_some());
        assert!(seats.take("a").is_none() && seats.take("c").is_none());
        drop(c);
        assert!(seats.take("a").is_none(), "a has its two");
        let c = seats.take("c");
        assert!(c.is_some());
        drop((a, b, c));
        assert_eq!((seats.taken(), seats.lock().by_key.len()), (0, 0));
        let unlimited = Slots::new(0, 0);
        let many: Vec<_> = (0..1000)
            .map(|_| unlimited.take(7).expect("no limit"))
            .collect();
        assert_eq!(unlimited.taken(), many.len());
    }

    #[test]
    fn clients_are_told_whole_seconds() {
        let told = [0, 1, 999, 1000, 1001]
            .map(|millis| retry_after_seconds(Duration::from_millis(millis)));
        assert_eq!(told, [1, 1, 1, 1, 2]);
    }
}
