//! Bounds that all views share.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use crate::domain::UserId;

/// A number of bytes that many take from.
#[derive(Debug)]
pub(super) struct Budget {
    used: AtomicUsize,
    bytes_max: usize,
}

impl Budget {
    /// 0 is no limit.
    pub(super) fn new(bytes_max: usize) -> Arc<Self> {
        let bytes_max = if bytes_max == 0 {
            usize::MAX
        } else {
            bytes_max
        };
        Arc::new(Self {
            used: AtomicUsize::new(0),
            bytes_max,
        })
    }

    /// A share of nothing yet.
    pub(super) fn share(self: &Arc<Self>) -> Share {
        Share {
            budget: self.clone(),
            bytes: 0,
        }
    }
}

/// What one holds of a budget; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Share {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Share {
    /// How much this one holds.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes more, whether it is there or not: see [`Self::is_overdrawn`].
    pub(super) fn take(&mut self, bytes: usize) {
        self.bytes += bytes;
        self.budget.used.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Gives some back.
    pub(super) fn give_back(&mut self, bytes: usize) {
        self.bytes -= bytes;
        self.budget.used.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Whether all together hold more than there is.
    pub(super) fn is_overdrawn(&self) -> bool {
        self.budget.used.load(Ordering::Relaxed) > self.budget.bytes_max
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.give_back(self.bytes);
    }
}

/// How many readers each viewer has.
#[derive(Debug, Default)]
pub(super) struct Seats(Mutex<HashMap<UserId, usize>>);

/// One reader's place among its viewer's.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Arc<Seats>,
    viewer: UserId,
}

impl Seats {
    /// A place for one more reader of this viewer, if there is one. 0 is no limit.
    pub(super) fn take(self: &Arc<Self>, viewer: UserId, most: usize) -> Option<Seat> {
        let mut seats = self.0.lock().expect("no panic under this lock");
        let taken = seats.entry(viewer).or_default();
        if most != 0 && *taken >= most {
            return None;
        }
        *taken += 1;
        Some(Seat {
            seats: self.clone(),
            viewer,
        })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.seats.0.lock().expect("no panic under this lock");
        match seats.get_mut(&self.viewer) {
            Some(taken) if *taken > 1 => *taken -= 1,
            _ => {
                seats.remove(&self.viewer);
            }
        }
    }
}
