//! The server that is measured: a separate process on its own core.

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use crate::baseline;

/// The core that servers run on. The load runs on the other core.
const SERVER_CORE: &str = "0";
const LOAD_CORE: &str = "1";

/// The servers that can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// Switchboard itself
    Switchboard,
    /// Switchboard's design without GraphQL
    Durable,
    /// A finished frame, without GraphQL or a database
    Broadcast,
    /// async-graphql with its own integrations
    Stock,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [
        Self::Switchboard,
        Self::Durable,
        Self::Broadcast,
        Self::Stock,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Switchboard => "switchboard",
            Self::Durable => "durable prototype",
            Self::Broadcast => "ready-frame broadcast",
            Self::Stock => "stock async-graphql",
        }
    }
}

/// A running server. Dropping this ends its process.
pub(crate) struct Server {
    pub(crate) kind: Kind,
    pub(crate) address: SocketAddr,
    child: Child,
    folder: PathBuf,
}

impl Server {
    /// Starts a server without limits by time, address or user, because the load is one address and
    /// one user for many clients.
    pub(crate) async fn start(kind: Kind, switchboard: &Path) -> Self {
        Self::with(kind, switchboard, &["--no-rate-limits"]).await
    }

    /// Starts a server with these flags, which only Switchboard has.
    pub(crate) async fn with(kind: Kind, switchboard: &Path, flags: &[&str]) -> Self {
        let folder = std::env::temp_dir().join(format!(
            "switchboard-bench-{}",
            uuid::Uuid::now_v7().as_simple()
        ));
        fs::create_dir(&folder).expect("a temporary folder");
        let mut command = Command::new("taskset");
        command.args(["-c", SERVER_CORE]);
        let baseline = match kind {
            Kind::Switchboard => None,
            Kind::Durable => Some(baseline::Kind::Durable),
            Kind::Broadcast => Some(baseline::Kind::Broadcast),
            Kind::Stock => Some(baseline::Kind::Stock),
        };
        match baseline {
            None => {
                let database = format!("sqlite://{}", folder.join("switchboard.db").display());
                command.arg(switchboard).args([
                    "serve",
                    "--listen",
                    "127.0.0.1:0",
                    "--database",
                    &database,
                ]);
                // One worker for one core. The runtimes of the baselines have one thread too.
                command
                    .args(["--log", "warn"])
                    .args(flags)
                    .env("TOKIO_WORKER_THREADS", "1");
            }
            Some(kind) => {
                let name =
                    clap::ValueEnum::to_possible_value(&kind).expect("every kind has a name");
                command
                    .arg(std::env::current_exe().expect("this program"))
                    .args(["serve", name.get_name()])
                    .arg(&folder);
            }
        }
        let mut child = command
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("taskset and the server start");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let address = loop {
            let line = lines
                .next_line()
                .await
                .expect("text")
                .expect("the server names its endpoint");
            if let Some(address) = line
                .split("http://")
                .nth(1)
                .filter(|_| line.contains("endpoint"))
            {
                break address
                    .split('/')
                    .next()
                    .expect("an address")
                    .parse()
                    .expect("an address");
            }
        };
        // Later output is discarded, but the pipe must stay open.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self {
            kind,
            address,
            child,
            folder,
        }
    }

    /// The database file of Switchboard.
    pub(crate) fn database(&self) -> PathBuf {
        self.folder.join("switchboard.db")
    }

    fn process(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// User and kernel time of the process so far.
    pub(crate) fn cpu(&self) -> Duration {
        // The scheduler's sum over all threads, in nanoseconds. /proc/PID/stat has hundredths of a
        // second only.
        let tasks = fs::read_dir(format!("/proc/{}/task", self.process())).expect("it runs");
        let of = |task: io::Result<fs::DirEntry>| {
            let text = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
            text.split(' ').next()?.parse::<u64>().ok()
        };
        Duration::from_nanos(tasks.filter_map(of).sum())
    }

    /// The resident memory of the process, in bytes.
    pub(crate) fn memory(&self) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/status", self.process())).expect("it runs");
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .expect("resident memory");
        line.trim()
            .trim_end_matches(" kB")
            .parse::<u64>()
            .expect("a number")
            * 1024
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.start_kill();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Starts another process of this program on the core of the load, at a lower priority than the
/// load.
pub(crate) fn beside(arguments: &[&str]) -> Child {
    let mut command = Command::new("taskset");
    command
        .args(["-c", LOAD_CORE, "nice", "-n", "19"])
        .arg(std::env::current_exe().expect("this program"));
    command
        .args(arguments)
        .kill_on_drop(true)
        .spawn()
        .expect("taskset, nice and this program start")
}

/// Moves this process to the core of the load.
pub(crate) async fn pin_load() {
    let status = Command::new("taskset")
        .args(["-a", "-c", "-p", LOAD_CORE, &std::process::id().to_string()])
        .stdout(Stdio::null())
        .status()
        .await;
    assert!(
        status.is_ok_and(|status| status.success()),
        "taskset is needed, and two cores"
    );
}
