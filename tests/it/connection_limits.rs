//! Limits on connections: in total, per address, per user, and the rate of new ones.
//!
//! Each limit is tested over TCP and over TLS.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{
    app::TestApp,
    client::{Client, Closed, NEW_MESSAGE},
    endpoint::{Endpoint, Transport, over_tcp_and_tls},
    http::{self, Reply},
    stream::StreamedResponse,
    wait_for,
};

over_tcp_and_tls!(
    connections_are_bounded_in_total,
    connections_of_an_address_are_bounded_across_all_kinds,
    connections_of_a_user_are_bounded_and_others_are_not_affected,
    a_burst_of_connections_is_served_and_further_ones_are_told_to_retry,
    an_address_that_keeps_connecting_is_closed_without_a_response,
    behind_a_trusted_proxy_the_limits_count_clients,
    without_a_trusted_proxy_forwarded_addresses_are_ignored,
    connections_without_a_request_are_bounded,
    http_connections_are_bounded_including_those_with_requests,
    an_idle_keep_alive_connection_is_closed,
);

/// More attempts than any limit of these tests needs, even on a machine that stalls.
const TRIES: usize = 2_000;

const SSE: (&str, &str) = ("accept", "text/event-stream");

fn too_many_connections() -> Closed {
    Closed(1013, "Too many connections".to_owned())
}

/// Connects over a WebSocket with `connection_init`. Returns the close if the server refuses it.
async fn connect(endpoint: Endpoint, token: Option<&str>) -> Result<Client, Closed> {
    let mut client = Client::open(endpoint).await;
    let payload = token.map(|token| json!({ "authorization": format!("Bearer {token}") }));
    client
        .send(&json!({ "type": "connection_init", "payload": payload }))
        .await;
    client.try_receive().await.map(|_| client)
}

fn subscription() -> String {
    json!({ "query": NEW_MESSAGE, "variables": { "room": "room-1" } }).to_string()
}

/// Whether a response is 429, with the seconds until a retry both in the header and in the error.
fn is_turned_away(reply: &Reply) -> bool {
    let after = reply
        .header("retry-after")
        .and_then(|seconds| seconds.parse::<u64>().ok());
    let in_error = reply.json()["errors"][0]["extensions"]["retryAfter"].as_u64();
    reply.status == 429
        && reply.error_code() == "RATE_LIMITED"
        && after.is_some_and(|seconds| seconds > 0)
        && after == in_error
}

async fn connections_are_bounded_in_total(transport: Transport) {
    let app = TestApp::start_over(transport, &["--connections-max", "1"]).await;
    let first = connect(app.endpoint(), None).await.unwrap();
    let refused = Client::open(app.endpoint()).await.try_receive().await;
    assert_eq!(refused, Err(Closed(1013, "Try again later".to_owned())));
    let reply = http::post(app.endpoint(), &subscription(), &[SSE]).await;
    assert_eq!(
        (
            reply.status,
            reply.error_code().as_str(),
            reply.header("retry-after")
        ),
        (503, "UNAVAILABLE", Some("1"))
    );
    first.close().await;
    app.finish().await;
    // The same limits hold for connections without a request, before or during the handshake of
    // TLS.
    for limit in ["--handshakes-max", "--http-connections-max"] {
        let app = TestApp::start_over(transport, &[limit, "2"]).await;
        let silent = (
            app.endpoint().connect_tcp().await.unwrap(),
            app.endpoint().connect_tcp().await.unwrap(),
        );
        let mut one_more = app.endpoint().connect_tcp().await.unwrap();
        assert_eq!(
            wait_for("the end of the connection", one_more.read(&mut [0]))
                .await
                .unwrap_or(0),
            0,
            "{limit}"
        );
        drop((silent, one_more));
        app.finish().await;
    }
}

async fn connections_of_an_address_are_bounded_across_all_kinds(transport: Transport) {
    let app = TestApp::start_over(transport, &["--connections-per-address-max", "3"]).await;
    let socket = connect(app.endpoint(), None).await.unwrap();
    let stream = StreamedResponse::post(app.endpoint(), &subscription(), &[SSE]).await;
    let reserved = http::request(app.endpoint(), "PUT", "/graphql", &[], "").await;
    assert_eq!((stream.status, reserved.status), (200, 201));

    let refused = Client::open(app.endpoint()).await.try_receive().await;
    assert_eq!(refused, Err(too_many_connections()));
    for reply in [
        http::post(app.endpoint(), &subscription(), &[SSE]).await,
        http::request(app.endpoint(), "PUT", "/graphql", &[], "").await,
    ] {
        assert!(is_turned_away(&reply), "{reply:?}");
    }
    // A short request is not counted.
    assert_eq!(http::get(app.endpoint(), "/healthz", &[]).await.status, 200);

    drop(stream);
    let freed = async {
        while app.connections() > 2 {
            tokio::task::yield_now().await;
        }
    };
    wait_for("a free slot", freed).await;
    connect(app.endpoint(), None).await.unwrap().close().await;
    drop(socket);
    app.stop().await;
}

