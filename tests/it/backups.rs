//! The commands `backup`, `restore` and `doctor`, and files that a start refuses.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use serde_json::json;

use crate::{
    command_line::{switchboard, text},
    support::{Folder, app::TestApp},
};

/// Runs a command on the database in a folder. Returns its exit code and all that it has printed.
async fn run(folder: &Folder, arguments: &[&str]) -> (i32, String) {
    let database = folder.database();
    let output = switchboard(&[arguments, &["--database", &database]].concat()).await;
    let printed = format!("{}{}", text(&output.stdout), text(&output.stderr));
    (output.status.code().unwrap(), printed)
}

/// Starts a server on the files in a folder, and reads the texts in its room.
async fn texts(folder: Folder) -> Vec<String> {
    let app = TestApp::in_folder(folder, &[]).await;
    let mut reader = app.client(None).await;
    let query = "{ messages(roomId: \"room-1\", last: 100) { nodes { text } } }";
    let page = reader.execute(query, json!({})).await;
    let nodes = page["data"]["messages"]["nodes"].as_array().unwrap();
    let texts = nodes.iter().map(|node| node["text"].as_str().unwrap());
    let texts = texts.map(|text| text.trim_end().to_owned()).collect();
    drop(reader);
    app.finish().await;
    texts
}

/// Sends messages that fill several pages of the database.
async fn send(app: &TestApp, texts: &[&str]) {
    let mut ann = app.client(Some(&app.sign_in("ann").await)).await;
    for text in texts {
        ann.send_message("room-1", &format!("{text}{}", " ".repeat(6000)))
            .await;
    }
}

