//! Reads that end when their time is over.

use std::time::{Duration, Instant};

use futures::{StreamExt, stream::BoxStream};
use sqlx::{SqliteConnection, pool::PoolConnection, sqlite::SqliteRow};

use super::{Sqlite, is_interrupted};

/// After how many instructions of SQLite a search checks whether its time is over: a few times per
/// millisecond.
const INSTRUCTIONS_PER_CHECK: i32 = 1000;

impl Sqlite {
    /// A connection for searches, whose statements are not interrupted.
    pub(super) async fn searcher(&self) -> Result<PoolConnection<sqlx::Sqlite>, sqlx::Error> {
        let mut connection = self.searchers.acquire().await?;
        // An earlier search may have been cancelled before it removed its time.
        interrupt_after(&mut connection, Duration::ZERO).await?;
        Ok(connection)
    }
}

/// Lets the statements of a connection be interrupted after a time. Zero is no limit.
pub(super) async fn interrupt_after(
    connection: &mut SqliteConnection,
    timeout: Duration,
) -> Result<(), sqlx::Error> {
    let mut handle = connection.lock_handle().await?;
    if timeout.is_zero() {
        handle.remove_progress_handler();
    } else {
        let end = Instant::now() + timeout;
        handle.set_progress_handler(INSTRUCTIONS_PER_CHECK, move || Instant::now() < end);
    }
    Ok(())
}

/// The rows until the end, or until the time of the search is over.
pub(super) async fn until_interrupted(
    mut rows: BoxStream<'_, Result<SqliteRow, sqlx::Error>>,
) -> Result<Vec<SqliteRow>, sqlx::Error> {
    let mut found = Vec::new();
    while let Some(row) = rows.next().await {
        match row {
            Ok(row) => found.push(row),
            Err(error) if is_interrupted(&error) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}
