//! The `switchboard` binary.

use std::process::ExitCode;

use switchboard::{commands, config::CommandLine};

// It allocates for SQLite too. The allocator of the C library would reserve 64 MiB of address space
// for each thread, and keep freed memory longer.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    commands::run(CommandLine::read()).await
}