async fn connections_of_a_user_are_bounded_and_others_are_not_affected(transport: Transport) {
    let app = TestApp::start_over(transport, &["--connections-per-user-max", "2"]).await;
    let (ann, bob) = (app.sign_in("ann").await, app.sign_in("bob").await);
    let bearer = format!("Bearer {ann}");
    let first = connect(app.endpoint(), Some(&ann)).await.unwrap();
    let stream = StreamedResponse::post(
        app.endpoint(),
        &subscription(),
        &[SSE, ("authorization", &bearer)],
    )
    .await;
    assert_eq!(stream.status, 200);
    assert_eq!(
        connect(app.endpoint(), Some(&ann)).await.err(),
        Some(too_many_connections())
    );
    for reply in [
        http::post(
            app.endpoint(),
            &subscription(),
            &[SSE, ("authorization", &bearer)],
        )
        .await,
        http::request(
            app.endpoint(),
            "PUT",
            "/graphql",
            &[("authorization", &bearer)],
            "",
        )
        .await,
    ] {
        assert!(is_turned_away(&reply), "{reply:?}");
    }
    let others = (
        connect(app.endpoint(), Some(&bob)).await.unwrap(),
        connect(app.endpoint(), None).await.unwrap(),
    );
    first.close().await;
    connect(app.endpoint(), Some(&ann))
        .await
        .unwrap()
        .close()
        .await;
    drop((stream, others));
    app.finish().await;
}

async fn a_burst_of_connections_is_served_and_further_ones_are_told_to_retry(transport: Transport) {
    // The burst is large enough for the ten requests and the ten WebSockets.
    let app = TestApp::start_over(
        transport,
        &[
            "--connects-per-second-per-address-max",
            "1",
            "--connects-burst-max",
            "20",
        ],
    )
    .await;
    for _ in 0..10 {
        assert_eq!(http::get(app.endpoint(), "/healthz", &[]).await.status, 200);
    }
    for _ in 0..10 {
        connect(app.endpoint(), None).await.unwrap();
    }
    // Further connections get a response, as many as fit into another burst.
    let mut reply = http::get(app.endpoint(), "/healthz", &[]).await;
    let mut tries = 0;
    while reply.status == 200 && tries < TRIES {
        reply = http::get(app.endpoint(), "/healthz", &[]).await;
        tries += 1;
    }
    assert!(is_turned_away(&reply), "{reply:?}");
    assert_eq!(reply.header("connection"), Some("close"));
    let mut received = Client::open(app.endpoint()).await.try_receive().await;
    while received.is_ok() && tries < TRIES {
        received = Client::open(app.endpoint()).await.try_receive().await;
        tries += 1;
    }
    assert_eq!(received, Err(too_many_connections()));
    app.finish().await;
}

async fn an_address_that_keeps_connecting_is_closed_without_a_response(transport: Transport) {
    let app = TestApp::start_over(
        transport,
        &[
            "--connects-per-second-per-address-max",
            "1",
            "--connects-burst-max",
            "5",
        ],
    )
    .await;
    let request = http::request_text(
        app.address(),
        "GET",
        "/healthz",
        &[("connection", "close")],
        "",
    );
    for _ in 0..TRIES {
        // Over TLS, the handshake fails already.
        let Ok(mut stream) = app.endpoint().connect().await else {
            return drop(app.finish().await);
        };
        let mut answer = Vec::new();
        let _ = stream.write_all(request.as_bytes()).await;
        let _ = wait_for(
            "a response or the end of the connection",
            stream.read_to_end(&mut answer),
        )
        .await;
        if answer.is_empty() {
            return drop(app.finish().await);
        }
    }
    panic!("all {TRIES} connections got a response");
}

async fn behind_a_trusted_proxy_the_limits_count_clients(transport: Transport) {
    let app = TestApp::start_over(
        transport,
        &[
            "--trust-proxy",
            "1",
            "--connections-per-address-max",
            "1",
            "--connects-burst-max",
            "1",
        ],
    )
    .await;
    let open = async |forwarded: &str| {
        StreamedResponse::post(
            app.endpoint(),
            &subscription(),
            &[SSE, ("x-forwarded-for", forwarded)],
        )
        .await
    };
    let streams = [
        open("192.0.2.1").await,
        open("192.0.2.1, 192.0.2.2").await,
        open("2001:db8::1").await,
    ];
    assert!(streams.iter().all(|stream| stream.status == 200));
    assert_eq!(
        open("192.0.2.9, 192.0.2.1").await.status,
        429,
        "entries that the client wrote itself are ignored"
    );
    assert_eq!(
        open("2001:db8::2").await.status,
        429,
        "the addresses of one /64 network count as one"
    );
    assert_eq!(open("2001:db8:0:1::1").await.status, 200);
    drop(streams);
    app.finish().await;
}

