//! What a person and a test harness do with the executable: start it, stop it, send and follow.

use std::process::Stdio;

use serde_json::{Value, json};
use sqlx::{ConnectOptions, Connection, sqlite::SqliteConnectOptions};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStderr, ChildStdout, Command},
};

use crate::{
    command_line::{switchboard, text},
    support::{Folder, app::TestApp, client::Client, http, wait_for},
};

const BINARY: &str = env!("CARGO_BIN_EXE_switchboard");

/// A running command, and the lines that it prints.
struct Running {
    child: Child,
    output: Lines<BufReader<ChildStdout>>,
    errors: Lines<BufReader<ChildStderr>>,
}

impl Running {
    fn start(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut child = Command::new(BINARY)
            .args(arguments)
            .env_remove("DATABASE_URL")
            .env_remove("PORT")
            .envs(environment.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self {
            output: BufReader::new(child.stdout.take().unwrap()).lines(),
            errors: BufReader::new(child.stderr.take().unwrap()).lines(),
            child,
        }
    }

    async fn line(&mut self) -> String {
        let line = wait_for("a line", self.output.next_line()).await;
        line.unwrap().expect("the command has ended")
    }

    /// Waits for a line on standard error that contains a text.
    async fn error_with(&mut self, part: &str) -> String {
        loop {
            let line = wait_for("a line", self.errors.next_line()).await;
            let line = line.unwrap().expect("the command has ended");
            if line.contains(part) {
                return line;
            }
        }
    }

    async fn signal(&self, name: &str) {
        let id = self.child.id().unwrap().to_string();
        let kill = Command::new("kill").args([name, &id]).status();
        assert!(wait_for("kill", kill).await.unwrap().success());
    }
}

/// The line of `--print-json`.
async fn ready(server: &mut Running) -> Value {
    serde_json::from_str(&server.line().await).unwrap()
}

#[tokio::test]
async fn an_ephemeral_server_prints_its_address_and_leaves_nothing_behind() {
    for flags in [&["--ephemeral"][..], &["--database", ":memory:"]] {
        let folder = Folder::new();
        let arguments = [&["--print-json", "--listen", "0"], flags].concat();
        let temporary = [("TMPDIR", folder.path().to_str().unwrap())];
        let mut server = Running::start(&arguments, &temporary);
        let ready = ready(&mut server).await;
        assert_eq!(ready["pid"], server.child.id().unwrap());
        assert_eq!(ready["version"], env!("CARGO_PKG_VERSION"));
        let address = ready["address"].as_str().unwrap();
        assert_eq!(ready["url"], format!("http://{address}/graphql"));
        assert_eq!(ready["webSocketUrl"], format!("ws://{address}/graphql"));
        let address: std::net::SocketAddr = address.parse().unwrap();
        let token = crate::crash::token(address).await;
        let mut ann = Client::connect(address, Some(&token)).await;
        ann.send_message("room-1", "x").await;
        drop(ann);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        server.signal("-TERM").await;
        let ended = wait_for("the end", server.child.wait()).await.unwrap();
        assert!(ended.success());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}

#[tokio::test]
async fn a_hangup_does_not_end_a_server_and_port_sets_the_port() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port().to_string();
    drop(free);
    let mut server = Running::start(&["--ephemeral", "--print-json"], &[("PORT", &port)]);
    let ready = ready(&mut server).await;
    let address: std::net::SocketAddr = ready["address"].as_str().unwrap().parse().unwrap();
    assert_eq!(address.to_string(), format!("127.0.0.1:{port}"));
    server.signal("-HUP").await;
    server.signal("-HUP").await;
    assert_eq!(http::get(address, "/readyz", &[]).await.status, 200);
    // The address is in use now, and the error says what to do.
    let second = switchboard(&["--ephemeral", "--listen", &port]).await;
    let error = text(&second.stderr);
    assert!(error.contains("stop the program that uses it"), "{error}");
    server.signal("-TERM").await;
    assert!(
        wait_for("the end", server.child.wait())
            .await
            .unwrap()
            .success()
    );
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused_in_a_sentence() {
    let folder = TestApp::start().await.finish().await;
    let path = folder.path().join("test.db");
    let mut database = SqliteConnectOptions::new()
        .filename(&path)
        .connect()
        .await
        .unwrap();
    let newer = "insert into _sqlx_migrations
                 select 9999, 'later', installed_on, success, checksum, execution_time
                 from _sqlx_migrations where version = 1";
    sqlx::query(newer).execute(&mut database).await.unwrap();
    database.close().await.unwrap();
    let path = path.to_str().unwrap();
    let refused = switchboard(&["--database", path, "--listen", "0"]).await;
    let error = text(&refused.stderr);
    assert_eq!(
        (refused.status.code(), error.lines().count()),
        (Some(2), 1),
        "{error}"
    );
    assert!(
        error.contains("a newer version of Switchboard has used it"),
        "{error}"
    );
}

#[tokio::test]
async fn commands_that_need_a_file_refuse_a_database_in_memory() {
    for command in [
        &["migrate"][..],
        &["doctor"],
        &["backup", "x.db"],
        &["restore", "x.db"],
        &["token", "--user", "ann"],
    ] {
        let output = switchboard(&[command, &["--database", ":memory:"]].concat()).await;
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{command:?}: {error}");
        assert!(error.contains("this command needs a file"), "{error}");
    }
}

#[tokio::test]
async fn token_signs_for_a_user_that_exists() {
    let app = TestApp::start().await;
    let mut ann = app.client(Some(&app.sign_in("ann").await)).await;
    let viewer = ann.execute("{ viewer { id } }", json!({})).await;
    let id = viewer["data"]["viewer"]["id"].as_str().unwrap();
    let database = app.folder.database();
    let token = switchboard(&["token", "--user-id", id, "--database", &database]).await;
    let mut again = app.client(Some(text(&token.stdout).trim())).await;
    let same = again.execute("{ viewer { id } }", json!({})).await;
    assert_eq!(same["data"]["viewer"]["id"], id);
    let unknown = "usr_00000000000000000000000000000001";
    for (arguments, reason) in [
        (&["--user-id", unknown][..], "there is no user with this id"),
        (&["--user-id", "ann"], "invalid value"),
        (&["--user-id", id, "--user", "ann"], "cannot be used with"),
        (&[], "--user <NAME>"),
    ] {
        let all = [&["token", "--database", &database], arguments].concat();
        let refused = switchboard(&all).await;
        let error = text(&refused.stderr);
        assert_eq!(refused.status.code(), Some(2), "{error}");
        assert!(error.contains(reason), "{error}");
    }
    drop((ann, again));
    app.finish().await;
}

#[tokio::test]
async fn send_keeps_its_guest_and_tail_says_that_it_is_connected() {
    let app = TestApp::start().await;
    let url = format!("http://{}/graphql", app.address());
    let state = Folder::new();
    let environment = [("XDG_STATE_HOME", state.path().to_str().unwrap())];
    let mut tail = Running::start(&["tail", "room-1", "--cursors", "--url", &url], &[]);
    tail.error_with("connected to").await;
    let send = async |more: &[&str]| {
        let all = [&["send", "room-1", "x", "--url", &url][..], more].concat();
        let mut sending = Running::start(&all, &environment);
        let cursor = sending.line().await;
        assert!(
            wait_for("the end", sending.child.wait())
                .await
                .unwrap()
                .success()
        );
        cursor
    };
    let first = send(&["--name", "ann", "--nonce", "1"]).await;
    assert!(tail.line().await.starts_with(&format!("{first}  ")));
    // The same guest and the same nonce: nothing new is stored.
    assert_eq!(send(&["--name", "ann", "--nonce", "1"]).await, first);
    let by_bob = send(&["--name", "bob", "--nonce", "1"]).await;
    assert_ne!(by_bob, first);
    assert!(tail.line().await.ends_with("  bob: x"));
    let guests = state.path().join("switchboard/guests.json");
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(
        std::fs::metadata(&guests).unwrap().permissions().mode() & 0o777,
        0o600
    );
    // A token that the server refuses is replaced.
    let text = std::fs::read_to_string(&guests).unwrap();
    let tokens: std::collections::BTreeMap<String, String> = serde_json::from_str(&text).unwrap();
    let damaged: std::collections::BTreeMap<_, _> =
        tokens.into_keys().map(|key| (key, "nonsense")).collect();
    std::fs::write(&guests, serde_json::to_string(&damaged).unwrap()).unwrap();
    let by_another_ann = send(&["--name", "ann", "--nonce", "1"]).await;
    assert_ne!(by_another_ann, first);
    drop(tail);
    app.finish().await;
}

#[tokio::test]
async fn the_operator_makes_a_user_an_owner_while_no_server_runs() {
    let app = TestApp::start().await;
    let ann = app.sign_in("ann").await;
    let mut client = app.client(Some(&ann)).await;
    let viewer = client.execute("{ viewer { id } }", json!({})).await;
    let user = viewer["data"]["viewer"]["id"].as_str().unwrap().to_owned();
    let rename = r#"mutation { updateRoom(id: "room-1", name: "Ours") { name } }"#;
    let refused = client.execute(rename, json!({})).await;
    assert_eq!(refused["errors"][0]["extensions"]["code"], "FORBIDDEN");
    drop(client);
    let path = app.folder.path().join("test.db");
    let path = path.to_str().unwrap().to_owned();
    let adopt = async |room: &str, user: &str| {
        let line = ["admin", "adopt", room, user, "--database", &path];
        let output = switchboard(&line).await;
        (
            output.status.code(),
            format!("{}{}", text(&output.stdout), text(&output.stderr)),
        )
    };
    let (code, running) = adopt("room-1", &user).await;
    assert_eq!(code, Some(2));
    assert!(running.contains("stop that server"), "{running}");

    let folder = app.finish().await;
    let owner = format!("{user} is an owner of room-1 now.\n");
    assert_eq!(adopt("room-1", &user).await, (Some(0), owner));
    let already = format!("{user} owns room-1 already.\n");
    assert_eq!(adopt("room-1", &user).await, (Some(0), already));
    let ghost = "usr_00000000000000000000000000000000";
    let (code, unknown) = adopt("room-1", ghost).await;
    assert_eq!(
        (code, unknown.trim()),
        (Some(2), &*format!("switchboard: there is no user {ghost}"))
    );
    let (code, unknown) = adopt("room-2", &user).await;
    assert_eq!(
        (code, unknown.trim()),
        (Some(2), "switchboard: there is no room room-2")
    );

    let app = TestApp::in_folder(folder, &[]).await;
    let mut client = app.client(Some(&ann)).await;
    let renamed = client.execute(rename, json!({})).await;
    assert_eq!(renamed["data"]["updateRoom"]["name"], "Ours", "{renamed}");
    drop(client);
    app.finish().await;
}
