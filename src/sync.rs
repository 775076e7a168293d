//! Locks whose `lock`, `read` and `write` return the guard itself, a [`Registry`], and [`Turns`].
//!
//! The locks of [`std::sync`] return a `Result`, because a thread may panic while it holds one.
//! In this crate no code panics under a lock: critical sections are a few statements long, call no
//! foreign code and never await. A poisoned lock is therefore a bug, and the state behind it may be
//! half changed, so these locks panic as well.

mod turns;

use std::{
    borrow::Borrow,
    collections::HashMap,
    convert::Infallible,
    hash::Hash,
    sync::{self, Arc, MutexGuard, RwLockReadGuard, RwLockWriteGuard, Weak},
};

pub use turns::{Turn, Turns};

/// The message of the panic when a lock is poisoned.
const POISONED: &str = "no thread panics while it holds a lock";

/// Exclusive access to a value.
#[derive(Debug, Default)]
pub struct Mutex<T>(sync::Mutex<T>);

impl<T> Mutex<T> {
    /// An unlocked mutex.
    pub const fn new(value: T) -> Self {
        Self(sync::Mutex::new(value))
    }

    /// Waits until no other thread holds the lock.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().expect(POISONED)
    }
}

/// Shared access for any number of readers, or exclusive access for one writer.
#[derive(Debug, Default)]
pub struct RwLock<T>(sync::RwLock<T>);

impl<T> RwLock<T> {
    /// An unlocked lock.
    pub const fn new(value: T) -> Self {
        Self(sync::RwLock::new(value))
    }

    /// Waits until no writer holds the lock.
    pub fn read(&self) -> RwLockReadGuard<'_, T> {
        self.0.read().expect(POISONED)
    }

    /// Waits until no reader and no other writer holds the lock.
    pub fn write(&self) -> RwLockWriteGuard<'_, T> {
        self.0.write().expect(POISONED)
    }
}

/// A table of shared values that does not keep them alive.
///
/// A value is in the table for as long as it has holders: it owns a [`Registration`], which removes
/// the entry when the last holder drops the value.
#[derive(Debug)]
pub struct Registry<K, V>(Arc<Entries<K, V>>);

type Entries<K, V> = Mutex<HashMap<K, Weak<V>>>;

/// The entry of one value in a [`Registry`]. The value itself owns it.
#[derive(Debug)]
pub struct Registration<K: Hash + Eq, V> {
    entries: Arc<Entries<K, V>>,
    key: K,
}

impl<K, V> Default for Registry<K, V> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K: Hash + Eq, V> Registry<K, V> {
    /// The value of a key, if it has one.
    pub fn find<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<Arc<V>>
    where
        K: Borrow<Q>,
    {
        self.0.lock().get(key).and_then(Weak::upgrade)
    }

    /// The number of values.
    pub fn len(&self) -> usize {
        self.0.lock().len()
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<K: Hash + Eq + Clone, V> Registry<K, V> {
    /// The value of a key if it is `usable`, else a new one that takes its place.
    pub fn enter(
        &self,
        key: K,
        usable: impl Fn(&V) -> bool,
        make: impl FnOnce(Registration<K, V>) -> V,
    ) -> Arc<V> {
        let make = |(), registration| make(registration);
        match self.entry(key, usable, || Ok::<_, Infallible>(()), make) {
            Ok(value) => value,
            Err(never) => match never {},
        }
    }

    /// The value of a key, or a new one if `admit` allows it. The value that `admit` returns is
    /// passed to `make`.
    pub fn try_enter<T, E>(
        &self,
        key: K,
        admit: impl FnOnce() -> Result<T, E>,
        make: impl FnOnce(T, Registration<K, V>) -> V,
    ) -> Result<Arc<V>, E> {
        self.entry(key, |_| true, admit, make)
    }

    fn entry<T, E>(
        &self,
        key: K,
        usable: impl Fn(&V) -> bool,
        admit: impl FnOnce() -> Result<T, E>,
        make: impl FnOnce(T, Registration<K, V>) -> V,
    ) -> Result<Arc<V>, E> {
        // Declared before the lock, so dropped after it: if this is the last holder, dropping the
        // value takes the lock.
        let known;
        let mut entries = self.0.lock();
        known = entries.get(&key).and_then(Weak::upgrade);
        if let Some(value) = known.as_ref().filter(|value| usable(value)) {
            return Ok(value.clone());
        }
        let admitted = admit()?;
        let registration = Registration {
            entries: self.0.clone(),
            key: key.clone(),
        };
        let value = Arc::new(make(admitted, registration));
        entries.insert(key, Arc::downgrade(&value));
        Ok(value)
    }
}

impl<K: Hash + Eq, V> Registration<K, V> {
    /// The key of the value.
    pub fn key(&self) -> &K {
        &self.key
    }
}

impl<K: Hash + Eq, V> Drop for Registration<K, V> {
    fn drop(&mut self) {
        let mut entries = self.entries.lock();
        // A newer value may have taken the place of this one. It stays.
        if entries
            .get(&self.key)
            .is_some_and(|value| value.strong_count() == 0)
        {
            entries.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Value(u32, Registration<&'static str, Self>);

    fn enter(registry: &Registry<&'static str, Value>, number: u32) -> Arc<Value> {
        registry.enter("a", |value| value.0 == number, |entry| Value(number, entry))
    }

    #[test]
    fn a_value_is_shared_and_leaves_with_its_last_holder() {
        let registry = Registry::default();
        let (one, other) = (enter(&registry, 1), enter(&registry, 1));
        assert!(Arc::ptr_eq(&one, &other) && one.1.key() == &"a");
        drop(one);
        assert!(registry.find("a").is_some());
        drop(other);
        assert!(registry.find("a").is_none() && registry.is_empty());
    }

    #[test]
    fn a_value_that_was_replaced_does_not_remove_the_newer_one() {
        let registry = Registry::default();
        let old = enter(&registry, 1);
        let new = enter(&registry, 2);
        drop(old);
        assert_eq!(registry.find("a").map(|value| value.0), Some(2));
        drop(new);
        assert_eq!(registry.len(), 0);
    }

    #[test]
    fn a_value_that_is_not_admitted_leaves_no_entry() {
        let registry = Registry::<_, Value>::default();
        let refused = registry.try_enter("a", || Err("full"), |(), entry| Value(1, entry));
        assert_eq!(refused.err(), Some("full"));
        assert!(registry.is_empty());
    }
}
