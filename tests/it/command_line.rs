//! The executable as a person uses it: commands that work, and one clear line for each error.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Output,
};

use clap::Parser;
use switchboard::config::CommandLine;
use tokio::process::Command;

use crate::support::{Folder, app::TestApp, wait_for};

pub(crate) async fn switchboard(arguments: &[&str]) -> Output {
    switchboard_in(&[], arguments).await
}

async fn switchboard_in(environment: &[(&str, &str)], arguments: &[&str]) -> Output {
    let state = Folder::new();
    let mut command = Command::new(env!("CARGO_BIN_EXE_switchboard"));
    command
        .args(arguments)
        .env_remove("DATABASE_URL")
        .env_remove("PORT")
        .env("XDG_STATE_HOME", state.path())
        .env("USER", "ann")
        .envs(environment.iter().copied())
        .kill_on_drop(true);
    wait_for("the end of the command", command.output())
        .await
        .unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

async fn assert_invalid_arguments_exit_with_2() {
    for arguments in [
        &["--nope"][..],
        &["serve", "--init-timeout", "soon"],
        &["--database", "mysql://x"],
        &["fly"],
    ] {
        let output = switchboard(arguments).await;
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(
            text(&output.stderr).starts_with("error: "),
            "{}",
            text(&output.stderr)
        );
    }
}

#[tokio::test]
async fn a_server_that_cannot_start_prints_one_line_and_exits_with_2() {
    let (app, folder) = (TestApp::start().await, Folder::new());
    let (taken, database) = (app.address().to_string(), folder.database());
    for (arguments, expected) in [
        (
            vec!["--database", &database, "--listen", &taken],
            "cannot listen on",
        ),
        (
            vec![
                "--database",
                "sqlite:///proc/none/x.db",
                "--listen",
                "127.0.0.1:0",
            ],
            "cannot open the database",
        ),
        (
            vec![
                "--database",
                "sqlite:///dev/null/x.db",
                "--listen",
                "127.0.0.1:0",
            ],
            "cannot open the database",
        ),
        (
            vec!["--database", &database, "--listen", "0.0.0.0:0"],
            "--allow-remote-guests",
        ),
        (
            vec!["--database", &database, "--log", "=nonsense="],
            "--log",
        ),
    ] {
        let output = switchboard(&arguments).await;
        let error = text(&output.stderr);
        assert_eq!(
            (output.status.code(), error.lines().count()),
            (Some(2), 1),
            "{arguments:?}: {error}"
        );
        assert!(
            error.contains(expected) && output.stdout.is_empty(),
            "{error}"
        );
    }
    assert_invalid_arguments_exit_with_2().await;
    app.finish().await;
}

#[tokio::test]
async fn a_limit_is_read_from_the_environment_and_its_flag_overrides_it() {
    // Both are refused by a check that runs before the server starts; the limit is checked first.
    let environment = [("SWITCHBOARD_DOCUMENT_NESTING_MAX", "201")];
    for (flags, refused) in [
        (&["--tls-cert", "x.pem"][..], "--document-nesting-max"),
        (
            &["--tls-cert", "x.pem", "--document-nesting-max", "64"],
            "--tls-key",
        ),
    ] {
        let output = switchboard_in(&environment, flags).await;
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains(refused), "{error}");
    }
    let output = switchboard_in(&[("SWITCHBOARD_CONNECTIONS_MAX", "many")], &[]).await;
    let error = text(&output.stderr);
    assert!(error.contains("--connections-max <N>"), "{error}");
}