/// Copies files of one folder into a new one, under the name that a server opens.
fn copies(files: &[(PathBuf, &str)]) -> Folder {
    let folder = Folder::new();
    for (from, to) in files {
        fs::copy(from, folder.path().join(to)).unwrap();
    }
    folder
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn a_backup_of_a_running_server_is_restored() {
    let app = TestApp::start().await;
    send(&app, &["1", "2"]).await;
    let backup = app.folder.path().join("backup.db");
    let file = backup.to_str().unwrap();
    assert_eq!(run(&app.folder, &["backup", file]).await.0, 0);
    assert_eq!(mode(&backup), 0o600);
    let (code, printed) = run(&app.folder, &["backup", file]).await;
    assert!(code == 2 && printed.contains("exists already"), "{printed}");
    send(&app, &["3"]).await;
    // A running server keeps its database.
    let (code, printed) = run(&app.folder, &["restore", file]).await;
    assert!(
        code == 2 && printed.contains("another Switchboard server"),
        "{printed}"
    );

    let folder = app.finish().await;
    let (code, printed) = run(&folder, &["restore", file]).await;
    assert_eq!(code, 0, "{printed}");
    let replaced = folder.path().join("test.db-before-restore-1");
    assert!(printed.contains(replaced.to_str().unwrap()), "{printed}");
    assert_eq!(mode(&folder.path().join("test.db")), 0o600);
    let old = copies(&[(replaced, "test.db")]);
    assert_eq!(texts(folder).await, ["1", "2"]);
    assert_eq!(texts(old).await, ["1", "2", "3"]);
}

#[tokio::test]
async fn what_is_no_backup_is_not_restored() {
    let app = TestApp::start().await;
    send(&app, &["1"]).await;
    let folder = app.finish().await;
    let path = |name: &str| folder.path().join(name);
    fs::write(path("text"), "no database").unwrap();
    fs::write(path("empty"), "").unwrap();
    let mut damaged = fs::read(path("test.db")).unwrap();
    let middle = damaged.len() / 2;
    damaged[middle..middle + 8192].fill(0xff);
    fs::write(path("damaged"), damaged).unwrap();
    for (name, reason) in [
        ("text", "not a database"),
        ("empty", "it is empty"),
        ("damaged", "cannot be copied"),
        ("missing", "No such file"),
        ("test.db", "the same file"),
    ] {
        let (code, printed) = run(&folder, &["restore", path(name).to_str().unwrap()]).await;
        assert_eq!((code, printed.lines().count()), (2, 1), "{name}: {printed}");
        assert!(printed.contains(reason), "{name}: {printed}");
    }
    // Nothing was left behind or moved.
    assert_eq!(texts(folder).await, ["1"]);
}

#[tokio::test]
async fn a_write_ahead_log_beside_another_database_is_refused() {
    let app = TestApp::start().await;
    send(&app, &["1"]).await;
    let folder = app.finish().await;
    let path = |folder: &Folder, name: &str| folder.path().join(name);
    let backup = copies(&[(path(&folder, "test.db"), "test.db")]);
    let app = TestApp::in_folder(folder, &[]).await;
    send(&app, &["2", "3", "4"]).await;
    let app = TestApp::in_folder(app.finish().await, &[]).await;
    send(&app, &["5"]).await;
    // What `kill -9` leaves.
    let (db, wal) = (
        path(&app.folder, "test.db"),
        path(&app.folder, "test.db-wal"),
    );
    let lock = path(&app.folder, "test.db-lock");
    let stale = copies(&[
        (path(&backup, "test.db"), "test.db"),
        (wal.clone(), "test.db-wal"),
        (lock.clone(), "test.db-lock"),
    ]);
    let alone = copies(&[(wal.clone(), "test.db-wal")]);
    let empty = copies(&[(wal.clone(), "test.db-wal")]);
    fs::write(path(&empty, "test.db"), "").unwrap();
    let (database, log) = ((db, "test.db"), (wal, "test.db-wal"));
    let right = copies(&[database.clone(), log.clone(), (lock, "test.db-lock")]);
    let without_record = copies(&[database, log]);
    app.finish().await;

    let wal = fs::read(path(&stale, "test.db-wal")).unwrap();
    let before = fs::read(path(&stale, "test.db")).unwrap();
    for (folder, reason) in [
        (stale, "belongs to another file"),
        (alone, "missing or empty"),
        (empty, "missing or empty"),
    ] {
        let database = folder.database();
        let Err(error) = TestApp::try_start(&["--database", &database]).await else {
            panic!("it started, instead of: {reason}");
        };
        assert!(error.to_string().contains(reason), "{error}");
        let (code, printed) = run(&folder, &["doctor"]).await;
        assert!(code == 1 && printed.contains(reason), "{printed}");
        // Nothing was changed.
        assert_eq!(fs::read(path(&folder, "test.db-wal")).unwrap(), wal);
        if reason == "belongs to another file" {
            assert_eq!(fs::read(path(&folder, "test.db")).unwrap(), before);
        }
    }
    let all = ["1", "2", "3", "4", "5"];
    assert_eq!(texts(right).await, all);
    assert_eq!(texts(without_record).await, all);
}

#[tokio::test]
async fn an_interrupted_restore_is_refused_and_can_be_repeated() {
    let app = TestApp::start().await;
    send(&app, &["1"]).await;
    let folder = app.finish().await;
    let path = |name: &str| folder.path().join(name);
    let backup = Folder::new();
    let file = backup.path().join("backup.db");
    fs::copy(path("test.db"), &file).unwrap();
    // The old database was moved aside, and the new one is not in place yet.
    fs::rename(path("test.db"), path("test.db-before-restore-1")).unwrap();
    fs::write(path("test.db-restoring"), "half of a database").unwrap();
    fs::write(path("test.db-wal"), "of the old database").unwrap();
    let (code, printed) = run(&folder, &["migrate"]).await;
    assert!(
        code == 2 && printed.contains("a restore was interrupted"),
        "{printed}"
    );
    let (code, printed) = run(&folder, &["restore", file.to_str().unwrap()]).await;
    assert_eq!(code, 0, "{printed}");
    assert_eq!(texts(folder).await, ["1"]);
}

#[tokio::test]
async fn doctor_reads_a_running_database_and_finds_what_is_wrong() {
    let app = TestApp::start().await;
    send(&app, &["1", "2"]).await;
    let (code, printed) = run(&app.folder, &["doctor"]).await;
    assert!(
        code == 0 && printed.contains("1 rooms, 2 events"),
        "{printed}"
    );
    let folder = app.finish().await;
    let path = folder.path().join("test.db");
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    let (code, printed) = run(&folder, &["doctor"]).await;
    assert!(code == 1 && printed.contains("chmod 600"), "{printed}");
    let mut damaged = fs::read(&path).unwrap();
    let middle = damaged.len() / 2;
    damaged[middle..middle + 8192].fill(0xff);
    fs::write(&path, damaged).unwrap();
    let (code, printed) = run(&folder, &["doctor"]).await;
    assert!(code == 1 && printed.contains("Recovery"), "{printed}");
    fs::remove_file(&path).unwrap();
    let (code, printed) = run(&folder, &["doctor"]).await;
    assert!(code == 1 && printed.contains("No such file"), "{printed}");
}

#[tokio::test]
async fn doctor_finds_events_that_are_missing() {
    let app = TestApp::start().await;
    send(&app, &["1", "2", "3"]).await;
    let folder = app.finish().await;
    let remove = "pragma foreign_keys = off; delete from events where seq = 2;
                  delete from messages where seq = 3";
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(folder.path().join("test.db"));
    let mut connection = sqlx::ConnectOptions::connect(&options).await.unwrap();
    sqlx::raw_sql(remove)
        .execute(&mut connection)
        .await
        .unwrap();
    sqlx::Connection::close(connection).await.unwrap();
    let (code, printed) = run(&folder, &["doctor"]).await;
    assert_eq!(code, 1);
    assert!(
        printed.contains("the log of the room room-1 has 2 events"),
        "{printed}"
    );
    assert!(printed.contains("is in no log"), "{printed}");
    let lost = "a row of events names a row of messages that is missing";
    assert!(printed.contains(lost), "{printed}");
}
