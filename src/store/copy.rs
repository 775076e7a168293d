//! The results of commands that read or copy a whole database.

use std::{io, path::PathBuf};

/// What a database holds, and what is wrong with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inspection {
    /// The number of rooms, deleted ones included.
    pub rooms: u64,
    /// The number of events in all logs.
    pub events: u64,
    /// Each problem as one sentence for the operator, without a full stop. Empty if the content is
    /// complete and fits together. Only the first problems are listed.
    pub problems: Vec<String>,
}

/// Why a database was not copied. The database that was there is unchanged.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// A backup never overwrites a file.
    #[error("{} exists already", .0.display())]
    Exists(PathBuf),
    /// A database cannot be restored from itself.
    #[error("the backup and the database are the same file")]
    SameFile,
    /// The database that was to be copied cannot be read, or is damaged.
    #[error("{} cannot be copied: {reason}", path.display())]
    Source {
        /// The file.
        path: PathBuf,
        /// The cause, or the first problem.
        reason: String,
    },
    /// The copy cannot be written.
    #[error("{} cannot be written: {error}", path.display())]
    Target {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        error: io::Error,
    },
}
