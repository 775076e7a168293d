//! graphql-sse in single connection mode: the table of the protocol, row by row.

use serde_json::{Value, json};

use crate::support::{
    app::TestApp,
    client::NEW_MESSAGE,
    http::{Reply, get, post, request, request_text},
    stream::StreamedResponse,
    wait_for,
};

const SSE: (&str, &str) = ("accept", "text/event-stream");
const TOKEN: &str = "x-graphql-event-stream-token";

async fn reserve(app: &TestApp) -> String {
    let reply = request(app.address(), "PUT", "/graphql", &[], "").await;
    assert_eq!(
        (reply.status, reply.header("content-type")),
        (201, Some("text/plain; charset=utf-8"))
    );
    reply.body
}

async fn open(app: &TestApp, token: &str) -> StreamedResponse {
    let stream = StreamedResponse::get(app.address(), "/graphql", &[SSE, (TOKEN, token)]).await;
    assert_eq!(
        (stream.status, stream.header("content-type")),
        (200, Some("text/event-stream; charset=utf-8"))
    );
    stream
}

fn operation(id: &str, query: &str, variables: &Value) -> String {
    json!({ "query": query, "variables": variables, "extensions": { "operationId": id } })
        .to_string()
}

async fn operate(app: &TestApp, token: &str, id: &str, query: &str) -> Reply {
    post(
        app.address(),
        &operation(id, query, &Value::Null),
        &[(TOKEN, token)],
    )
    .await
}

async fn stop(app: &TestApp, token: &str, query: &str) -> Reply {
    request(
        app.address(),
        "DELETE",
        &format!("/graphql{query}"),
        &[(TOKEN, token)],
        "",
    )
    .await
}

