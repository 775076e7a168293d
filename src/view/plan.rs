//! Plans: subscription documents, each shared by all subscribers that sent it.
//!
//! A plan is a document without the arguments of its root field, so readers of different rooms and
//! positions share it. It has two lanes, and lives for as long as one of its views has readers.
//!
//! Plans count towards bounds on memory: of the caller that made the plan, of the caller's address,
//! and of all plans. The maker pays for as long as the plan lives, also while others use it. A
//! caller that joins an existing plan makes nothing and pays nothing.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio_util::task::TaskTracker;

use super::{ViewLimits, lane::Lane};
use crate::{
    domain::{Caller, QuotaKey},
    quota::{ByteShare, Bytes, Exhausted},
    schema::{PlanDocument, Schema},
    sync::{Registration, Registry},
};

/// The estimated memory of the executions of one plan.
const LANES_BYTES: usize = 24 * 1024;

/// The plans of this node.
pub(super) struct Plans {
    registry: Registry<String, Plan>,
    bytes: PlanBytes,
    schema: Schema,
    limits: ViewLimits,
    tasks: TaskTracker,
    id_next: AtomicU64,
}

/// One document for all rooms, and the means to run it.
pub(super) struct Plan {
    id: u64,
    /// New events go through this lane.
    pub(super) live: Lane,
    /// Old events go through this lane, so that they never delay new ones.
    pub(super) catch_up: Lane,
    pub(super) limits: ViewLimits,
    pub(super) tasks: TaskTracker,
    _bytes: PlanShare,
    _registration: Registration<String, Self>,
}

impl Plans {
    pub(super) fn new(schema: Schema, limits: ViewLimits, tasks: TaskTracker) -> Self {
        Self {
            registry: Registry::default(),
            bytes: PlanBytes::new(&limits),
            schema,
            limits,
            tasks,
            id_next: AtomicU64::new(0),
        }
    }

    /// The plan of a document, made by this caller if there is none.
    ///
    /// A document that depends on its viewer has one plan per viewer (V2). Every other plan runs as
    /// [`Caller::Shared`].
    pub(super) fn enter(
        &self,
        document: Arc<PlanDocument>,
        caller: Caller,
        address: Option<IpAddr>,
    ) -> Result<Arc<Plan>, PlanRefused> {
        let (key, runs_as) = match caller.user().filter(|_| document.depends_on_viewer) {
            Some(user) => (format!("{user} {}", document.key), caller),
            None if document.depends_on_viewer => (document.key.clone(), Caller::Anonymous),
            None => (document.key.clone(), Caller::Shared),
        };
        let bytes = document.bytes() + LANES_BYTES;
        self.registry.try_enter(
            key,
            || self.bytes.take(caller, address, bytes),
            |share, registration| self.plan(&document, runs_as, share, registration),
        )
    }

    fn plan(
        &self,
        document: &Arc<PlanDocument>,
        runs_as: Caller,
        share: PlanShare,
        registration: Registration<String, Plan>,
    ) -> Plan {
        let lane = || {
            let (schema, timeout) = (self.schema.clone(), self.limits.execution_timeout);
            Lane::spawn(schema, document.clone(), runs_as, timeout, &self.tasks)
        };
        Plan {
            id: self.id_next.fetch_add(1, Ordering::Relaxed),
            live: lane(),
            catch_up: lane(),
            limits: self.limits,
            tasks: self.tasks.clone(),
            _bytes: share,
            _registration: registration,
        }
    }

    /// The number of plans that are in use.
    pub(super) fn len(&self) -> usize {
        self.registry.len()
    }
}

impl Plan {
    /// Identifies this plan. A later plan of the same document has another id.
    pub(super) fn id(&self) -> u64 {
        self.id
    }
}

/// The bytes that all plans together may hold, those of one caller, and those of one address.
struct PlanBytes {
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
struct PlanShare {
    _of_caller: ByteShare<QuotaKey>,
    _of_address: ByteShare<IpAddr>,
}

impl PlanBytes {
    fn new(limits: &ViewLimits) -> Self {
        Self {
            by_caller: Bytes::new(limits.plans_bytes_per_viewer_max, limits.plans_bytes_max),
            by_address: Bytes::new(limits.plans_bytes_per_address_max, 0),
        }
    }

    /// Takes the bytes of a new plan for this caller at this address.
    fn take(
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
                .map(|share| held.push(share))
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
