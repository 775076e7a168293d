//! Power cuts, by the shim: writes that were not synced are lost.

use std::time::Duration;

use super::{any_moment, random, scenario};
use crate::{Failure, Outcome, Rounds, Scenario, site::Site, stage::Stage};

pub(super) fn all() -> Vec<Scenario> {
    vec![
        scenario!(
            true,
            power_cut,
            "power cut: all writes that were not synced are lost"
        ),
        scenario!(
            true,
            power_cut_torn,
            "power cut: each block that was not synced is lost or not, at random"
        ),
    ]
}

/// Cuts the power at random moments. Of the blocks that were not synced, `survives` decides.
async fn cut(rounds: Rounds, survives: fn() -> bool) -> Result<Outcome, Failure> {
    let (site, shim) = Site::new(&[]).with_shim()?;
    let mut stage = Stage::open_long(site).await?;
    let cuts = rounds.of(4, 50);
    for _ in 0..cuts {
        stage.traffic.acknowledges(20).await?;
        any_moment(Duration::from_millis(100)).await;
        stage.kill().await?;
        shim.cut_power(survives);
        stage.start().await?;
    }
    if shim.syncs() < i64::from(cuts) {
        return Err("the shim has seen no syncs".into());
    }
    stage.finish(&format!("{cuts} cuts")).await
}

async fn power_cut(rounds: Rounds) -> Result<Outcome, Failure> {
    cut(rounds, || false).await
}

async fn power_cut_torn(rounds: Rounds) -> Result<Outcome, Failure> {
    cut(rounds, || random(2) == 0).await
}
