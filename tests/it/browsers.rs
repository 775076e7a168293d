//! Requests that browsers send for pages: foreign pages are refused, and pages of allowed origins
//! get the CORS headers.

use futures::{SinkExt, StreamExt};
use serde_json::json;
use tokio_tungstenite::tungstenite::{ClientRequestBuilder, Message};

use crate::support::{
    app::TestApp,
    http::{self, get, post},
    stream::StreamedResponse,
    wait_for,
};

pub(crate) const FRIEND: &str = "https://friend.example";
pub(crate) const QUERY: &str = r#"{"query":"{ __typename }"}"#;
const BY_GET: &str = "/graphql?query=%7B__typename%7D";

/// The first message on a WebSocket after `connection_init`, or the code and the reason of the
/// close.
pub(crate) async fn first_message(
    app: &TestApp,
    subprotocol: &str,
    headers: &[(&str, &str)],
) -> Result<String, (u16, String)> {
    let uri = format!("ws://{}/graphql", app.address()).parse().unwrap();
    let request = ClientRequestBuilder::new(uri).with_sub_protocol(subprotocol);
    let request = headers.iter().fold(request, |request, (name, value)| {
        request.with_header(*name, *value)
    });
    let (mut socket, _) = wait_for("the upgrade", tokio_tungstenite::connect_async(request))
        .await
        .unwrap();
    // The server may have closed already.
    let _ = socket
        .send(Message::text(r#"{"type":"connection_init"}"#))
        .await;
    match wait_for("a message", socket.next()).await {
        Some(Ok(Message::Text(text))) => Ok(text.to_string()),
        Some(Ok(Message::Close(Some(frame)))) => {
            let end = wait_for("the end of the connection", socket.next()).await;
            assert!(
                !matches!(end, Some(Ok(_))),
                "frames follow a close: {end:?}"
            );
            Err((frame.code.into(), frame.reason.to_string()))
        }
        other => panic!("unexpected: {other:?}"),
    }
}

#[tokio::test]
async fn t5_a_websocket_of_a_foreign_page_is_closed_before_anything_is_read() {
    let app = TestApp::with_flags(&["--allow-origin", FRIEND]).await;
    let own = format!("http://{}", app.address());
    let forbidden = Err((4403, "Forbidden".to_owned()));
    for (headers, expected) in [
        (&[][..], Ok(())),
        (&[("origin", own.as_str())], Ok(())),
        (
            &[("origin", own.as_str()), ("sec-fetch-site", "same-origin")],
            Ok(()),
        ),
        (
            &[("origin", FRIEND), ("sec-fetch-site", "cross-site")],
            Ok(()),
        ),
        (&[("origin", "https://evil.example")], Err(())),
        (&[("origin", "null")], Err(())),
        (
            &[("origin", own.as_str()), ("sec-fetch-site", "cross-site")],
            Err(()),
        ),
        (&[("sec-fetch-site", "cross-site")], Err(())),
    ] {
        let received = first_message(&app, "graphql-transport-ws", headers).await;
        match expected {
            Ok(()) => assert_eq!(
                received.as_deref(),
                Ok(r#"{"type":"connection_ack"}"#),
                "{headers:?}"
            ),
            Err(()) => assert_eq!(received, forbidden, "{headers:?}"),
        }
    }
    assert_eq!(
        first_message(&app, "graphql-ws", &[("origin", "null")]).await,
        forbidden
    );
    app.finish().await;
}

/// Checks that requests with these headers of a page are refused, unless they change nothing.
async fn assert_cannot_change(
    app: &TestApp,
    page_headers: &[(&str, &str)],
    bearer: &str,
    create: &str,
) {
    let json = ("content-type", "application/json");
    for (method, accept) in [
        ("POST", "application/json"),
        ("POST", "text/event-stream"),
        ("POST", "multipart/mixed;subscriptionSpec=1.0"),
        ("PUT", "text/plain"),
        ("DELETE", "*/*"),
    ] {
        // A token changes nothing: a page may send one only if the preflight allowed it.
        let headers = [
            page_headers,
            &[json, ("accept", accept), ("authorization", bearer)],
        ]
        .concat();
        let reply = http::request(app.address(), method, "/graphql", &headers, create).await;
        assert_eq!(
            (reply.status, reply.error_code().as_str()),
            (403, "FORBIDDEN"),
            "{method} {accept} {page_headers:?}"
        );
    }
    // Requests that change nothing are answered, and the browser keeps the response from the
    // page.
    assert_eq!(
        get(app.address(), BY_GET, page_headers).await.status,
        200,
        "{page_headers:?}"
    );
    let stream = [page_headers, &[("accept", "text/event-stream")]].concat();
    assert_eq!(
        StreamedResponse::get(app.address(), BY_GET, &stream)
            .await
            .status,
        200,
        "{page_headers:?}"
    );
}

#[tokio::test]
async fn a_foreign_page_can_change_nothing_over_http() {
    let app = TestApp::with_flags(&["--allow-origin", FRIEND]).await;
    let own = format!("http://{}", app.address());
    let bearer = format!("Bearer {}", app.sign_in("ann").await);
    let create = json!({ "query": "mutation { createRoom(id: \"made\", name: \"Made\") { id } }" })
        .to_string();
    for page_headers in [
        &[("origin", "https://evil.example")][..],
        &[("origin", "null")],
        &[
            ("origin", "https://evil.example"),
            ("sec-fetch-site", "same-origin"),
        ],
        &[("origin", own.as_str()), ("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "cross-site")],
    ] {
        assert_cannot_change(&app, page_headers, &bearer, &create).await;
    }
    let mut ann = app.client(bearer.strip_prefix("Bearer ")).await;
    let room = ann
        .execute("{ room(id: \"made\") { id } }", json!({}))
        .await;
    assert_eq!(room["data"]["room"], json!(null), "{room}");

    let page_headers: [&[(&str, &str)]; 4] = [
        &[],
        &[("origin", own.as_str()), ("sec-fetch-site", "same-origin")],
        &[("origin", FRIEND), ("sec-fetch-site", "cross-site")],
        &[("origin", FRIEND), ("sec-fetch-site", "same-site")],
    ];
    for page_headers in page_headers {
        assert_eq!(
            post(app.address(), QUERY, page_headers).await.status,
            200,
            "{page_headers:?}"
        );
    }
    drop(ann);
    app.finish().await;
}

/// The status of a request with this `host` header, or without one.
async fn status_at(
    address: std::net::SocketAddr,
    line: &str,
    host: Option<&str>,
    more: &str,
) -> u16 {
    let host = host
        .map(|host| format!("host: {host}\r\n"))
        .unwrap_or_default();
    let reply = http::exchange(
        address,
        &format!("{line}\r\n{host}{more}connection: close\r\n\r\n"),
    )
    .await;
    if reply.status == 421 {
        assert!(
            reply.body.contains("--allow-host")
                && reply
                    .header("content-type")
                    .unwrap()
                    .starts_with("text/plain")
        );
    }
    reply.status
}

/// Checks that all requests with this `host` header get 421.
async fn assert_misdirected(address: std::net::SocketAddr, host: &str) {
    for path in ["/readyz", "/graphql", "/graphiql", "/", "/nowhere"] {
        assert_eq!(
            status_at(address, &format!("GET {path} HTTP/1.1"), Some(host), "").await,
            421,
            "{host}{path}"
        );
    }
    let upgrade = "upgrade: websocket\r\nsec-websocket-version: 13\r\n\
             sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n";
    assert_eq!(
        status_at(address, "GET /graphql HTTP/1.1", Some(host), upgrade).await,
        421,
        "{host}"
    );
    assert_eq!(
        status_at(
            address,
            "POST /graphql HTTP/1.1",
            Some(host),
            "content-length: 0\r\n"
        )
        .await,
        421
    );
}

#[tokio::test]
async fn a_server_on_loopback_answers_only_for_its_own_host_names() {
    let app = TestApp::with_flags(&["--allow-host", "chat.example,192.168.0.7"]).await;
    let address = app.address();
    for host in [
        "localhost",
        "LOCALHOST:1",
        "127.0.0.1:4000",
        "[::1]:4000",
        "chat.example",
        "192.168.0.7:80",
    ] {
        assert_eq!(
            status_at(address, "GET /readyz HTTP/1.1", Some(host), "").await,
            200,
            "{host}"
        );
    }
    for host in [
        "evil.example",
        "127.0.0.1.evil.example",
        "a.chat.example",
        "x@localhost",
        "192.168.0.8",
    ] {
        assert_misdirected(address, host).await;
    }
    // No browser sends a request without a host, which health checks do over HTTP/1.0.
    assert_eq!(
        status_at(address, "GET /readyz HTTP/1.0", None, "").await,
        200
    );
    assert_eq!(
        status_at(
            address,
            "GET http://evil.example/readyz HTTP/1.1",
            Some("localhost"),
            ""
        )
        .await,
        421
    );
    assert_eq!(
        status_at(
            address,
            "GET http://localhost/readyz HTTP/1.1",
            Some("localhost"),
            ""
        )
        .await,
        200
    );
    app.finish().await;
}

#[tokio::test]
async fn a_public_server_checks_hosts_only_if_some_are_allowed() {
    let beyond = ["--listen", "0.0.0.0:0", "--allow-remote-guests"];
    let any = TestApp::with_flags(&beyond).await;
    assert_eq!(
        status_at(local(&any), "GET /readyz HTTP/1.1", Some("any.example"), "").await,
        200
    );
    assert_eq!(
        status_at(local(&any), "GET /readyz HTTP/1.0", None, "").await,
        200
    );
    any.finish().await;
    let named =
        TestApp::with_flags(&[&beyond[..], &["--allow-host", "chat.example"]].concat()).await;
    for (host, status) in [
        ("chat.example", 200),
        ("localhost", 200),
        ("any.example", 421),
        ("0.0.0.0", 421),
    ] {
        assert_eq!(
            status_at(local(&named), "GET /readyz HTTP/1.1", Some(host), "").await,
            status,
            "{host}"
        );
    }
    named.finish().await;
}

/// The address at which the test reaches a server that listens on all interfaces.
fn local(app: &TestApp) -> std::net::SocketAddr {
    (std::net::Ipv4Addr::LOCALHOST, app.address().port()).into()
}

/// Checks that preflights from the allowed origin are answered, at any path.
async fn assert_preflights_are_allowed(address: std::net::SocketAddr) {
    let preflight = [
        ("origin", FRIEND),
        ("access-control-request-method", "POST"),
        (
            "access-control-request-headers",
            "authorization,content-type",
        ),
    ];
    for path in ["/graphql", "/readyz", "/nowhere"] {
        let response = http::request(address, "OPTIONS", path, &preflight, "").await;
        assert_eq!(
            (response.status, response.body.as_str()),
            (204, ""),
            "{path}"
        );
        assert_eq!(shared_with(&response), (Some(FRIEND), Some("true")));
        assert_eq!(
            response.header("access-control-allow-methods"),
            Some("GET, POST, PUT, DELETE")
        );
        assert_eq!(response.header("access-control-max-age"), Some("7200"));
        let allowed = response.header("access-control-allow-headers").unwrap();
        for name in [
            "authorization",
            "content-type",
            "last-event-id",
            "x-graphql-event-stream-token",
            "accept",
        ] {
            assert!(
                allowed.split(", ").any(|found| found == name),
                "{name} is missing in {allowed}"
            );
        }
    }
}

#[tokio::test]
async fn a_page_of_an_allowed_origin_may_send_requests_and_read_responses() {
    let app = TestApp::with_flags(&["--allow-origin", FRIEND, "--connections-max", "1"]).await;
    let full = app.client(None).await;
    let address = app.address();
    assert_preflights_are_allowed(address).await;
    // Successful responses and errors, over every transport.
    let origin = ("origin", FRIEND);
    let sse = ("accept", "text/event-stream");
    for (reply, status) in [
        (post(address, QUERY, &[origin]).await, 200),
        (post(address, "no json", &[origin]).await, 400),
        (
            post(address, QUERY, &[origin, ("authorization", "Bearer x")]).await,
            401,
        ),
        (get(address, BY_GET, &[origin, sse]).await, 503),
        (get(address, "/nowhere", &[origin]).await, 404),
        (
            http::request(address, "PUT", "/graphql", &[origin], "").await,
            503,
        ),
    ] {
        assert_eq!(
            (reply.status, shared_with(&reply)),
            (status, (Some(FRIEND), Some("true"))),
            "{reply:?}"
        );
        assert_eq!(
            reply.header("access-control-expose-headers"),
            Some("allow, retry-after, www-authenticate")
        );
    }
    drop(full);
    app.finish().await;
}

#[tokio::test]
async fn other_pages_may_not_read_responses_which_vary_by_origin() {
    let app = TestApp::with_flags(&["--allow-origin", FRIEND]).await;
    let own = format!("http://{}", app.address());
    for page in [
        "https://evil.example",
        "http://friend.example",
        "https://friend.example.evil",
        "null",
        &own,
    ] {
        let preflight = [("origin", page), ("access-control-request-method", "POST")];
        let response = http::request(app.address(), "OPTIONS", "/graphql", &preflight, "").await;
        assert_eq!(
            (response.status, shared_with(&response)),
            (403, (None, None)),
            "{page}"
        );
        assert!(
            response.body.contains("--allow-origin"),
            "{}",
            response.body
        );
        let reply = get(app.address(), BY_GET, &[("origin", page)]).await;
        assert_eq!(
            (reply.status, shared_with(&reply)),
            (200, (None, None)),
            "{page}"
        );
    }
    // An OPTIONS request that is not a preflight is a method that is not allowed.
    let reply = http::request(
        app.address(),
        "OPTIONS",
        "/graphql",
        &[("origin", FRIEND)],
        "",
    )
    .await;
    assert_eq!(reply.status, 405);
    for path in [BY_GET, "/graphiql", "/nowhere"] {
        for headers in [
            &[][..],
            &[("origin", FRIEND)],
            &[("accept-encoding", "gzip")],
        ] {
            let reply = get_bytes(&app, path, headers).await;
            assert!(
                reply.to_ascii_lowercase().contains("\r\nvary: origin\r\n"),
                "{path}: {reply}"
            );
        }
    }
    app.finish().await;
}

#[tokio::test]
async fn every_response_has_security_headers() {
    const NOTHING: &str =
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    let app = TestApp::with_flags(&["--allow-origin", FRIEND]).await;
    let address = app.address();
    let preflight = [
        ("origin", FRIEND),
        ("access-control-request-method", "POST"),
    ];
    for (what, reply) in [
        ("a query", post(address, QUERY, &[]).await),
        ("a bad one", post(address, "no json", &[]).await),
        (
            "a foreign one",
            post(address, QUERY, &[("origin", "null")]).await,
        ),
        (
            "a stream",
            get(address, BY_GET, &[("accept", "text/event-stream")]).await,
        ),
        ("the home", get(address, "/", &[]).await),
        ("health", get(address, "/healthz", &[]).await),
        ("nothing", get(address, "/nowhere", &[]).await),
        (
            "a preflight",
            http::request(address, "OPTIONS", "/graphql", &preflight, "").await,
        ),
        ("a page", get(address, "/graphiql", &[]).await),
        (
            "another host",
            http::exchange(
                address,
                "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
            )
            .await,
        ),
    ] {
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("x-frame-options", "DENY"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(reply.headers(name), [value], "{what}");
        }
        let policy = reply.header("content-security-policy").unwrap();
        assert!(
            policy.contains("frame-ancestors 'none'") && policy.contains("base-uri 'none'"),
            "{what}: {policy}"
        );
        assert_eq!(
            (policy == NOTHING, policy.contains("'self'")),
            (what != "a page", what == "a page"),
            "{what}"
        );
        assert_eq!(reply.header("strict-transport-security"), None, "{what}");
    }
    app.finish().await;
}

/// The origin that a browser shares a response with, and whether it does so with credentials.
fn shared_with(reply: &http::Reply) -> (Option<&str>, Option<&str>) {
    (
        reply.header("access-control-allow-origin"),
        reply.header("access-control-allow-credentials"),
    )
}

/// The head of a response whose body may be compressed.
async fn get_bytes(app: &TestApp, path: &str, headers: &[(&str, &str)]) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(app.address()).await.unwrap();
    let headers = [headers, &[("connection", "close")]].concat();
    stream
        .write_all(http::request_text(app.address(), "GET", path, &headers, "").as_bytes())
        .await
        .unwrap();
    let mut bytes = Vec::new();
    wait_for("a response", stream.read_to_end(&mut bytes))
        .await
        .unwrap();
    String::from_utf8_lossy(&bytes)
        .split("\r\n\r\n")
        .next()
        .unwrap()
        .to_owned()
        + "\r\n"
}
