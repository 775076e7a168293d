//! Bounds on the number of things that run at the same time, where others wait for their turn.

use std::{hash::Hash, sync::Arc};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Registration, Registry};

/// Counts turns, per key and in all.
///
/// The turns of one key wait for each other first, and only then for those of other keys. So at
/// most as many of them as a key may have wait in the common queue, and no key can fill it.
pub struct Turns<K: Hash + Eq> {
    all: Arc<Semaphore>,
    each_max: usize,
    by_key: Registry<K, KeyTurns<K>>,
}

/// The turns of one key that run or wait.
struct KeyTurns<K: Hash + Eq> {
    permits: Arc<Semaphore>,
    _registration: Registration<K, Self>,
}

/// One of [`Turns`]. It ends when this is dropped.
pub struct Turn<K: Hash + Eq> {
    _all: Option<OwnedSemaphorePermit>,
    _of_key: Option<(OwnedSemaphorePermit, Arc<KeyTurns<K>>)>,
}

impl<K: Hash + Eq + Clone> Turns<K> {
    /// At most `each_max` turns per key and `all_max` in all at the same time. 0 is no limit.
    pub fn new(each_max: usize, all_max: usize) -> Self {
        Self {
            all: semaphore(all_max),
            each_max,
            by_key: Registry::default(),
        }
    }

    /// Waits for a turn. A turn without a key counts only towards the bound in all.
    pub async fn take(&self, key: Option<K>) -> Turn<K> {
        let mut of_key = None;
        if let Some(key) = key.filter(|_| self.each_max != 0) {
            let any = |_: &KeyTurns<K>| true;
            let turns = self.by_key.enter(key, any, |registration| KeyTurns {
                permits: semaphore(self.each_max),
                _registration: registration,
            });
            let permit = turns.permits.clone().acquire_owned().await;
            of_key = permit.ok().map(|permit| (permit, turns));
        }
        // The semaphores are never closed.
        Turn {
            _all: self.all.clone().acquire_owned().await.ok(),
            _of_key: of_key,
        }
    }
}

fn semaphore(max: usize) -> Arc<Semaphore> {
    let max = if max == 0 {
        Semaphore::MAX_PERMITS
    } else {
        max
    };
    Arc::new(Semaphore::new(max))
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn turns_of_one_key_wait_for_each_other_and_not_for_long_for_others() {
        let turns = Turns::new(2, 3);
        let take = |key| turns.take(Some(key));
        let first = take("a").now_or_never();
        let second = take("a").now_or_never();
        assert!(first.is_some() && second.is_some());
        assert!(take("a").now_or_never().is_none(), "the key has two");
        let other = take("b").now_or_never();
        assert!(other.is_some());
        assert!(take("c").now_or_never().is_none(), "three run in all");
        drop(first);
        assert!(take("c").now_or_never().is_some());
        drop((second, other));
        assert!(turns.by_key.is_empty());
        let unlimited = Turns::new(0, 0);
        let many: Vec<_> = (0..100)
            .map(|_| unlimited.take(Some("a")).now_or_never())
            .collect();
        assert!(many.iter().all(Option::is_some));
    }
}
