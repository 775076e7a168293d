//! The session cookie: set only for the server's own pages, read only by GET, and never for another
//! site.

use serde_json::json;

use crate::support::{
    app::TestApp,
    http::{Reply, get, post},
    stream::StreamedResponse,
};

const VIEWER: &str = "/graphql?query=%7Bviewer%7Bname%7D%7D";

fn viewer_query() -> String {
    json!({ "query": "{ viewer { name } }" }).to_string()
}

/// Signs in with the headers that a browser sends for a page.
async fn sign_in(app: &TestApp, headers: &[(&str, &str)]) -> Reply {
    let body = json!({ "query": "mutation { signIn(name: \"ann\") { token } }" }).to_string();
    post(app.address(), &body, headers).await
}

fn own(app: &TestApp) -> String {
    format!("http://{}", app.address())
}

/// The name and the value of the cookie that a response sets.
fn cookie(reply: &Reply) -> String {
    reply
        .header("set-cookie")
        .unwrap()
        .split(';')
        .next()
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn signing_in_from_an_own_page_sets_the_cookie_and_get_requests_read_it() {
    let app = TestApp::with_flags(&["--session-lifetime", "1h"]).await;
    let reply = sign_in(
        &app,
        &[("origin", &own(&app)), ("sec-fetch-site", "same-origin")],
    )
    .await;
    let token = reply.json()["data"]["signIn"]["token"]
        .as_str()
        .unwrap()
        .to_owned();
    let set = reply.header("set-cookie").unwrap();
    let parts: Vec<_> = set.split("; ").collect();
    assert_eq!(parts[0], format!("switchboard_token={token}"));
    assert_eq!(
        [parts[1], parts[3], parts[4]],
        ["Path=/graphql", "HttpOnly", "SameSite=Strict"]
    );
    let age: u64 = parts[2].strip_prefix("Max-Age=").unwrap().parse().unwrap();
    assert!((3500..=3600).contains(&age) && parts.len() == 5, "{set}");

    let cookie = cookie(&reply);
    let ann = json!({ "data": { "viewer": { "name": "ann" } } });
    let others = format!("a=b; {cookie};c=d");
    assert_eq!(
        get(app.address(), VIEWER, &[("cookie", &others)])
            .await
            .json(),
        ann
    );
    let sse = [
        ("cookie", cookie.as_str()),
        ("accept", "text/event-stream"),
        ("sec-fetch-site", "same-origin"),
    ];
    assert_eq!(
        StreamedResponse::get(app.address(), VIEWER, &sse)
            .await
            .next_result()
            .await
            .0,
        ann
    );

    // Signing in within a batch sets it too.
    let body = json!([{ "query": "mutation { signIn(name: \"bob\") { token } }" }]).to_string();
    let reply = post(app.address(), &body, &[("origin", &own(&app))]).await;
    let token = reply.json()[0]["data"]["signIn"]["token"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        reply
            .header("set-cookie")
            .unwrap()
            .starts_with(&format!("switchboard_token={token};"))
    );
    app.finish().await;
}

#[tokio::test]
async fn the_cookie_of_a_page_over_tls_is_secure() {
    let app = TestApp::start().await;
    let reply = sign_in(&app, &[("origin", &format!("https://{}", app.address()))]).await;
    assert!(reply.header("set-cookie").unwrap().ends_with("; Secure"));
    app.finish().await;
}

#[tokio::test]
async fn no_other_request_sets_the_cookie() {
    let app = TestApp::with_flags(&["--allow-origin", "https://friend.example"]).await;
    let own = own(&app);
    for (headers, status) in [
        (&[][..], 200),
        (&[("origin", "https://friend.example")], 200),
        (&[("sec-fetch-site", "same-origin")], 200),
        (
            &[
                ("origin", "https://friend.example"),
                ("sec-fetch-site", "cross-site"),
            ],
            200,
        ),
        (&[("origin", "https://evil.example")], 403),
        (&[("origin", "null")], 403),
        (
            &[("origin", own.as_str()), ("sec-fetch-site", "same-site")],
            403,
        ),
        (
            &[("origin", own.as_str()), ("sec-fetch-site", "cross-site")],
            403,
        ),
    ] {
        let reply = sign_in(&app, headers).await;
        assert_eq!(
            (reply.status, reply.header("set-cookie")),
            (status, None),
            "{headers:?}"
        );
    }
    // Only an operation that issues a session sets it.
    let reply = post(app.address(), &viewer_query(), &[("origin", &own)]).await;
    assert_eq!(reply.header("set-cookie"), None);
    app.finish().await;
}

/// Checks that an Authorization header decides beside the cookie, whether it is valid or not.
async fn assert_header_decides(app: &TestApp, given: (&str, &str)) {
    let bob = format!("Bearer {}", app.sign_in("bob").await);
    let reply = get(app.address(), VIEWER, &[given, ("authorization", &bob)]).await;
    assert_eq!(
        reply.json(),
        json!({ "data": { "viewer": { "name": "bob" } } })
    );
    assert_eq!(
        get(
            app.address(),
            VIEWER,
            &[given, ("authorization", "Bearer x")]
        )
        .await
        .status,
        401
    );
}

#[tokio::test]
async fn the_cookie_is_read_only_by_get_and_never_for_another_site() {
    let app = TestApp::with_flags(&["--allow-origin", "https://friend.example"]).await;
    let own = own(&app);
    let cookie = cookie(&sign_in(&app, &[("origin", &own)]).await);
    let anonymous = json!({ "data": { "viewer": null } });
    let ann = json!({ "data": { "viewer": { "name": "ann" } } });
    let given = ("cookie", cookie.as_str());
    for (headers, expected) in [
        (&[given][..], &ann),
        (
            &[
                given,
                ("sec-fetch-site", "same-origin"),
                ("origin", own.as_str()),
            ],
            &ann,
        ),
        (&[given, ("sec-fetch-site", "none")], &ann),
        (&[given, ("origin", "https://friend.example")], &ann),
        (&[given, ("sec-fetch-site", "cross-site")], &anonymous),
        (&[given, ("sec-fetch-site", "same-site")], &anonymous),
        (
            &[
                given,
                ("sec-fetch-site", "cross-site"),
                ("origin", "https://friend.example"),
            ],
            &anonymous,
        ),
        (&[given, ("origin", "https://evil.example")], &anonymous),
        (&[given, ("origin", "null")], &anonymous),
    ] {
        assert_eq!(
            get(app.address(), VIEWER, headers).await.json(),
            *expected,
            "{headers:?}"
        );
    }
    assert_eq!(
        post(app.address(), &viewer_query(), &[given, ("origin", &own)])
            .await
            .json(),
        anonymous
    );

    assert_header_decides(&app, given).await;
    app.finish().await;
}

#[tokio::test]
async fn an_invalid_cookie_is_refused_and_cleared() {
    let app = TestApp::with_flags(&["--session-lifetime", "0s"]).await;
    let expired = format!("switchboard_token={}", app.sign_in("ann").await);
    for cookie in [expired.as_str(), "switchboard_token=junk"] {
        let reply = get(
            app.address(),
            VIEWER,
            &[("cookie", cookie), ("accept", "text/event-stream")],
        )
        .await;
        assert_eq!(
            (reply.status, reply.error_code().as_str()),
            (401, "UNAUTHENTICATED"),
            "{cookie}"
        );
        let cleared = "switchboard_token=; Path=/graphql; Max-Age=0; HttpOnly; SameSite=Strict";
        assert_eq!(reply.header("set-cookie"), Some(cleared));
    }
    let empty = get(app.address(), VIEWER, &[("cookie", "switchboard_token=")]).await;
    assert_eq!(empty.json(), json!({ "data": { "viewer": null } }));
    let header = get(app.address(), VIEWER, &[("authorization", "Bearer x")]).await;
    assert_eq!((header.status, header.header("set-cookie")), (401, None));
    app.finish().await;
}

#[tokio::test]
async fn a_websocket_does_not_read_the_cookie() {
    use futures::{SinkExt, StreamExt};
    use tokio_tungstenite::tungstenite::{ClientRequestBuilder, Message};

    let app = TestApp::start().await;
    let cookie = cookie(&sign_in(&app, &[("origin", &own(&app))]).await);
    let uri = format!("ws://{}/graphql", app.address()).parse().unwrap();
    let request = ClientRequestBuilder::new(uri)
        .with_sub_protocol("graphql-transport-ws")
        .with_header("cookie", cookie);
    let (mut socket, _) = tokio_tungstenite::connect_async(request).await.unwrap();
    for message in [
        json!({ "type": "connection_init" }),
        json!({ "type": "subscribe", "id": "1", "payload": { "query": "{ viewer { name } }" } }),
    ] {
        socket
            .send(Message::text(message.to_string()))
            .await
            .unwrap();
    }
    let ack = socket.next().await.unwrap().unwrap();
    assert_eq!(ack.into_text().unwrap(), r#"{"type":"connection_ack"}"#);
    let next = socket.next().await.unwrap().unwrap().into_text().unwrap();
    assert!(next.contains(r#"{"viewer":null}"#), "{next}");
    drop(socket);
    app.finish().await;
}

#[tokio::test]
async fn two_different_cookies_are_refused() {
    let app = TestApp::start().await;
    let [ann, bob] = ["ann", "bob"].map(|name| app.sign_in(name));
    let [ann, bob] = [ann.await, bob.await].map(|token| format!("switchboard_token={token}"));
    for cookies in [
        format!("{ann}; {bob}"),
        format!("{bob}; {ann}"),
        format!("switchboard_token=x; {ann}"),
    ] {
        let reply = get(app.address(), VIEWER, &[("cookie", &cookies)]).await;
        assert_eq!(
            (reply.status, reply.error_code().as_str()),
            (401, "UNAUTHENTICATED")
        );
        assert!(reply.header("set-cookie").unwrap().contains("Max-Age=0"));
    }
    assert_eq!(
        get(app.address(), VIEWER, &[("cookie", &ann), ("cookie", &bob)])
            .await
            .status,
        401
    );
    let same = format!("{ann}; switchboard_token=; {ann}");
    assert_eq!(
        get(app.address(), VIEWER, &[("cookie", &same)])
            .await
            .json()["data"]["viewer"]["name"],
        "ann"
    );
    app.finish().await;
}
