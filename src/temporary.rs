//! A temporary folder for a database that is removed when the server ends.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

/// A folder that only its owner can read. Dropping it removes it with all that it contains.
#[derive(Debug)]
pub struct TemporaryFolder(PathBuf);

impl TemporaryFolder {
    /// Creates a folder in the system's folder for temporary files (`TMPDIR`).
    pub fn new() -> io::Result<Self> {
        let name = format!("switchboard-{:032x}", rand::random::<u128>());
        let path = std::env::temp_dir().join(name);
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }

    /// The path of the folder.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The URL of the database in this folder.
    pub fn database(&self) -> String {
        format!("sqlite://{}", self.0.join("switchboard.db").display())
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(folder = %self.0.display(), %error, "a temporary folder was not removed");
        }
    }
}
