//! Rate limits on HTTP requests, by connection and by address, and on sign-ins of guests; over TCP
//! and over TLS.
//!
//! As in `limits.rs`, rates are tested without a clock.

use axum::http::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    http2::Http2,
    support::{
        app::TestApp,
        client::{Client, Closed},
        endpoint::{Transport, over_tcp_and_tls},
        http::{self, Reply},
        wait_for,
    },
};

over_tcp_and_tls!(
    the_request_rate_of_a_connection_is_limited_and_others_continue,
    the_request_rate_of_an_http2_connection_is_limited,
    the_request_rate_of_an_address_is_limited_across_connections,
    websocket_messages_count_as_requests_of_their_address,
    sign_ins_of_an_address_are_limited_including_aliases_and_batches,
);

const TRIES: usize = 2_000;

const BURST: usize = 20;

/// Reads one response from a connection that stays open.
async fn answer(stream: &mut (impl AsyncReadExt + Unpin)) -> Reply {
    let mut bytes = Vec::new();
    loop {
        let read = wait_for("a response", stream.read_buf(&mut bytes))
            .await
            .unwrap();
        assert_ne!(
            read,
            0,
            "the connection ended: {:?}",
            String::from_utf8_lossy(&bytes)
        );
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((_, body)) = text.split_once("\r\n\r\n") {
            let reply = Reply::parse(&text);
            let length: usize = reply.header("content-length").unwrap().parse().unwrap();
            if body.len() == length {
                return reply;
            }
        }
    }
}

/// Checks that a response is 429, with the seconds until a retry both in the header and in the
/// error.
fn assert_too_fast(reply: &Reply) {
    let after = reply
        .header("retry-after")
        .and_then(|seconds| seconds.parse::<u64>().ok());
    let in_error = reply.json()["errors"][0]["extensions"]["retryAfter"].as_u64();
    assert_eq!(
        (reply.status, reply.error_code().as_str()),
        (429, "RATE_LIMITED"),
        "{reply:?}"
    );
    assert!(
        after.is_some_and(|seconds| seconds > 0) && after == in_error,
        "{reply:?}"
    );
}

async fn the_request_rate_of_a_connection_is_limited_and_others_continue(transport: Transport) {
    let app = TestApp::start_over(
        transport,
        &[
            "--requests-per-second-max",
            "1",
            "--requests-burst-max",
            "20",
        ],
    )
    .await;
    let mut stream = app.endpoint().connect().await.unwrap();
    let query = json!({ "query": "{ __typename }" }).to_string();
    let headers = [("content-type", "application/json")];
    let request = http::request_text(app.address(), "POST", "/graphql", &headers, &query);
    let mut ask = async || {
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        answer(&mut stream).await
    };
    for _ in 0..BURST {
        assert_eq!(ask().await.status, 200);
    }
    let mut refused = ask().await;
    let mut tries = 0;
    while refused.status == 200 && tries < TRIES {
        refused = ask().await;
        tries += 1;
    }
    assert_too_fast(&refused);
    // Further requests on the connection are refused in the same way. Other connections are not
    // affected.
    assert_too_fast(&ask().await);
    assert_eq!(http::post(app.endpoint(), &query, &[]).await.status, 200);
    drop(stream);
    app.finish().await;
}

async fn the_request_rate_of_an_http2_connection_is_limited(transport: Transport) {
    let app = TestApp::start_over(
        transport,
        &[
            "--requests-per-second-max",
            "1",
            "--requests-burst-max",
            "20",
        ],
    )
    .await;
    let mut http2 = Http2::connect(app.endpoint()).await;
    let (mut served, mut refused) = (0, None);
    while refused.is_none() && served < TRIES {
        let request = http2
            .request(Method::GET, "/graphql?query=%7B__typename%7D")
            .body(())
            .unwrap();
        let (response, _) = http2.send(request, true);
        let response = wait_for("a response", response).await.unwrap();
        match response.status().as_u16() {
            200 => served += 1,
            _ => refused = Some(response),
        }
    }
    let refused = refused.expect("a refused request");
    assert!(
        served >= BURST && refused.status() == 429,
        "{served} were served, then {}",
        refused.status()
    );
    assert!(refused.headers().contains_key("retry-after"));
    // A WebSocket is upgraded first and then closed with a code.
    let mut socket = http2.socket().await;
    assert_eq!(
        socket.try_receive().await,
        Err(Closed(1013, "Too many connections".to_owned()))
    );
    drop((http2, socket, refused));
    app.finish().await;
}

async fn the_request_rate_of_an_address_is_limited_across_connections(transport: Transport) {
    let limits = [
        "--requests-per-second-per-address-max",
        "1",
        "--requests-per-address-burst-max",
        "20",
    ];
    let app =
        TestApp::start_over(transport, &[&["--trust-proxy", "1"], &limits[..]].concat()).await;
    let ask = async |from: &str| {
        http::get(app.endpoint(), "/healthz", &[("x-forwarded-for", from)]).await
    };
    for _ in 0..BURST {
        assert_eq!(ask("2001:db8::1").await.status, 200);
    }
    let mut refused = ask("2001:db8::2").await;
    let mut tries = 0;
    while refused.status == 200 && tries < TRIES {
        refused = ask("2001:db8::3").await;
        tries += 1;
    }
    assert_too_fast(&refused);
    assert_eq!(ask("2001:db8:0:1::1").await.status, 200, "another network");
    app.finish().await;
}

