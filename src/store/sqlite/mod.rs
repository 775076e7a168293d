//! The store on SQLite: one file, one connection that writes, and a small pool that reads.
//!
//! This module opens the database and brings its tables up to date. Each file beside it implements
//! one part:
//!
//! - `append`: batches of commands; `sends` and `changes` load their facts and write their
//!   decisions
//! - `readers`: the connections that read; `log`: reading; `readable`: the right to read
//! - `search`: searching and the search index
//! - `accounts`: users, the signing key and revoked tokens
//! - `rows`: between rows and domain types
//! - `file`: the permissions of the database file; `lock`: one server per file
//! - `health`: faults under the running server; `startup`: files that a start refuses
//! - `inspect`: checks the whole content; `copy`: backups
//!
//! **S3** The journal is a write-ahead log, and `synchronous = FULL` syncs it in each commit.

mod accounts;
mod append;
mod changes;
mod copy;
mod file;
mod health;
mod inspect;
mod limits;
mod lock;
mod log;
mod readable;
mod readers;
mod rows;
mod search;
mod sends;
mod startup;

use std::{
    path::{Path, PathBuf},
    str::FromStr,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use async_trait::async_trait;
use rust_embed::RustEmbed;
use sqlx::{
    AssertSqlSafe, ConnectOptions, Row, SqlSafeStr, SqliteConnection,
    migrate::{MigrateError, Migration, MigrationType, Migrator},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use tokio::sync::{Mutex, OwnedMutexGuard};

pub use limits::SqliteLimits;

use health::Health;
pub use lock::DatabaseLock;
use readers::{Readers, SqliteReadError};

use super::{AppendError, Cause, CopyError, Inspection, Maintenance, StoreError, WriteFault};
use crate::domain::{Timestamp, folded, folding};

/// Rows that the thread of the writing connection reads ahead. If a statement returns more rows
/// than this, the two threads take turns for each further row, which is slow.
const ROWS_AT_ONCE: usize = 512;

/// Why a database is refused whose tables a later version has changed.
const NEWER: &str = "a newer version of Switchboard has used it; use that version, or restore a \
                     backup that is older";

/// Who else may have the database open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OpenMode {
    Alone,
    BesideServer,
}

type Writer = OwnedMutexGuard<SqliteConnection>;

/// An open database file.
#[derive(Clone)]
pub struct Sqlite {
    readers: Arc<Readers>,
    /// For reads that may take long, so that the others do not wait for them.
    searchers: Arc<Readers>,
    /// The only connection that writes, because SQLite allows one writer at a time. Only tasks that
    /// are never cancelled lock it: cancelling one would leave a statement or a transaction open.
    writer: Arc<Mutex<SqliteConnection>>,
    health: Arc<Health>,
    mode: OpenMode,
    limits: SqliteLimits,
    /// About how many messages the search index does not hold yet.
    unindexed: Arc<AtomicU64>,
}

impl Sqlite {
    /// Opens `sqlite://PATH` and brings its tables up to date. A missing file is created, readable
    /// by its owner alone.
    pub async fn open(url: &str, limits: SqliteLimits) -> Result<Self, StoreError> {
        Self::open_as(OpenMode::Alone, url, limits).await
    }

    /// Opens a database that a server may have open. It never writes to the database file, only to
    /// the write-ahead log: the server takes a change of the file for a fault.
    pub async fn open_beside_server(url: &str, limits: SqliteLimits) -> Result<Self, StoreError> {
        Self::open_as(OpenMode::BesideServer, url, limits).await
    }

    async fn open_as(mode: OpenMode, url: &str, limits: SqliteLimits) -> Result<Self, StoreError> {
        let refused = |error: &dyn std::fmt::Display| StoreError::Open {
            url: url.to_owned(),
            reason: error.to_string(),
        };
        let options = SqliteConnectOptions::from_str(url)
            .map_err(|error| refused(&error))?
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(limits.database_busy_timeout)
            .pragma("journal_size_limit", limits.wal_bytes_max.to_string())
            .row_buffer_size(ROWS_AT_ONCE)
            // Under load many statements wait, and a warning for each would bury the log.
            .disable_statement_logging();
        Self::check_files(url).await?;
        refuse_foreign(url).await?;
        file::keep_private(&options).map_err(|error| refused(&error))?;
        // V6: deleted content is overwritten with zeros, in the tables and in the search index.
        let mut writing = options.clone().pragma("secure_delete", "on");
        if mode == OpenMode::BesideServer {
            writing = writing.pragma("wal_autocheckpoint", "0");
        }
        let mut writer = writing.connect().await.map_err(|error| refused(&error))?;
        migrate(&mut writer)
            .await
            .map_err(|reason| refused(&reason))?;
        fold_room_names(&mut writer).await?;
        let unindexed = search::check_index(&mut writer).await?;
        let timeout = limits.database_busy_timeout;
        let open = |most| Readers::open(options.get_filename(), most, timeout).map(Arc::new);
        let searchers = open(limits.searches_max).map_err(|error| refused(&error))?;
        let readers = open(limits.database_readers_max).map_err(|error| refused(&error))?;
        let records = mode == OpenMode::Alone;
        let health = Health::new(Self::file(url).as_deref(), records);
        let health = health.map_err(|error| refused(&error))?;
        Ok(Self {
            readers,
            searchers,
            writer: Arc::new(Mutex::new(writer)),
            health: Arc::new(health),
            mode,
            limits,
            unindexed: Arc::new(AtomicU64::new(unindexed)),
        })
    }
}

impl Sqlite {
    /// The file of a database, unless it is in memory.
    pub fn file(url: &str) -> Option<PathBuf> {
        let options = SqliteConnectOptions::from_str(url).ok()?;
        let in_memory = url.contains(":memory:") || url.contains("mode=memory");
        (!in_memory).then(|| options.get_filename().to_owned())
    }

    /// Takes the lock that one server has on the database. None for a database in memory.
    pub fn lock(url: &str) -> Result<Option<DatabaseLock>, StoreError> {
        let refused = |reason: String| StoreError::Open {
            url: url.to_owned(),
            reason,
        };
        let Some(path) = Self::file(url) else {
            return Ok(None);
        };
        // A link to the database leads to the same lock.
        let path = std::fs::canonicalize(&path).unwrap_or(path);
        match DatabaseLock::take(&path) {
            Ok(Some(lock)) => Ok(Some(lock)),
            Ok(None) => Err(refused(
                "another Switchboard server uses it; stop that server, or give this one a \
                 database of its own"
                    .to_owned(),
            )),
            Err(error) => Err(refused(format!("it cannot be locked: {error}"))),
        }
    }

    /// Checks whether the files of a database belong together.
    pub async fn check_files(url: &str) -> Result<(), StoreError> {
        let Some(path) = Self::file(url) else {
            return Ok(());
        };
        let checked = startup::check_files(&path).await;
        checked.map_err(|reason| StoreError::Open {
            url: url.to_owned(),
            reason,
        })
    }

    /// Checks the whole content of a database, also while a server uses it.
    pub async fn inspect(url: &str) -> Inspection {
        match Self::file(url) {
            Some(path) => inspect::inspect(&path).await,
            None => Inspection::default(),
        }
    }

    /// Writes a copy of a database to a new file, also while a server uses it.
    pub async fn backup(url: &str, target: &Path) -> Result<(), CopyError> {
        copy::backup(&Self::file(url).unwrap_or_default(), target).await
    }

    /// Puts a copy of the database `source` in the place of a database that no server uses. Returns
    /// the new path of the old files, if there were any.
    pub async fn restore(url: &str, source: &Path) -> Result<Option<PathBuf>, CopyError> {
        copy::restore(source, &Self::file(url).unwrap_or_default()).await
    }

    /// The error of a statement. Records the fault that it names.
    fn failed(&self, error: impl Into<StoreError>) -> StoreError {
        let error = error.into();
        self.health.seen(&error);
        error
    }

    /// After a fault, writes a value to see whether the database can be written again. Then
    /// shortens the write-ahead log if it has grown: while something reads for long, SQLite cannot.
    async fn probe(&self) -> Result<(), StoreError> {
        if self.health.fault().is_some() {
            let mut writer = self.writing().await?;
            // As much as a large message: a short one may still fit into the log.
            let probe = "insert into meta (name, value) values ('write_probe', randomblob(65536))
                         on conflict (name) do update set value = excluded.value";
            let forget = "delete from meta where name = 'write_probe'";
            for sql in [probe, forget] {
                let written = sqlx::query(sql).execute(&mut *writer).await;
                written.map_err(|error| self.failed(error))?;
            }
            self.health.written();
        }
        if self.health.wal_bytes() > self.limits.wal_bytes_max {
            let mut writer = self.writing().await?;
            // It must not wait for readers: the writer waits for it.
            let shortened =
                sqlx::raw_sql("pragma busy_timeout = 0; pragma wal_checkpoint(truncate)")
                    .execute(&mut *writer)
                    .await;
            let timeout = self.limits.database_busy_timeout.as_millis();
            let restore = format!("pragma busy_timeout = {timeout}");
            sqlx::raw_sql(AssertSqlSafe(restore).into_sql_str())
                .execute(&mut *writer)
                .await?;
            shortened.map_err(|error| self.failed(error))?;
        }
        // Checks the files.
        Ok(self.writing().await.map(|_| ())?)
    }

    /// The connection that writes, if the database can be written.
    async fn writing(&self) -> Result<Writing, WriteFault> {
        let writer = self.writer.clone().lock_owned().await;
        self.health.check_before()?;
        Ok(Writing {
            writer,
            health: self.health.clone(),
        })
    }
}

/// The writing connection while it is used. When it is dropped, the state of the file is
/// remembered.
struct Writing {
    writer: Writer,
    health: Arc<Health>,
}

impl std::ops::Deref for Writing {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        &self.writer
    }
}

