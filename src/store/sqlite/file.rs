//! Who may read the file: it holds the key that signs guests' tokens, and every message.
//!
//! SQLite gives the files beside it, `-wal` and `-shm`, the mode of the file itself.

use std::{
    fs::{self, OpenOptions},
    io::{self, ErrorKind},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
};

use sqlx::{ConnectOptions, sqlite::SqliteConnectOptions};

/// Its owner reads and writes it, nobody else does either.
const PRIVATE: u32 = 0o600;

/// What lets the group and all others read.
const READABLE_BY_OTHERS: u32 = 0o044;

/// Makes the file, if there is none, for its owner alone: SQLite would make it as the process makes any file. One that is
/// there keeps its mode, whoever chose it; the operator is told if others can read it.
pub(super) fn keep_private(options: &SqliteConnectOptions) -> io::Result<()> {
    let path = options.get_filename();
    // One in memory has no file, and one that is only read is not made.
    if !options
        .to_url_lossy()
        .query_pairs()
        .any(|(name, value)| name == "mode" && value == "rwc")
    {
        return Ok(());
    }
    match fs::metadata(path) {
        Ok(found) => warn_of_readers(path, found.permissions().mode()),
        // Never one that is there: to close it would give up the locks that this process has on it.
        Err(error) if error.kind() == ErrorKind::NotFound => {
            OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .mode(PRIVATE)
                .open(path)?;
        }
        // Whoever opens it says what is wrong with it.
        Err(_) => {}
    }
    Ok(())
}

fn warn_of_readers(path: &Path, mode: u32) {
    if mode & READABLE_BY_OTHERS != 0 {
        let (path, mode) = (path.display(), format!("{:o}", mode & 0o777));
        tracing::warn!(%path, mode, "others can read the database, and sign in as anybody with the key in it; chmod 600");
    }
}
