//! The `switchboard` binary.

use std::process::ExitCode;

use clap::Parser;
use switchboard::{commands, config::CommandLine};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    commands::run(CommandLine::parse()).await
}