impl std::ops::DerefMut for Writing {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        &mut self.writer
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.health.remember_state();
    }
}

/// Folds the names of all rooms again if they were folded by other rules, or not at all.
async fn fold_room_names(writer: &mut SqliteConnection) -> Result<(), StoreError> {
    let sql = "select r.id, r.name from rooms r
               where (select folding from room_names) <> ?1";
    let rooms = sqlx::query(sql)
        .bind(folding())
        .fetch_all(&mut *writer)
        .await?;
    if rooms.is_empty() {
        return Ok(());
    }
    sqlx::raw_sql("begin immediate")
        .execute(&mut *writer)
        .await?;
    for room in rooms {
        sqlx::query("update rooms set folded_name = ?2 where id = ?1")
            .bind(room.try_get::<String, _>("id")?)
            .bind(folded(&room.try_get::<String, _>("name")?))
            .execute(&mut *writer)
            .await?;
    }
    sqlx::query("update room_names set folding = ?1; commit")
        .bind(folding())
        .execute(&mut *writer)
        .await?;
    Ok(())
}

#[async_trait]
impl Maintenance for Sqlite {
    async fn catch_up(&self) -> Result<bool, StoreError> {
        self.index_step().await
    }

    async fn tick(&self) {
        if self.write_fault().is_none_or(|fault| !fault.is_final())
            && let Err(error) = self.probe().await
        {
            tracing::debug!(%error, "the database cannot be written");
        }
    }

