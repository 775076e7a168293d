//! Limits on messages, mutations, plans and requests.
//!
//! A request at a limit is served, and a request beyond it gets the documented code. Limits on
//! connections are tested over TCP and over TLS. Rates are tested without a clock: a client that
//! never pauses is refused sooner or later, and a burst of the allowed size never is.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{
    app::TestApp,
    client::{Client, Closed, NEW_MESSAGE},
    endpoint::{Transport, over_tcp_and_tls},
    http,
    stream::StreamedResponse,
    wait_for,
};

over_tcp_and_tls!(
    the_message_rate_is_limited_including_pongs,
    the_mutation_rate_of_a_user_is_limited_across_transports,
    with_no_rate_limits_no_client_is_refused,
    uris_and_headers_beyond_their_limits_are_refused,
    a_body_that_arrives_too_slowly_is_408,
);

/// More attempts than any limit of these tests needs, even on a machine that stalls.
const TRIES: usize = 2_000;

const SSE: (&str, &str) = ("accept", "text/event-stream");

async fn the_message_rate_is_limited_including_pongs(transport: Transport) {
    let app = TestApp::start_over(
        transport,
        &[
            "--messages-per-second-max",
            "1",
            "--messages-burst-max",
            "50",
        ],
    )
    .await;
    for message in [
        json!({ "type": "ping" }),
        json!({ "type": "pong" }),
        json!({ "type": "complete", "id": "x" }),
    ] {
        let mut client = Client::open(app.endpoint()).await;
        client.send(&json!({ "type": "connection_init" })).await;
        // With `connection_init` and the last ping these are fifty messages: the whole burst.
        for _ in 0..48 {
            client.send(&message).await;
        }
        client
            .send(&json!({ "type": "ping", "payload": { "last": true } }))
            .await;
        while client.receive().await["payload"]["last"].is_null() {}
        let closed = until_closed(&mut client, &message).await;
        assert_eq!(
            closed,
            Closed(1013, "Too many messages".to_owned()),
            "{message}"
        );
    }
    app.finish().await;
}

/// Sends the same message repeatedly, and returns how the connection ends.
async fn until_closed(client: &mut Client, message: &Value) -> Closed {
    let message = tokio_tungstenite::tungstenite::Message::text(message.to_string());
    for _ in 0..TRIES {
        if futures::SinkExt::send(&mut client.socket, message.clone())
            .await
            .is_err()
        {
            break;
        }
    }
    loop {
        if let Err(closed) = client.try_receive().await {
            return closed;
        }
    }
}

