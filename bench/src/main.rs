//! What Switchboard costs, in ratios against baselines that are started in the same run.
//!
//! `switchboard-bench run` starts each server in turn on one core, loads it from the other one, and prints one table.
//! Every figure of CPU is the server process's own, user and kernel, from `/proc`.

mod baseline;
mod load;
mod report;
mod scenario;
mod server;

use std::{net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

use clap::{Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures Switchboard beside its baselines.
#[derive(Parser)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run scenarios over servers and print the table
    Run(RunFlags),
    /// Be one of the baselines, on a free port
    Serve {
        /// Which one
        kind: baseline::Kind,
        /// Where its database lies, if it has one
        folder: PathBuf,
    },
    /// Be somebody at an address of their own who takes all they can get
    Flood {
        /// Of what
        kind: load::Flood,
        /// Where the server listens
        address: SocketAddr,
        /// For how long
        seconds: f64,
    },
}

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct RunFlags {
    /// Scenarios whose name begins with this
    #[arg(long, default_value = "")]
    only: String,
    /// Servers to measure, all unless named
    #[arg(long, value_delimiter = ',')]
    servers: Vec<server::Kind>,
    /// Seconds for which each scenario publishes
    #[arg(long, default_value_t = 4.0)]
    seconds: f64,
    /// The Switchboard to measure
    #[arg(long, default_value = "target/release/switchboard")]
    switchboard: PathBuf,
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
