//! Connections that read, each on a thread of its own.
//!
//! A **read** is a function that runs on such a thread. It executes its statement, which stays
//! prepared, and decodes all rows there. So a read costs one hand-over to the thread and one back,
//! whatever the number of its rows.

use std::{
    cell::Cell,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, Sender};
use rusqlite::{
    Connection, ErrorCode, OpenFlags, Params, Row, Statement, config::DbConfig, types::ValueRef,
};
use tokio::sync::oneshot;

use super::rows::{Columns, Damaged};
use crate::{store::StoreError, sync::Mutex};

/// Statements that each connection keeps prepared. There are fewer.
const STATEMENTS_KEPT: usize = 64;

/// After how many instructions of SQLite a read with a time limit checks whether its time is over:
/// a few times per millisecond.
const INSTRUCTIONS_PER_CHECK: i32 = 1000;

type Read = Box<dyn FnOnce(&ReadConnection) + Send>;

/// Connections that cannot write.
///
/// A connection that is opened later would open whatever file is at the path by then. SQLite
/// creates a missing one, and deletes the write-ahead log beside it. So all connections are opened
/// at the start, and they stay.
#[derive(Debug)]
pub(super) struct Readers {
    /// None after the close.
    reads: Mutex<Option<Sender<Read>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// How many reads run or wait.
    pending: Arc<AtomicUsize>,
    connections: usize,
    /// How long a read waits for a connection; zero does not wait.
    timeout: Duration,
}

impl Readers {
    pub(super) fn open(
        path: &Path,
        connections: u32,
        timeout: Duration,
    ) -> Result<Self, rusqlite::Error> {
        let (reads, queue) = crossbeam_channel::unbounded::<Read>();
        let connect = |_| ReadConnection::open(path, timeout);
        let opened = (0..connections)
            .map(connect)
            .collect::<Result<Vec<_>, _>>()?;
        let start = |connection| serve(connection, queue.clone());
        let threads = opened.into_iter().map(start).collect::<io::Result<_>>();
        let threads =
            threads.map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
        Ok(Self {
            reads: Mutex::new(Some(reads)),
            threads: Mutex::new(threads),
            pending: Arc::default(),
            connections: connections as usize,
            timeout,
        })
    }

    /// Runs a read. If the future is dropped before the read begins, it does not run. A read that
    /// has begun is waited for, however long it takes.
    ///
    /// # Errors
    /// [`StoreError::Busy`] if all connections are busy for too long.
    pub(super) async fn read<T, E>(
        &self,
        read: impl FnOnce(&ReadConnection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        E: Into<StoreError> + Send + 'static,
    {
        let pending = PendingRead::one_more(&self.pending);
        if self.timeout.is_zero() && pending.others >= self.connections {
            return Err(busy());
        }
        let (answer, mut answered) = oneshot::channel();
        let has_begun = Arc::new(AtomicBool::new(false));
        let begun = has_begun.clone();
        let read: Read = Box::new(move |connection| {
            begun.store(true, Ordering::Release);
            if !answer.is_closed() {
                let result = read(connection);
                // First, so that the caller finds the connection free.
                drop(pending);
                let _ = answer.send(result);
            }
        });
        let sent = self.reads.lock().as_ref().map(|reads| reads.send(read));
        if !matches!(sent, Some(Ok(()))) {
            return Err(StoreError::Busy("the database is closed".into()));
        }
        let result = if self.timeout.is_zero() {
            answered.await
        } else {
            match tokio::time::timeout(self.timeout, &mut answered).await {
                Ok(result) => result,
                Err(_) if has_begun.load(Ordering::Acquire) => answered.await,
                Err(_) => return Err(busy()),
            }
        };
        let result = result.map_err(|_| StoreError::Failed("a read panicked".into()))?;
        result.map_err(Into::into)
    }

    /// Ends the threads and closes their connections, after the reads that have begun.
    pub(super) async fn close(&self) {
        self.reads.lock().take();
        let threads = std::mem::take(&mut *self.threads.lock());
        let join = move || threads.into_iter().for_each(|thread| drop(thread.join()));
        let _ = tokio::task::spawn_blocking(join).await;
    }
}

/// Counts one read that runs or waits, until it is dropped.
struct PendingRead {
    count: Arc<AtomicUsize>,
    /// The reads that ran or waited before this one.
    others: usize,
}

impl PendingRead {
    fn one_more(count: &Arc<AtomicUsize>) -> Self {
        Self {
            others: count.fetch_add(1, Ordering::AcqRel),
            count: count.clone(),
        }
    }
}

impl Drop for PendingRead {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::AcqRel);
    }
}

