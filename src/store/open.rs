//! The choice of a backend.

use std::sync::Arc;

use super::{
    Accounts, Append, Log, Maintenance, StoreError,
    sqlite::{Sqlite, SqliteLimits},
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
        let store = Arc::new(Sqlite::open(url, limits).await?);
        Ok(Self {
            log: store.clone(),
            append: store.clone(),
            accounts: store.clone(),
            maintenance: store,
        })
    }
}
