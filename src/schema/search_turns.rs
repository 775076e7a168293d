//! How many searches run at the same time.

use std::net::IpAddr;

use super::limits::SchemaLimits;
use crate::{
    domain::QuotaKey,
    sync::{Turn, Turns},
};

/// The searches that run. Others wait: those of one user for each other, and then those of one
/// address. So a caller with many searches delays their own.
pub struct SearchTurns {
    by_user: Turns<QuotaKey>,
    by_address: Turns<IpAddr>,
}

/// A search may run until this is dropped.
pub(super) struct SearchTurn {
    _of_user: Turn<QuotaKey>,
    _of_address: Turn<IpAddr>,
}

impl SearchTurns {
    /// With the limits of searches at the same time.
    pub fn new(limits: &SchemaLimits) -> Self {
        Self {
            by_user: Turns::new(limits.searches_per_user_max, 0),
            by_address: Turns::new(limits.searches_per_address_max, 0),
        }
    }

    /// Waits until a search of this user, from this address, may run.
    pub(super) async fn take(&self, user: Option<QuotaKey>, address: Option<IpAddr>) -> SearchTurn {
        SearchTurn {
            _of_user: self.by_user.take(user).await,
            _of_address: self.by_address.take(address).await,
        }
    }
}