#[tokio::test]
async fn a_file_that_is_not_a_database_is_refused_and_not_changed() {
    let folder = Folder::new();
    let path = folder.path().join("test.db");
    std::fs::write(
        &path,
        "this is no database, and somebody may want it back\n".repeat(100),
    )
    .unwrap();
    let before = std::fs::read(&path).unwrap();
    let output = switchboard(&["--database", &folder.database(), "--listen", "127.0.0.1:0"]).await;
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains("cannot open the database"),
        "{}",
        text(&output.stderr)
    );
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn a_database_of_another_program_is_refused_and_not_changed() {
    use sqlx::ConnectOptions;
    let folder = Folder::new();
    let path = folder.path().join("test.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(&path)
        .create_if_missing(true);
    let mut other = options.connect().await.unwrap();
    sqlx::raw_sql("create table zoo (animal text); insert into zoo values ('ape')")
        .execute(&mut other)
        .await
        .unwrap();
    sqlx::Connection::close(other).await.unwrap();
    let before = std::fs::read(&path).unwrap();
    let output = switchboard(&["--database", &folder.database(), "--listen", "127.0.0.1:0"]).await;
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains("it holds the tables of another program"),
        "{}",
        text(&output.stderr)
    );
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn the_commands_schema_migrate_and_token_work() {
    let folder = Folder::new();
    let schema = switchboard(&["schema"]).await;
    assert_eq!(text(&schema.stdout), switchboard::schema::sdl());
    assert!(
        switchboard(&["migrate", "--database", &folder.database()])
            .await
            .status
            .success()
    );
    let token = switchboard(&["token", "--user", "robot", "--database", &folder.database()]).await;
    let token = text(&token.stdout).trim();
    let app = TestApp::in_folder(folder, &[]).await;
    let mut robot = app.client(Some(token)).await;
    let viewer = robot
        .execute("{ viewer { name } }", serde_json::json!({}))
        .await;
    assert_eq!(viewer["data"]["viewer"]["name"], "robot");
    drop(robot);
    app.finish().await;
}

#[tokio::test]
async fn the_commands_send_and_tail_work() {
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
    let mut line = async || {
        wait_for("a line", lines.next_line())
            .await
            .unwrap()
            .unwrap()
    };
    assert!(line().await.ends_with("  ann: two"));
    switchboard(&[
        "send",
        "room-1",
        "three\n\x1b[2J",
        "--url",
        &url,
        "--name",
        "bob",
    ])
    .await;
    assert!(
        line().await.ends_with("  bob: three\\n\\u{1b}[2J"),
        "a text of another user is printed as one line"
    );
    wait_for("the end of tail", tail.kill()).await.unwrap();

    for arguments in [
        &["send", "nowhere", "x", "--url", &url][..],
        &["send", "room-1", "", "--url", &url],
    ] {
        let output = switchboard(arguments).await;
        let error = text(&output.stderr);
        assert_eq!(
            (output.status.code(), error.lines().count()),
            (Some(1), 1),
            "{error}"
        );
    }
    let output = switchboard(&["tail", "room-1", "--url", "http://127.0.0.1:1/graphql"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("cannot reach"),
        "{}",
        text(&output.stderr)
    );
    app.finish().await;
}

/// The flags and their defaults in the chapter *Limits* of the help. Times are in milliseconds.
fn limits_of_the_help(help: &str) -> BTreeMap<String, u64> {
    let (_, limits) = help
        .split_once("\nLimits (")
        .expect("the help has no chapter of limits");
    let mut flags = BTreeMap::new();
    for paragraph in limits.split("\n      --").skip(1) {
        let flag = paragraph.split_whitespace().next().unwrap();
        let default = paragraph
            .split("[default: ")
            .nth(1)
            .and_then(|rest| rest.split(']').next());
        let default = default.unwrap_or_else(|| panic!("--{flag} has no default"));
        let number = match paragraph.contains(" <TIME>") {
            true => u64::try_from(humantime::parse_duration(default).unwrap().as_millis()).unwrap(),
            false => default.parse().unwrap(),
        };
        flags.insert(format!("--{flag}"), number);
    }
    flags
}

/// Parses a default as the documentation writes it, for example `64 KiB`. Times become
/// milliseconds.
fn number(text: &str) -> u64 {
    let (digits, unit) = text.split_once(' ').unwrap_or((text, ""));
    let factor = match unit {
        "" | "ms" => 1,
        "s" => 1_000,
        "KiB" => 1024,
        "MiB" => 1024 * 1024,
        _ => panic!("{text}: unknown unit"),
    };
    digits
        .parse::<u64>()
        .unwrap_or_else(|error| panic!("{text}: {error}"))
        * factor
}

/// A flag in the tables of docs/OPERATING.md.
struct Documented {
    default: u64,
    /// Whether it is marked as a limit that `--no-rate-limits` lifts.
    lifted: bool,
}

fn limits_of_the_documentation() -> BTreeMap<String, Documented> {
    let text = include_str!("../../docs/OPERATING.md");
    let (_, chapter) = text.split_once("\n## Limits\n").unwrap();
    let (chapter, _) = chapter.split_once("\n## ").unwrap();
    let mut flags = BTreeMap::new();
    for row in chapter.lines().filter(|line| line.starts_with("| `--")) {
        let cells: Vec<_> = row.split(" | ").collect();
        let [names, defaults, _] = cells[..] else {
            panic!("{row}: expected three columns")
        };
        let named: Vec<_> = names
            .split("`--")
            .skip(1)
            .map(|rest| rest.split_once('`').unwrap())
            .collect();
        let defaults: Vec<_> = defaults.split(", ").map(number).collect();
        assert_eq!(named.len(), defaults.len(), "{row}");
        for ((name, behind), default) in named.into_iter().zip(defaults) {
            let documented = Documented {
                default,
                lifted: behind.starts_with(" *"),
            };
            assert!(
                flags.insert(format!("--{name}"), documented).is_none(),
                "--{name} is listed twice"
            );
        }
    }
    flags
}

#[tokio::test]
async fn the_documentation_lists_exactly_the_limits_of_the_help_with_their_defaults() {
    let output = switchboard(&["--help", "limits"]).await;
    let (help, documented) = (
        limits_of_the_help(text(&output.stdout)),
        limits_of_the_documentation(),
    );
    assert!(help.len() > 80, "{help:?}");
    for (flag, default) in &help {
        let found = documented
            .get(flag)
            .unwrap_or_else(|| panic!("{flag} is not in a table of docs/OPERATING.md"));
        assert_eq!(found.default, *default, "{flag}");
    }
    let unknown: Vec<_> = documented
        .keys()
        .filter(|flag| !help.contains_key(*flag))
        .collect();
    assert!(unknown.is_empty(), "these flags do not exist: {unknown:?}");
}

#[test]
fn the_documentation_marks_exactly_the_limits_that_no_rate_limits_lifts() {
    let parse = |flags: &[&str]| {
        let flags = CommandLine::try_parse_from(["switchboard"].iter().chain(flags)).unwrap();
        format!("{:#?}", flags.serve.limits())
    };
    let (with, without) = (parse(&[]), parse(&["--no-rate-limits"]));
    let changed = with
        .lines()
        .zip(without.lines())
        .filter(|(with, without)| with != without);
    let lifted: BTreeSet<_> = changed
        .map(|(line, _)| {
            format!(
                "--{}",
                line.trim().split(':').next().unwrap().replace('_', "-")
            )
        })
        .collect();
    let documented = limits_of_the_documentation();
    let marked: BTreeSet<_> = documented
        .into_iter()
        .filter(|(_, limit)| limit.lifted)
        .map(|(flag, _)| flag)
        .collect();
    assert!(
        lifted.len() > 5 && lifted == marked,
        "lifted: {lifted:#?}\nmarked: {marked:#?}"
    );
}

#[tokio::test]
async fn every_flag_in_the_documentation_exists() {
    let mut known = String::new();
    for command in [
        &["--help"][..],
        &["--help", "limits"],
        &["token", "--help"],
        &["send", "--help"],
        &["tail", "--help"],
        &["migrate", "--help"],
    ] {
        known += text(&switchboard(command).await.stdout);
    }
    let flags: BTreeSet<_> = words_of_flags(&known).collect();
    for (file, document) in [
        ("README.md", include_str!("../../README.md")),
        ("docs/OPERATING.md", include_str!("../../docs/OPERATING.md")),
        ("docs/PROTOCOL.md", include_str!("../../docs/PROTOCOL.md")),
        ("docs/TESTING.md", include_str!("../../docs/TESTING.md")),
    ] {
        // Flags in longer code are examples that may belong to other programs.
        let ours = document.split('`').filter(|code| code.starts_with("--"));
        for flag in ours.flat_map(words_of_flags) {
            assert!(
                flags.contains(flag),
                "{file} names {flag}, which no command has"
            );
        }
    }
}

/// All words in a text that look like flags.
fn words_of_flags(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'));
    words.filter(|word| word.starts_with("--") && word.len() > 2)
}