    async fn clock_was_set_back(&self, before: Timestamp, by: Duration) -> Result<(), StoreError> {
        let mut writer = self.writing().await?;
        let sql = "update restraints set muted_until = muted_until - ?2 where muted_until > ?1";
        sqlx::query(sql)
            .bind(before.0)
            .bind(i64::try_from(by.as_micros()).unwrap_or(i64::MAX))
            .execute(&mut *writer)
            .await
            .map_err(|error| self.failed(error))?;
        Ok(self.health.check_after()?)
    }

    fn write_fault(&self) -> Option<WriteFault> {
        self.health.fault()
    }

    async fn close(&self) {
        self.readers.close().await;
        self.searchers.close().await;
        if self.mode == OpenMode::BesideServer {
            return;
        }
        // Move the content of the write-ahead log into the file, and truncate the log.
        let mut writer = self.writer.lock().await;
        if let Err(error) = sqlx::raw_sql("pragma wal_checkpoint(truncate)")
            .execute(&mut *writer)
            .await
        {
            tracing::warn!(%error, "the write-ahead log was not moved into the database file");
        }
    }
}

/// Runs the migrations that the database lacks. The error is a reason for the operator.
async fn migrate(writer: &mut SqliteConnection) -> Result<(), String> {
    migrator().run(writer).await.map_err(|error| match error {
        MigrateError::VersionMissing(_) => NEWER.to_owned(),
        error => error.to_string(),
    })
}

