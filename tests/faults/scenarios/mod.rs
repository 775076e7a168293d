//! The scenarios, in the order of the table.

mod clock;
mod disk;
mod files;
mod memory;
mod mounts;
mod network;
mod power;
mod process;

use std::time::Duration;

use crate::Scenario;

/// All scenarios.
pub(crate) fn all() -> Vec<Scenario> {
    [
        process::all(),
        network::all(),
        memory::all(),
        disk::all(),
        mounts::all(),
        power::all(),
        files::all(),
        clock::all(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A scenario whose name is that of its function.
macro_rules! scenario {
    ($quick:expr, $name:ident, $fault:expr) => {
        crate::Scenario {
            name: stringify!($name),
            fault: $fault,
            quick: $quick,
            known: None,
            run: |rounds| Box::pin($name(rounds)),
        }
    };
}
use scenario;

/// A random number below a limit.
fn random(below: u64) -> u64 {
    rand::random_range(0..below)
}

/// Waits for a random time, so that a fault begins at any moment.
async fn any_moment(most: Duration) {
    let most = u64::try_from(most.as_micros()).unwrap_or(u64::MAX);
    tokio::time::sleep(Duration::from_micros(random(most))).await;
}
