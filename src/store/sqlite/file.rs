//! The permissions of the database file. It holds every message, and the key that signs guest
//! tokens.
//!
//! SQLite gives the files beside it, `-wal` and `-shm`, the mode of the database file.

use std::{
    fs::{self, OpenOptions},
    io::{self, ErrorKind},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
};

use sqlx::{ConnectOptions, sqlite::SqliteConnectOptions};

/// Only the owner may read and write.
const PRIVATE: u32 = 0o600;

/// The bits of a mode that let the group and others read.
const READABLE_BY_OTHERS: u32 = 0o044;

/// Creates a missing database file with the mode [`PRIVATE`], because SQLite would create it with
/// the default mode of the process. An existing file keeps its mode; if others can read it, the log
/// warns.
pub(super) fn keep_private(options: &SqliteConnectOptions) -> io::Result<()> {
    let path = options.get_filename();
    // A database in memory has no file, and a read-only one must exist already.
    if !options
        .to_url_lossy()
        .query_pairs()
        .any(|(name, value)| name == "mode" && value == "rwc")
    {
        return Ok(());
    }
    match fs::metadata(path) {
        Ok(found) => warn_of_readers(path, found.permissions().mode()),
        // An existing file is never opened here: closing it would release every lock that this
        // process has on it.
        Err(error) if error.kind() == ErrorKind::NotFound => {
            OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .mode(PRIVATE)
                .open(path)?;
        }
        // Opening the database reports this error.
        Err(_) => {}
    }
    Ok(())
}

fn warn_of_readers(path: &Path, mode: u32) {
    if mode & READABLE_BY_OTHERS != 0 {
        let (path, mode) = (path.display(), format!("{:o}", mode & 0o777));
        tracing::warn!(
            %path, mode,
            "others can read the database, and its key lets them sign in as any user; use chmod 600"
        );
    }
}
