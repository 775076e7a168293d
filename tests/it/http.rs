//! GraphQL over HTTP: media types, status codes, and the operations that GET may run.

use serde_json::json;

use crate::support::{
    app::TestApp,
    http::{Reply, get, post, request},
};

const GRAPHQL_RESPONSE: (&str, &str) = ("accept", "application/graphql-response+json");

fn query(text: &str) -> String {
    json!({ "query": text }).to_string()
}

/// The status, and the media type without its parameters.
fn outcome(reply: &Reply) -> (u16, &str) {
    let media = reply.header("content-type").unwrap_or_default();
    (reply.status, media.split(';').next().unwrap())
}

#[tokio::test]
async fn the_response_has_the_media_type_that_was_requested() {
    let app = TestApp::start().await;
    let body = query("{ __typename }");
    for (accept, expected) in [
        (None, (200, "application/json")),
        (Some("*/*"), (200, "application/json")),
        (Some("application/json"), (200, "application/json")),
        (
            Some("application/graphql-response+json, application/json;q=0.9"),
            (200, "application/graphql-response+json"),
        ),
        (Some("text/plain"), (406, "application/json")),
    ] {
        let headers: Vec<_> = accept
            .map(|accept| ("accept", accept))
            .into_iter()
            .collect();
        let reply = post(app.address(), &body, &headers).await;
        assert_eq!(outcome(&reply), expected, "{accept:?}");
        assert_eq!(reply.header("cache-control"), Some("no-store"));
    }
    app.finish().await;
}

#[tokio::test]
async fn request_errors_have_a_status_and_no_data() {
    let app = TestApp::start().await;
    for (text, code) in [
        ("query {", "GRAPHQL_PARSE_FAILED"),
        ("{ nope }", "GRAPHQL_VALIDATION_FAILED"),
        (
            "query ($id: ID!) { room(id: $id) { id } }",
            "BAD_USER_INPUT",
        ),
        (
            "query A { __typename } query B { __typename }",
            "GRAPHQL_VALIDATION_FAILED",
        ),
    ] {
        let strict = post(app.address(), &query(text), &[GRAPHQL_RESPONSE]).await;
        assert_eq!(
            outcome(&strict),
            (400, "application/graphql-response+json"),
            "{text}"
        );
        assert_eq!(
            (strict.error_code().as_str(), strict.json().get("data")),
            (code, None),
            "{text}"
        );
        // Clients that accept only the older media type read errors only from a 200.
        let lenient = post(app.address(), &query(text), &[]).await;
        assert_eq!(
            (outcome(&lenient), lenient.error_code().as_str()),
            ((200, "application/json"), code),
            "{text}"
        );
    }
    app.finish().await;
}

#[tokio::test]
async fn invalid_bodies_are_400() {
    let app = TestApp::start().await;
    for body in [
        "",
        "{",
        "null",
        "7",
        "[]",
        r#"["{ __typename }"]"#,
        "{}",
        r#"["{ __typename }"]"#,
        r#"{"query":7}"#,
        r#"{"query":"{ a }","variables":"x"}"#,
        r#"{"query":"{ a }","variables":[1]}"#,
        r#"{"query":"{ a }","operationName":{}}"#,
        r#"{"query":"{ a }","extensions":0}"#,
    ] {
        let reply = post(app.address(), body, &[]).await;
        assert_eq!(
            (outcome(&reply), reply.error_code().as_str()),
            ((400, "application/json"), "BAD_USER_INPUT"),
            "{body}"
        );
    }
    let nulls = r#"{"query":"{ __typename }","variables":null,"operationName":null,"extensions":null,"more":1}"#;
    assert_eq!(
        post(app.address(), nulls, &[]).await.json(),
        json!({ "data": { "__typename": "Query" } })
    );
    app.finish().await;
}

#[tokio::test]
async fn only_json_bodies_are_read() {
    let app = TestApp::start().await;
    let body = query("{ __typename }");
    for media in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/graphql",
    ] {
        let reply = request(
            app.address(),
            "POST",
            "/graphql",
            &[("content-type", media)],
            &body,
        )
        .await;
        assert_eq!(reply.status, 415, "{media}");
    }
    assert_eq!(
        request(app.address(), "POST", "/graphql", &[], &body)
            .await
            .status,
        415
    );
    let reply = request(
        app.address(),
        "POST",
        "/graphql",
        &[("content-type", "Application/JSON; charset=utf-8")],
        &body,
    );
    assert_eq!(reply.await.status, 200);
    app.finish().await;
}

