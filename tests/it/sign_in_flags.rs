//! Flags for sign-in: errors in one line, secrets that are never shown, and tokens for scripts.

use std::process::{Output, Stdio};

use clap::Parser;
use serde_json::json;
use switchboard::config::CommandLine;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::Command,
};
use tracing::Level;

use crate::support::{
    Folder,
    app::TestApp,
    http,
    logs::Logs,
    provider::Provider,
    tokens::{claims, jwk, key_path, key_pem, sign},
    wait_for,
};

const SECRET: &str = "hunter2-hunter2-hunter2-hunter2-hunter2";

fn program(arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_switchboard"));
    command
        .args(arguments)
        .env_remove("DATABASE_URL")
        .envs(environment.iter().copied())
        .kill_on_drop(true);
    command
}

async fn switchboard(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    wait_for(
        "the end of the command",
        program(arguments, environment).output(),
    )
    .await
    .unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Checks that the server does not start, prints one line, and shows no part of a secret.
async fn assert_refused_in_one_line(database: &str, arguments: &[&str], expected: &str) {
    let arguments = [
        &["--database", database, "--listen", "127.0.0.1:0"],
        arguments,
    ]
    .concat();
    let output = switchboard(&arguments, &[]).await;
    let error = text(&output.stderr);
    assert_eq!(
        (output.status.code(), error.lines().count()),
        (Some(2), 1),
        "{arguments:?}: {error}"
    );
    assert!(
        error.contains(expected) && output.stdout.is_empty(),
        "{expected}: {error}"
    );
    assert!(
        !error.contains("hunter2") && !error.contains("short-short") && !error.contains("MFk"),
        "{error}"
    );
}

/// Combinations of flags that are invalid, with a part of the error.
fn invalid_combinations() -> Vec<(Vec<&'static str>, &'static str)> {
    let jwt = |more: &[&'static str]| [&["--auth", "jwt"], more].concat();
    vec![
        (jwt(&[]), "needs a key"),
        (
            jwt(&["--jwt-secret", "short-short-short-short-short-1"]),
            "--jwt-secret: the secret has 31 bytes",
        ),
        (
            jwt(&["--jwt-secret", SECRET, "--jwks-url", "https://x"]),
            "not several",
        ),
        (
            jwt(&["--jwt-public-key", "-----BEGIN"]),
            "--jwt-public-key: this is not PEM",
        ),
        (
            jwt(&["--jwks-url", "http://example.test/keys"]),
            "http:// only on loopback",
        ),
        (
            jwt(&["--jwks-url", "ftp://example.test/keys"]),
            "write it like https://",
        ),
        (
            jwt(&["--jwks-url", "https://ann:hunter2@example.test/keys"]),
            "leave out the user",
        ),
        (jwt(&["--jwks-url", "keys"]), "write it like https://"),
        (jwt(&["--jwks-url", "https://"]), "this is not a URL"),
        (
            jwt(&["--jwt-secret", SECRET, "--jwt-leeway", "11m"]),
            "--jwt-leeway: at most 10 minutes",
        ),
        (
            jwt(&["--jwt-secret", SECRET, "--jwt-issuer", ""]),
            "--jwt-issuer is empty",
        ),
        (
            vec!["--jwt-secret", SECRET],
            "--jwt-secret is for --auth jwt",
        ),
        (
            vec!["--jwks-url", "https://x"],
            "--jwks-url is for --auth jwt",
        ),
        (
            vec!["--auth", "guest", "--jwt-leeway", "1s"],
            "--jwt-leeway is for --auth jwt",
        ),
    ]
}

#[tokio::test]
async fn invalid_flags_print_one_line_and_exit_with_2() {
    let folder = Folder::new();
    let (database, key) = (folder.database(), key_path("ec.pub.pem"));
    let absent = folder.path().join("none.pem").display().to_string();
    let (weak, unsupported, private) = (
        key_path("weak.pub.pem"),
        key_path("ec521.pub.pem"),
        key_pem("ec.pem"),
    );
    let (certificate, broken) = (
        key_path("tls.pem"),
        key_pem("ec.pub.pem").replacen("MFk", "MFm", 1),
    );
    let mut cases = Vec::new();
    for (given, expected) in [
        (&absent, "neither PEM nor a file that can be read"),
        (&weak, "the RSA key has 1024 bits"),
        (&unsupported, "keys of this algorithm are not supported"),
        (
            &private,
            "\"PRIVATE KEY\" is not supported; give its public key",
        ),
        (&certificate, "\"CERTIFICATE\" is not supported"),
        (&broken, "the key is damaged"),
    ] {
        cases.push((vec!["--auth", "jwt", "--jwt-public-key", given], expected));
    }
    cases.push((
        vec![
            "--auth",
            "jwt",
            "--jwt-public-key",
            &key,
            "--jwt-secret",
            SECRET,
        ],
        "not several",
    ));
    for (arguments, expected) in invalid_combinations().into_iter().chain(cases) {
        assert_refused_in_one_line(&database, &arguments, expected).await;
    }
    assert_eq!(
        switchboard(&["--auth", "basic"], &[]).await.status.code(),
        Some(2)
    );
}

/// Runs and stops a server with everything logged.
async fn assert_log_shows_no_secret() {
    let logs = Logs::capture(Level::TRACE);
    let app = TestApp::with_flags(&["--auth", "jwt", "--jwt-secret", SECRET]).await;
    let signer = switchboard::auth::Signer::secret(SECRET.as_bytes()).unwrap();
    let token = signer.sign(&json!({ "sub": "ann", "exp": 4_000_000_000_i64 }));
    assert_eq!(app.whoami(&token).await, (200, "ann".to_owned()));
    let mut ann = app.client(Some(&token)).await;
    let refresh = "mutation ($token: String!) { refreshSession(token: $token) { token } }";
    ann.execute(refresh, json!({ "token": token })).await;
    ann.execute("mutation { signOut }", json!({})).await;
    assert_eq!(app.whoami(&token).await.0, 401);
    drop(ann);
    app.finish().await;
    let (log, signature) = (logs.take(), token.rsplit('.').next().unwrap().to_owned());
    assert!(log.contains("a token was refused"), "{log}");
    let own = log.lines().filter(|line| line.contains("switchboard"));
    for line in own {
        assert!(
            !line.contains("hunter2") && !line.contains(&signature),
            "{line}"
        );
    }
}

#[tokio::test]
async fn a3_secrets_appear_in_no_help_debug_output_or_log() {
    let _ = SECRET;
    let environment = [
        ("SWITCHBOARD_JWT_SECRET", SECRET),
        ("SWITCHBOARD_JWKS_URL", "https://host/keys?key=hunter2"),
        ("SWITCHBOARD_JWT_PUBLIC_KEY", "hunter2"),
        ("SWITCHBOARD_JWT_PRIVATE_KEY", "hunter2"),
        ("SWITCHBOARD_TOKEN", "hunter2"),
    ];
    for arguments in [
        &["--help"][..],
        &["serve", "--help"],
        &["token", "--help"],
        &["send", "--help"],
        &["-h"],
    ] {
        let output = switchboard(arguments, &environment).await;
        assert!(
            output.status.success() && !text(&output.stdout).contains("hunter2"),
            "{}",
            text(&output.stdout)
        );
    }
    for line in [
        &[
            "switchboard",
            "--auth",
            "jwt",
            "--jwt-secret",
            SECRET,
            "--jwks-url",
            "https://host/?key=hunter2",
        ][..],
        &[
            "switchboard",
            "token",
            "--user",
            "ann",
            "--auth",
            "jwt",
            "--jwt-private-key",
            "hunter2",
        ],
        &["switchboard", "tail", "room-1", "--token", "hunter2"],
    ] {
        let shown = format!("{:?}", CommandLine::try_parse_from(line).unwrap());
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    assert_log_shows_no_secret().await;
}

/// Checks that the command refuses missing, unusable and superfluous keys in one line.
async fn assert_token_needs_one_valid_key() {
    let key = key_path("other.pem");
    let folder = Folder::new();
    let database = folder.database();
    for (arguments, expected) in [
        (
            &["--auth", "jwt"][..],
            "give --jwt-secret or --jwt-private-key",
        ),
        (
            &[
                "--auth",
                "jwt",
                "--jwt-secret",
                SECRET,
                "--jwt-private-key",
                &key,
            ],
            "not both",
        ),
        (
            &["--auth", "jwt", "--jwt-private-key", "/dev/null"],
            "--jwt-private-key: this is not PEM",
        ),
        (
            &[
                "--auth",
                "jwt",
                "--jwt-private-key",
                &key_path("ec.pub.pem"),
            ],
            "give a PRIVATE KEY",
        ),
        (&["--jwt-private-key", &key], "for --auth jwt"),
        (&["--jwt-secret", SECRET], "for --auth jwt"),
    ] {
        let output = switchboard(
            &[
                &["token", "--user", "x", "--database", &database],
                arguments,
            ]
            .concat(),
            &[],
        )
        .await;
        let error = text(&output.stderr);
        assert_eq!(
            (output.status.code(), error.lines().count()),
            (Some(2), 1),
            "{arguments:?}: {error}"
        );
        assert!(error.contains(expected), "{expected}: {error}");
    }
}

/// Checks that a server accepts the token that the command printed.
async fn assert_is_robot(app: TestApp, output: &Output) {
    let token = text(&output.stdout).trim();
    assert_eq!(app.whoami(token).await, (200, "robot".to_owned()));
    app.finish().await;
}

/// Checks a token that names its key, at a server that fetches several keys from a provider.
async fn assert_token_may_name_its_key() {
    let provider = Provider::start(&[jwk("ec.pem", "one"), jwk("other.pem", "two")]).await;
    let app = TestApp::with_flags(&["--auth", "jwt", "--jwks-url", &provider.url()]).await;
    let key = key_path("other.pem");
    let named = [
        "token",
        "--user",
        "robot",
        "--auth",
        "jwt",
        "--jwt-private-key",
        &key,
        "--jwt-key-id",
        "two",
    ]
    .map(str::to_owned);
    let output = switchboard(&named.each_ref().map(String::as_str), &[]).await;
    assert_is_robot(app, &output).await;
}

#[tokio::test]
async fn the_token_command_makes_tokens_that_servers_with_the_key_accept() {
    let shape = [
        "--jwt-issuer",
        "https://issuer.test",
        "--jwt-audience",
        "switchboard",
    ];
    for (public, private) in [
        ("rsa.pub.pem", "rsa.pem"),
        ("ec.pub.pem", "ec.pem"),
        ("ed.pub.pem", "ed.pem"),
    ] {
        let key = key_path(private);
        let arguments = [
            &[
                "token",
                "--user",
                "robot",
                "--auth",
                "jwt",
                "--jwt-private-key",
                &key,
            ],
            &shape[..],
        ]
        .concat();
        let output = switchboard(&arguments, &[]).await;
        assert!(output.status.success(), "{}", text(&output.stderr));
        let app = TestApp::with_flags(
            &[
                &["--auth", "jwt", "--jwt-public-key", &key_path(public)],
                &shape[..],
            ]
            .concat(),
        )
        .await;
        assert_is_robot(app, &output).await;
    }
    let environment = [
        ("SWITCHBOARD_JWT_SECRET", SECRET),
        ("SWITCHBOARD_AUTH", "jwt"),
    ];
    let output = switchboard(
        &["token", "--user", "robot", "--lifetime", "1h"],
        &environment,
    )
    .await;
    let app = TestApp::with_flags(&["--auth", "jwt", "--jwt-secret", SECRET]).await;
    assert_is_robot(app, &output).await;

    assert_token_may_name_its_key().await;
    assert_token_needs_one_valid_key().await;
}

#[tokio::test]
async fn keys_are_fetched_over_tls_only_from_trusted_servers() {
    let provider = Provider::start_tls(&[jwk("ec.pem", "one")]).await;
    let port = provider.address.port();
    let (trusted, url) = (
        key_path("ca.pem"),
        format!("https://localhost:{port}/keys.json"),
    );
    let other = key_path("ec521.pub.pem");
    // The certificate is valid for `localhost` only. A machine without trusted roots does not
    // start.
    for (roots, url, expected) in [
        (&trusted, url.clone(), 200),
        (&trusted, url.replace("localhost", "127.0.0.1"), 503),
    ] {
        let (status, _) = ask(&url, roots).await;
        assert_eq!(status, expected, "{url} {roots}");
    }
    let folder = Folder::new();
    let line = [
        "--listen",
        "127.0.0.1:0",
        "--database",
        &folder.database(),
        "--auth",
        "jwt",
        "--jwks-url",
        &url,
    ];
    let output = switchboard(
        &line,
        &[("SSL_CERT_FILE", &other), ("SSL_CERT_DIR", "/nonexistent")],
    )
    .await;
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains("this machine trusts no certificates"),
        "{}",
        text(&output.stderr)
    );
}

/// Runs the executable with these trusted roots. Returns the status of a request with a token of
/// the provider, and the log.
async fn ask(url: &str, roots: &str) -> (u16, String) {
    let folder = Folder::new();
    let database = folder.database();
    let line = [
        "--listen",
        "127.0.0.1:0",
        "--database",
        &database,
        "--auth",
        "jwt",
        "--jwks-url",
        url,
    ];
    let more = [
        "--jwt-audience",
        "switchboard",
        "--jwks-refetch-interval",
        "0s",
    ];
    let mut server = program(
        &[&line[..], &more].concat(),
        &[("SSL_CERT_FILE", roots), ("SSL_CERT_DIR", "/nonexistent")],
    )
    .stdout(Stdio::piped())
    .stderr(Stdio::piped())
    .spawn()
    .unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let address: std::net::SocketAddr = loop {
        let line = wait_for("the address", lines.next_line())
            .await
            .unwrap()
            .unwrap();
        if let Some((_, address)) = line
            .split_once("http://")
            .filter(|_| line.contains("endpoint"))
        {
            break address.split('/').next().unwrap().parse().unwrap();
        }
    };
    let bearer = format!("Bearer {}", sign("ec.pem", Some("one"), &claims("ann")));
    let reply = http::post(
        address,
        r#"{"query":"{ viewer { name } }"}"#,
        &[("authorization", &bearer)],
    )
    .await;
    wait_for("the end of the server", server.kill())
        .await
        .unwrap();
    let mut log = String::new();
    server
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut log)
        .await
        .unwrap();
    (reply.status, log)
}
