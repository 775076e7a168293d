//! The memory that plans may hold, counted for the callers that made them.
//!
//! A plan counts towards its maker for as long as it lives, also while other callers use it. A caller
//! that joins an existing plan makes nothing and pays nothing.

use std::{net::IpAddr, sync::Arc};

use super::ViewLimits;
use crate::{
    domain::{Caller, QuotaKey},
    quota::{ByteShare, Bytes, Exhausted},
};

/// The bytes that all plans together may hold, those of one caller, and those of one address.
pub(super) struct PlanBytes {
    by_caller: Arc<Bytes<QuotaKey>>,
    by_address: Arc<Bytes<IpAddr>>,
}

/// Why a caller gets no new plan.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PlanRefused {
    /// The plans of this caller, or of all callers at this address, hold as much as they may.
    Own,
    /// All plans together hold as much as they may.
    All,
}

/// The bytes of one plan. Dropping it gives them back.
#[derive(Debug)]
pub(super) struct PlanShare {
    _of_caller: ByteShare<QuotaKey>,
    _of_address: ByteShare<IpAddr>,
}

impl PlanBytes {
    pub(super) fn new(limits: &ViewLimits) -> Self {
        Self {
            by_caller: Bytes::new(limits.plans_bytes_per_viewer_max, limits.plans_bytes_max),
            by_address: Bytes::new(limits.plans_bytes_per_address_max, 0),
        }
    }

    /// Takes the bytes of a new plan for this caller at this address.
    pub(super) fn take(
        &self,
        caller: Caller,
        address: Option<IpAddr>,
        bytes: usize,
    ) -> Result<PlanShare, PlanRefused> {
        let refused = |bound| match bound {
            Exhausted::Key => PlanRefused::Own,
            Exhausted::All => PlanRefused::All,
        };
        let of_address = self.by_address.take(address, bytes).map_err(refused)?;
        let key = caller.quota_key(address);
        Ok(PlanShare {
            _of_caller: self.by_caller.take(key, bytes).map_err(refused)?,
            _of_address: of_address,
        })
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
    fn v3_plans_are_bounded_per_caller_per_address_and_in_all() {
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
            Some(PlanRefused::Own),
            "the bound of a user is the same at any address"
        );
        assert_eq!(take(Caller::Anonymous, here, 15), None);
        assert_eq!(take(Caller::Anonymous, here, 6), Some(PlanRefused::Own));
        assert_eq!(take(user(2), here, 15), None);
        assert_eq!(
            take(user(3), here, 1),
            Some(PlanRefused::Own),
            "the bound of an address is the same for any number of users"
        );
        assert_eq!(
            [take(user(4), there, 20), take(user(5), there, 20)],
            [None, None]
        );
        assert_eq!(take(user(6), far, 20), Some(PlanRefused::All));
        assert_eq!(take(user(6), far, 10), None);
        drop(held);
        assert!(bytes.take(user(1), here, 20).is_ok());
        assert!(
            bytes.take(user(7), None, 20).is_ok()
                && bytes.take(Caller::Anonymous, None, 60).is_ok()
        );
    }
}
