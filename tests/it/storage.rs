//! Faults of the database's files under a running server: what was answered is not lost.

use std::fs;

use serde_json::json;
use sqlx::{ConnectOptions, Connection, sqlite::SqliteConnectOptions};
use switchboard::server::StartError;

use crate::support::{
    app::TestApp,
    client::{Client, NEW_MESSAGE},
    http::{Reply, get},
    wait_for,
};

/// Sends a message. Returns the code of the error, or an empty text.
async fn send(client: &mut Client, text: &str) -> String {
    let query = "mutation ($text: String!) { sendMessage(roomId: \"room-1\", text: $text) { id } }";
    let result = client.execute(query, json!({ "text": text })).await;
    let code = &result["errors"][0]["extensions"]["code"];
    code.as_str().unwrap_or_default().to_owned()
}

/// Waits until the server is not ready. Returns its answer.
async fn unready(app: &TestApp) -> Reply {
    let asking = async {
        loop {
            let reply = get(app.address(), "/readyz", &[]).await;
            if reply.status != 200 {
                return reply;
            }
        }
    };
    wait_for("the server to be unready", asking).await
}

/// Breaks the files of a server, and checks that it refuses writes, says why, and serves reads.
async fn assert_refuses_writes(break_files: impl FnOnce(&std::path::Path), reason: &str) {
    let app = TestApp::start().await;
    let mut ann = app.client(Some(&app.sign_in("ann").await)).await;
    assert_eq!(send(&mut ann, "before").await, "");
    break_files(&app.folder.path().join("test.db"));
    assert_eq!(send(&mut ann, "after").await, "UNAVAILABLE", "{reason}");
    let reply = get(app.address(), "/readyz", &[]).await;
    assert_eq!((reply.status, reply.body.trim()), (503, reason));
    assert_eq!(reply.header("retry-after"), Some("1"));
    let sign_in = "mutation { signIn(name: \"bob\") { token } }";
    let refused = ann.execute(sign_in, json!({})).await;
    let extensions = &refused["errors"][0]["extensions"];
    assert_eq!(
        *extensions,
        json!({ "code": "UNAVAILABLE", "retryAfter": 5 })
    );
    let read = ann.execute("{ room(id: \"room-1\") { id } }", json!({}));
    assert_eq!(read.await["data"]["room"]["id"], "room-1");
    drop(ann);
    app.finish().await;
}

#[tokio::test]
async fn s8_nothing_is_acknowledged_after_the_database_file_is_gone() {
    let gone = "a file of the database is gone";
    assert_refuses_writes(|path| fs::remove_file(path).unwrap(), gone).await;
    let moved = |path: &std::path::Path| fs::rename(path, path.with_extension("old")).unwrap();
    assert_refuses_writes(moved, gone).await;
    let wal = |path: &std::path::Path| fs::remove_file(path.with_extension("db-wal")).unwrap();
    assert_refuses_writes(wal, gone).await;
}

#[tokio::test]
async fn s8_nothing_is_acknowledged_after_the_database_file_was_replaced() {
    let replace = |path: &std::path::Path| {
        let copy = path.with_extension("copy");
        fs::copy(path, &copy).unwrap();
        fs::rename(&copy, path).unwrap();
    };
    assert_refuses_writes(replace, "a file of the database was replaced").await;
}

#[tokio::test]
async fn s8_nothing_is_acknowledged_after_a_backup_was_copied_over_the_database_file() {
    let overwrite = |path: &std::path::Path| {
        let backup = fs::read(path).unwrap();
        // Into the same file, as `cp` does.
        fs::write(path, backup).unwrap();
    };
    let reason = "another process has written to the database file";
    assert_refuses_writes(overwrite, reason).await;
}

#[tokio::test]
async fn a_fault_is_found_without_writes() {
    let app = TestApp::start().await;
    fs::remove_file(app.folder.path().join("test.db")).unwrap();
    assert_eq!(
        unready(&app).await.body.trim(),
        "a file of the database is gone"
    );
    app.finish().await;
}

#[tokio::test]
async fn a_second_server_on_one_database_is_refused() {
    let app = TestApp::start().await;
    for database in [app.folder.database(), {
        let link = app.folder.path().join("link.db");
        std::os::unix::fs::symlink(app.folder.path().join("test.db"), &link).unwrap();
        format!("sqlite://{}", link.display())
    }] {
        let Err(error) = TestApp::try_start(&["--database", &database]).await else {
            panic!("a second server started");
        };
        assert!(matches!(error, StartError::Store(_)));
        assert!(
            error
                .to_string()
                .contains("another Switchboard server uses it"),
            "{error}"
        );
    }
    let folder = app.finish().await;
    // The lock ends with the server.
    TestApp::in_folder(folder, &[]).await.finish().await;
}