#[tokio::test]
async fn get_runs_queries_and_never_mutations() {
    let app = TestApp::start().await;
    let reply = get(
        app.address(),
        "/graphql?query=%7B__typename%7D&variables=&operationName=&extensions=",
        &[],
    )
    .await;
    assert_eq!(
        (reply.status, reply.json()),
        (200, json!({ "data": { "__typename": "Query" } }))
    );
    let named = "/graphql?query=query%20A(%24id%3AID!)%7Broom(id%3A%24id)%7Bname%7D%7Dquery%20B%7B__typename%7D\
                 &operationName=A&variables=%7B%22id%22%3A%22room-1%22%7D";
    assert_eq!(
        get(app.address(), named, &[]).await.json(),
        json!({ "data": { "room": { "name": "General" } } })
    );

    let mutation = "/graphql?query=mutation%7BsignIn(name%3A%22x%22)%7Btoken%7D%7D";
    let reply = get(app.address(), mutation, &[]).await;
    assert_eq!((reply.status, reply.header("allow")), (405, Some("POST")));
    for target in [
        "/graphql",
        "/graphql?query=",
        "/graphql?query=%7B__typename%7D&variables=7",
    ] {
        assert_eq!(
            get(app.address(), target, &[]).await.status,
            400,
            "{target}"
        );
    }
    for method in ["PATCH", "OPTIONS", "TRACE"] {
        let reply = request(app.address(), method, "/graphql", &[], "").await;
        assert_eq!(
            (reply.status, reply.header("allow")),
            (405, Some("GET, POST, PUT, DELETE")),
            "{method}"
        );
    }
    app.finish().await;
}

#[tokio::test]
async fn an_invalid_token_is_refused_and_never_becomes_anonymous() {
    let app = TestApp::start().await;
    let body = query("{ viewer { name } }");
    let valid = format!("Bearer {}", app.sign_in("ann").await);
    let reply = post(app.address(), &body, &[("authorization", &valid)]).await;
    assert_eq!(
        reply.json(),
        json!({ "data": { "viewer": { "name": "ann" } } })
    );
    let anonymous = post(app.address(), &body, &[]).await;
    assert_eq!(anonymous.json(), json!({ "data": { "viewer": null } }));

    // Changed in the middle, so that the token is well-formed and its signature wrong.
    let changed = valid.replacen('.', ".e", 1);
    let unsigned = "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJ1c3JfMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAiLCJleHAiOjk5OTk5OTk5OTl9.";
    for invalid in [
        changed.as_str(),
        unsigned,
        "Bearer x",
        "Basic YTpi",
        "null",
        &format!("Bearer {}", "x".repeat(9000)),
    ] {
        let reply = post(app.address(), &body, &[("authorization", invalid)]).await;
        assert_eq!(
            (reply.status, reply.error_code().as_str()),
            (401, "UNAUTHENTICATED"),
            "{invalid}"
        );
        assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
    }
    app.finish().await;
}

#[tokio::test]
async fn an_expired_token_is_refused() {
    let app = TestApp::with_flags(&["--session-lifetime", "0s"]).await;
    let expired = format!("Bearer {}", app.sign_in("ann").await);
    let reply = post(
        app.address(),
        &query("{ __typename }"),
        &[("authorization", &expired)],
    )
    .await;
    assert_eq!(
        (reply.status, reply.error_code().as_str()),
        (401, "UNAUTHENTICATED")
    );
    app.finish().await;
}

#[tokio::test]
async fn bodies_are_bounded() {
    let app = TestApp::with_flags(&["--body-bytes-max", "1000"]).await;
    let sized = |bytes: usize| {
        let empty = query("{ __typename } #");
        query(&format!(
            "{{ __typename }} #{}",
            "x".repeat(bytes - empty.len())
        ))
    };
    assert_eq!(post(app.address(), &sized(1000), &[]).await.status, 200);
    let reply = post(app.address(), &sized(1001), &[]).await;
    assert_eq!(
        (reply.status, reply.error_code().as_str()),
        (413, "BAD_USER_INPUT")
    );
    app.finish().await;
}

