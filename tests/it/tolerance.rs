//! Requests of clients that are written in an unusual way, and whose meaning is clear.

use serde_json::json;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{
    app::TestApp,
    endpoint::Transport,
    http::{Reply, UPGRADE, exchange, get, post, request, request_text},
    wait_for,
};

fn query(text: &str) -> String {
    json!({ "query": text }).to_string()
}

/// Clients send these while nobody is signed in, as the documentation of Apollo Client shows.
#[tokio::test]
async fn an_empty_authorization_is_no_credential() {
    let app = TestApp::start().await;
    let anonymous = json!({ "data": { "viewer": null } });
    for blank in ["", " ", "\t", "Bearer", "bearer "] {
        let header = [("authorization", blank)];
        let reply = post(app.address(), &query("{ viewer { name } }"), &header).await;
        assert_eq!(
            (reply.status, reply.json()),
            (200, anonymous.clone()),
            "{blank:?}"
        );
        let sign_in = query("mutation { signIn(name: \"ann\") { viewer { name } } }");
        let reply = post(app.address(), &sign_in, &header).await;
        assert_eq!(
            reply.json()["data"]["signIn"]["viewer"]["name"],
            "ann",
            "{blank:?}"
        );
    }
    let valid = format!("Bearer {}", app.sign_in("ann").await);
    let both = [("authorization", ""), ("authorization", &valid)];
    let reply = post(app.address(), &query("{ viewer { name } }"), &both).await;
    assert_eq!(reply.json()["data"]["viewer"]["name"], "ann");
    app.finish().await;
}

#[tokio::test]
async fn the_token_may_travel_in_another_header() {
    let app = TestApp::with_flags(&["--auth-header", "X-Chat-Token"]).await;
    let token = app.sign_in("ann").await;
    let bearer = format!("Bearer {token}");
    let basic = ("authorization", "Basic YTpi");
    for value in [&token, &bearer] {
        let headers = [basic, ("x-chat-token", value.as_str())];
        let reply = post(app.address(), &query("{ viewer { name } }"), &headers).await;
        assert_eq!(reply.json()["data"]["viewer"]["name"], "ann");
    }
    let reply = post(app.address(), &query("{ viewer { name } }"), &[basic]).await;
    assert_eq!(reply.json(), json!({ "data": { "viewer": null } }));
    let wrong = [("x-chat-token", "x")];
    let reply = post(app.address(), &query("{ viewer { name } }"), &wrong).await;
    assert_eq!(reply.status, 401);
    app.finish().await;
}

/// Clients write "nothing" in many ways.
#[tokio::test]
async fn every_spelling_of_nothing_counts_as_absent() {
    let app = TestApp::start().await;
    let expected = json!({ "data": { "__typename": "Query" } });
    let nothings = [
        json!({ "variables": null }),
        json!({ "variables": [] }),
        json!({ "variables": "" }),
        json!({ "extensions": null }),
        json!({ "extensions": [] }),
        json!({ "extensions": { "persistedQuery": null } }),
        json!({ "extensions": { "persistedQuery": [] } }),
        json!({ "operationName": null }),
        json!({ "operationName": "" }),
        json!({ "documentId": "", "id": null }),
    ];
    for nothing in nothings {
        let mut body = nothing.clone();
        body["query"] = json!("{ __typename }");
        let reply = post(app.address(), &body.to_string(), &[]).await;
        assert_eq!(reply.json(), expected, "by POST: {body}");
        let batch = json!([body]).to_string();
        let reply = post(app.address(), &batch, &[]).await;
        assert_eq!(reply.json(), json!([expected]), "in a batch: {body}");
        let parameters = body.as_object().unwrap().iter().map(|(name, value)| {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            (name, text)
        });
        let target = serde_urlencoded::to_string(parameters.collect::<Vec<_>>()).unwrap();
        // A query parameter is text: a name that is null is the text "null".
        if nothing.get("operationName") != Some(&json!(null)) && nothing.get("id").is_none() {
            let reply = get(app.address(), &format!("/graphql?{target}"), &[]).await;
            assert_eq!(reply.json(), expected, "by GET: {target}");
        }
    }
    app.finish().await;
}