#[tokio::test]
async fn the_write_ahead_log_shrinks_after_a_long_read() {
    let app = TestApp::with_flags(&["--wal-bytes-max", "100000"]).await;
    let mut ann = app.client(Some(&app.sign_in("ann").await)).await;
    let path = app.folder.path().join("test.db");
    let options = SqliteConnectOptions::new().filename(&path).read_only(true);
    let mut reader = options.connect().await.unwrap();
    let mut reading = reader.begin().await.unwrap();
    sqlx::query("select count(*) from messages")
        .fetch_one(&mut *reading)
        .await
        .unwrap();
    for _ in 0..100 {
        assert_eq!(send(&mut ann, &"x".repeat(8000)).await, "");
    }
    let wal_bytes = || fs::metadata(path.with_extension("db-wal")).unwrap().len();
    assert!(wal_bytes() > 500_000);
    reading.rollback().await.unwrap();
    let shrinking = async {
        while wal_bytes() > 100_000 {
            tokio::task::yield_now().await;
        }
    };
    wait_for("the log to shrink", shrinking).await;
    assert_eq!(send(&mut ann, "after").await, "");
    drop((ann, reader));
    app.finish().await;
}

#[tokio::test]
async fn a_cursor_of_a_lost_event_is_expired_after_a_backup_was_restored() {
    let app = TestApp::start().await;
    let mut ann = app.client(Some(&app.sign_in("ann").await)).await;
    for text in ["1", "2"] {
        assert_eq!(send(&mut ann, text).await, "");
    }
    let kept = ann.head("room-1").await;
    drop(ann);
    // The files of a stopped server are a backup.
    let folder = app.finish().await;
    let path = folder.path().join("test.db");
    let backup = fs::read(&path).unwrap();

    let app = TestApp::in_folder(folder, &[]).await;
    let mut ann = app.client(Some(&app.sign_in("ann").await)).await;
    for text in ["3", "4", "5"] {
        assert_eq!(send(&mut ann, text).await, "");
    }
    let query = "{ messages(roomId: \"room-1\") { nodes { cursor } } }";
    let page = ann.execute(query, json!({})).await;
    let nodes = page["data"]["messages"]["nodes"]
        .as_array()
        .unwrap()
        .clone();
    let lost: Vec<_> = nodes[2..]
        .iter()
        .map(|node| node["cursor"].as_str().unwrap().to_owned())
        .collect();
    let head = ann.head("room-1").await;
    drop(ann);
    let folder = app.finish().await;
    fs::write(&path, backup).unwrap();

    let app = TestApp::in_folder(folder, &[]).await;
    let mut ann = app.client(Some(&app.sign_in("ann").await)).await;
    // The new log grows past the old one.
    for text in ["c", "d", "e", "f"] {
        assert_eq!(send(&mut ann, text).await, "");
    }
    let after =
        "query ($after: Cursor) { messages(roomId: \"room-1\", after: $after) { nodes { text } } }";
    for cursor in lost.iter().chain([&head]) {
        let page = ann.execute(after, json!({ "after": cursor })).await;
        assert_eq!(page["errors"][0]["extensions"]["code"], "CURSOR_EXPIRED");
        let poll = "query ($after: Cursor!) { pollMessages(roomId: \"room-1\", after: $after, wait: 0) { cursor } }";
        let polled = ann.execute(poll, json!({ "after": cursor })).await;
        assert_eq!(polled["errors"][0]["extensions"]["code"], "CURSOR_EXPIRED");
        let variables = json!({ "room": "room-1", "after": cursor });
        let refused = ann.execute_refused(NEW_MESSAGE, variables).await;
        assert_eq!(refused[0]["extensions"]["code"], "CURSOR_EXPIRED");
    }
    let page = ann.execute(after, json!({ "after": kept })).await;
    let texts: Vec<_> = page["data"]["messages"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| node["text"].as_str().unwrap())
        .collect();
    assert_eq!(texts, ["c", "d", "e", "f"]);
    drop(ann);
    app.finish().await;
}
