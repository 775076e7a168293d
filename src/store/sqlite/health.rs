//! Whether the database can be written, and why not.
//!
//! A file that was deleted, replaced or overwritten under the running server still accepts writes,
//! and they are lost. So the file is checked before and after each write. A failure of the disk
//! stops the writes too, because SQLite cannot tell what reached it.
//!
//! - **S8** A write is acknowledged only if the database file is still the one that was opened.

use std::{
    fs::{self, Metadata},
    io,
    path::{Path, PathBuf},
};

use super::{
    file::{FileIdentity, FileState, with_suffix},
    startup::WriteRecord,
};
use crate::{
    store::{StoreError, WriteFault},
    sync::Mutex,
};

/// Why the database cannot be written, and the files that it consists of.
#[derive(Debug)]
pub(super) struct Health {
    /// None for a database in memory.
    files: Option<Files>,
    fault: Mutex<Option<WriteFault>>,
}

/// The files of a database.
#[derive(Debug)]
struct Files {
    database: PathBuf,
    wal: PathBuf,
    /// Of the write-ahead log, when it was first seen.
    wal_identity: Mutex<Option<FileIdentity>>,
    /// The state of the database file after the last write of this process.
    state: Mutex<FileState>,
    /// Where the state is recorded for the next start. None beside a server, which does it.
    record: Option<WriteRecord>,
}

impl Health {
    /// The health of a database that was just opened. `path` is None for a database in memory.
    /// `records` is whether the state of the file is recorded for the next start.
    pub(super) fn new(path: Option<&Path>, records: bool) -> io::Result<Self> {
        let files = path.map(|path| Files::new(path, records)).transpose()?;
        Ok(Self {
            files,
            fault: Mutex::new(None),
        })
    }

    /// Why the database cannot be written. None if it can.
    pub(super) fn fault(&self) -> Option<WriteFault> {
        *self.fault.lock()
    }

    /// Checks before a write that the files are those that this process has written last. A full
    /// disk may have space again, so it does not refuse the write.
    pub(super) fn check_before(&self) -> Result<(), WriteFault> {
        if let Some(fault) = self.fault().filter(|fault| fault.is_final()) {
            return Err(fault);
        }
        let Some(files) = &self.files else {
            return Ok(());
        };
        self.checked(files.check_identity().and_then(|found| {
            if FileState::from(&found) == *files.state.lock() {
                Ok(())
            } else {
                Err(WriteFault::Overwritten)
            }
        }))
    }

    /// Checks after a write, before it is acknowledged, that it went to the file at the path.
    pub(super) fn check_after(&self) -> Result<(), WriteFault> {
        match &self.files {
            Some(files) => self.checked(files.check_identity().map(|_| ())),
            None => Ok(()),
        }
    }

    /// Remembers the state of the database file. The caller holds the lock of the writer, and has
    /// just written.
    pub(super) fn remember_state(&self) {
        if let Some(files) = &self.files
            && let Ok(found) = files.check_identity()
        {
            files.remember(FileState::from(&found));
        }
    }

    /// Records that the probe was written: a disk that was full is so no more.
    pub(super) fn written(&self) {
        let mut fault = self.fault.lock();
        if fault.is_some_and(|fault| !fault.is_final()) {
            *fault = None;
            tracing::info!("the database can be written again");
        }
    }

    /// Records the fault that an error of the database names, if it names one.
    pub(super) fn seen(&self, error: &StoreError) {
        if let StoreError::Unwritable(fault) = error {
            self.record(*fault);
        }
    }

    /// The bytes of the write-ahead log.
    pub(super) fn wal_bytes(&self) -> u64 {
        let wal = self.files.as_ref().map(|files| fs::metadata(&files.wal));
        wal.and_then(Result::ok).map_or(0, |found| found.len())
    }

    fn checked(&self, result: Result<(), WriteFault>) -> Result<(), WriteFault> {
        result.inspect_err(|fault| self.record(*fault))
    }

    /// Records a fault. The first final one stays.
    pub(super) fn record(&self, fault: WriteFault) {
        let fault = self.refined(fault);
        let mut known = self.fault.lock();
        let is_new = *known != Some(fault) && known.is_none_or(|known| !known.is_final());
        if is_new {
            *known = Some(fault);
            let file = self.files.as_ref().map(|files| files.database.display());
            let file = file.map(|file| file.to_string()).unwrap_or_default();
            let (advice, error) = (fault.advice(), fault);
            tracing::error!(%file, %error, advice, "the database cannot be written");
        }
    }
}

