//! How many bytes of memory may be held at the same time.

use std::{
    collections::{HashMap, hash_map::Entry},
    convert::Infallible,
    hash::Hash,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::bound::{Exhausted, bound};
use crate::sync::Mutex;

/// Counts bytes, per key and in all.
///
/// The count in all is one atomic number, cheap enough to change with each frame. The count of a
/// key takes a lock. `Bytes` without a parameter has no keys, so its shares grow and shrink without
/// a lock.
#[derive(Debug)]
pub struct Bytes<K = Infallible> {
    each_max: usize,
    all_max: usize,
    held: AtomicUsize,
    by_key: Mutex<HashMap<K, usize>>,
}

/// The part of [`Bytes`] that one holder has. Dropping it gives the bytes back.
#[derive(Debug)]
pub struct ByteShare<K: Hash + Eq = Infallible> {
    bytes: Arc<Bytes<K>>,
    key: Option<K>,
    held: usize,
}

impl<K: Hash + Eq> Bytes<K> {
    /// At most `each_max` bytes per key and `all_max` in all. 0 is no limit.
    pub fn new(each_max: usize, all_max: usize) -> Arc<Self> {
        Arc::new(Self {
            each_max: bound(each_max),
            all_max: bound(all_max),
            held: AtomicUsize::new(0),
            by_key: Mutex::new(HashMap::new()),
        })
    }

    /// A share without a key that holds nothing yet. It grows and shrinks later.
    pub fn share(self: &Arc<Self>) -> ByteShare<K> {
        ByteShare {
            bytes: self.clone(),
            key: None,
            held: 0,
        }
    }

    /// Takes bytes for a key, if neither bound is exceeded then. A share without a key counts only
    /// towards the bound in all.
    pub fn take(
        self: &Arc<Self>,
        key: impl Into<Option<K>>,
        bytes: usize,
    ) -> Result<ByteShare<K>, Exhausted>
    where
        K: Clone,
    {
        let key = key.into();
        let mut by_key = self.by_key.lock();
        if let Some(key) = &key {
            let of_key = by_key.get(key).copied().unwrap_or(0);
            if of_key.saturating_add(bytes) > self.each_max {
                return Err(Exhausted::Key);
            }
        }
        if self.held.fetch_add(bytes, Ordering::Relaxed) + bytes > self.all_max {
            self.held.fetch_sub(bytes, Ordering::Relaxed);
            return Err(Exhausted::All);
        }
        if let Some(key) = &key {
            *by_key.entry(key.clone()).or_default() += bytes;
        }
        Ok(ByteShare {
            bytes: self.clone(),
            key,
            held: bytes,
        })
    }
}

impl<K: Hash + Eq> ByteShare<K> {
    /// The number of bytes that this share holds.
    pub fn held(&self) -> usize {
        self.held
    }

    /// Takes more bytes, also beyond the bound in all. The holder then checks
    /// [`Self::is_over`] and gives back what it can spare.
    pub fn grow(&mut self, bytes: usize)
    where
        K: Clone,
    {
        self.held += bytes;
        self.bytes.held.fetch_add(bytes, Ordering::Relaxed);
        if let Some(key) = &self.key {
            *self.bytes.by_key.lock().entry(key.clone()).or_default() += bytes;
        }
    }

    /// Gives some bytes back.
    pub fn shrink(&mut self, bytes: usize)
    where
        K: Clone,
    {
        self.held -= bytes;
        self.bytes.held.fetch_sub(bytes, Ordering::Relaxed);
        if let Some(key) = &self.key {
            self.bytes.release(key.clone(), bytes);
        }
    }

    /// Whether all shares together hold more than the bound.
    pub fn is_over(&self) -> bool {
        self.bytes.held.load(Ordering::Relaxed) > self.bytes.all_max
    }
}

impl<K: Hash + Eq> Bytes<K> {
    fn release(&self, key: K, bytes: usize) {
        if let Entry::Occupied(mut of_key) = self.by_key.lock().entry(key) {
            *of_key.get_mut() -= bytes;
            if *of_key.get() == 0 {
                of_key.remove();
            }
        }
    }
}

impl<K: Hash + Eq> Drop for ByteShare<K> {
    fn drop(&mut self) {
        self.bytes.held.fetch_sub(self.held, Ordering::Relaxed);
        if let Some(key) = self.key.take() {
            self.bytes.release(key, self.held);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_bounded_per_key_and_in_all_and_are_given_back() {
        let bytes = Bytes::new(20, 50);
        let a = bytes.take("a", 20).unwrap();
        assert_eq!(bytes.take("a", 1).unwrap_err(), Exhausted::Key);
        let (b, c) = (bytes.take("b", 20).unwrap(), bytes.take("c", 10).unwrap());
        assert_eq!(bytes.take("d", 1).unwrap_err(), Exhausted::All);
        assert_eq!(bytes.take(None, 1).unwrap_err(), Exhausted::All);
        drop(b);
        let unkeyed = bytes.take(None, 20).unwrap();
        assert_eq!(bytes.by_key.lock().len(), 2);
        drop((a, c, unkeyed));
        assert_eq!(bytes.held.load(Ordering::Relaxed), 0);
        assert!(bytes.by_key.lock().is_empty());
    }

    #[test]
    fn a_share_grows_beyond_the_bound_and_knows_it() {
        let bytes: Arc<Bytes> = Bytes::new(0, 10);
        let (mut first, mut second) = (bytes.share(), bytes.share());
        first.grow(8);
        assert!(!first.is_over());
        second.grow(4);
        assert!(first.is_over() && second.is_over());
        second.shrink(2);
        assert!(!first.is_over());
        assert_eq!((first.held(), second.held()), (8, 2));
        drop(first);
        assert_eq!(bytes.held.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn a_share_with_a_key_grows_and_shrinks_its_key_too() {
        let bytes = Bytes::new(10, 0);
        let mut share = bytes.take("a", 4).unwrap();
        share.grow(6);
        assert_eq!(bytes.take("a", 1).unwrap_err(), Exhausted::Key);
        share.shrink(3);
        assert!(bytes.take("a", 3).is_ok());
        share.shrink(7);
        assert!(bytes.by_key.lock().is_empty());
    }
}
