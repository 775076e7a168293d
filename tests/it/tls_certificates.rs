//! The certificate of a server: changed files, unusable files, and expiry.

use std::{
    net::SocketAddr,
    process::{Output, Stdio},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use switchboard::domain::{Clock, Timestamp};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStderr, Command},
};

use crate::support::{
    Folder,
    app::TestApp,
    logs::Logs,
    tls::{Certificate, certificate_paths, connect_client, serve_with},
    wait_for,
};

/// Waits until new connections get this certificate.
async fn wait_until_served(app: SocketAddr, certificate: &Certificate) {
    let wait_until_served = async { while certificate.connect(app, &[]).await.is_err() {} };
    wait_for("the new certificate", wait_until_served).await;
}

#[tokio::test]
async fn a_changed_certificate_is_served_and_open_connections_stay() {
    let (first, second) = (Certificate::new(), Certificate::new());
    let app = serve_with(&first, &["--tls-check-interval", "5ms"]).await;
    let mut old = connect_client(&app, &first, None).await;
    second.write_to(&app.folder);
    wait_until_served(app.address(), &second).await;
    assert!(
        first.connect(app.address(), &[]).await.is_err(),
        "the old certificate is no longer served"
    );
    old.fence().await;
    // The first certificate is restored. Meanwhile a file is missing, and the files do not match.
    let [pem, key] = certificate_paths(&app.folder);
    std::fs::remove_file(&pem).unwrap();
    std::fs::write(&key, &first.key).unwrap();
    second.connect(app.address(), &[]).await.unwrap();
    std::fs::write(&pem, &first.pem).unwrap();
    wait_until_served(app.address(), &first).await;
    old.close().await;
    app.finish().await;
}

/// The executable, running as a server with TLS.
struct Process {
    child: Child,
    log: Lines<BufReader<ChildStderr>>,
    greeting: String,
    address: SocketAddr,
}