/// Refuses a database that holds the tables of another program, and leaves it unchanged.
async fn refuse_foreign(url: &str) -> Result<(), StoreError> {
    let Ok(options) = SqliteConnectOptions::from_str(url) else {
        return Ok(());
    };
    // If the file cannot be read, opening it for writing reports the error.
    let Ok(mut reader) = options.read_only(true).connect().await else {
        return Ok(());
    };
    let sql = "select count(*) > 0 and sum(name = '_sqlx_migrations') = 0 as foreign_tables
               from sqlite_master";
    let row = sqlx::query(sql).fetch_one(&mut reader).await;
    match row.and_then(|row| sqlx::Row::try_get(&row, "foreign_tables")) {
        Ok(true) => {
            let reason = "it holds the tables of another program".to_owned();
            Err(StoreError::Open {
                url: url.to_owned(),
                reason,
            })
        }
        _ => Ok(()),
    }
}

/// The migrations, embedded in the binary.
#[derive(RustEmbed)]
#[folder = "migrations/sqlite"]
struct MigrationFiles;

/// All migrations, in the order of their versions.
fn migrator() -> Migrator {
    let mut migrations: Vec<Migration> = MigrationFiles::iter()
        .map(|name| migration(&name).expect("a migration is named like 0001_rooms.sql"))
        .collect();
    migrations.sort_unstable_by_key(|migration| migration.version);
    Migrator {
        migrations: migrations.into(),
        ..Migrator::DEFAULT
    }
}

/// The migration in a file. The file `0001_rooms.sql` has version 1 and the description `rooms`.
fn migration(file_name: &str) -> Option<Migration> {
    let (version, description) = file_name.strip_suffix(".sql")?.split_once('_')?;
    let sql = String::from_utf8(MigrationFiles::get(file_name)?.data.into_owned()).ok()?;
    let no_transaction = false;
    Some(Migration::new(
        version.parse().ok()?,
        description.to_owned().into(),
        MigrationType::Simple,
        AssertSqlSafe(sql).into_sql_str(),
        no_transaction,
    ))
}

/// An error of SQLite by its code, of which the low byte is the kind. `None` is an error of the
/// library.
fn classified(code: Option<u32>, error: Cause) -> StoreError {
    match code.map(|code| code & 0xff) {
        Some(SQLITE_BUSY | SQLITE_INTERRUPT) => StoreError::Busy(error),
        Some(SQLITE_READONLY) => StoreError::Unwritable(WriteFault::ReadOnly),
        Some(SQLITE_IOERR) => StoreError::Unwritable(WriteFault::Disk),
        Some(SQLITE_CORRUPT | SQLITE_NOTADB) => StoreError::Unwritable(WriteFault::Damaged),
        Some(SQLITE_FULL) => StoreError::Unwritable(WriteFault::Full),
        _ => StoreError::Failed(error),
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(|error| error.code());
        let code = code.and_then(|code| code.parse().ok());
        classified(code, error.into())
    }
}

impl From<SqliteReadError> for StoreError {
    fn from(error: SqliteReadError) -> Self {
        let code = match &error {
            SqliteReadError::Sqlite(error) => error.sqlite_error().map(|error| error.extended_code),
            SqliteReadError::Damaged(_) => None,
        };
        classified(code.map(i32::cast_unsigned), error.into())
    }
}

const SQLITE_BUSY: u32 = 5;
const SQLITE_READONLY: u32 = 8;
const SQLITE_INTERRUPT: u32 = 9;
const SQLITE_IOERR: u32 = 10;
const SQLITE_CORRUPT: u32 = 11;
const SQLITE_FULL: u32 = 13;
const SQLITE_NOTADB: u32 = 26;

impl From<sqlx::Error> for AppendError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}