impl Health {
    /// SQLite reports a file system that has become read-only as a failure of the disk. A write of
    /// our own tells the two apart.
    fn refined(&self, fault: WriteFault) -> WriteFault {
        // A write that failed at the end of that fault has the same cause.
        if (self.fault(), fault) == (Some(WriteFault::ReadOnly), WriteFault::Disk) {
            return WriteFault::ReadOnly;
        }
        let record = self.files.as_ref().and_then(|files| files.record.as_ref());
        let written = record
            .filter(|_| fault == WriteFault::Disk)
            .map(WriteRecord::rewrite);
        match written {
            Some(Err(error)) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => {
                WriteFault::ReadOnly
            }
            _ => fault,
        }
    }
}

impl Files {
    fn new(path: &Path, records: bool) -> io::Result<Self> {
        let database = fs::canonicalize(path)?;
        let state = FileState::from(&fs::metadata(&database)?);
        let record = records.then(|| WriteRecord::open(&database)).transpose()?;
        if let Some(record) = &record {
            record.set(&state);
        }
        Ok(Self {
            wal: with_suffix(&database, "-wal"),
            wal_identity: Mutex::new(None),
            state: Mutex::new(state),
            record,
            database,
        })
    }

    fn remember(&self, found: FileState) {
        let mut state = self.state.lock();
        if *state != found {
            *state = found;
            if let Some(record) = &self.record {
                record.set(&found);
            }
        }
    }

    /// Whether the files at the paths are those that were opened. Returns the database's metadata.
    fn check_identity(&self) -> Result<Metadata, WriteFault> {
        let found = fs::metadata(&self.database).map_err(|_| WriteFault::Missing)?;
        if FileIdentity::from(&found) != self.state.lock().identity {
            return Err(WriteFault::Replaced);
        }
        // SQLite creates the log with the first statement, and keeps it while it is open.
        let wal = fs::metadata(&self.wal).ok();
        let wal = wal.as_ref().map(FileIdentity::from);
        let mut known = self.wal_identity.lock();
        match (*known, wal) {
            (None, _) => *known = wal,
            (Some(_), None) => return Err(WriteFault::Missing),
            (Some(known), Some(wal)) if known != wal => return Err(WriteFault::Replaced),
            (Some(_), Some(_)) => {}
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{Timestamp, User, UserId, UserName},
        store::{
            Accounts, Maintenance,
            sqlite::{Sqlite, SqliteLimits},
        },
    };

    fn user(name: &str) -> User {
        User {
            id: UserId::from_uuid(uuid::Uuid::now_v7()),
            name: UserName::new(name).unwrap(),
            created_at: Timestamp(0),
        }
    }

    async fn set_pages_max(store: &Sqlite, pages: &str) {
        let sql = format!("pragma max_page_count = {pages}");
        let sql = sqlx::AssertSqlSafe(sql);
        let mut writer = store.writer.lock().await;
        sqlx::raw_sql(sql).execute(&mut *writer).await.unwrap();
    }

    #[tokio::test]
    async fn a_full_disk_refuses_writes_until_it_has_space_again() {
        let folder = std::env::temp_dir().join(format!("switchboard-{}", uuid::Uuid::now_v7()));
        fs::create_dir(&folder).unwrap();
        let url = format!("sqlite://{}", folder.join("test.db").display());
        let store = Sqlite::open(&url, SqliteLimits::default()).await.unwrap();
        store.signing_key([0; 32]).await.unwrap();
        // To SQLite, this is a full disk.
        set_pages_max(&store, "1").await;
        let mut result = Ok(());
        for _ in 0..1000 {
            result = store.create_user(&user("ann")).await;
            if result.is_err() {
                break;
            }
        }
        let full = Err(WriteFault::Full);
        assert!(
            matches!(result, Err(StoreError::Unwritable(WriteFault::Full))),
            "{result:?}"
        );
        assert_eq!(store.write_fault().map_or(Ok(()), Err), full);
        set_pages_max(&store, "1000000").await;
        store.tick().await;
        assert_eq!(store.write_fault(), None);
        store.create_user(&user("ann")).await.unwrap();
        store.close().await;
        fs::remove_dir_all(folder).unwrap();
    }
}