#[tokio::test]
async fn a_browser_is_sent_to_the_playground_which_loads_its_files() {
    let app = TestApp::start().await;
    let reply = get(
        app.address(),
        "/graphql",
        &[("accept", "text/html,application/xhtml+xml,*/*;q=0.8")],
    )
    .await;
    assert_eq!(
        (reply.status, reply.header("location")),
        (307, Some("graphiql"))
    );
    let page = get(app.address(), "/graphiql", &[]).await;
    assert!(
        page.status == 200 && page.body.contains("<title>Switchboard"),
        "{}",
        page.body
    );
    assert!(
        page.header("content-security-policy")
            .unwrap()
            .contains("default-src 'none'")
    );
    let script = page
        .body
        .split("src=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    // Relative to the page.
    let script = script.trim_start_matches('.');
    let file = get(app.address(), script, &[]).await;
    assert_eq!(outcome(&file), (200, "text/javascript"));
    assert!(file.header("cache-control").unwrap().contains("immutable"));
    let tag = file.header("etag").unwrap();
    assert_eq!(
        get(app.address(), script, &[("if-none-match", tag)])
            .await
            .status,
        304
    );
    for absent in [
        "/assets/none.js",
        "/assets/..%2f..%2fCargo.toml",
        "/assets/../graphiql.html",
        "/none",
    ] {
        assert_eq!(
            get(app.address(), absent, &[]).await.status,
            404,
            "{absent}"
        );
    }
    app.finish().await;
}

#[tokio::test]
async fn below_a_base_path_every_path_is_served_with_and_without_it() {
    let app = TestApp::with_flags(&["--base-path", "/a/chat/"]).await;
    let origin = format!("http://{}", app.address());
    for base in ["", "/a/chat"] {
        for (path, status) in [
            ("/graphiql", 200),
            ("/healthz", 200),
            ("/readyz", 200),
            ("/graphql?query=%7B__typename%7D", 200),
            ("/graphql/?query=%7B__typename%7D", 200),
            ("/assets/none.js", 404),
            ("/", 200),
        ] {
            let reply = get(app.address(), &format!("{base}{path}"), &[]).await;
            assert_eq!(reply.status, status, "{base}{path}");
        }
        for path in ["/", "/graphql", "/graphql/"] {
            let html = [("accept", "text/html")];
            let reply = get(app.address(), &format!("{base}{path}"), &html).await;
            let location = reply.header("location");
            assert_eq!((reply.status, location), (307, Some("/a/chat/graphiql")));
        }
        let body = json!({ "query": "mutation { signIn(name: \"ann\") { token } }" }).to_string();
        let headers = [("origin", &*origin), ("content-type", "application/json")];
        let path = format!("{base}/graphql");
        let signed_in = request(app.address(), "POST", &path, &headers, &body).await;
        let cookie = signed_in.header("set-cookie").unwrap();
        assert!(cookie.contains("; Path=/a/chat/graphql; "), "{cookie}");
    }
    for path in ["/a/chat", "/a/chat/"] {
        assert_eq!(get(app.address(), path, &[]).await.status, 200, "{path}");
    }
    assert_eq!(get(app.address(), "/a", &[]).await.status, 404);
    app.finish().await;
}

#[tokio::test]
async fn health_and_readiness_are_200() {
    let app = TestApp::start().await;
    for path in ["/healthz", "/readyz"] {
        assert_eq!(get(app.address(), path, &[]).await.status, 200, "{path}");
    }
    app.finish().await;
}

#[tokio::test]
async fn a_subscription_that_accepts_no_stream_is_406_and_names_the_transports() {
    let app = TestApp::start().await;
    let reply = post(
        app.address(),
        &query("subscription { newMessage(roomId: \"room-1\") { id } }"),
        &[],
    )
    .await;
    assert_eq!(
        (reply.status, reply.error_code().as_str()),
        (406, "BAD_USER_INPUT")
    );
    assert!(reply.body.contains("graphql-transport-ws"));
    app.finish().await;
}

/// The codes of an answer's errors, and its text.
async fn codes(app: &TestApp, query: &str, token: &str) -> (Vec<String>, String) {
    let body = json!({ "query": query }).to_string();
    let reply = post(
        app.address(),
        &body,
        &[("authorization", &format!("Bearer {token}"))],
    )
    .await;
    let answer = reply.json();
    let errors = answer["errors"].as_array().cloned().unwrap_or_default();
    let code = |error: &serde_json::Value| error["extensions"]["code"].to_string();
    (errors.iter().map(code).collect(), answer.to_string())
}

#[tokio::test]
async fn g3_a_failure_of_the_database_is_internal_and_its_text_stays_here() {
    let app = TestApp::start().await;
    let token = app.sign_in("ann").await;
    let database = sqlx::SqlitePool::connect(&app.folder.database())
        .await
        .unwrap();
    for broken in [
        "alter table messages rename to m",
        "alter table rooms rename to r",
    ] {
        sqlx::raw_sql(broken).execute(&database).await.unwrap();
    }
    database.close().await;
    for query in [
        "{ room(id: \"room-1\") { id } }",
        "{ messages(roomId: \"room-1\", last: 1) { nodes { id } } }",
        "mutation { sendMessage(roomId: \"room-1\", text: \"a\", nonce: \"a\") { id } }",
    ] {
        let (codes, text) = codes(&app, query, &token).await;
        assert_eq!(codes, [r#""INTERNAL""#], "{text}");
        for word in ["no such", "table", "sql", "database"] {
            assert!(!text.to_lowercase().contains(word), "{word} in {text}");
        }
    }
    app.finish().await;
}

#[tokio::test]
async fn g3_every_error_has_a_code() {
    let app = TestApp::start().await;
    let token = app.sign_in("ann").await;
    for (query, expected) in [
        ("{", "GRAPHQL_PARSE_FAILED"),
        ("{ nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ viewer(a: 1) { id } }", "GRAPHQL_VALIDATION_FAILED"),
        (
            "{ messages(roomId: \"none\", last: 1) { nodes { id } } }",
            "NOT_FOUND",
        ),
        (
            "{ messages(roomId: \"room-1\", last: 9999) { nodes { id } } }",
            "BAD_USER_INPUT",
        ),
    ] {
        let (codes, text) = codes(&app, query, &token).await;
        assert!(!codes.is_empty(), "{text}");
        assert!(
            codes.iter().all(|code| *code == format!("\"{expected}\"")),
            "{text}"
        );
    }
    app.finish().await;
}