impl Process {
    async fn start(flags: &[&str], folder: &Folder) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_switchboard"))
            .args([
                "--listen",
                "127.0.0.1:0",
                "--database",
                &folder.database(),
                "--log",
                "info",
            ])
            .args(flags)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut greeting = String::new();
        while !greeting.contains(" send ") {
            greeting += &wait_for("the greeting", lines.next_line())
                .await
                .unwrap()
                .expect("a complete greeting");
            greeting.push('\n');
        }
        let (_, rest) = greeting
            .split_once("https://")
            .unwrap_or_else(|| panic!("{greeting}"));
        let address = rest.split('/').next().unwrap().parse().unwrap();
        Self {
            log: BufReader::new(child.stderr.take().unwrap()).lines(),
            child,
            greeting,
            address,
        }
    }

    async fn signal(&self, name: &str) {
        let id = self.child.id().unwrap().to_string();
        assert!(
            Command::new("kill")
                .args([name, &id])
                .status()
                .await
                .unwrap()
                .success()
        );
    }

    /// The next line of the log about the certificate.
    async fn next_certificate_log(&mut self) -> String {
        loop {
            let line = wait_for("a line of the log", self.log.next_line())
                .await
                .unwrap()
                .expect("the server still runs");
            if line.contains("certificate") {
                return line;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sighup_reloads_the_certificate_and_keeps_the_old_one_if_the_new_one_is_invalid() {
    let (first, second, folder) = (Certificate::new(), Certificate::new(), Folder::new());
    let flags = first.write_to(&folder);
    let flags: Vec<_> = flags
        .iter()
        .map(String::as_str)
        .chain(["--tls-check-interval", "0s"])
        .collect();
    let mut process = Process::start(&flags, &folder).await;
    for shown in ["https://", "wss://", "--url https://NAME:"] {
        assert!(
            process.greeting.contains(shown),
            "{shown} is missing in {}",
            process.greeting
        );
    }
    assert!(
        !process.greeting.contains("http://") && !process.greeting.contains("ws://1"),
        "{}",
        process.greeting
    );

    let [pem, _] = certificate_paths(&folder);
    for (content, complaint) in [
        ("broken", "holds no certificate"),
        (second.pem.as_str(), "does not belong to"),
    ] {
        std::fs::write(&pem, content).unwrap();
        process.signal("-HUP").await;
        let line = process.next_certificate_log().await;
        assert!(
            line.contains(complaint) && line.contains("stays as it was"),
            "{line}"
        );
        first.connect(process.address, &[]).await.unwrap();
    }
    second.write_to(&folder);
    process.signal("-HUP").await;
    assert!(
        process
            .next_certificate_log()
            .await
            .contains("new connections get the certificate")
    );
    second.connect(process.address, &[]).await.unwrap();
    assert!(first.connect(process.address, &[]).await.is_err());
    process.signal("-TERM").await;
    assert!(
        wait_for("the end of the server", process.child.wait())
            .await
            .unwrap()
            .success()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_certificate_is_served_with_a_warning_at_start_and_at_each_reload() {
    let (expired, valid, folder) = (
        Certificate::expiring_on((2020, 1, 1)),
        Certificate::new(),
        Folder::new(),
    );
    let flags = expired.write_to(&folder);
    let flags: Vec<_> = flags
        .iter()
        .map(String::as_str)
        .chain(["--tls-check-interval", "0s"])
        .collect();
    let mut process = Process::start(&flags, &folder).await;
    let warned = |line: &str| {
        line.contains("WARN") && line.contains("the certificate has expired: clients refuse it")
    };
    let line = process.next_certificate_log().await;
    assert!(
        warned(&line) && line.contains("2020-01-01T00:00:00Z") && line.contains("cert.pem"),
        "{line}"
    );
    process.signal("-HUP").await;
    assert!(
        process
            .next_certificate_log()
            .await
            .contains("new connections get the certificate")
    );
    assert!(warned(&process.next_certificate_log().await));
    valid.write_to(&folder);
    process.signal("-HUP").await;
    assert!(
        process
            .next_certificate_log()
            .await
            .contains("new connections get the certificate")
    );
    valid.connect(process.address, &[]).await.unwrap();
    process.signal("-TERM").await;
    let rest = wait_for("the rest of the log", async {
        let mut rest = String::new();
        while let Some(line) = process.log.next_line().await.unwrap() {
            rest += &line;
        }
        rest
    });
    assert!(
        !rest.await.contains("certificate"),
        "a valid certificate causes no warning"
    );
}

#[tokio::test]
async fn each_warning_about_a_certificate_is_logged_once() {
    const DAY: i64 = 24 * 60 * 60 * 1_000_000;
    let logs = Logs::capture(tracing::Level::WARN);
    let (certificate, folder) = (Certificate::expiring_on((2030, 1, 1)), Folder::new());
    let (end, now) = (
        Timestamp(1_893_456_000_000_000),
        Arc::new(AtomicI64::new(0)),
    );
    let clock: Clock = {
        let now = now.clone();
        Arc::new(move || Timestamp(now.load(Ordering::Relaxed)))
    };
    let flags = certificate.write_to(&folder);
    let flags: Vec<_> = flags
        .iter()
        .map(String::as_str)
        .chain(["--tls-check-interval", "2ms"])
        .collect();
    // The certificate is valid from 1975 on, and the clock starts in 1970.
    let app = TestApp::with_clock(clock, &flags).await;
    let mut log = logs.take();
    assert!(
        log.contains("the certificate is not valid yet: clients refuse it"),
        "{log}"
    );
    for (at, warning) in [
        (
            end.0 - 3 * DAY,
            "the certificate expires in less than 14 days",
        ),
        (end.0 + 1, "the certificate has expired: clients refuse it"),
    ] {
        now.store(at, Ordering::Relaxed);
        log.clear();
        let warned = async {
            while log.is_empty() {
                tokio::task::yield_now().await;
                log += &logs.take();
            }
        };
        wait_for("a warning", warned).await;
        assert!(log.contains(warning) && log.lines().count() == 1, "{log}");
    }
    app.finish().await;
    assert_eq!(logs.take(), "", "each warning is logged once");
}

async fn run(arguments: &[&str], trusted: Option<&str>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_switchboard"));
    command
        .args(arguments)
        .env("USER", "ann")
        .env_remove("DATABASE_URL")
        .kill_on_drop(true);
    if let Some(file) = trusted {
        command.env("SSL_CERT_FILE", file);
    }
    wait_for("the end of the command", command.output())
        .await
        .unwrap()
}

/// Checks that the server does not start and prints one line.
async fn assert_refused_in_one_line(database: &str, flags: &[&str], expected: &str) {
    let output = run(
        &[
            &["--listen", "127.0.0.1:0", "--database", database][..],
            flags,
        ]
        .concat(),
        None,
    )
    .await;
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        (output.status.code(), error.lines().count()),
        (Some(2), 1),
        "{flags:?}: {error}"
    );
    assert!(
        error.contains(expected) && output.stdout.is_empty(),
        "{flags:?}: {error}"
    );
}

#[tokio::test]
async fn unusable_certificate_files_are_refused_in_one_line() {
    let (folder, other, certificate) = (Folder::new(), Certificate::new(), Certificate::new());
    let database = folder.database();
    let [pem, key] = certificate_paths(&folder);
    let put = |name: &str, content: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    certificate.write_to(&folder);
    let missing = folder.path().join("missing.pem").display().to_string();
    let (empty, junk) = (put("empty", ""), put("junk", "\u{0}no certificate\n"));
    let encrypted = put(
        "encrypted",
        &certificate
            .key
            .replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY"),
    );
    let cut = put("cut", &certificate.pem[..certificate.pem.len() / 2]);
    let no_der = put(
        "no_der",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    );
    let (foreign, folder_itself) = (
        put("foreign", &other.key),
        folder.path().display().to_string(),
    );
    let pair = |cert, key| vec!["--tls-cert", cert, "--tls-key", key];
    for (flags, expected) in [
        (vec!["--tls-cert", &pem], "--tls-cert needs --tls-key"),
        (vec!["--tls-key", &key], "--tls-key needs --tls-cert"),
        (pair(&missing, &key), "cannot read"),
        (pair(&pem, &missing), "cannot read"),
        (pair(&folder_itself, &key), "cannot read"),
        (pair(&empty, &key), "holds no certificate in PEM"),
        (pair(&junk, &key), "holds no certificate in PEM"),
        (pair(&cut, &key), "holds no certificate in PEM"),
        (pair(&key, &key), "holds no certificate in PEM"),
        (pair(&no_der, &key), "cannot be used"),
        (pair(&pem, &pem), "holds no private key in PEM"),
        (pair(&pem, &encrypted), "encrypted keys are not supported"),
        (pair(&pem, &foreign), "does not belong to the certificate"),
    ] {
        assert_refused_in_one_line(&database, &flags, expected).await;
    }
    assert!(
        !folder.path().join("test.db").exists(),
        "no server was started"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_use_tls_with_servers_that_the_system_trusts() {
    let certificate = Certificate::new();
    let app = serve_with(&certificate, &[]).await;
    let [pem, _] = certificate_paths(&app.folder);
    let url = format!("https://localhost:{}/graphql", app.address().port());
    let send = ["send", "room-1", "Hello", "--url", &url];
    let sent = run(&send, Some(&pem)).await;
    assert!(
        sent.status.success(),
        "{}",
        String::from_utf8_lossy(&sent.stderr)
    );
    let refused = run(&send, None).await;
    let error = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(
        (refused.status.code(), error.lines().count()),
        (Some(1), 1),
        "{error}"
    );
    assert!(error.contains("cannot reach"), "{error}");
    app.finish().await;
}
