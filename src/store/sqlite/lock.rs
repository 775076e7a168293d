//! The lock that one server has on a database file.
//!
//! Two servers on one file would not see each other's changes: a room that one makes private would
//! stay readable at the other.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use super::file::{PRIVATE, with_suffix};

/// The suffix of the lock file. The file also holds the record of [`super::startup`].
pub(super) const LOCK: &str = "-lock";

/// A lock on a database, until it is dropped or the process ends.
///
/// The lock is on a file of its own, beside the database: closing a second handle to the database
/// file would release the locks of SQLite. The file stays when the lock ends.
#[derive(Debug)]
pub struct DatabaseLock(#[expect(dead_code, reason = "held for its lock")] File);

impl DatabaseLock {
    /// Takes the lock. None if another server has it.
    pub(super) fn take(database: &Path) -> io::Result<Option<Self>> {
        let file = open(database)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

/// Opens the lock file of a database. Creates it if it is missing.
pub(super) fn open(database: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(PRIVATE)
        .open(with_suffix(database, LOCK))
}
