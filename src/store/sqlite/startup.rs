//! What a start refuses: files that do not belong together, and an interrupted restore.
//!
//! SQLite applies a write-ahead log to the file at its path, whatever that file is. A backup beside
//! the log of the database that it replaces would become a mix of both. So the server records the
//! state of the database file after each of its writes, in the lock file. If the file at the start
//! is in that state, the log belongs to it. Otherwise the whole content is checked: the last record
//! can be missing after a power loss, or when the server was killed in the middle of a write.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    path::Path,
};

use super::{
    copy::RESTORING,
    file::{FileState, with_suffix},
    inspect::inspect,
    lock::{self, LOCK},
};

/// The file that holds the record.
#[derive(Debug)]
pub(super) struct WriteRecord(File);

impl WriteRecord {
    /// Opens the record of a database. `path` is the database file.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(lock::open(path)?))
    }

    /// Writes nothing new, to see whether the file system accepts writes.
    pub(super) fn rewrite(&self) -> io::Result<()> {
        let length = self.0.metadata()?.len();
        // A byte behind the record, which the next record removes.
        self.0.write_all_at(b"\n", length)
    }

    /// Records the state after a write. It is not synced: without it, a start only takes longer.
    pub(super) fn set(&self, state: &FileState) {
        let text = text(state);
        let written = self.0.write_all_at(text.as_bytes(), 0);
        let length = u64::try_from(text.len()).unwrap_or(u64::MAX);
        if let Err(error) = written.and_then(|()| self.0.set_len(length)) {
            tracing::debug!(%error, "the state of the database file was not recorded");
        }
    }
}

fn text(state: &FileState) -> String {
    format!("{state:?}")
}

/// Checks the files of a database before they are opened. The error is one line for the operator.
pub(super) async fn check_files(path: &Path) -> Result<(), String> {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let restoring = with_suffix(&path, RESTORING);
    if restoring.exists() {
        return Err(format!(
            "a restore was interrupted; run `switchboard restore` again, or delete {} if the \
             database is the right one",
            restoring.display()
        ));
    }
    let wal = with_suffix(&path, "-wal");
    if fs::metadata(&wal).map_or(0, |found| found.len()) == 0 {
        return Ok(());
    }
    let wal = wal.display();
    let database = fs::metadata(&path).ok().filter(|found| found.len() > 0);
    let Some(database) = database else {
        return Err(format!(
            "its write-ahead log {wal} is there, but the file itself is missing or empty; put the \
             file back, or move the log away to start with a new database"
        ));
    };
    let recorded = fs::read_to_string(with_suffix(&path, LOCK)).unwrap_or_default();
    if recorded.trim_end() == text(&FileState::from(&database)) {
        return Ok(());
    }
    tracing::info!(
        database = %path.display(),
        "checking the database, because its file is not as the server has left it"
    );
    match inspect(&path).await.problems.first() {
        None => Ok(()),
        Some(problem) => Err(format!(
            "it is damaged, or the write-ahead log {wal} belongs to another file: {problem}; if \
             the file is a backup, move the log away and run `switchboard restore`"
        )),
    }
}
