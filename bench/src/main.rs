//! Measures the cost of Switchboard, as ratios to baselines that run on the same machine.
//!
//! `switchboard-bench run` starts one server after the other on one core, loads it from the other
//! core, and prints one table. CPU figures are user and kernel time of the server process, from
//! `/proc`.

mod baseline;
mod load;
mod report;
mod scenario;
mod server;

use std::{net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

use clap::{Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures Switchboard and its baselines
#[derive(Parser)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the scenarios and print the table
    Run(RunFlags),
    /// Serve one of the baselines on a free port
    Serve {
        /// Which baseline
        kind: baseline::Kind,
        /// The folder for its database
        folder: PathBuf,
    },
    /// Flood a server from a separate address
    Flood {
        /// The kind of flood
        kind: load::Flood,
        /// The address of the server
        address: SocketAddr,
        /// How long, in seconds
        seconds: f64,
    },
}

/// The scenarios and servers to measure.
#[derive(clap::Args)]
pub(crate) struct RunFlags {
    /// Run only scenarios whose name begins with this
    #[arg(long, default_value = "")]
    only: String,
    /// Servers to measure; all by default
    #[arg(long, value_delimiter = ',')]
    servers: Vec<server::Kind>,
    /// How long each scenario publishes, in seconds
    #[arg(long, default_value_t = 4.0)]
    seconds: f64,
    /// The Switchboard binary to measure; by default the one beside this program
    #[arg(long, default_value = beside_this_program().into_os_string())]
    switchboard: PathBuf,
}

/// The binary that cargo builds into the same folder.
fn beside_this_program() -> PathBuf {
    let this = std::env::current_exe().unwrap_or_default();
    this.with_file_name("switchboard")
}

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.expect("a runtime starts");
    match CommandLine::parse().command {
        Command::Serve { kind, folder } => runtime.block_on(baseline::serve(kind, &folder)),
        Command::Flood {
            kind,
            address,
            seconds,
        } => {
            runtime.block_on(load::flood(kind, address, Duration::from_secs_f64(seconds)));
        }
        Command::Run(flags) => runtime.block_on(scenario::run(&flags)),
    }
    ExitCode::SUCCESS
}
