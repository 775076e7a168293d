//! What tests stand on.

pub(crate) mod app;
pub(crate) mod client;
pub(crate) mod core;
pub(crate) mod ephemeral;
pub(crate) mod flaky;
pub(crate) mod http;
pub(crate) mod logs;
pub(crate) mod provider;
pub(crate) mod stream;
pub(crate) mod tls;
pub(crate) mod tokens;
pub(crate) mod wire;

use std::time::Duration;

/// How long a test waits for what must come before it fails. Nothing is measured with it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What must come soon, or the test fails and says what did not.
pub(crate) async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(output) => output,
        Err(_) => panic!("{what} did not come"),
    }
}

/// A folder of a test's own, gone when it is dropped.
pub(crate) struct Folder(std::path::PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        let path = std::env::temp_dir().join(format!(
            "switchboard-it-{}",
            uuid::Uuid::now_v7().as_simple()
        ));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn database(&self) -> String {
        format!("sqlite://{}", self.0.join("test.db").display())
    }

    pub(crate) fn path(&self) -> &std::path::Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
