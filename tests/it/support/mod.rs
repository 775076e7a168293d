//! Helpers that the tests share.

pub(crate) mod app;
pub(crate) mod client;
pub(crate) mod core;
pub(crate) mod endpoint;
pub(crate) mod ephemeral;
pub(crate) mod faults;
pub(crate) mod http;
pub(crate) mod logs;
pub(crate) mod provider;
pub(crate) mod stream;
pub(crate) mod tls;
pub(crate) mod tokens;

use std::time::Duration;

/// How long a test waits for something that must happen, before it fails. No test measures time
/// with it.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(20);

/// Waits until a future is ready. After [`WAIT_MAX`] it panics and names what was awaited.
pub(crate) async fn wait_for<F: Future>(what: &str, future: F) -> F::Output {
    match tokio::time::timeout(WAIT_MAX, future).await {
        Ok(output) => output,
        Err(_) => panic!("timed out waiting for {what}"),
    }
}

/// A temporary folder of one test. It is deleted when the value is dropped.
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
