//! The names, states and permissions of the files of a database. They hold every message, and the
//! key that signs guest tokens, so only their owner may read them.
//!
//! SQLite gives the files beside it, `-wal` and `-shm`, the mode of the database file.

use std::{
    fs::{self, Metadata, OpenOptions},
    io::{self, ErrorKind},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use sqlx::{ConnectOptions, sqlite::SqliteConnectOptions};

/// Only the owner may read and write.
pub(super) const PRIVATE: u32 = 0o600;

/// The bits of a mode that let the group and others read.
const READABLE_BY_OTHERS: u32 = 0o044;

/// Two paths with the same value are the same file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileIdentity {
    device: u64,
    inode: u64,
}

impl From<&Metadata> for FileIdentity {
    fn from(found: &Metadata) -> Self {
        Self {
            device: found.dev(),
            inode: found.ino(),
        }
    }
}

/// Changes with each write to a file, and if another file takes its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileState {
    pub(super) identity: FileIdentity,
    bytes: u64,
    /// Seconds and nanoseconds since 1970.
    modified: (i64, i64),
}

impl From<&Metadata> for FileState {
    fn from(found: &Metadata) -> Self {
        Self {
            identity: FileIdentity::from(found),
            bytes: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
        }
    }
}

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

/// The path of a file beside another: `switchboard.db` and `-wal` are `switchboard.db-wal`.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
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