fn busy() -> StoreError {
    StoreError::Busy("all connections that read are in use".into())
}

/// Runs reads on a thread until the last sender is gone.
fn serve(connection: ReadConnection, queue: Receiver<Read>) -> io::Result<JoinHandle<()>> {
    let run = move || {
        for read in queue {
            // A read that panics fails its caller, and the thread goes on.
            let read = std::panic::AssertUnwindSafe(|| read(&connection));
            let _ = std::panic::catch_unwind(read);
        }
    };
    thread::Builder::new()
        .name("sqlite-read".to_owned())
        .spawn(run)
}

/// A connection that reads.
pub(super) struct ReadConnection(Connection);

/// Why a read failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum SqliteReadError {
    /// SQLite failed.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// A row is damaged.
    #[error(transparent)]
    Damaged(#[from] Damaged),
}

impl ReadConnection {
    fn open(path: &Path, timeout: Duration) -> Result<Self, rusqlite::Error> {
        // Each connection is used by one thread only.
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(PathBuf::from(path), flags)?;
        connection.busy_timeout(timeout)?;
        // Otherwise a statement is prepared again when another value is bound to it.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
        // Opens the file now.
        connection.query_row("select count(*) from sqlite_master", [], |_| Ok(()))?;
        Ok(Self(connection))
    }

    /// All rows of a statement.
    pub(super) fn all<T>(
        &self,
        sql: &'static str,
        arguments: impl Params,
        mut decode: impl FnMut(&ReadRow<'_>) -> Result<T, Damaged>,
    ) -> Result<Vec<T>, SqliteReadError> {
        let mut statement = self.0.prepare_cached(sql)?;
        let names = names(&statement);
        let mut rows = statement.query(arguments)?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(decode(&ReadRow::new(row, &names))?);
        }
        Ok(found)
    }

