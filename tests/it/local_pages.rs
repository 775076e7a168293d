//! Pages of other origins on this machine, and what the log says about refused origins.

use tracing::Level;

use crate::{
    browsers::{FRIEND, QUERY, first_message},
    support::{
        app::TestApp,
        http::{exchange, post},
        logs::Logs,
    },
};

#[tokio::test]
async fn pages_of_this_machine_may_use_a_server_on_loopback_until_an_origin_is_named() {
    let open = TestApp::start().await;
    let named = TestApp::with_flags(&["--allow-origin", FRIEND]).await;
    let ack = Ok(r#"{"type":"connection_ack"}"#.to_owned());
    let forbidden = Err((4403, "Forbidden".to_owned()));
    for (origin, is_local) in [
        ("http://localhost:5173", true),
        ("http://127.0.0.1:3000", true),
        ("https://app.localhost", true),
        ("http://[::1]:8080", true),
        ("http://localhost", true),
        ("http://localhost.evil.example", false),
        ("http://127.0.0.1.evil.example:80", false),
        ("http://evil.example:5173", false),
        ("app://localhost", false),
        ("null", false),
    ] {
        let page = [("origin", origin), ("sec-fetch-site", "cross-site")];
        let reply = post(open.address(), QUERY, &page).await;
        let expected = if is_local {
            (200, Some(origin))
        } else {
            (403, None)
        };
        let allowed = reply.header("access-control-allow-origin");
        assert_eq!((reply.status, allowed), expected, "{origin}");
        let socket = first_message(&open, "graphql-transport-ws", &page).await;
        assert_eq!(
            socket,
            if is_local {
                ack.clone()
            } else {
                forbidden.clone()
            }
        );
        assert_eq!(post(named.address(), QUERY, &page).await.status, 403);
    }
    open.finish().await;
    named.finish().await;
}

#[tokio::test]
async fn a_refused_origin_is_logged_with_the_flag_that_allows_it() {
    let logs = Logs::capture(Level::INFO);
    let app = TestApp::start().await;
    logs.take();
    let origin = ("origin", "https://app.example");
    assert_eq!(post(app.address(), QUERY, &[origin]).await.status, 403);
    let log = logs.take();
    assert_eq!(log.lines().count(), 1, "{log}");
    for part in ["https://app.example", "--allow-origin", "127.0.0.1"] {
        assert!(log.contains(part), "{log}");
    }
    app.finish().await;
}

#[tokio::test]
async fn the_proxy_of_a_development_server_works_in_both_forms() {
    let app = TestApp::start().await;
    let (page, server) = ("localhost:5173", app.address().to_string());
    // Vite passes on the host of the page, or with `changeOrigin` names the server's own.
    for host in [page, &server] {
        let headers = [
            ("host", host),
            ("origin", "http://localhost:5173"),
            ("sec-fetch-site", "same-origin"),
            ("content-type", "application/json"),
            ("content-length", "26"),
            ("connection", "close"),
        ];
        let head: String = headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        let text = format!("POST /graphql HTTP/1.1\r\n{head}\r\n{QUERY}");
        let reply = exchange(app.address(), &text).await;
        assert_eq!(reply.status, 200, "{host}: {}", reply.body);
    }
    let socket = [("origin", "http://localhost:5173")];
    let ack = Ok(r#"{"type":"connection_ack"}"#.to_owned());
    assert_eq!(
        first_message(&app, "graphql-transport-ws", &socket).await,
        ack
    );
    app.finish().await;
}