fn message(reply: &Reply) -> String {
    reply.json()["errors"][0]["message"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn operations_report_on_one_stream_in_the_format_of_the_protocol() {
    let app = TestApp::start().await;
    let mut ann = app.client(Some(&app.sign_in("ann").await)).await;
    let head = ann.head("room-1").await;
    let token = reserve(&app).await;
    let mut stream = open(&app, &token).await;
    assert_eq!(stream.read_until(":\n\n").await, ":\n\n");
    let reply = operate(&app, &token, "q", "{ __typename }").await;
    assert_eq!((reply.status, reply.body.as_str()), (202, ""));
    assert_eq!(
        stream
            .read_until("complete\ndata: {\"id\":\"q\"}\n\n")
            .await,
        "event: next\ndata: {\"id\":\"q\",\"payload\":{\"data\":{\"__typename\":\"Query\"}}}\n\n\
         event: complete\ndata: {\"id\":\"q\"}\n\n"
    );
    for id in ["a", "b"] {
        let body = operation(id, NEW_MESSAGE, &json!({ "room": "room-1", "after": head }));
        assert_eq!(
            post(app.address(), &body, &[(TOKEN, &token)]).await.status,
            202
        );
    }
    let cursor = ann.send_message("room-1", "hello").await;
    let mut seen = [
        stream.read_until("\n\n").await,
        stream.read_until("\n\n").await,
    ];
    seen.sort();
    let expected = ["a", "b"].map(|id| {
        let data = r#"{"newMessage":{"text":"hello","sender":{"name":"ann"}}}"#;
        let payload = format!(r#"{{"data":{data},"extensions":{{"cursor":"{cursor}"}}}}"#);
        format!("event: next\ndata: {{\"id\":\"{id}\",\"payload\":{payload}}}\n\n")
    });
    assert_eq!(seen, expected);
    // A stopped operation sends nothing more, and the other one continues.
    assert_eq!(stop(&app, &token, "?operationId=a").await.status, 200);
    ann.send_message("room-1", "again").await;
    assert_eq!(stream.next_result().await.0["id"], "b");
    assert_eq!(
        operate(&app, &token, "fence", "{ __typename }")
            .await
            .status,
        202
    );
    assert_eq!(stream.next_result().await.0["id"], "fence");
    drop((stream, ann));
    app.finish().await;
}

#[tokio::test]
async fn reserving_fails_as_the_protocol_requires() {
    let app = TestApp::start().await;
    let token = reserve(&app).await;
    assert!(token.len() >= 32 && token != reserve(&app).await, "{token}");
    for accept in ["*/*", "text/plain", "application/json, text/plain"] {
        assert_eq!(
            request(app.address(), "PUT", "/graphql", &[("accept", accept)], "")
                .await
                .status,
            201,
            "{accept}"
        );
    }
    for accept in ["application/json", "text/event-stream", "text/plain;q=0"] {
        assert_eq!(
            request(app.address(), "PUT", "/graphql", &[("accept", accept)], "")
                .await
                .status,
            406,
            "{accept}"
        );
    }
    let again = request(app.address(), "PUT", "/graphql", &[(TOKEN, &token)], "").await;
    assert_eq!(
        (again.status, message(&again).as_str()),
        (409, "Stream already registered")
    );
    let by_query = request(
        app.address(),
        "PUT",
        &format!("/graphql?token={token}"),
        &[],
        "",
    )
    .await;
    assert_eq!(by_query.status, 409);
    let invalid = request(
        app.address(),
        "PUT",
        "/graphql",
        &[("authorization", "Bearer x")],
        "",
    )
    .await;
    assert_eq!(
        (invalid.status, invalid.error_code().as_str()),
        (401, "UNAUTHENTICATED")
    );
    let other = request(app.address(), "PATCH", "/graphql", &[(TOKEN, &token)], "").await;
    assert_eq!(
        (other.status, other.header("allow")),
        (405, Some("GET, POST, PUT, DELETE"))
    );
    app.stop().await;
}

#[tokio::test]
async fn opening_fails_as_the_protocol_requires() {
    let app = TestApp::start().await;
    let token = reserve(&app).await;
    // The token is in the query string, because EventSource cannot send headers.
    let stream =
        StreamedResponse::get(app.address(), &format!("/graphql?token={token}"), &[SSE]).await;
    assert_eq!(stream.status, 200);
    let again = get(app.address(), "/graphql", &[SSE, (TOKEN, &token)]).await;
    assert_eq!(
        (again.status, message(&again).as_str()),
        (409, "Stream already open")
    );
    // A request with an unknown token is in distinct connections mode.
    let distinct = get(
        app.address(),
        "/graphql?query=%7B__typename%7D&token=none",
        &[SSE],
    )
    .await;
    assert!(
        distinct.status == 200 && distinct.body.contains("event: complete\ndata:\n\n"),
        "{distinct:?}"
    );
    assert_eq!(
        get(app.address(), "/graphql?token=none", &[SSE])
            .await
            .status,
        400,
        "distinct connections mode needs a query"
    );
    drop(stream);
    app.finish().await;
}

async fn assert_operations_are_refused(app: &TestApp, token: &str) {
    for (text, code) in [
        ("{", "GRAPHQL_PARSE_FAILED"),
        ("{ nope }", "GRAPHQL_VALIDATION_FAILED"),
        (
            "subscription { newMessage(roomId: \"none\") { id } }",
            "NOT_FOUND",
        ),
    ] {
        // A refused operation frees its id.
        for _ in 0..2 {
            let reply = operate(app, token, "x", text).await;
            assert_eq!(
                (reply.status, reply.error_code().as_str()),
                (400, code),
                "{text}"
            );
        }
    }
}

async fn assert_operations_by_get(app: &TestApp, token: &str) {
    let own = (TOKEN, token);
    let by_get = "/graphql?query=mutation%7BsignIn(name%3A%22x%22)%7Btoken%7D%7D&extensions=%7B%22operationId%22%3A%22m%22%7D";
    let reply = get(app.address(), by_get, &[own]).await;
    assert_eq!((reply.status, reply.header("allow")), (405, Some("POST")));
    let by_get = "/graphql?query=%7B__typename%7D&extensions=%7B%22operationId%22%3A%22g%22%7D";
    assert_eq!(get(app.address(), by_get, &[own]).await.status, 202);
    let taken = operate(app, token, "g", "{ __typename }").await;
    assert_eq!(
        (taken.status, message(&taken).as_str()),
        (409, "Operation with ID already exists")
    );
}

#[tokio::test]
async fn operating_fails_as_the_protocol_requires() {
    let app = TestApp::start().await;
    let token = reserve(&app).await;
    let own = (TOKEN, token.as_str());
    let query = operation("x", "{ __typename }", &Value::Null);

    let nowhere = post(app.address(), &query, &[(TOKEN, "none")]).await;
    assert_eq!(
        (nowhere.status, nowhere.error_code().as_str()),
        (404, "NOT_FOUND")
    );
    for extensions in [
        json!(null),
        json!({}),
        json!({ "operationId": "" }),
        json!({ "operationId": null }),
    ] {
        let body = json!({ "query": "{ __typename }", "extensions": extensions }).to_string();
        let reply = post(app.address(), &body, &[own]).await;
        assert_eq!(
            (reply.status, message(&reply).as_str()),
            (400, "Operation ID is missing"),
            "{extensions}"
        );
    }
    assert_eq!(
        post(app.address(), &query, &[own, ("accept", "text/plain")])
            .await
            .status,
        406
    );
    assert_eq!(
        post(
            app.address(),
            &query,
            &[own, ("accept", "multipart/mixed;subscriptionSpec=1.0")]
        )
        .await
        .status,
        406
    );
    let headers = [own, ("content-type", "text/plain")];
    let plain = request(app.address(), "POST", "/graphql", &headers, &query).await;
    assert_eq!(plain.status, 415);
    for body in ["junk", "[]", "{}", &format!("[{query}]")] {
        assert_eq!(
            post(app.address(), body, &[own]).await.status,
            400,
            "{body}"
        );
    }
    assert_operations_are_refused(&app, &token).await;
    assert_operations_by_get(&app, &token).await;
    app.stop().await;
}

#[tokio::test]
async fn stopping_fails_as_the_protocol_requires() {
    let app = TestApp::start().await;
    let token = reserve(&app).await;
    assert_eq!(stop(&app, "none", "?operationId=a").await.status, 404);
    assert_eq!(
        request(app.address(), "DELETE", "/graphql?operationId=a", &[], "")
            .await
            .status,
        404
    );
    let missing = stop(&app, &token, "").await;
    assert_eq!(
        (missing.status, message(&missing).as_str()),
        (400, "Operation ID is missing")
    );
    assert_eq!(stop(&app, &token, "?operationId=unknown").await.status, 200);
    // The id of a stopped operation can be used again, and its results are dropped.
    for _ in 0..2 {
        assert_eq!(
            operate(&app, &token, "a", "{ __typename }").await.status,
            202
        );
        assert_eq!(stop(&app, &token, "?operationId=a").await.status, 200);
    }
    assert_eq!(
        operate(&app, &token, "b", "{ __typename }").await.status,
        202
    );
    let mut stream = open(&app, &token).await;
    assert_eq!(stream.next_result().await.0["id"], "b");
    drop(stream);
    app.finish().await;
}

#[tokio::test]
async fn results_before_the_stream_opens_are_sent_when_it_opens() {
    let app = TestApp::start().await;
    let session = format!("Bearer {}", app.sign_in("ann").await);
    let mut bob = app.client(Some(&app.sign_in("bob").await)).await;
    let head = bob.head("room-1").await;
    let token = request(
        app.address(),
        "PUT",
        "/graphql",
        &[("authorization", &session)],
        "",
    )
    .await
    .body;
    let own = [(TOKEN, token.as_str()), ("authorization", session.as_str())];
    let body = operation(
        "s",
        NEW_MESSAGE,
        &json!({ "room": "room-1", "after": head }),
    );
    assert_eq!(post(app.address(), &body, &own).await.status, 202);
    let mutation = operation(
        "m",
        "mutation { sendMessage(roomId: \"room-1\", text: \"early\") { text } }",
        &Value::Null,
    );
    assert_eq!(post(app.address(), &mutation, &own).await.status, 202);
    // The mutation runs at once, before the stream is open.
    let messages = "query { messages(roomId: \"room-1\", last: 1) { nodes { text } } }";
    assert_eq!(
        bob.execute(messages, Value::Null).await["data"]["messages"]["nodes"],
        json!([{ "text": "early" }])
    );
    let mut stream =
        StreamedResponse::get(app.address(), "/graphql", &[&[SSE][..], &own].concat()).await;
    let mut seen = [
        stream.next_event().await,
        stream.next_event().await,
        stream.next_event().await,
    ];
    seen.sort();
    assert_eq!(seen[0], "event: complete\ndata: {\"id\":\"m\"}");
    assert_eq!(
        seen[1],
        "event: next\ndata: {\"id\":\"m\",\"payload\":{\"data\":{\"sendMessage\":{\"text\":\"early\"}}}}"
    );
    let expected = "event: next\ndata: {\"id\":\"s\",\"payload\":{\"data\":{\"newMessage\":{\"text\":\"early\",";
    assert!(seen[2].starts_with(expected), "{}", seen[2]);
    drop((stream, bob));
    app.finish().await;
}

#[tokio::test]
async fn operations_of_a_reservation_are_bounded() {
    let app =
        TestApp::with_flags(&["--operations-max", "2", "--operation-id-bytes-max", "4"]).await;
    let token = reserve(&app).await;
    for id in ["a", "b"] {
        assert_eq!(
            operate(&app, &token, id, "{ __typename }").await.status,
            202
        );
    }
    let reply = operate(&app, &token, "c", "{ __typename }").await;
    assert_eq!(
        (reply.status, reply.error_code().as_str()),
        (400, "TOO_MANY_OPERATIONS")
    );
    let reply = operate(&app, &token, "12345", "{ __typename }").await;
    assert_eq!(
        (reply.status, reply.error_code().as_str()),
        (400, "BAD_USER_INPUT")
    );
    let mut stream = open(&app, &token).await;
    assert_eq!(stream.next_result().await.0["id"], "a");
    stream
        .read_until("complete\ndata: {\"id\":\"b\"}\n\n")
        .await;
    assert_eq!(
        operate(&app, &token, "1234", "{ __typename }").await.status,
        202
    );
    assert_eq!(stream.next_result().await.0["id"], "1234");
    drop(stream);
    app.finish().await;
}

#[tokio::test]
async fn a_reservation_ends_when_it_is_not_opened_or_its_stream_ends() {
    let app =
        TestApp::with_flags(&["--reservation-timeout", "100ms", "--connections-max", "1"]).await;
    let token = reserve(&app).await;
    assert_eq!(
        request(app.address(), "PUT", "/graphql", &[], "")
            .await
            .status,
        503,
        "reservations count as connections"
    );
    let subscription = "subscription { newMessage(roomId: \"room-1\") { id } }";
    assert_eq!(operate(&app, &token, "s", subscription).await.status, 202);
    let gone = async {
        while app.in_use() != switchboard::server::InUse::default() {
            tokio::task::yield_now().await;
        }
    };
    wait_for("the end of the reservation", gone).await;
    assert_eq!(
        operate(&app, &token, "t", "{ __typename }").await.status,
        404
    );

    let token = reserve(&app).await;
    let stream = open(&app, &token).await;
    assert_eq!(operate(&app, &token, "s", subscription).await.status, 202);
    drop(stream);
    wait_for("the end of the operations", async {
        while app.in_use() != switchboard::server::InUse::default() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(
        operate(&app, &token, "t", "{ __typename }").await.status,
        404
    );
    app.finish().await;
}

#[tokio::test]
async fn an_operation_that_is_stopped_while_it_starts_is_204() {
    let app = TestApp::start().await;
    let token = reserve(&app).await;
    let mut ann = app.client(Some(&app.sign_in("ann").await)).await;
    let head = ann.head("room-1").await;
    let query =
        format!("{{ pollMessages(roomId: \"room-1\", after: \"{head}\", wait: 55) {{ cursor }} }}");
    let body = operation("p", &query, &Value::Null);
    let headers = [
        ("content-type", "application/json"),
        (TOKEN, token.as_str()),
        ("connection", "close"),
    ];
    let waiting = request_text(app.address(), "POST", "/graphql", &headers, &body);
    let address = app.address();
    let waiting =
        tokio::spawn(async move { StreamedResponse::open(address, &waiting).await.status });
    // The id is taken as soon as the operation starts.
    wait_for("the start of the operation", async {
        while app.in_use().rooms == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(
        operate(&app, &token, "p", "{ __typename }").await.status,
        409
    );
    assert_eq!(stop(&app, &token, "?operationId=p").await.status, 200);
    assert_eq!(wait_for("a response", waiting).await.unwrap(), 204);
    drop(ann);
    app.stop().await;
}

#[tokio::test]
async fn a_drain_ends_open_streams_and_unopened_reservations() {
    let app = TestApp::start().await;
    let (opened, _reserved) = (reserve(&app).await, reserve(&app).await);
    let mut stream = open(&app, &opened).await;
    let subscription = "subscription { newMessage(roomId: \"room-1\") { id } }";
    assert_eq!(operate(&app, &opened, "s", subscription).await.status, 202);
    app.stop().await;
    assert_eq!(
        stream.read_to_end().await,
        ":\n\n",
        "a `complete` would be final"
    );
}

/// These headers, and an Authorization header unless it is empty.
fn with_bearer<'a>(
    headers: &[(&'static str, &'a str)],
    bearer: &'a str,
) -> Vec<(&'static str, &'a str)> {
    let bearer = (!bearer.is_empty()).then_some(("authorization", bearer));
    headers.iter().copied().chain(bearer).collect()
}

/// The Authorization header of a second session of the same user.
async fn refreshed(app: &TestApp, bearer: &str) -> String {
    let token = bearer.strip_prefix("Bearer ").unwrap();
    let refresh = format!("mutation {{ refreshSession(token: \"{token}\") {{ token }} }}");
    let body = json!({ "query": refresh }).to_string();
    let reply = post(app.address(), &body, &[("authorization", bearer)]).await;
    let token = reply.json()["data"]["refreshSession"]["token"].clone();
    format!("Bearer {}", token.as_str().unwrap())
}

#[tokio::test]
async fn only_the_caller_who_made_a_reservation_can_use_it() {
    let app = TestApp::start().await;
    let [ann, bob] = ["ann", "bob"].map(|name| app.sign_in(name));
    let [ann, bob] = [ann.await, bob.await].map(|token| format!("Bearer {token}"));
    let other = refreshed(&app, &ann).await;
    for (owner, same, other_callers) in [
        (ann.as_str(), other.as_str(), [bob.as_str(), ""]),
        ("", "", [&ann, &bob]),
    ] {
        let send = async |method: &str, target: &str, bearer: &str, token: &str, body: &str| {
            let headers = [("content-type", "application/json"), (TOKEN, token)];
            let headers = with_bearer(&headers, bearer);
            request(app.address(), method, target, &headers, body).await
        };
        let token = send("PUT", "/graphql", owner, "none", "").await.body;
        let query = operation("q", "{ __typename }", &Value::Null);
        for other_caller in other_callers {
            let operation = send("POST", "/graphql", other_caller, &token, &query).await;
            assert_eq!(operation.status, 404);
            assert_eq!(
                send("DELETE", "/graphql?operationId=q", other_caller, &token, "")
                    .await
                    .status,
                404
            );
            // For other callers this is distinct connections mode, without a query.
            let headers = with_bearer(&[SSE, (TOKEN, &token)], other_caller);
            assert_eq!(get(app.address(), "/graphql", &headers).await.status, 400);
            // Other callers cannot find out that the token is taken.
            assert_eq!(
                send("PUT", "/graphql", other_caller, &token, "")
                    .await
                    .status,
                201
            );
        }
        assert_eq!(send("PUT", "/graphql", same, &token, "").await.status, 409);
        assert_eq!(
            send("POST", "/graphql", same, &token, &query).await.status,
            202
        );
        assert_eq!(
            send("DELETE", "/graphql?operationId=q", same, &token, "")
                .await
                .status,
            200
        );
        let headers = with_bearer(&[SSE, (TOKEN, &token)], same);
        assert_eq!(
            StreamedResponse::get(app.address(), "/graphql", &headers)
                .await
                .status,
            200
        );
    }
    app.stop().await;
}
