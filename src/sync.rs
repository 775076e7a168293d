//! Locks whose `lock`, `read` and `write` return the guard itself.
//!
//! The locks of [`std::sync`] return a `Result`, because a thread may panic while it holds one.
//! In this crate no code panics under a lock: critical sections are a few statements long, call no
//! foreign code and never await. A poisoned lock is therefore a bug, and the state behind it may be
//! half changed, so these locks panic as well.

use std::sync::{self, MutexGuard, RwLockReadGuard, RwLockWriteGuard};

/// The message of the panic when a lock is poisoned.
const POISONED: &str = "no thread panics while it holds a lock";

/// Exclusive access to a value.
#[derive(Debug, Default)]
pub struct Mutex<T>(sync::Mutex<T>);

impl<T> Mutex<T> {
    /// A mutex that nobody holds.
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
    /// A lock that nobody holds.
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