/// A text that was cut in the middle of an emoji.
#[tokio::test]
async fn half_a_surrogate_pair_is_read_as_the_replacement_character() {
    let app = TestApp::start().await;
    let bearer = format!("Bearer {}", app.sign_in("ann").await);
    let send = "mutation($text: String!) { sendMessage(roomId: \"room-1\", text: $text) { text } }";
    let body = json!({ "query": send, "variables": { "text": "TEXT" } }).to_string();
    for (cut, stored) in [
        ("party \\ud83c", "party \u{fffd}"),
        ("\\udf89!", "\u{fffd}!"),
    ] {
        let body = body.replace("TEXT", cut);
        let reply = post(app.address(), &body, &[("authorization", &bearer)]).await;
        assert_eq!(reply.json()["data"]["sendMessage"]["text"], stored);
    }
    // A number or a nesting that no reader of JSON accepts is an error of the request.
    for value in ["1e999", &format!("{}{}", "[".repeat(200), "]".repeat(200))] {
        let body = format!(r#"{{"query":"{{ __typename }}","variables":{{"a":{value}}}}}"#);
        let reply = post(app.address(), &body, &[]).await;
        assert_eq!(
            (reply.status, reply.error_code().as_str()),
            (400, "BAD_USER_INPUT")
        );
    }
    app.finish().await;
}

/// Sends a request, ends the client's side of the connection, and reads the response.
async fn half_closed(app: &TestApp, text: &str) -> String {
    let mut stream = app.endpoint().connect().await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut reply = Vec::new();
    let reading = stream.read_to_end(&mut reply);
    // Over TLS the connection may end without a word.
    let _ = wait_for("a response", reading).await;
    String::from_utf8_lossy(&reply).into_owned()
}

#[tokio::test]
async fn a_request_is_answered_after_its_client_has_ended_its_side() {
    for transport in [Transport::Tcp, Transport::Tls] {
        let app = TestApp::start_over(transport, &[]).await;
        let json = [("content-type", "application/json")];
        for _ in 0..10 {
            for text in [
                "query { rooms { nodes { id } } }",
                "mutation { signIn(name: \"ann\") { token } }",
            ] {
                let body = query(text);
                let text = request_text(app.address(), "POST", "/graphql", &json, &body);
                let reply = Reply::parse(&half_closed(&app, &text).await);
                assert_eq!((reply.status, reply.error_code()), (200, String::new()));
            }
        }
        // A stream ends with its client's side.
        let stream = [("accept", "text/event-stream")];
        let target = "/graphql?query=subscription%20%7B%20newMessage(roomId%3A%22room-1%22)%20%7B%20id%20%7D%20%7D";
        let text = request_text(app.address(), "GET", target, &stream, "");
        assert!(half_closed(&app, &text).await.len() < 1000);
        app.finish().await;
    }
}

#[tokio::test]
async fn a_compressed_body_is_decompressed_within_the_limit_of_a_body() {
    let app = TestApp::with_flags(&["--body-bytes-max", "1000"]).await;
    // `{"query":"{ __typename }"}`, compressed with gzip; and the same with deflate (zlib).
    let send = async |encoding: &str, body: &[u8]| {
        let mut stream = app.endpoint().connect().await.unwrap();
        let head = format!(
            "POST /graphql HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-type: application/json\r\n\
             content-encoding: {encoding}\r\ncontent-length: {}\r\n\r\n",
            app.address(),
            body.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(body).await.unwrap();
        let mut reply = Vec::new();
        wait_for("a response", stream.read_to_end(&mut reply))
            .await
            .unwrap();
        Reply::parse(&String::from_utf8_lossy(&reply))
    };
    let compress = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        std::io::Write::write_all(&mut encoder, bytes).unwrap();
        encoder.finish().unwrap()
    };
    let plain = query("{ __typename }");
    let typename = json!({ "data": { "__typename": "Query" } });
    let reply = send("gzip", &compress(plain.as_bytes())).await;
    assert_eq!(reply.json(), typename);
    assert_eq!(send("identity", plain.as_bytes()).await.json(), typename);
    let bomb = format!("{plain}{}", " ".repeat(1_000_000));
    assert_eq!(send("gzip", &compress(bomb.as_bytes())).await.status, 413);
    let reply = send("zstd", plain.as_bytes()).await;
    assert_eq!(reply.status, 415);
    assert!(reply.header("accept-encoding").unwrap().contains("gzip"));
    app.finish().await;
}

#[tokio::test]
async fn health_checks_of_load_balancers_are_answered() {
    let app = TestApp::start().await;
    for (text, status) in [
        ("OPTIONS / HTTP/1.0\r\n\r\n", 204),
        ("GET / HTTP/1.0\r\n\r\n", 200),
        ("GET /healthz HTTP/1.0\r\n\r\n", 200),
        ("HEAD /readyz HTTP/1.0\r\n\r\n", 200),
        ("OPTIONS /readyz HTTP/1.0\r\n\r\n", 204),
    ] {
        assert_eq!(exchange(app.address(), text).await.status, status, "{text}");
    }
    let body = query("{ __typename }");
    let json = [("content-type", "application/json")];
    let slash = request(app.address(), "POST", "/graphql/", &json, &body);
    assert_eq!(slash.await.status, 200);
    app.finish().await;
}

#[tokio::test]
async fn two_telltales_of_a_browser_and_a_port_that_is_no_number_are_refused() {
    let app = TestApp::start().await;
    for header in ["origin", "sec-fetch-site"] {
        let own = format!("http://{}", app.address());
        let value = if header == "origin" {
            own.as_str()
        } else {
            "same-origin"
        };
        let twice = [(header, value), (header, value)];
        let reply = post(app.address(), &query("{ __typename }"), &twice).await;
        assert_eq!(reply.status, 400, "{header}");
    }
    for host in [
        "127.0.0.1:",
        "127.0.0.1:x",
        "127.0.0.1:+80",
        "127.0.0.1:99999",
        "127.0.0.1:80:80",
        "[::1]x",
    ] {
        let text = format!("GET /healthz HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        let status = exchange(app.address(), &text).await.status;
        assert!([400, 421].contains(&status), "{host}: {status}");
    }
    app.finish().await;
}

#[tokio::test]
async fn the_headers_of_tracers_may_cross_origins() {
    let friend = "https://friend.example";
    let app = TestApp::with_flags(&[
        "--allow-origin",
        &format!("{friend},null"),
        "--allow-header",
        "x-own",
    ])
    .await;
    for origin in [friend, "null"] {
        let preflight = [
            ("origin", origin),
            ("access-control-request-method", "POST"),
        ];
        let reply = request(app.address(), "OPTIONS", "/graphql", &preflight, "").await;
        assert_eq!(
            (reply.status, reply.header("access-control-allow-origin")),
            (204, Some(origin))
        );
        let allowed: Vec<_> = reply
            .header("access-control-allow-headers")
            .unwrap()
            .split(", ")
            .collect();
        for name in [
            "traceparent",
            "tracestate",
            "baggage",
            "sentry-trace",
            "x-datadog-trace-id",
            "x-datadog-parent-id",
            "x-datadog-origin",
            "x-datadog-sampling-priority",
            "b3",
            "x-b3-traceid",
            "x-b3-sampled",
            "newrelic",
            "x-requested-with",
            "apollo-require-preflight",
            "x-own",
        ] {
            assert!(allowed.contains(&name), "{name}");
        }
    }
    app.finish().await;
}

/// A text frame of a client. Its mask is zero.
fn text_frame(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).unwrap().to_be_bytes();
    [&[0x81, 0x80 | 126], &length[..], &[0; 4], text.as_bytes()].concat()
}

#[tokio::test]
async fn a_websocket_answers_what_runs_after_its_client_has_ended_its_side() {
    let app = TestApp::start().await;
    let mut stream = app.endpoint().connect().await.unwrap();
    let head = request_text(app.address(), "GET", "/graphql", &UPGRADE, "");
    stream.write_all(head.as_bytes()).await.unwrap();
    let init = text_frame(r#"{"type":"connection_init"}"#);
    stream.write_all(&init).await.unwrap();
    let mut reply = Vec::new();
    while !String::from_utf8_lossy(&reply).contains("connection_ack") {
        assert!(stream.read_buf(&mut reply).await.unwrap() > 0);
    }
    for text in [
        r#"{"id":"a","type":"subscribe","payload":{"query":"subscription { newMessage(roomId: \"room-1\") { id } }"}}"#,
        r#"{"id":"b","type":"subscribe","payload":{"query":"mutation { signIn(name: \"ann\") { viewer { name } } }"}}"#,
    ] {
        stream.write_all(&text_frame(text)).await.unwrap();
    }
    stream.shutdown().await.unwrap();
    let _ = wait_for("the answer", stream.read_to_end(&mut reply)).await;
    let reply = String::from_utf8_lossy(&reply);
    assert!(reply.contains(r#""name":"ann""#), "{reply}");
    app.finish().await;
}