/// Sends this many chat messages in one batch, and returns the answers.
async fn send_many(app: &TestApp, token: &str, count: usize) -> Vec<Value> {
    let one = json!({ "query": r#"mutation { sendMessage(roomId: "room-1", text: "x") { id } }"# });
    let body = Value::from(vec![one; count]).to_string();
    let authorization = ("authorization", &*format!("Bearer {token}"));
    http::post(app.endpoint(), &body, &[authorization])
        .await
        .json()
        .as_array()
        .unwrap()
        .clone()
}

fn is_rate_limited(answer: &Value) -> bool {
    let extensions = &answer["errors"][0]["extensions"];
    extensions["code"] == "RATE_LIMITED"
        && extensions["retryAfter"]
            .as_u64()
            .is_some_and(|seconds| seconds > 0)
}

async fn the_mutation_rate_of_a_user_is_limited_across_transports(transport: Transport) {
    let app = TestApp::start_over(
        transport,
        &[
            "--mutations-per-second-per-user-max",
            "1",
            "--mutations-burst-max",
            "20",
        ],
    )
    .await;
    let (ann, bob) = (app.sign_in("ann").await, app.sign_in("bob").await);
    let within = [
        send_many(&app, &ann, 10).await,
        send_many(&app, &ann, 10).await,
    ]
    .concat();
    assert!(
        within
            .iter()
            .all(|answer| answer["data"]["sendMessage"]["id"].is_string()),
        "{within:?}"
    );

    let mut client = app.client(Some(&ann)).await;
    let mut tries = 0;
    let refused = loop {
        let answer = client
            .send_with_nonce("room-1", "more", &tries.to_string())
            .await;
        tries += 1;
        if answer["data"]["sendMessage"].is_null() || tries > TRIES {
            break answer;
        }
    };
    assert!(is_rate_limited(&refused), "{refused}");
    assert!(refused["data"]["sendMessage"].is_null());
    // Each mutation in a document counts.
    let many = (0..30)
        .map(|n| format!(r#"m{n}: sendMessage(roomId: "room-1", text: "x") {{ id }} "#))
        .collect::<String>();
    let answer = client
        .execute(&format!("mutation {{ {many} }}"), json!({}))
        .await;
    assert!(is_rate_limited(&answer), "{answer}");

    // Neither queries nor other users are affected.
    assert!(!client.head("room-1").await.is_empty());
    assert!(
        send_many(&app, &bob, 10)
            .await
            .iter()
            .all(|answer| answer["errors"].is_null())
    );
    drop(client);
    app.finish().await;
}

async fn with_no_rate_limits_no_client_is_refused(transport: Transport) {
    let flags = [
        ["--connections-per-address-max", "1"],
        ["--connections-per-user-max", "1"],
        ["--connects-per-second-per-address-max", "1"],
        ["--connects-burst-max", "1"],
        ["--handshakes-per-address-max", "1"],
        ["--messages-per-second-max", "1"],
        ["--messages-burst-max", "1"],
        ["--mutations-per-second-per-user-max", "1"],
        ["--mutations-burst-max", "1"],
        ["--plans-bytes-per-viewer-max", "1"],
        ["--plans-bytes-per-address-max", "1"],
    ];
    let app = TestApp::start_over(
        transport,
        &[&["--no-rate-limits"], flags.as_flattened()].concat(),
    )
    .await;
    let token = app.sign_in("ann").await;
    let mut clients = Vec::new();
    for _ in 0..5 {
        let mut client = app.client(Some(&token)).await;
        for text in ["one", "two", "three"] {
            client.send_message("room-1", text).await;
        }
        client.start(NEW_MESSAGE, json!({ "room": "room-1" })).await;
        client.wait_until_live().await;
        client.close().await;
        clients.push(app.client(Some(&token)).await);
    }
    drop(clients);
    app.finish().await;
}

#[tokio::test]
async fn plans_of_one_viewer_are_bounded_and_leave_room_for_others() {
    let app = TestApp::with_flags(&[
        "--plans-bytes-per-viewer-max",
        "60000",
        "--plans-bytes-per-address-max",
        "90000",
    ])
    .await;
    let (ann, bob) = (app.sign_in("ann").await, app.sign_in("bob").await);
    let mut anonymous = app.client(None).await;
    let document = |selection: &str| {
        format!("subscription {{ newMessage(roomId: \"room-1\") {{ {selection} }} }}")
    };
    for selection in ["text", "id"] {
        anonymous.start(&document(selection), Value::Null).await;
        anonymous.wait_until_live().await;
    }
    // Only this operation is refused, over every transport. The socket and its other operations
    // continue.
    let refused = anonymous
        .execute_refused(&document("cursor"), Value::Null)
        .await;
    assert_eq!(refused[0]["extensions"]["code"], "TOO_MANY_OPERATIONS");
    let body = json!({ "query": document("cursor") }).to_string();
    assert_eq!(
        StreamedResponse::post(app.address(), &body, &[SSE])
            .await
            .next_result()
            .await
            .0["errors"],
        refused
    );
    // A document that is cached costs nothing. Other users have a quota of their own, until the
    // address reaches its limit.
    anonymous.start(&document("text"), Value::Null).await;
    anonymous.wait_until_live().await;
    let mut ann_client = app.client(Some(&ann)).await;
    ann_client.start(&document("cursor"), Value::Null).await;
    ann_client.wait_until_live().await;
    let mut bob_client = app.client(Some(&bob)).await;
    assert_eq!(
        bob_client
            .execute_refused(&document("createdAt"), Value::Null)
            .await[0]["extensions"]["code"],
        "TOO_MANY_OPERATIONS"
    );
    bob_client.send_message("room-1", "hello").await;
    for (client, subscriptions) in [(&mut anonymous, 3), (&mut ann_client, 1)] {
        for _ in 0..subscriptions {
            assert_eq!(client.receive().await["type"], "next");
        }
    }
    drop((anonymous, ann_client, bob_client));
    app.finish().await;
}

async fn uris_and_headers_beyond_their_limits_are_refused(transport: Transport) {
    let app = TestApp::start_over(
        transport,
        &["--uri-bytes-max", "100", "--headers-max", "10"],
    )
    .await;
    let path = |bytes: usize| format!("/healthz?{}", "x".repeat(bytes - "/healthz?".len()));
    assert_eq!(http::get(app.endpoint(), &path(100), &[]).await.status, 200);
    let long = http::get(app.endpoint(), &path(101), &[]).await;
    assert_eq!(
        (long.status, long.error_code().as_str()),
        (414, "BAD_USER_INPUT")
    );
    // Each request of this client has the headers `host` and `connection`.
    let headers = |count: usize| vec![("x-more", "x"); count - 2];
    assert_eq!(
        http::get(app.endpoint(), "/healthz", &headers(10))
            .await
            .status,
        200
    );
    assert_eq!(
        http::get(app.endpoint(), "/healthz", &headers(11))
            .await
            .status,
        431
    );
    app.finish().await;
}

async fn a_body_that_arrives_too_slowly_is_408(transport: Transport) {
    let app = TestApp::start_over(transport, &["--body-timeout", "200ms"]).await;
    let mut stream = app.endpoint().connect().await.unwrap();
    let head = format!(
        "POST /graphql HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{{\"que",
        app.address()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut reply = String::new();
    wait_for(
        "a response and the end of the connection",
        stream.read_to_string(&mut reply),
    )
    .await
    .unwrap();
    assert!(
        reply.starts_with("HTTP/1.1 408") && reply.contains("BAD_USER_INPUT"),
        "{reply}"
    );
    app.finish().await;
}
