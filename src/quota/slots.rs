//! Bounds on the number of things that exist at the same time.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::Hash,
    sync::Arc,
};

use super::bound::{Exhausted, bound};
use crate::sync::Mutex;

/// Counts slots, per key and in all. A key without slots takes no memory.
#[derive(Debug)]
pub struct Slots<K> {
    each_max: usize,
    all_max: usize,
    counts: Mutex<SlotCounts<K>>,
}

#[derive(Debug)]
struct SlotCounts<K> {
    by_key: HashMap<K, usize>,
    all: usize,
}

/// One of [`Slots`]. Dropping it frees the slot.
#[derive(Debug)]
pub struct Slot<K: Hash + Eq> {
    slots: Arc<Slots<K>>,
    key: Option<K>,
}

impl<K: Hash + Eq + Clone> Slots<K> {
    /// At most `each_max` slots per key and `all_max` in all. 0 is no limit.
    pub fn new(each_max: usize, all_max: usize) -> Arc<Self> {
        Arc::new(Self {
            each_max: bound(each_max),
            all_max: bound(all_max),
            counts: Mutex::new(SlotCounts {
                by_key: HashMap::new(),
                all: 0,
            }),
        })
    }

    /// Takes a slot for a key. A slot without a key counts only towards the bound in all.
    pub fn take(self: &Arc<Self>, key: impl Into<Option<K>>) -> Result<Slot<K>, Exhausted> {
        let key = key.into();
        let mut counts = self.counts.lock();
        let all = counts.all;
        if let Some(key) = &key {
            let of_key = counts.by_key.get(key).copied().unwrap_or(0);
            if of_key >= self.each_max {
                return Err(Exhausted::Key);
            }
        }
        if all >= self.all_max {
            return Err(Exhausted::All);
        }
        if let Some(key) = &key {
            *counts.by_key.entry(key.clone()).or_default() += 1;
        }
        counts.all += 1;
        Ok(Slot {
            slots: self.clone(),
            key,
        })
    }
}

impl<K> Slots<K> {
    /// The number of slots in use.
    pub fn in_use(&self) -> usize {
        self.counts.lock().all
    }
}

impl<K: Hash + Eq> Slot<K> {
    /// The key that the slot is charged to.
    pub fn key(&self) -> Option<&K> {
        self.key.as_ref()
    }
}

impl<K: Hash + Eq> Drop for Slot<K> {
    fn drop(&mut self) {
        let mut counts = self.slots.counts.lock();
        counts.all -= 1;
        let Some(key) = self.key.take() else { return };
        if let Entry::Occupied(mut of_key) = counts.by_key.entry(key) {
            *of_key.get_mut() -= 1;
            if *of_key.get() == 0 {
                of_key.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_bounded_per_key_and_in_all_and_are_freed() {
        let slots = Slots::new(2, 3);
        let (a, b, c) = (slots.take("a"), slots.take("a"), slots.take("b"));
        assert!(a.is_ok() && b.is_ok() && c.is_ok());
        assert_eq!(slots.take("a").unwrap_err(), Exhausted::Key);
        assert_eq!(slots.take("c").unwrap_err(), Exhausted::All);
        drop(c);
        assert_eq!(slots.take("a").unwrap_err(), Exhausted::Key, "a has two");
        let c = slots.take("c");
        assert!(c.is_ok());
        drop((a, b, c));
        assert_eq!((slots.in_use(), slots.counts.lock().by_key.len()), (0, 0));
    }

    #[test]
    fn zero_is_no_limit() {
        let slots = Slots::new(0, 0);
        let many: Vec<_> = (0..1000)
            .map(|_| slots.take(7).expect("no limit"))
            .collect();
        assert_eq!(slots.in_use(), many.len());
    }

    #[test]
    fn a_slot_without_a_key_counts_only_in_all() {
        let slots = Slots::<u8>::new(1, 3);
        let held: Vec<_> = (0..3).map(|_| slots.take(None)).collect();
        assert!(held.iter().all(Result::is_ok));
        assert_eq!(slots.take(None).unwrap_err(), Exhausted::All);
        assert!(slots.counts.lock().by_key.is_empty());
        drop(held);
        assert_eq!(slots.in_use(), 0);
    }
}
