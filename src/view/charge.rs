//! Whose documents are how many: what plans hold is counted for all together, and for whoever made them.
//!
//! A plan that many share is its maker's for as long as it lives: they could not have it without one, and who only joins makes
//! nothing.

use std::{
    collections::HashMap,
    hash::Hash,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard},
};

use super::{
    ViewLimits,
    budget::{Budget, Share},
};
use crate::domain::{Caller, QuotaKey};

/// What plans may hold.
pub(super) struct PlanBytes {
    all: Arc<Budget>,
    by_sharer: Arc<Shares<QuotaKey>>,
    by_address: Arc<Shares<IpAddr>>,
}

/// Why there is no room for a plan more.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoRoom {
    /// Whoever asks has as much as he may.
    Own,
    /// All together have.
    All,
}

/// What one plan takes; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Charge {
    _of_sharer: Option<Held<QuotaKey>>,
    _of_address: Option<Held<IpAddr>>,
    _of_all: Share,
}

impl PlanBytes {
    pub(super) fn new(limits: &ViewLimits) -> Self {
        Self {
            all: Budget::new(limits.plans_bytes_max),
            by_sharer: Shares::new(limits.plans_bytes_per_viewer_max),
            by_address: Shares::new(limits.plans_bytes_per_address_max),
        }
    }

    /// So many bytes more for whoever asks from there.
    pub(super) fn take(
        &self,
        caller: Caller,
        address: Option<IpAddr>,
        bytes: usize,
    ) -> Result<Charge, NoRoom> {
        let quota_key = caller.quota_key(address);
        let of_sharer = quota_key
            .map(|quota_key| self.by_sharer.take(quota_key, bytes).ok_or(NoRoom::Own))
            .transpose()?;
        let of_address = address
            .map(|address| self.by_address.take(address, bytes).ok_or(NoRoom::Own))
            .transpose()?;
        let mut of_all = self.all.share();
        of_all.take(bytes);
        if of_all.is_overdrawn() {
            return Err(NoRoom::All);
        }
        Ok(Charge {
            _of_sharer: of_sharer,
            _of_address: of_address,
            _of_all: of_all,
        })
    }
}

/// Bytes that each key has of a bound of its own. A key that has none takes no memory.
#[derive(Debug)]
struct Shares<K> {
    each_max: usize,
    taken: Mutex<HashMap<K, usize>>,
}

/// What one holds of its key's.
#[derive(Debug)]
struct Held<K: Hash + Eq> {
    shares: Arc<Shares<K>>,
    key: K,
    bytes: usize,
}

impl<K: Hash + Eq + Copy> Shares<K> {
    /// 0 is no limit.
    fn new(each_max: usize) -> Arc<Self> {
        Arc::new(Self {
            each_max,
            taken: Mutex::default(),
        })
    }

    fn take(self: &Arc<Self>, key: K, bytes: usize) -> Option<Held<K>> {
        let mut taken = self.lock();
        let before = taken.get(&key).copied().unwrap_or(0);
        if self.each_max != 0 && before + bytes > self.each_max {
            return None;
        }
        taken.insert(key, before + bytes);
        Some(Held {
            shares: self.clone(),
            key,
            bytes,
        })
    }
}

impl<K> Shares<K> {
    fn lock(&self) -> MutexGuard<'_, HashMap<K, usize>> {
        self.taken.lock().expect("no panic under this lock")
    }
}

impl<K: Hash + Eq> Drop for Held<K> {
    fn drop(&mut self) {
        let mut taken = self.shares.lock();
        match taken.get_mut(&self.key) {
            Some(bytes) if *bytes > self.bytes => *bytes -= self.bytes,
            _ => {
                taken.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::{Timestamp, TokenId, UserId, Viewer};

    fn user(number: u128) -> Caller {
        let user = UserId::from_uuid(Uuid::from_u128(number));
        Caller::Viewer(Viewer {
            user,
            expires_at: Timestamp(0),
            token: TokenId([0; 16]),
            operator: false,
        })
    }

    #[test]
    fn v3_each_has_a_share_and_all_of_an_address_have_one_together() {
        let limits = ViewLimits {
            plans_bytes_max: 100,
            plans_bytes_per_viewer_max: 20,
            plans_bytes_per_address_max: 50,
            ..ViewLimits::default()
        };
        let bytes = PlanBytes::new(&limits);
        let [here, there, far] = [1, 2, 3].map(|last| Some(IpAddr::from([192, 0, 2, last])));
        let mut held = Vec::new();
        let mut take = |caller, address, amount| {
            bytes
                .take(caller, address, amount)
                .map(|charge| held.push(charge))
                .err()
        };
        assert_eq!(take(user(1), here, 20), None);
        assert_eq!(
            take(user(1), there, 1),
            Some(NoRoom::Own),
            "a user has one share, wherever he is"
        );
        assert_eq!(take(Caller::Anonymous, here, 15), None);
        assert_eq!(take(Caller::Anonymous, here, 6), Some(NoRoom::Own));
        assert_eq!(take(user(2), here, 15), None);
        assert_eq!(
            take(user(3), here, 1),
            Some(NoRoom::Own),
            "more users do not make an address larger"
        );
        assert_eq!(
            [take(user(4), there, 20), take(user(5), there, 20)],
            [None, None]
        );
        assert_eq!(take(user(6), far, 20), Some(NoRoom::All));
        assert_eq!(take(user(6), far, 10), None);
        drop(held);
        let left = [bytes.by_sharer.lock().len(), bytes.by_address.lock().len()];
        assert_eq!(left, [0, 0]);
        assert!(bytes.take(user(1), here, 20).is_ok());
        assert!(
            bytes.take(user(7), None, 20).is_ok()
                && bytes.take(Caller::Anonymous, None, 60).is_ok()
        );
    }
}
