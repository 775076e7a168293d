//! The store on SQLite: one file, one connection that writes, and a small pool that reads.
//!
//! This module opens the database and brings its tables up to date. Each file beside it implements
//! one part:
//!
//! - `append`: batches of commands; `sends` and `changes` load their facts and write their
//!   decisions
//! - `log`: reading; `search`: searching and the search index
//! - `accounts`: users, the signing key and revoked tokens
//! - `rows`: between rows and domain types; `file`: the permissions of the database file
//!
//! **S3** The journal is a write-ahead log, and `synchronous = FULL` syncs it in each commit.

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

use async_trait::async_trait;
use rust_embed::RustEmbed;
use sqlx::{
    AssertSqlSafe, ConnectOptions, Row, SqlSafeStr, SqliteConnection, SqlitePool,
    migrate::{Migration, MigrationType, Migrator},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::sync::Mutex;

pub use limits::SqliteLimits;

use super::{AppendError, Maintenance, StoreError};
use crate::domain::{folded, folding};

/// Rows that the thread of a connection reads ahead. If a read returns more rows than this, the two
/// threads take turns for each further row, which is slow.
const ROWS_AT_ONCE: usize = 512;

/// An open database file.
#[derive(Clone)]
pub struct Sqlite {
    readers: SqlitePool,
    searchers: SqlitePool,
    /// The only connection that writes, because SQLite allows one writer at a time. Only tasks that
    /// are never cancelled lock it: cancelling one would leave a statement or a transaction open.
    writer: Arc<Mutex<SqliteConnection>>,
    limits: SqliteLimits,
    /// About how many messages the search index does not hold yet.
    unindexed: Arc<AtomicU64>,
}

impl Sqlite {
    /// Opens `sqlite://PATH` and brings its tables up to date. A missing file is created, readable
    /// by its owner alone.
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
            // Under load many statements wait, and a warning for each would bury the log.
            .disable_statement_logging();
        refuse_foreign(url).await?;
        file::keep_private(&options).map_err(|error| refused(&error))?;
        // V6: deleted content is overwritten with zeros, in the tables and in the search index.
        let writing = options.clone().pragma("secure_delete", "on");
        let mut writer = writing.connect().await.map_err(|error| refused(&error))?;
        migrator()
            .run(&mut writer)
            .await
            .map_err(|error| refused(&error))?;
        fold_room_names(&mut writer).await?;
        let unindexed = search::check_index(&mut writer).await?;
        let reading = options.pragma("query_only", "on");
        let pool = |most| {
            let pool = SqlitePoolOptions::new()
                .max_connections(most)
                .acquire_timeout(limits.database_busy_timeout);
            // A slow wait is never logged by the pool. A wait that fails is an error, which is
            // logged.
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

    async fn close(&self) {
        self.readers.close().await;
        self.searchers.close().await;
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

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        // 5 is SQLITE_BUSY. Its extended codes have 5 in the low byte.
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

impl From<sqlx::Error> for AppendError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}
