//! The files of the database are deleted, replaced or overwritten; another process locks them.

use std::{
    fs,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::Command,
};

use super::scenario;
use crate::{Failure, Outcome, Rounds, Scenario, site::Site, stage::Stage, wait_for};

pub(super) fn all() -> Vec<Scenario> {
    vec![
        scenario!(true, deleted, "the database file is deleted, and put back"),
        scenario!(
            true,
            replaced,
            "the database file is replaced by `mv`, and put back"
        ),
        scenario!(
            true,
            overwritten,
            "an older backup is copied over the database by `cp`; the newest one is restored"
        ),
        scenario!(
            true,
            truncated,
            "the database file is truncated; the newest backup is restored"
        ),
        scenario!(
            true,
            stale_log,
            "a backup beside the write-ahead log of another database; it is restored"
        ),
        scenario!(true, locked, "another process holds the write lock for 3 s"),
    ]
}

const GONE: &str = "a file of the database is gone";
const REPLACED: &str = "a file of the database was replaced";
const OVERWRITTEN: &str = "another process has written to the database file";

/// Breaks the file while messages flow, keeps the right file aside, and puts it back.
async fn broken(
    rounds: Rounds,
    breaks: fn(&Path, &Path),
    reason: &str,
) -> Result<Outcome, Failure> {
    let mut stage = Stage::open(Site::new(&[])).await?;
    let times = rounds.of(1, 5);
    for _ in 0..times {
        let (file, aside) = (stage.site.database(), stage.site.root().join("aside"));
        let old = stage.site.backup("old").await?;
        stage.traffic.acknowledges(50).await?;
        fs::hard_link(&file, &aside).unwrap();
        breaks(&file, &old);
        stage.refuses_writes(reason).await?;
        let reads = stage.serves_reads().await;
        stage.stop().await?;
        fs::rename(&aside, &file).unwrap();
        fs::remove_file(old).ok();
        // The loss of messages is the greater fault: it is checked before the reads.
        stage.start().await?;
        reads?;
        stage.traffic.acknowledges(50).await?;
    }
    let tried = format!("{}, goes on after a restart", crate::times(times));
    stage.finish(&tried).await
}

async fn deleted(rounds: Rounds) -> Result<Outcome, Failure> {
    broken(rounds, |file, _| fs::remove_file(file).unwrap(), GONE).await
}

async fn replaced(rounds: Rounds) -> Result<Outcome, Failure> {
    broken(rounds, |file, old| fs::rename(old, file).unwrap(), REPLACED).await
}

/// Destroys the content of the file while no message is under way, and restores a backup.
async fn destroyed(
    rounds: Rounds,
    destroys: fn(&Path, &Path),
    reason: &str,
) -> Result<Outcome, Failure> {
    let mut stage = Stage::open(Site::new(&[])).await?;
    let times = rounds.of(1, 5);
    for _ in 0..times {
        let old = stage.site.backup("old").await?;
        stage.traffic.acknowledges(50).await?;
        stage.traffic.pause().await?;
        let newest = stage.site.backup("newest").await?;
        destroys(&stage.site.database(), &old);
        stage.traffic.resume();
        stage.refuses_writes(reason).await?;
        stage.stop().await?;
        restore(&stage.site, &newest).await?;
        stage.start().await?;
        stage.traffic.acknowledges(50).await?;
        for backup in [old, newest] {
            fs::remove_file(backup).unwrap();
        }
    }
    let tried = format!(
        "{}, goes on after `switchboard restore`",
        crate::times(times)
    );
    stage.finish(&tried).await
}

async fn overwritten(rounds: Rounds) -> Result<Outcome, Failure> {
    // It writes into the same file, as `cp` does.
    let copy = |file: &Path, old: &Path| fs::write(file, fs::read(old).unwrap()).unwrap();
    destroyed(rounds, copy, OVERWRITTEN).await
}

async fn truncated(rounds: Rounds) -> Result<Outcome, Failure> {
    let truncate = |file: &Path, _: &Path| {
        let file = fs::File::options().write(true).open(file).unwrap();
        file.set_len(file.metadata().unwrap().len() / 2).unwrap();
    };
    destroyed(rounds, truncate, OVERWRITTEN).await
}

async fn restore(site: &Site, backup: &Path) -> Result<(), Failure> {
    let (code, printed) = site.run(&["restore", backup.to_str().unwrap()]).await?;
    match code {
        0 => Ok(()),
        _ => Err(format!("restore: {printed}").into()),
    }
}

async fn stale_log(rounds: Rounds) -> Result<Outcome, Failure> {
    let mut stage = Stage::open(Site::new(&[])).await?;
    let times = rounds.of(1, 5);
    for _ in 0..times {
        let old = stage.site.backup("old").await?;
        stage.traffic.acknowledges(50).await?;
        // The stop moves the messages from the log into the file, so the log lacks them.
        stage.stop().await?;
        stage.start().await?;
        stage.traffic.acknowledges(50).await?;
        stage.traffic.pause().await?;
        let newest = stage.site.backup("newest").await?;
        stage.kill().await?;
        // The log stays beside the backup.
        fs::copy(&old, stage.site.database()).unwrap();
        stage.start_is_refused("belongs to another file").await?;
        restore(&stage.site, &newest).await?;
        stage.traffic.resume();
        stage.start().await?;
        stage.traffic.acknowledges(50).await?;
        for backup in [old, newest] {
            fs::remove_file(backup).unwrap();
        }
    }
    let tried = format!(
        "{}: it does not start before `switchboard restore`",
        crate::times(times)
    );
    stage.finish(&tried).await
}

/// Takes SQLite's write lock, prints a line, and holds the lock until its input ends.
const HOLDER: &str = "import sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=20)
database.execute('begin immediate')
print('locked', flush=True)
sys.stdin.read()
database.execute('rollback')
";

async fn locked(rounds: Rounds) -> Result<Outcome, Failure> {
    let mut stage = Stage::open(Site::new(&[])).await?;
    let times = rounds.of(1, 5);
    for _ in 0..times {
        stage.traffic.acknowledges(50).await?;
        let holder = Command::new("python3")
            .args(["-c", HOLDER, stage.site.database().to_str().unwrap()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        let missing = |error| Failure::Skipped(format!("there is no python3: {error}"));
        let mut holder = holder.map_err(missing)?;
        let mut lines = BufReader::new(holder.stdout.take().unwrap()).lines();
        let line = wait_for("the write lock", lines.next_line()).await?;
        if line.ok().flatten().as_deref() != Some("locked") {
            return Err(Failure::Skipped("python3 has no sqlite3 module".to_owned()));
        }
        // The fault is this time.
        tokio::time::sleep(Duration::from_secs(3)).await;
        stage.serves_reads().await?;
        let now = Instant::now();
        holder.stdin.take().unwrap().shutdown().await.ok();
        stage.recovers(now).await?;
        wait_for("the process to end", holder.wait()).await?.ok();
    }
    stage.finish(&crate::times(times)).await
}
