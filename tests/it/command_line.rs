//! The real executable as a person meets it: good commands, and one clear line for bad ones.

use std::process::Output;

use tokio::process::Command;

use crate::support::{Folder, app::TestApp, soon};

async fn switchboard(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_switchboard"));
    command.args(arguments).env_remove("DATABASE_URL").env("USER", "ann").kill_on_drop(true);
    soon("the end of the command", command.output()).await.unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn what_cannot_start_says_why_in_one_line_and_exits_with_2() {
    let (app, folder) = (TestApp::start().await, Folder::new());
    let (taken, database) = (app.address().to_string(), folder.database());
    for (arguments, expected) in [
        (vec!["--database", &database, "--listen", &taken], "cannot listen on"),
        (vec!["--database", "sqlite:///proc/none/x.db", "--listen", "127.0.0.1:0"], "cannot open the database"),
        (vec!["--database", "sqlite:///dev/null/x.db", "--listen", "127.0.0.1:0"], "cannot open the database"),
        (vec!["--database", &database, "--listen", "0.0.0.0:0"], "--allow-remote-guests"),
        (vec!["--database", &database, "--log", "=nonsense="], "--log"),
    ] {
        let output = switchboard(&arguments).await;
        let error = text(&output.stderr);
        assert_eq!((output.status.code(), error.lines().count()), (Some(2), 1), "{arguments:?}: {error}");
        assert!(error.contains(expected) && output.stdout.is_empty(), "{error}");
    }
    for arguments in [&["--nope"][..], &["serve", "--init-timeout", "soon"], &["--database", "mysql://x"], &["fly"]] {
        let output = switchboard(arguments).await;
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(text(&output.stderr).starts_with("error: "), "{}", text(&output.stderr));
    }
    app.finish().await;
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let folder = Folder::new();
    let path = folder.path().join("test.db");
    std::fs::write(&path, "this is no database, and somebody may want it back\n".repeat(100)).unwrap();
    let before = std::fs::read(&path).unwrap();
    let output = switchboard(&["--database", &folder.database(), "--listen", "127.0.0.1:0"]).await;
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("cannot open the database"), "{}", text(&output.stderr));
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn a_database_of_something_else_is_refused_and_left_alone() {
    use sqlx::ConnectOptions;
    let folder = Folder::new();
    let path = folder.path().join("test.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let mut other = options.connect().await.unwrap();
    sqlx::raw_sql("create table zoo (animal text); insert into zoo values ('ape')").execute(&mut other).await.unwrap();
    sqlx::Connection::close(other).await.unwrap();
    let before = std::fs::read(&path).unwrap();
    let output = switchboard(&["--database", &folder.database(), "--listen", "127.0.0.1:0"]).await;
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("no database of this program"), "{}", text(&output.stderr));
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn schema_migrate_and_token() {
    let folder = Folder::new();
    let schema = switchboard(&["schema"]).await;
    assert_eq!(text(&schema.stdout), switchboard::schema::sdl());
    assert!(switchboard(&["migrate", "--database", &folder.database()]).await.status.success());
    let token = switchboard(&["token", "--user", "robot", "--database", &folder.database()]).await;
    let token = text(&token.stdout).trim();
    let app = TestApp::on(folder, &[]).await;
    let mut robot = app.client(Some(token)).await;
    let viewer = robot.ask("{ viewer { name } }", serde_json::json!({})).await;
    assert_eq!(viewer["data"]["viewer"]["name"], "robot");
    drop(robot);
    app.finish().await;
}

#[tokio::test]
async fn send_and_tail() {
    use tokio::io::{AsyncBufReadExt, BufReader};
    let app = TestApp::start().await;
    let url = format!("http://{}/graphql", app.address());
    let sent = switchboard(&["send", "room-1", "one", "--url", &url]).await;
    assert!(sent.status.success(), "{}", text(&sent.stderr));
    let first = text(&sent.stdout).trim().to_owned();
    switchboard(&["send", "room-1", "two", "--url", &url]).await;

    let mut tail = Command::new(env!("CARGO_BIN_EXE_switchboard"))
        .args(["tail", "room-1", "--after", &first, "--url", &url])
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(tail.stdout.take().unwrap()).lines();
    let mut line = async || soon("a line", lines.next_line()).await.unwrap().unwrap();
    assert!(line().await.ends_with("  ann: two"));
    switchboard(&["send", "room-1", "three\n\x1b[2J", "--url", &url, "--name", "bob"]).await;
    assert!(line().await.ends_with("  bob: three\\n\\u{1b}[2J"), "other people's texts are one line of text");
    soon("the end of tail", tail.kill()).await.unwrap();

    for arguments in [&["send", "nowhere", "x", "--url", &url][..], &["send", "room-1", "", "--url", &url]] {
        let output = switchboard(arguments).await;
        let error = text(&output.stderr);
        assert_eq!((output.status.code(), error.lines().count()), (Some(1), 1), "{error}");
    }
    let output = switchboard(&["tail", "room-1", "--url", "http://127.0.0.1:1/graphql"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("cannot reach"), "{}", text(&output.stderr));
    app.finish().await;
}
