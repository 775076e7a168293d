//! How many queries run at the same time.
//!
//! A query that runs holds the rows that it has read and the answer that it makes. The queries of
//! one address wait for each other, so that one address cannot fill the memory, and the queries of
//! others do not wait for long.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::address::Address;
use crate::sync::{Registration, Registry};

/// The queries that run, for each address and in all.
pub(crate) struct Executions {
    all: Arc<Semaphore>,
    each_max: usize,
    by_address: Registry<Address, AddressExecutions>,
}

/// The queries of one address that run or wait.
struct AddressExecutions {
    permits: Arc<Semaphore>,
    _registration: Registration<Address, Self>,
}

/// A query may run until this is dropped.
pub(crate) struct ExecutionPermit {
    _all: Option<OwnedSemaphorePermit>,
    _of_address: Option<(OwnedSemaphorePermit, Arc<AddressExecutions>)>,
}

impl Executions {
    /// At most `each_max` queries per address and `all_max` in all. 0 is no limit.
    pub(super) fn new(each_max: usize, all_max: usize) -> Self {
        Self {
            all: semaphore(all_max),
            each_max,
            by_address: Registry::default(),
        }
    }

    /// Waits until a query of this address may run.
    pub(crate) async fn admit(&self, address: Option<Address>) -> ExecutionPermit {
        let mut of_address = None;
        if let Some(address) = address.filter(|_| self.each_max != 0) {
            let all = |_: &AddressExecutions| true;
            let executions =
                self.by_address
                    .enter(address, all, |registration| AddressExecutions {
                        permits: semaphore(self.each_max),
                        _registration: registration,
                    });
            let permit = executions.permits.clone().acquire_owned().await;
            of_address = permit.ok().map(|permit| (permit, executions));
        }
        // The semaphores are never closed.
        ExecutionPermit {
            _all: self.all.clone().acquire_owned().await.ok(),
            _of_address: of_address,
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
    use std::net::{IpAddr, Ipv4Addr};

    use futures::FutureExt;

    use super::*;

    fn address(last: u8) -> Option<Address> {
        Some(Address::from(IpAddr::from(Ipv4Addr::new(10, 0, 0, last))))
    }

    #[test]
    fn queries_of_one_address_wait_for_each_other_and_not_for_long_for_others() {
        let executions = Executions::new(2, 3);
        let admit = |last| executions.admit(address(last));
        let first = admit(1).now_or_never();
        let second = admit(1).now_or_never();
        assert!(first.is_some() && second.is_some());
        assert!(admit(1).now_or_never().is_none(), "the address has two");
        let other = admit(2).now_or_never();
        assert!(other.is_some());
        assert!(admit(3).now_or_never().is_none(), "three run in all");
        drop(first);
        assert!(admit(3).now_or_never().is_some());
        drop((second, other));
        assert!(executions.by_address.is_empty());
        let unlimited = Executions::new(0, 0);
        let many: Vec<_> = (0..100)
            .map(|_| unlimited.admit(address(1)).now_or_never())
            .collect();
        assert!(many.iter().all(Option::is_some));
    }
}
