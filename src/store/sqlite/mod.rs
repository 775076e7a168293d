//! The store on SQLite: one file, one writer connection, a small pool of readers.

mod accounts;
mod append;
mod changes;
mod file;
mod limits;
mod log;
mod rows;
mod search;
mod sends;

use std::{
    str::FromStr,
    sync::{Arc, atomic::AtomicU64},
};

use sqlx::{
    ConnectOptions, SqliteConnection, SqlitePool,
    migrate::{Migration, MigrationType, Migrator},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::sync::Mutex;

pub use limits::SqliteLimits;

use super::StoreError;

/// Rows that a connection's thread reads ahead. With fewer than one read gives, threads take turns row by row.
const ROWS_AT_ONCE: usize = 512;

/// A database file, migrated and ready.
#[derive(Clone)]
pub struct Sqlite {
    readers: SqlitePool,
    searchers: SqlitePool,
    /// SQLite has one writer at a time. Whoever holds this runs in a task that nobody cancels.
    writer: Arc<Mutex<SqliteConnection>>,
    limits: SqliteLimits,
    /// Messages that the search index does not hold yet.
    unindexed: Arc<AtomicU64>,
}

impl Sqlite {
    /// Opens `sqlite://PATH`, making the file for its owner alone if it is missing, and brings its tables up to date.
    pub async fn open(url: &str, limits: SqliteLimits) -> Result<Self, StoreError> {
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
            .row_buffer_size(ROWS_AT_ONCE)
            // A warning for each statement that had to wait would bury the log when many do.
            .disable_statement_logging();
        refuse_foreign(url).await?;
        file::keep_private(&options).map_err(|error| refused(&error))?;
        // What is deleted is overwritten with zeros, in the tables and in the search index.
        let writing = options.clone().pragma("secure_delete", "on");
        let mut writer = writing.connect().await.map_err(|error| refused(&error))?;
        migrator()
            .run(&mut writer)
            .await
            .map_err(|error| refused(&error))?;
        let unindexed = search::check_index(&mut writer).await?;
        let reading = options.pragma("query_only", "on");
        let pool = |most| {
            let pool = SqlitePoolOptions::new()
                .max_connections(most)
                .acquire_timeout(limits.database_busy_timeout);
            // As long as waiting takes at most, so that it is never logged: whoever waited in vain is told, and logged, anyway.
            pool.acquire_slow_threshold(limits.database_busy_timeout)
        };
        let searchers = pool(limits.searches_max).connect_lazy_with(reading.clone());
        let readers = pool(limits.database_readers_max)
            .connect_with(reading)
            .await
            .map_err(|error| refused(&error))?;
        let (writer, unindexed) = (
            Arc::new(Mutex::new(writer)),
            Arc::new(AtomicU64::new(unindexed)),
        );
        Ok(Self {
            readers,
            searchers,
            writer,
            limits,
            unindexed,
        })
    }

    /// Waits for running statements and closes the file.
    pub async fn close(&self) {
        self.readers.close().await;
        self.searchers.close().await;
        // The last connection to go folds the write-ahead log back into the file.
        let mut writer = self.writer.lock().await;
        if let Err(error) = sqlx::raw_sql("pragma wal_checkpoint(truncate)")
            .execute(&mut *writer)
            .await
        {
            tracing::warn!(%error, "the write-ahead log was not folded back");
        }
    }
}

/// A database that holds something else is left alone: somebody may want it back.
async fn refuse_foreign(url: &str) -> Result<(), StoreError> {
    let Ok(options) = SqliteConnectOptions::from_str(url) else {
        return Ok(());
    };
    // What cannot even be read is told by whoever opens it for writing.
    let Ok(mut reader) = options.read_only(true).connect().await else {
        return Ok(());
    };
    let sql = "select count(*) > 0 and sum(name = '_sqlx_migrations') = 0 as foreign_tables from sqlite_master";
    let row = sqlx::query(sql).fetch_one(&mut reader).await;
    match row.and_then(|row| sqlx::Row::try_get(&row, "foreign_tables")) {
        Ok(true) => {
            let reason = "it holds other tables and is no database of this program".to_owned();
            Err(StoreError::Open {
                url: url.to_owned(),
                reason,
            })
        }
        _ => Ok(()),
    }
}

fn migrator() -> Migrator {
    let files = [
        (
            1,
            "rooms",
            include_str!("../../../migrations/sqlite/0001_rooms.sql"),
        ),
        (
            2,
            "changes",
            include_str!("../../../migrations/sqlite/0002_changes.sql"),
        ),
        (
            3,
            "subjects",
            include_str!("../../../migrations/sqlite/0003_subjects.sql"),
        ),
        (
            4,
            "search",
            include_str!("../../../migrations/sqlite/0004_search.sql"),
        ),
        (
            5,
            "revocations",
            include_str!("../../../migrations/sqlite/0005_revocations.sql"),
        ),
    ];
    let migrations = files.map(|(version, name, sql)| {
        let no_transaction = false;
        Migration::new(
            version,
            name.into(),
            MigrationType::Simple,
            sqlx::SqlStr::from_static(sql),
            no_transaction,
        )
    });
    Migrator {
        migrations: migrations.to_vec().into(),
        ..Migrator::DEFAULT
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        // 5 is SQLITE_BUSY; its extended codes keep it in the low byte.
        let busy = error
            .as_database_error()
            .and_then(|database| database.code()?.parse::<u32>().ok())
            .is_some_and(|code| code & 0xff == 5);
        if busy || matches!(error, sqlx::Error::PoolTimedOut) {
            Self::Busy(error)
        } else {
            Self::Failed(error)
        }
    }
}
