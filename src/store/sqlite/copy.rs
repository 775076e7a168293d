//! Backups: a copy of a database, and putting a copy in the place of a database.
//!
//! A copy is written under another name, synced, and checked. Only then it gets its name. So a file
//! that has the name is complete, also after a power loss.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use sqlx::SqliteConnection;

use super::{
    file::{PRIVATE, with_suffix},
    inspect::{inspect, open_read_only},
};
use crate::store::CopyError;

/// The suffix of a copy that a backup has not completed.
const PARTIAL: &str = "-partial";

/// The suffix of the copy that a restore is about to put in place.
pub(super) const RESTORING: &str = "-restoring";

/// Writes a copy of the database at `source` to the new file `target`. A server may use the
/// database meanwhile.
pub(super) async fn backup(source: &Path, target: &Path) -> Result<(), CopyError> {
    if fs::symlink_metadata(target).is_ok() {
        return Err(CopyError::Exists(target.to_owned()));
    }
    let partial = with_suffix(target, PARTIAL);
    copy(source, &partial).await?;
    rename(&partial, target)?;
    sync_folder(target)
}

/// Puts a copy of the database at `source` in the place of the one at `path`, which no server may
/// use. Returns the new path of the old files, if there were any.
pub(super) async fn restore(source: &Path, path: &Path) -> Result<Option<PathBuf>, CopyError> {
    let same = fs::canonicalize(source)
        .ok()
        .zip(fs::canonicalize(path).ok());
    if same.is_some_and(|(source, path)| source == path) {
        return Err(CopyError::SameFile);
    }
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let restoring = with_suffix(&path, RESTORING);
    copy(source, &restoring).await?;
    // The start refuses a write-ahead log without its database, and an unfinished restore. So after
    // each of these steps, a crash leaves files that are either right or refused.
    let aside = unused_name(&path);
    let mut moved = None;
    for suffix in ["", "-wal", "-shm"] {
        let (from, to) = (with_suffix(&path, suffix), with_suffix(&aside, suffix));
        match fs::rename(&from, &to) {
            Ok(()) => moved = Some(aside.clone()),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(failed(&from, error)),
        }
    }
    rename(&restoring, &path)?;
    sync_folder(&path)?;
    Ok(moved)
}

/// Writes a synced and checked copy to `target`, in place of what an interrupted copy has left.
async fn copy(source: &Path, target: &Path) -> Result<(), CopyError> {
    let opened = open_read_only(source).await;
    let mut reader = opened.map_err(|error| unreadable(source, &error))?;
    remove(target)?;
    let copied = write_copy(source, &mut reader, target).await;
    if copied.is_err() {
        remove(target)?;
    }
    copied
}

async fn write_copy(
    source: &Path,
    reader: &mut SqliteConnection,
    target: &Path,
) -> Result<(), CopyError> {
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(PRIVATE)
        .open(target)
        .map_err(|error| failed(target, error))?;
    sqlx::query("vacuum into ?1")
        .bind(target.to_string_lossy().into_owned())
        .execute(reader)
        .await
        .map_err(|error| unreadable(source, &error))?;
    file.sync_all().map_err(|error| failed(target, error))?;
    drop(file);
    match inspect(target).await.problems.first() {
        None => Ok(()),
        Some(problem) => Err(unreadable(source, problem)),
    }
}

fn unreadable(source: &Path, reason: &dyn std::fmt::Display) -> CopyError {
    CopyError::Source {
        path: source.to_owned(),
        reason: reason.to_string(),
    }
}

/// A name beside the database under which no file exists.
fn unused_name(path: &Path) -> PathBuf {
    (1u64..)
        .map(|number| with_suffix(path, &format!("-before-restore-{number}")))
        .find(|name| {
            let parts = ["", "-wal"].map(|suffix| with_suffix(name, suffix));
            parts.iter().all(|part| fs::symlink_metadata(part).is_err())
        })
        .expect("a folder has fewer files than numbers")
}

fn remove(path: &Path) -> Result<(), CopyError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(failed(path, error)),
        _ => Ok(()),
    }
}

fn rename(from: &Path, to: &Path) -> Result<(), CopyError> {
    fs::rename(from, to).map_err(|error| failed(to, error))
}

/// Makes the names of the files in a folder survive a power loss.
fn sync_folder(path: &Path) -> Result<(), CopyError> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|error| failed(folder, error))
}

fn failed(path: &Path, error: io::Error) -> CopyError {
    CopyError::Target {
        path: path.to_owned(),
        error,
    }
}