async fn without_a_trusted_proxy_forwarded_addresses_are_ignored(transport: Transport) {
    let app = TestApp::start_over(transport, &["--connections-per-address-max", "1"]).await;
    let forwarded = |address| [SSE, ("x-forwarded-for", address)];
    let stream =
        StreamedResponse::post(app.endpoint(), &subscription(), &forwarded("192.0.2.1")).await;
    assert_eq!(stream.status, 200);
    let other = http::post(app.endpoint(), &subscription(), &forwarded("192.0.2.2")).await;
    assert!(is_turned_away(&other), "{other:?}");
    drop(stream);
    app.finish().await;
}

async fn connections_without_a_request_are_bounded(transport: Transport) {
    let app = TestApp::start_over(transport, &["--handshakes-per-address-max", "3"]).await;
    let mut silent = Vec::new();
    for _ in 0..3 {
        silent.push(app.endpoint().connect().await.unwrap());
    }
    let mut one_more = app.endpoint().connect_tcp().await.unwrap();
    assert_eq!(
        wait_for("the end of the connection", one_more.read(&mut [0]))
            .await
            .unwrap_or(0),
        0
    );
    // A connection that sends a request frees its slot, although it stays open.
    let mut asking = silent.pop().unwrap();
    asking
        .write_all(http::request_text(app.address(), "GET", "/healthz", &[], "").as_bytes())
        .await
        .unwrap();
    let mut answer = [0; 12];
    wait_for("a response", asking.read_exact(&mut answer))
        .await
        .unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    assert_eq!(http::get(app.endpoint(), "/healthz", &[]).await.status, 200);
    drop((silent, asking));
    app.finish().await;
}

async fn http_connections_are_bounded_including_those_with_requests(transport: Transport) {
    let app = TestApp::start_over(transport, &["--http-connections-per-address-max", "3"]).await;
    let request = http::request_text(app.address(), "GET", "/healthz", &[], "");
    let mut kept = Vec::new();
    for _ in 0..3 {
        let mut stream = app.endpoint().connect().await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        wait_for("a response", stream.read_exact(&mut answer))
            .await
            .unwrap();
        kept.push(stream);
    }
    let mut one_more = app.endpoint().connect_tcp().await.unwrap();
    assert_eq!(
        wait_for("the end of the connection", one_more.read(&mut [0]))
            .await
            .unwrap_or(0),
        0
    );
    kept.pop();
    let freed = async {
        while app.in_use().http_connections > 2 {
            tokio::task::yield_now().await;
        }
    };
    wait_for("a free slot", freed).await;
    // A connection that became a WebSocket no longer counts as an HTTP connection.
    for _ in 0..3 {
        let mut client = app.client(None).await;
        client.fence().await;
        let upgraded = async {
            while app.in_use().http_connections > 2 {
                tokio::task::yield_now().await;
            }
        };
        wait_for("a free slot", upgraded).await;
        kept.push(client.socket.into_inner());
    }
    drop(kept);
    app.finish().await;
}

async fn an_idle_keep_alive_connection_is_closed(transport: Transport) {
    let app = TestApp::start_over(
        transport,
        &["--idle-timeout", "200ms", "--header-timeout", "0s"],
    )
    .await;
    let mut stream = app.endpoint().connect().await.unwrap();
    stream
        .write_all(http::request_text(app.address(), "GET", "/healthz", &[], "").as_bytes())
        .await
        .unwrap();
    let mut reply = String::new();
    wait_for(
        "a response and the end of the connection",
        stream.read_to_string(&mut reply),
    )
    .await
    .unwrap();
    assert!(
        reply.starts_with("HTTP/1.1 200") && !reply.contains("connection: close"),
        "{reply}"
    );
    app.finish().await;
}

#[tokio::test]
async fn a_timeout_of_zero_is_no_limit() {
    let flags = [
        "--init-timeout",
        "0s",
        "--ping-interval",
        "0s",
        "--pong-timeout",
        "0s",
        "--write-timeout",
        "0s",
        "--execution-timeout",
        "0s",
    ];
    let app = TestApp::with_flags(&flags).await;
    let token = app.sign_in("ann").await;
    let mut silent = Client::open(app.endpoint()).await;
    let mut ann = app.client(Some(&token)).await;
    let head = ann.head("room-1").await;
    ann.subscribe("room-1", &head).await;
    ann.send_message("room-1", "hello").await;
    assert_eq!(ann.next_texts(1).await, ["hello"]);
    // The connection without a `connection_init` is still open.
    silent.fence().await;
    drop((silent, ann));
    app.finish().await;
}
