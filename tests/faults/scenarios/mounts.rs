//! Real file systems: one is full, another becomes read-only. They need root.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use tokio::process::Command;

use super::scenario;
use crate::{Failure, Outcome, Rounds, Scenario, site::Site, stage::Stage, wait_for};

pub(super) fn all() -> Vec<Scenario> {
    vec![
        scenario!(false, full_tmpfs, "a small file system (tmpfs) is full"),
        scenario!(
            false,
            read_only,
            "the file system (ext4) becomes read-only, and is mounted again"
        ),
    ]
}

/// A mounted file system. It is unmounted when the value is dropped.
struct Mount(PathBuf);

async fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let running = Command::new(program).args(arguments).output();
    let output = wait_for(program, running).await.map_err(|_| "a timeout")?;
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    let errors = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    output.status.success().then_some(()).ok_or(errors)
}

impl Mount {
    async fn new(arguments: &[&str], folder: &Path) -> Result<Self, Failure> {
        let arguments = [arguments, &[folder.to_str().unwrap()]].concat();
        let mounted = run("mount", &arguments).await;
        let missing = |error| Failure::Skipped(format!("mount is not possible here: {error}"));
        mounted.map_err(missing)?;
        Ok(Self(folder.to_owned()))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // After a failure, the server can still have files open. `-l` waits for it.
        for arguments in [&[][..], &["-l"]] {
            let mut command = std::process::Command::new("umount");
            let output = command.args(arguments).arg(&self.0).output();
            if output.is_ok_and(|output| output.status.success()) {
                return;
            }
        }
        eprintln!("{} is still mounted", self.0.display());
    }
}

async fn full_tmpfs(rounds: Rounds) -> Result<Outcome, Failure> {
    let site = Site::new(&[]);
    let arguments = ["-t", "tmpfs", "-o", "size=16m", "switchboard-faults"];
    let mount = Mount::new(&arguments, site.data()).await?;
    let mut stage = Stage::open(site).await?;
    let times = rounds.of(1, 5);
    let filler = stage.site.data().join("filler");
    for _ in 0..times {
        // It writes until the file system is full.
        let full = fs::write(&filler, vec![1; 32 << 20]);
        if full.is_ok() {
            return Err("the file system was not full".into());
        }
        // A write can still fit into the old write-ahead log, so not all are refused.
        stage.traffic.refuses(1).await?;
        stage.site.unready("the disk is full").await?;
        stage.serves_reads().await?;
        let now = Instant::now();
        fs::remove_file(&filler).unwrap();
        stage.recovers(now).await?;
        stage.site.ready().await?;
        stage.traffic.acknowledges(50).await?;
    }
    let tried = format!("{}, goes on by itself", crate::times(times));
    let outcome = stage.finish(&tried).await;
    drop(mount);
    outcome
}

async fn read_only(rounds: Rounds) -> Result<Outcome, Failure> {
    let site = Site::new(&[]);
    let image = site.root().join("image");
    let file = fs::File::create(&image).unwrap();
    file.set_len(32 << 20).unwrap();
    let image = image.to_str().unwrap().to_owned();
    let made = run("mkfs.ext4", &["-q", &image]).await;
    made.map_err(|error| Failure::Skipped(format!("mkfs.ext4: {error}")))?;
    let folder = site.data().to_owned();
    let mut mount = Mount::new(&["-o", "loop", &image], &folder).await?;
    let mut stage = Stage::open(site).await?;
    let times = rounds.of(1, 3);
    for _ in 0..times {
        // The kernel does the same after an error of the disk. A remount to `ro` would be refused,
        // because files are open for writing. It has to be mounted again to be writable.
        // No message is under way: in this moment, ext4 can acknowledge a sync and lose the data.
        stage.traffic.pause().await?;
        run("mount", &["-o", "remount,abort", folder.to_str().unwrap()]).await?;
        stage.traffic.resume();
        stage.refuses_all("the database is read-only").await?;
        stage.kill().await?;
        drop(mount);
        mount = Mount::new(&["-o", "loop", &image], &folder).await?;
        stage.start().await?;
        stage.site.ready().await?;
        stage.traffic.acknowledges(50).await?;
    }
    let tried = format!(
        "{}, goes on after it was mounted again, and a restart",
        crate::times(times)
    );
    let outcome = stage.finish(&tried).await;
    drop(mount);
    outcome
}
