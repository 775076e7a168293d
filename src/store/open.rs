//! The choice of a backend.

use std::sync::Arc;

use super::{
    Accounts, Append, Log, Maintenance, StoreError,
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

    /// Takes the lock that one server has on the database. None if it needs no lock.
    ///
    /// # Errors
    /// Another server has it.
    pub fn lock(url: &str) -> Result<Option<DatabaseLock>, StoreError> {
        Sqlite::lock(url)
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
