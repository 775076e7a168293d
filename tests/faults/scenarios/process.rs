//! The process is killed, restarted, stopped for a while, or started twice.

use std::time::{Duration, Instant};

use super::{any_moment, scenario};
use crate::{Failure, Outcome, Rounds, Scenario, site::Site, stage::Stage};

pub(super) fn all() -> Vec<Scenario> {
    vec![
        scenario!(true, kill_9, "`kill -9` under load"),
        scenario!(true, sigterm, "restart by SIGTERM under load"),
        scenario!(true, sigstop, "SIGSTOP for seconds, then SIGCONT"),
        scenario!(true, second_server, "a second server on the same file"),
    ]
}

async fn kill_9(rounds: Rounds) -> Result<Outcome, Failure> {
    let mut stage = Stage::open(Site::new(&[])).await?;
    let kills = rounds.of(3, 20);
    for _ in 0..kills {
        stage.traffic.acknowledges(100).await?;
        any_moment(Duration::from_millis(100)).await;
        stage.kill().await?;
        stage.start().await?;
    }
    stage.finish(&format!("{kills} kills")).await
}

async fn sigterm(rounds: Rounds) -> Result<Outcome, Failure> {
    let mut stage = Stage::open(Site::new(&[])).await?;
    let restarts = rounds.of(2, 10);
    for _ in 0..restarts {
        stage.traffic.acknowledges(100).await?;
        stage.stop().await?;
        stage.start().await?;
    }
    stage.finish(&format!("{restarts} restarts")).await
}

async fn sigstop(rounds: Rounds) -> Result<Outcome, Failure> {
    let mut stage = Stage::open(Site::new(&[])).await?;
    let (stops, seconds) = rounds.of((1, 2), (3, 5));
    for _ in 0..stops {
        stage.traffic.acknowledges(100).await?;
        stage.server().signal("STOP").await?;
        // The fault is this time. The clients give up and connect again meanwhile.
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        let now = Instant::now();
        stage.server().signal("CONT").await?;
        stage.recovers(now).await?;
    }
    stage.finish(&format!("{stops} stops of {seconds} s")).await
}

async fn second_server(rounds: Rounds) -> Result<Outcome, Failure> {
    let mut stage = Stage::open(Site::new(&[])).await?;
    let tries = rounds.of(1, 5);
    for _ in 0..tries {
        stage
            .start_is_refused("another Switchboard server uses it")
            .await?;
        stage.traffic.acknowledges(50).await?;
    }
    let tried = format!("{}: it does not start", crate::times(tries));
    stage.finish(&tried).await
}
