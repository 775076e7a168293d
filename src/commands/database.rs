//! The commands that work on a database as a whole: `migrate`, `backup`, `restore` and `doctor`.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::ExitCode};

use super::CommandError;
use crate::{
    config::DatabaseFlags,
    store::{Database, WriteFault, sqlite::SqliteLimits},
};

/// `switchboard migrate`: opening a database updates its schema.
pub(super) async fn migrate(flags: &DatabaseFlags) -> Result<(), CommandError> {
    let database = flags.file().map_err(CommandError::Flags)?;
    let _lock = Database::lock(database)?;
    let opened = Database::open(database, SqliteLimits::default()).await?;
    opened.maintenance.close().await;
    println!("{database} is up to date.");
    Ok(())
}

/// `switchboard backup`: copies a database, also while a server uses it.
pub(super) async fn backup(flags: &DatabaseFlags, file: &Path) -> Result<(), CommandError> {
    let database = flags.file().map_err(CommandError::Flags)?;
    Database::backup(database, file).await?;
    println!("{} is a backup of {database}.", file.display());
    Ok(())
}

/// `switchboard restore`: puts a backup in the place of a database.
pub(super) async fn restore(flags: &DatabaseFlags, file: &Path) -> Result<(), CommandError> {
    let database = flags.file().map_err(CommandError::Flags)?;
    let _lock = Database::lock(database)?;
    let moved = Database::restore(database, file).await?;
    println!("{database} is now a copy of {}.", file.display());
    if let Some(moved) = moved {
        println!("The database that was there is now {}.", moved.display());
    }
    Ok(())
}

/// `switchboard doctor`: checks a database, and prints one line for each check. A problem is
/// followed by advice. It changes nothing.
pub(super) async fn doctor(flags: &DatabaseFlags) -> ExitCode {
    let database = match flags.file() {
        Ok(database) => database,
        Err(error) => return super::exit_code(Err(CommandError::Flags(error))),
    };
    let path = Database::file(database).unwrap_or_default();
    let mut healthy = true;
    let mut report = |found: Finding| match found {
        Ok(text) => println!("ok       {text}"),
        Err((text, advice)) => {
            println!("problem  {text}\n         {advice}");
            healthy = false;
        }
    };
    report(file(&path));
    report(start(database).await);
    if !path.exists() {
        return ExitCode::FAILURE;
    }
    let inspection = Database::inspect(database).await;
    if inspection.problems.is_empty() {
        let (rooms, events) = (inspection.rooms, inspection.events);
        report(Ok(format!(
            "content: {rooms} rooms, {events} events, all there"
        )));
    }
    for problem in inspection.problems {
        report(Err((problem, WriteFault::Damaged.advice())));
    }
    if healthy {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// What is good, or what is wrong and what the operator does about it.
type Finding = Result<String, (String, &'static str)>;

/// Whether the file exists, and only its owner can read it.
fn file(path: &Path) -> Finding {
    let name = path.display();
    let found = fs::metadata(path).map_err(|error| {
        let advice = "start a server, which creates it, or restore a backup";
        (format!("file: {name}: {error}"), advice)
    })?;
    let mode = found.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let text = format!("file: {name} has the mode {mode:o}, so other users can use it");
        return Err((
            text,
            "chmod 600 FILE: it holds the messages and the key of guests' tokens",
        ));
    }
    let wal = fs::metadata(format!("{name}-wal")).map_or(0, |found| found.len());
    let bytes = found.len();
    Ok(format!(
        "file: {name}, {bytes} bytes; write-ahead log: {wal} bytes"
    ))
}

/// Whether the files are those that a server starts with.
async fn start(database: &str) -> Finding {
    match Database::check_files(database).await {
        Ok(()) => Ok("files: a server can start with them".to_owned()),
        Err(error) => Err((error.to_string(), "see Recovery in docs/OPERATING.md")),
    }
}
