//! The permissions of the database file.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::Path,
};

use tracing::Level;

use crate::support::{Folder, app::TestApp, logs::Logs};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn a_new_database_and_its_side_files_are_readable_by_their_owner_only() {
    let (logs, app) = (Logs::capture(Level::WARN), TestApp::start().await);
    app.sign_in("ann").await;
    for name in ["test.db", "test.db-wal", "test.db-shm"] {
        assert_eq!(mode(&app.folder.path().join(name)), 0o600, "{name}");
    }
    assert_eq!(logs.take(), "");
    app.finish().await;
}

#[tokio::test]
async fn an_existing_database_keeps_its_mode_and_the_log_warns_if_others_can_read_it() {
    let folder = TestApp::start().await.finish().await;
    let path = folder.path().join("test.db");
    for (given, warnings) in [(0o640, 1), (0o604, 1), (0o600, 0), (0o622, 0)] {
        fs::set_permissions(&path, Permissions::from_mode(given)).unwrap();
        let logs = Logs::capture(Level::WARN);
        let copy = Folder::new();
        // The copy keeps the mode.
        fs::copy(&path, copy.path().join("test.db")).unwrap();
        let app = TestApp::in_folder(copy, &[]).await;
        app.sign_in("ann").await;
        assert_eq!(mode(&app.folder.path().join("test.db")), given);
        assert_eq!(mode(&app.folder.path().join("test.db-wal")), given);
        let log = logs.take();
        assert_eq!(
            log.matches("others can read the database").count(),
            warnings,
            "{given:o}: {log}"
        );
        app.finish().await;
    }
}

#[tokio::test]
async fn a_database_behind_a_symlink_is_created_for_its_owner_only() {
    let (folder, target) = (Folder::new(), Folder::new());
    let file = target.path().join("elsewhere.db");
    std::os::unix::fs::symlink(&file, folder.path().join("test.db")).unwrap();
    let app = TestApp::in_folder(folder, &[]).await;
    app.sign_in("ann").await;
    assert_eq!(mode(&file), 0o600);
    app.finish().await;
}
