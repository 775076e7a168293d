//! TLS on the port of the server, over real sockets.

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    http2::Http2,
    support::{
        client::Closed,
        http::{Reply, request_text},
        tls::{Certificate, SERVER_NAME, connect_client, post_from_page, serve_with, sign_in},
        wait_for,
    },
};

#[tokio::test(flavor = "multi_thread")]
async fn queries_and_subscriptions_work_over_https_and_wss() {
    let certificate = Certificate::new();
    let app = serve_with(&certificate, &["--drain-window", "50ms"]).await;
    let (token, reply) = sign_in(&app, &certificate).await;
    assert!(reply.header("set-cookie").unwrap().ends_with("; Secure"));
    let mut ann = connect_client(&app, &certificate, Some(&token)).await;
    let mut reader = connect_client(&app, &certificate, None).await;
    let head = ann.head("room-1").await;
    reader.subscribe("room-1", &head).await;
    let long = "long ".repeat(1_500);
    for text in ["one", &long, "three"] {
        ann.send_message("room-1", text).await;
        assert_eq!(reader.next_message().await.0, text);
    }
    ann.close().await;
    // A drain closes WebSockets under TLS with its code.
    let stopping = tokio::spawn(app.stop());
    assert_eq!(
        reader.try_receive().await,
        Err(Closed(1012, "Service restart".to_owned()))
    );
    drop(reader);
    wait_for("the end of the server", stopping).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_handshake_negotiates_the_protocol() {
    let certificate = Certificate::new();
    let app = serve_with(&certificate, &[]).await;
    let query = request_text(
        app.address(),
        "GET",
        "/graphql?query=%7B__typename%7D",
        &[("connection", "close")],
        "",
    );
    for (offered, agreed) in [
        (&[&b"http/1.1"[..], b"h2"][..], Some(&b"h2"[..])),
        (&[b"http/1.1"], Some(b"http/1.1")),
        (&[b"h3", b"http/1.1"], Some(b"http/1.1")),
        (&[], None),
    ] {
        let mut stream = certificate.connect(app.address(), offered).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), agreed);
        if agreed != Some(b"h2") {
            stream.write_all(query.as_bytes()).await.unwrap();
            let mut reply = String::new();
            wait_for("a response", stream.read_to_string(&mut reply))
                .await
                .unwrap();
            assert_eq!(
                Reply::parse(&reply).json(),
                json!({ "data": { "__typename": "Query" } })
            );
        }
    }
    assert!(certificate.connect(app.address(), &[b"h3"]).await.is_err());

    // Several WebSockets run over one connection of HTTP/2 under TLS.
    let (token, _) = sign_in(&app, &certificate).await;
    let mut ann = connect_client(&app, &certificate, Some(&token)).await;
    let head = ann.head("room-1").await;
    let stream = certificate.connect(app.address(), &[b"h2"]).await.unwrap();
    let mut http2 = Http2::over_stream(stream, app.address()).await;
    let (mut first, mut second) = (http2.socket().await, http2.socket().await);
    first.subscribe(&head).await;
    second.subscribe(&head).await;
    ann.send_message("room-1", "over both").await;
    assert_eq!(
        (
            first.next_text().await.as_str(),
            second.next_text().await.as_str()
        ),
        ("over both", "over both")
    );
    drop((ann, first, second, http2));
    app.finish().await;
}

#[tokio::test]
async fn http_pages_are_foreign_and_hsts_is_sent_for_named_hosts() {
    let certificate = Certificate::new();
    let app = serve_with(&certificate, &[]).await;
    let (own, query) = (format!("https://{SERVER_NAME}"), "{ __typename }");
    let reply = post_from_page(&app, &certificate, SERVER_NAME, &own, query).await;
    assert_eq!(
        (reply.status, reply.header("strict-transport-security")),
        (200, Some("max-age=31536000"))
    );
    // The same host without TLS is another origin.
    let reply = post_from_page(
        &app,
        &certificate,
        SERVER_NAME,
        &format!("http://{SERVER_NAME}"),
        query,
    )
    .await;
    assert_eq!(
        (reply.status, reply.error_code().as_str()),
        (403, "FORBIDDEN")
    );
    // Browsers apply HSTS to all ports of a host, so the server does not send it for `localhost`.
    let reply = post_from_page(
        &app,
        &certificate,
        "localhost:4000",
        "https://localhost:4000",
        query,
    )
    .await;
    assert_eq!(
        (reply.status, reply.header("strict-transport-security")),
        (200, None)
    );
    assert_eq!(
        post_from_page(&app, &certificate, "evil.example", &own, query)
            .await
            .status,
        421
    );
    app.finish().await;
}

#[tokio::test]
async fn t3_a_client_that_sends_no_tls_or_no_request_is_disconnected() {
    let certificate = Certificate::new();
    let app = serve_with(&certificate, &["--header-timeout", "300ms"]).await;
    // The last entry is half of a ClientHello.
    let bytes = [
        &b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n"[..],
        b"",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03",
    ];
    for bytes in bytes {
        let mut stream = TcpStream::connect(app.address()).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut received = Vec::new();
        let _ = wait_for(
            "the end of the connection",
            stream.read_to_end(&mut received),
        )
        .await;
        // The server sends at most a TLS alert.
        assert!(
            received.len() <= 7 && !received.starts_with(b"HTTP"),
            "{received:?}"
        );
    }
    // After the handshake, the timeout applies to the head of the request.
    let mut stream = certificate.connect(app.address(), &[]).await.unwrap();
    let end = wait_for("the end of the connection", stream.read(&mut [0])).await;
    assert!(
        !matches!(end, Ok(1)),
        "the server sent data without a request"
    );
    app.finish().await;
}

#[tokio::test]
async fn t1_a_stream_that_is_not_read_is_disconnected_under_tls_too() {
    let certificate = Certificate::new();
    let app = serve_with(&certificate, &["--write-timeout", "300ms"]).await;
    let (token, _) = sign_in(&app, &certificate).await;
    let mut ann = connect_client(&app, &certificate, Some(&token)).await;
    let mut idle = certificate
        .connect(app.address(), &[b"http/1.1"])
        .await
        .unwrap();
    let target = "/graphql?query=subscription%7BnewMessage(roomId:%22room-1%22)%7Btext%7D%7D";
    let text = request_text(
        app.address(),
        "GET",
        target,
        &[("accept", "text/event-stream")],
        "",
    );
    idle.write_all(text.as_bytes()).await.unwrap();
    let mut first = [0; 12];
    wait_for("the response", idle.read_exact(&mut first))
        .await
        .unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    let long = "long ".repeat(1_600);
    let cut_off = async {
        while app.connections() > 1 {
            ann.send_message("room-1", &long).await;
        }
    };
    wait_for("the end of the stream", cut_off).await;
    drop((ann, idle));
    app.finish().await;
}
