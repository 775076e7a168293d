//! The wall clock jumps, by the shim.

use time::OffsetDateTime;

use super::scenario;
use crate::{Failure, Outcome, Rounds, Scenario, site::Site, stage::Stage};

const HOUR: i64 = 3600;
const YEAR: i64 = 365 * 24 * HOUR;

pub(super) fn all() -> Vec<Scenario> {
    vec![scenario!(
        true,
        clock_jumps,
        "the clock jumps by an hour and a year, both ways"
    )]
}

async fn clock_jumps(rounds: Rounds) -> Result<Outcome, Failure> {
    let (site, shim) = Site::new(&["--session-lifetime", "3650days"]).with_shim()?;
    let mut stage = Stage::open(site).await?;
    let times = rounds.of(1, 5);
    let jumps = [HOUR, 0, YEAR, 0, -HOUR, 0, -YEAR, YEAR, 0];
    for _ in 0..times {
        for seconds in jumps {
            shim.set_clock(seconds);
            stage.traffic.acknowledges(50).await?;
            let jump = stage.newest_time().await? - OffsetDateTime::now_utc();
            if (jump.whole_seconds() - seconds).abs() > HOUR / 2 {
                return Err(format!("the clock has jumped by {jump}, not by {seconds} s").into());
            }
        }
        // A server that starts at the wrong time.
        shim.set_clock(-HOUR);
        stage.kill().await?;
        stage.start().await?;
        stage.traffic.acknowledges(50).await?;
    }
    let tried = format!("{} jumps", times * (jumps.len() + 1));
    stage.finish(&tried).await
}
