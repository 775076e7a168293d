//! The choice of a backend.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Accounts, Append, CopyError, Inspection, Log, Maintenance, StoreError,
    sqlite::{DatabaseLock, Sqlite, SqliteLimits},
};

/// An open database, as the traits that the rest of the server uses.
#[derive(Clone)]
pub struct Database {
    /// Reading.
    pub log: Arc<dyn Log>,
    /// Writing to the logs. The hub takes it.
    pub append: Arc<dyn Append>,
    /// Users, the signing key and revoked tokens.
    pub accounts: Arc<dyn Accounts>,
    /// Background work, and closing.
    pub maintenance: Arc<dyn Maintenance>,
}

impl Database {
    /// Opens the database at a URL and brings its tables up to date. SQLite is the only backend:
    /// `sqlite://PATH`.
    pub async fn open(url: &str, limits: SqliteLimits) -> Result<Self, StoreError> {
        Ok(Sqlite::open(url, limits).await?.into())
    }

    /// Opens a database that a server may have open, for a command that runs beside it.
    pub async fn open_beside_server(url: &str, limits: SqliteLimits) -> Result<Self, StoreError> {
        Ok(Sqlite::open_beside_server(url, limits).await?.into())
    }

    /// The file of a database. None if it is in memory.
    pub fn file(url: &str) -> Option<PathBuf> {
        Sqlite::file(url)
    }

    /// Takes the lock that one server has on the database. None if it needs no lock.
    ///
    /// # Errors
    /// Another server has it.
    pub fn lock(url: &str) -> Result<Option<DatabaseLock>, StoreError> {
        Sqlite::lock(url)
    }

    /// Checks whether the files of a database belong together, as opening it does.
    ///
    /// # Errors
    /// [`StoreError::Open`].
    pub async fn check_files(url: &str) -> Result<(), StoreError> {
        Sqlite::check_files(url).await
    }

    /// Checks the whole content of a database, also while a server uses it.
    pub async fn inspect(url: &str) -> Inspection {
        Sqlite::inspect(url).await
    }

    /// Writes a copy of a database to a new file, also while a server uses it.
    pub async fn backup(url: &str, target: &Path) -> Result<(), CopyError> {
        Sqlite::backup(url, target).await
    }

    /// Puts a copy of the database `source` in the place of a database that no server uses. The
    /// caller holds the lock. Returns the new path of the old files, if there were any.
    pub async fn restore(url: &str, source: &Path) -> Result<Option<PathBuf>, CopyError> {
        Sqlite::restore(url, source).await
    }
}

impl From<Sqlite> for Database {
    fn from(store: Sqlite) -> Self {
        let store = Arc::new(store);
        Self {
            log: store.clone(),
            append: store.clone(),
            accounts: store.clone(),
            maintenance: store,
        }
    }
}
