//! The store on SQLite: one file, one writer connection, a small pool of readers.

mod accounts;
mod append;
mod changes;
mod log;
mod rows;
mod sends;

use std::{str::FromStr, sync::Arc, time::Duration};

use sqlx::{
    ConnectOptions, SqliteConnection, SqlitePool,
    migrate::{Migration, MigrationType, Migrator},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::sync::Mutex;

use super::StoreError;

/// What the SQLite store may use.
#[derive(Clone, Copy, Debug)]
pub struct SqliteLimits {
    /// Connections that read at the same time.
    pub readers_max: u32,
    /// How long a statement waits for another process's lock, and a read for a free connection.
    pub busy_timeout: Duration,
    /// Members of one room.
    pub members_per_room_max: u32,
}

impl Default for SqliteLimits {
    fn default() -> Self {
        Self { readers_max: 4, busy_timeout: Duration::from_secs(5), members_per_room_max: 100_000 }
    }
}

/// A database file, migrated and ready.
#[derive(Clone)]
pub struct Sqlite {
    readers: SqlitePool,
    /// SQLite has one writer at a time. Whoever holds this runs in a task that nobody cancels.
    writer: Arc<Mutex<SqliteConnection>>,
    limits: SqliteLimits,
}

impl Sqlite {
    /// Opens `sqlite://PATH`, making the file if it is missing, and brings its tables up to date.
    pub async fn open(url: &str, limits: SqliteLimits) -> Result<Self, StoreError> {
        let refused =
            |error: &dyn std::fmt::Display| StoreError::Open { url: url.to_owned(), reason: error.to_string() };
        let options = SqliteConnectOptions::from_str(url)
            .map_err(|error| refused(&error))?
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(limits.busy_timeout)
            // A warning for each statement that had to wait would bury the log when many do.
            .disable_statement_logging();
        refuse_foreign(url).await?;
        let mut writer = options.connect().await.map_err(|error| refused(&error))?;
        migrator().run(&mut writer).await.map_err(|error| refused(&error))?;
        let readers = SqlitePoolOptions::new()
            .max_connections(limits.readers_max)
            .acquire_timeout(limits.busy_timeout)
            // As long as waiting takes at most, so that it is never logged: whoever waited in vain is told, and logged, anyway.
            .acquire_slow_threshold(limits.busy_timeout)
            .connect_with(options.pragma("query_only", "on"))
            .await
            .map_err(|error| refused(&error))?;
        Ok(Self { readers, writer: Arc::new(Mutex::new(writer)), limits })
    }

    /// Waits for running statements and closes the file.
    pub async fn close(&self) {
        self.readers.close().await;
        // The last connection to go folds the write-ahead log back into the file.
        let mut writer = self.writer.lock().await;
        if let Err(error) = sqlx::raw_sql("pragma wal_checkpoint(truncate)").execute(&mut *writer).await {
            tracing::warn!(%error, "the write-ahead log was not folded back");
        }
    }
}

/// A database that holds something else is left alone: somebody may want it back.
async fn refuse_foreign(url: &str) -> Result<(), StoreError> {
    let Ok(options) = SqliteConnectOptions::from_str(url) else { return Ok(()) };
    // What cannot even be read is told by whoever opens it for writing.
    let Ok(mut reader) = options.read_only(true).connect().await else { return Ok(()) };
    let sql = "select count(*) > 0 and sum(name = '_sqlx_migrations') = 0 as foreign_tables from sqlite_master";
    let row = sqlx::query(sql).fetch_one(&mut reader).await;
    match row.and_then(|row| sqlx::Row::try_get(&row, "foreign_tables")) {
        Ok(true) => {
            let reason = "it holds other tables and is no database of this program".to_owned();
            Err(StoreError::Open { url: url.to_owned(), reason })
        }
        _ => Ok(()),
    }
}

fn migrator() -> Migrator {
    let files = [
        (1, "rooms", include_str!("../../../migrations/sqlite/0001_rooms.sql")),
        (2, "changes", include_str!("../../../migrations/sqlite/0002_changes.sql")),
        (3, "subjects", include_str!("../../../migrations/sqlite/0003_subjects.sql")),
        (5, "revocations", include_str!("../../../migrations/sqlite/0005_revocations.sql")),
    ];
    let migrations = files.map(|(version, name, sql)| {
        let no_transaction = false;
        Migration::new(version, name.into(), MigrationType::Simple, sqlx::SqlStr::from_static(sql), no_transaction)
    });
    Migrator { migrations: migrations.to_vec().into(), ..Migrator::DEFAULT }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        // 5 is SQLITE_BUSY; its extended codes keep it in the low byte.
        let busy = error
            .as_database_error()
            .and_then(|database| database.code()?.parse::<u32>().ok())
            .is_some_and(|code| code & 0xff == 5);
        if busy || matches!(error, sqlx::Error::PoolTimedOut) { Self::Busy(error) } else { Self::Failed(error) }
    }
}