    /// Passes each row of a statement to `each`, until the end or until the time of
    /// [`ReadConnection::within`] is over.
    pub(super) fn until_interrupted(
        &self,
        sql: &'static str,
        arguments: impl Params,
        mut each: impl FnMut(&ReadRow<'_>) -> Result<(), Damaged>,
    ) -> Result<(), SqliteReadError> {
        let mut statement = self.0.prepare_cached(sql)?;
        let names = names(&statement);
        let mut rows = statement.query(arguments)?;
        loop {
            match rows.next() {
                Ok(Some(row)) => each(&ReadRow::new(row, &names))?,
                Ok(None) => return Ok(()),
                Err(error) if is_interrupted(&error) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Lets the statements of `read` be interrupted after a time. Zero is no limit.
    pub(super) fn within<T>(
        &self,
        timeout: Duration,
        read: impl FnOnce(&Self) -> Result<T, SqliteReadError>,
    ) -> Result<T, SqliteReadError> {
        let end = Instant::now() + timeout;
        let is_over = (!timeout.is_zero()).then_some(move || Instant::now() >= end);
        self.0.progress_handler(INSTRUCTIONS_PER_CHECK, is_over)?;
        let result = read(self);
        self.0.progress_handler(0, None::<fn() -> bool>)?;
        result
    }

    /// Lets all statements of `read` see one state of the database.
    pub(super) fn in_transaction<T>(
        &self,
        read: impl FnOnce(&Self) -> Result<T, SqliteReadError>,
    ) -> Result<T, SqliteReadError> {
        let transaction = self.0.unchecked_transaction()?;
        let result = read(self);
        transaction.commit()?;
        result
    }

    /// The first row of a statement, if there is one.
    pub(super) fn optional<T>(
        &self,
        sql: &'static str,
        arguments: impl Params,
        decode: impl FnOnce(&ReadRow<'_>) -> Result<T, Damaged>,
    ) -> Result<Option<T>, SqliteReadError> {
        let mut statement = self.0.prepare_cached(sql)?;
        let names = names(&statement);
        let mut rows = statement.query(arguments)?;
        let Some(row) = rows.next()? else {
            return Ok(None);
        };
        Ok(Some(decode(&ReadRow::new(row, &names))?))
    }
}

/// Whether a statement was stopped because its time was over.
fn is_interrupted(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted)
}

/// The names of a statement's columns. SQLite would otherwise be asked for each name of each row.
fn names(statement: &Statement<'_>) -> Vec<String> {
    statement
        .column_names()
        .into_iter()
        .map(str::to_owned)
        .collect()
}

/// A row that a read decodes.
pub(super) struct ReadRow<'a> {
    row: &'a Row<'a>,
    names: &'a [String],
    /// The column after the last one that was read. Most columns are read in their order.
    next: Cell<usize>,
}

impl<'a> ReadRow<'a> {
    fn new(row: &'a Row<'a>, names: &'a [String]) -> Self {
        Self {
            row,
            names,
            next: Cell::new(0),
        }
    }

    fn value(&self, column: &str) -> Result<ValueRef<'_>, Damaged> {
        let (before, after) = self.names.split_at(self.next.get().min(self.names.len()));
        let is_wanted = |name: &String| name == column;
        let index = match after.iter().position(is_wanted) {
            Some(index) => Some(before.len() + index),
            None => before.iter().position(is_wanted),
        };
        let index = index.ok_or_else(|| Damaged::new(column, "no such column"))?;
        self.next.set(index + 1);
        let value = self.row.get_ref(index);
        value.map_err(|error| Damaged::new(column, error))
    }
}

impl Columns for ReadRow<'_> {
    fn integer(&self, column: &str) -> Result<Option<i64>, Damaged> {
        let value = self.value(column)?.as_i64_or_null();
        value.map_err(|error| Damaged::new(column, error))
    }

    fn text(&self, column: &str) -> Result<Option<&str>, Damaged> {
        let value = self.value(column)?.as_str_or_null();
        value.map_err(|error| Damaged::new(column, error))
    }

    fn bytes(&self, column: &str) -> Result<Option<&[u8]>, Damaged> {
        let value = self.value(column)?.as_blob_or_null();
        value.map_err(|error| Damaged::new(column, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::temporary::TemporaryFolder;

    /// One connection to an empty database.
    fn readers(timeout: Duration) -> (Arc<Readers>, TemporaryFolder) {
        let folder = TemporaryFolder::new().unwrap();
        let path = folder.path().join("test.db");
        Connection::open(&path)
            .unwrap()
            .execute_batch("create table t (n integer)")
            .unwrap();
        let readers = Readers::open(&path, 1, timeout).unwrap();
        (Arc::new(readers), folder)
    }

    /// Occupies the only connection. The returned sender frees it.
    async fn occupy(readers: &Arc<Readers>) -> std::sync::mpsc::Sender<()> {
        let (free, until) = std::sync::mpsc::channel();
        let (started, has_started) = oneshot::channel();
        let readers = readers.clone();
        let read = move |_: &ReadConnection| {
            let _ = started.send(());
            let _ = until.recv();
            Ok::<_, StoreError>(())
        };
        tokio::spawn(async move { readers.read(read).await });
        has_started.await.unwrap();
        free
    }

    async fn count(readers: &Readers) -> Result<Option<i64>, StoreError> {
        let sql = "select count(*) as n from t";
        let number = |row: &ReadRow<'_>| super::super::rows::integer(row, "n");
        readers
            .read(move |reader| reader.optional(sql, [], number))
            .await
    }

    #[tokio::test]
    async fn without_a_time_a_read_does_not_wait_for_a_connection() {
        let (readers, _folder) = readers(Duration::ZERO);
        assert_eq!(count(&readers).await.unwrap(), Some(0));
        let free = occupy(&readers).await;
        assert!(matches!(count(&readers).await, Err(StoreError::Busy(_))));
        drop(free);
        readers.close().await;
    }

    #[tokio::test]
    async fn a_read_waits_for_a_connection_for_a_time_and_a_running_one_is_never_cut() {
        let (readers, _folder) = readers(Duration::from_millis(20));
        let free = occupy(&readers).await;
        assert!(matches!(count(&readers).await, Err(StoreError::Busy(_))));
        drop(free);
        let slow = |_: &ReadConnection| {
            thread::sleep(Duration::from_millis(60));
            Ok::<_, StoreError>("read")
        };
        assert_eq!(readers.read(slow).await.unwrap(), "read");
        readers.close().await;
        assert!(count(&readers).await.is_err());
    }

    #[tokio::test]
    async fn a_read_that_panics_fails_alone() {
        let (readers, _folder) = readers(Duration::from_secs(5));
        let panic = |_: &ReadConnection| -> Result<(), StoreError> { panic!("as the test wants") };
        assert!(matches!(
            readers.read(panic).await,
            Err(StoreError::Failed(_))
        ));
        assert_eq!(count(&readers).await.unwrap(), Some(0));
        readers.close().await;
    }
}