fn sign_ins(count: usize) -> String {
    let fields: String = (0..count)
        .map(|number| format!(r#"s{number}: signIn(name: "ann") {{ token }} "#))
        .collect();
    format!("mutation {{ {fields} }}")
}

/// The number of guests that an answer signs in. All others must be refused with the time of a
/// retry.
fn signed_in(answer: &Value) -> usize {
    let sessions = answer["data"].as_object().unwrap().values();
    let (made, refused): (Vec<_>, Vec<_>) =
        sessions.partition(|session| session["token"].is_string());
    let errors = answer["errors"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    assert_eq!(refused.len(), errors.len(), "{answer}");
    for error in errors {
        assert_eq!(error["extensions"]["code"], "RATE_LIMITED", "{answer}");
        assert!(
            error["extensions"]["retryAfter"]
                .as_u64()
                .is_some_and(|seconds| seconds > 0),
            "{answer}"
        );
    }
    made.len()
}

async fn websocket_messages_count_as_requests_of_their_address(transport: Transport) {
    let limits = [
        "--requests-per-second-per-address-max",
        "1",
        "--requests-per-address-burst-max",
        "60",
    ];
    let app = TestApp::start_over(transport, &limits).await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        // Each client has made one request and sent two messages by now.
        let mut client = app.client(None).await;
        client.fence().await;
        clients.push(client);
    }
    let (mut sent, mut closed) = (0, None);
    'until_refused: for _ in 0..TRIES {
        for client in &mut clients {
            client.send(&json!({ "type": "ping" })).await;
            sent += 1;
            if let Err(why) = client.try_receive().await {
                closed = Some(why);
                break 'until_refused;
            }
        }
    }
    assert_eq!(closed, Some(Closed(1013, "Too many messages".to_owned())));
    assert!(sent > 40, "{sent} messages in total");
    let query = json!({ "query": "{ __typename }" }).to_string();
    assert_too_fast(&http::post(app.endpoint(), &query, &[]).await);
    drop(clients);
    app.finish().await;
}

async fn sign_ins_of_an_address_are_limited_including_aliases_and_batches(transport: Transport) {
    let limits = [
        "--sign-ins-per-second-per-address-max",
        "1",
        "--sign-ins-burst-max",
        "20",
    ];
    let app = TestApp::start_over(transport, &limits).await;
    let body = |count| json!({ "query": sign_ins(count) });
    let first = http::post(app.endpoint(), &body(8).to_string(), &[]).await;
    assert_eq!(signed_in(&first.json()), 8);
    let batch = http::post(app.endpoint(), &json!([body(5), body(5)]).to_string(), &[]).await;
    assert_eq!(
        batch
            .json()
            .as_array()
            .unwrap()
            .iter()
            .map(signed_in)
            .sum::<usize>(),
        10
    );
    // A sign-in with an invalid name costs nothing.
    for _ in 0..10 {
        let invalid = http::post(
            app.endpoint(),
            r#"{"query":"mutation { signIn(name: \"\") { token } }"}"#,
            &[],
        )
        .await;
        assert_eq!(invalid.error_code(), "BAD_USER_INPUT");
    }
    // A WebSocket uses the same allowance. Two sign-ins are left, and one more for each second that
    // has passed.
    let mut client = Client::connect(app.endpoint(), None).await;
    let made = signed_in(&client.execute(&sign_ins(90), json!({})).await);
    assert!((2..90).contains(&made), "{made} more were accepted");
    // Existing sessions are not affected.
    let token = first.json()["data"]["s0"]["token"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(app.whoami(&token).await, (200, "ann".to_owned()));
    client.close().await;
    app.finish().await;
}

#[tokio::test]
async fn behind_a_proxy_sign_ins_are_limited_per_client_network() {
    let limits = [
        "--sign-ins-per-second-per-address-max",
        "1",
        "--sign-ins-burst-max",
        "3",
    ];
    let app = TestApp::with_flags(&[&["--trust-proxy", "1"], &limits[..]].concat()).await;
    let body = json!({ "query": sign_ins(20) }).to_string();
    let from = async |address: &str| {
        signed_in(
            &http::post(app.address(), &body, &[("x-forwarded-for", address)])
                .await
                .json(),
        )
    };
    assert!((3..20).contains(&from("2001:db8::1").await));
    assert!(
        (3..20).contains(&from("2001:db8:0:1::1").await),
        "another network"
    );
    assert!(from("2001:db8::2").await < 3, "the same network");
    app.finish().await;
}

#[tokio::test]
async fn with_no_rate_limits_requests_and_sign_ins_are_not_limited() {
    let flags = [
        ["--requests-per-second-max", "1"],
        ["--requests-burst-max", "1"],
        ["--requests-per-second-per-address-max", "1"],
        ["--requests-per-address-burst-max", "1"],
        ["--sign-ins-per-second-per-address-max", "1"],
        ["--sign-ins-burst-max", "1"],
        ["--http-connections-per-address-max", "1"],
    ];
    let app = TestApp::with_flags(&[&["--no-rate-limits"], flags.as_flattened()].concat()).await;
    let mut http2 = Http2::connect(app.address()).await;
    for _ in 0..10 {
        let request = http2.request(Method::GET, "/healthz").body(()).unwrap();
        let (response, _) = http2.send(request, true);
        assert_eq!(
            wait_for("a response", response).await.unwrap().status(),
            200
        );
        app.sign_in("ann").await;
    }
    drop(http2);
    app.finish().await;
}
