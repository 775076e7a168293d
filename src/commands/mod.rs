//! The commands of the binary.

mod admin;
mod database;
mod serve;
mod token;

use std::{io::Write, process::ExitCode};

use crate::{
    auth::SessionError,
    client,
    config::{CliCommand, CommandLine},
    domain::TextError,
    schema,
    server::StartError,
    store::{CopyError, StoreError},
    telemetry::TelemetryError,
};

/// The exit code of a command that could not start.
const NOT_STARTED: u8 = 2;

/// Why a command could not start. Each text is one line for the operator.
#[derive(Debug, thiserror::Error)]
enum CommandError {
    #[error("--log {filter}: {error}")]
    Log {
        filter: String,
        error: TelemetryError,
    },
    #[error("signals cannot be handled: {0}")]
    Signals(std::io::Error),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Copy(#[from] CopyError),
    #[error(transparent)]
    Session(#[from] SessionError),
    #[error("{0}")]
    Refused(String),
    #[error("--user: {0}")]
    User(#[from] TextError),
    #[error("--jwt-private-key and --jwt-key-id are for --auth jwt")]
    SigningFlags,
    #[error("--user-id is for --auth guest; with jwt, --user is the user's id")]
    UserId,
    /// Flags that contradict each other, or a file that cannot be used.
    #[error("{0}")]
    Flags(String),
}

/// Runs a command line.
pub async fn run(line: CommandLine) -> ExitCode {
    match line
        .command
        .unwrap_or(CliCommand::Serve(Box::new(line.serve)))
    {
        CliCommand::Serve(flags) => exit_code(serve::serve(&flags).await),
        CliCommand::Schema => {
            let written = std::io::stdout().write_all(schema::sdl().as_bytes());
            if written.is_ok() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        CliCommand::Migrate(flags) => exit_code(database::migrate(&flags).await),
        CliCommand::Backup { file, database } => {
            exit_code(database::backup(&database, &file).await)
        }
        CliCommand::Restore { file, database } => {
            exit_code(database::restore(&database, &file).await)
        }
        CliCommand::Doctor(flags) => database::doctor(&flags).await,
        CliCommand::Admin(command) => exit_code(admin::admin(command).await),
        CliCommand::Token(flags) => exit_code(token::token(&flags).await),
        CliCommand::Send {
            room,
            text,
            nonce,
            server,
        } => client::send(&server, &room, &text, nonce).await,
        CliCommand::Tail {
            room,
            after,
            cursors,
            server,
        } => client::tail(&server, &room, after, cursors).await,
    }
}

fn exit_code(result: Result<(), CommandError>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("switchboard: {reason}");
            ExitCode::from(NOT_STARTED)
        }
    }
}
