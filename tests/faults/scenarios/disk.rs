//! Writes and syncs fail, by the shim.

use std::time::Instant;

use super::scenario;
use crate::{
    Failure, Outcome, Rounds, Scenario,
    shim::{Shim, WriteError},
    site::Site,
    stage::Stage,
};

pub(super) fn all() -> Vec<Scenario> {
    vec![
        scenario!(true, full_disk, "writes fail: the disk is full (ENOSPC)"),
        scenario!(
            true,
            failing_disk,
            "writes fail: an error of the disk (EIO)"
        ),
        scenario!(
            true,
            read_only_errors,
            "writes fail: the file system is read-only (EROFS)"
        ),
        scenario!(
            true,
            failing_sync,
            "all syncs fail (EIO), and unsynced writes are lost"
        ),
        scenario!(
            true,
            one_failing_sync,
            "one sync fails (EIO), and unsynced writes are lost"
        ),
        scenario!(
            true,
            failing_checkpoint,
            "syncs of the database file fail (EIO), and unsynced writes are lost"
        ),
    ]
}

/// A server with a shim.
async fn open() -> Result<(Stage, Shim), Failure> {
    let (site, shim) = Site::new(&[]).with_shim()?;
    Ok((Stage::open(site).await?, shim))
}

async fn full_disk(rounds: Rounds) -> Result<Outcome, Failure> {
    fail_for_a_while(rounds, WriteError::Full, "the disk is full").await
}

async fn read_only_errors(rounds: Rounds) -> Result<Outcome, Failure> {
    fail_for_a_while(rounds, WriteError::ReadOnly, "the database is read-only").await
}

/// Has writes fail with an error after which the server goes on by itself.
async fn fail_for_a_while(
    rounds: Rounds,
    error: WriteError,
    reason: &str,
) -> Result<Outcome, Failure> {
    let (mut stage, shim) = open().await?;
    let times = rounds.of(2, 10);
    for _ in 0..times {
        shim.fail_writes(Some(error));
        stage.refuses_all(reason).await?;
        let now = Instant::now();
        shim.fail_writes(None);
        stage.recovers(now).await?;
        stage.site.ready().await?;
        stage.traffic.acknowledges(50).await?;
    }
    stage
        .finish(&format!("{}, goes on by itself", crate::times(times)))
        .await
}

async fn failing_disk(rounds: Rounds) -> Result<Outcome, Failure> {
    let (mut stage, shim) = open().await?;
    let times = rounds.of(1, 10);
    for _ in 0..times {
        shim.fail_writes(Some(WriteError::Disk));
        stage.refuses_all("the disk has failed").await?;
        shim.fail_writes(None);
        // It does not go on by itself.
        stage.refuses_all("the disk has failed").await?;
        stage.stop().await?;
        stage.start().await?;
        stage.traffic.acknowledges(50).await?;
    }
    stage
        .finish(&format!("{}, goes on after a restart", crate::times(times)))
        .await
}

/// Has syncs fail. Then kills the server, and leaves only that on disk which was synced.
async fn fail_syncs(rounds: Rounds, fail: fn(&Shim)) -> Result<Outcome, Failure> {
    let (mut stage, shim) = open().await?;
    let times = rounds.of(1, 10);
    for _ in 0..times {
        fail(&shim);
        stage.refuses_all("the disk has failed").await?;
        stage.kill().await?;
        shim.fail_syncs(false);
        shim.cut_power(|| false);
        stage.start().await?;
        stage.site.ready().await?;
        stage.traffic.acknowledges(50).await?;
    }
    if shim.failures() < times as i64 {
        return Err("the shim has let no sync fail".into());
    }
    stage
        .finish(&format!("{}, goes on after a restart", crate::times(times)))
        .await
}

async fn failing_checkpoint(rounds: Rounds) -> Result<Outcome, Failure> {
    let (site, shim) = Site::new(&[]).with_shim()?;
    let mut stage = Stage::open_long(site).await?;
    let times = rounds.of(1, 10);
    for _ in 0..times {
        let before = shim.failures();
        shim.fail_checkpoints();
        // The messages are in the write-ahead log, so the server goes on.
        while shim.failures() < before + 2 {
            stage.traffic.acknowledges(20).await?;
        }
        stage.traffic.acknowledges(20).await?;
        stage.kill().await?;
        shim.fail_syncs(false);
        shim.cut_power(|| false);
        stage.start().await?;
        stage.traffic.acknowledges(50).await?;
    }
    stage.finish(&crate::times(times)).await
}

async fn failing_sync(rounds: Rounds) -> Result<Outcome, Failure> {
    fail_syncs(rounds, |shim| shim.fail_syncs(true)).await
}

async fn one_failing_sync(rounds: Rounds) -> Result<Outcome, Failure> {
    fail_syncs(rounds, Shim::fail_next_sync).await
}
