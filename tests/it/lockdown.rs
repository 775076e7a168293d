//! Servers without introspection, and servers that run only the documents of a list.

use clap::Parser;
use serde_json::{Value, json};

use crate::support::{app::TestApp, client::NEW_MESSAGE, http};

const HEAD: &str = r#"query Head { room(id: "room-1") { head } }"#;

#[tokio::test]
async fn introspection_can_be_turned_off_and_typename_still_works() {
    let app = TestApp::with_flags(&["--introspection", "off"]).await;
    let mut client = app.client(None).await;
    for document in [
        "{ __schema { types { name } } }",
        r#"{ __type(name: "Room") { name } }"#,
        "query A { viewer { id } } query B { __schema { types { name } } }",
        "{ ...F } fragment F on Query { a: __schema { types { name } } }",
        "{ ... on Query { ... { __schema { types { name } } } } }",
    ] {
        let body = json!({ "query": document, "operationName": document.contains("query B").then_some("B") });
        let reply = http::post(app.address(), &body.to_string(), &[]).await;
        assert_eq!(
            reply.error_code(),
            "GRAPHQL_VALIDATION_FAILED",
            "{document}"
        );
        assert!(reply.json().get("data").is_none(), "{document}");
    }
    let errors = client
        .execute_refused("{ __schema { types { name } } }", json!({}))
        .await;
    assert_eq!(errors[0]["extensions"]["code"], "GRAPHQL_VALIDATION_FAILED");
    let answer = client
        .execute(
            r#"{ __typename room(id: "room-1") { __typename } }"#,
            json!({}),
        )
        .await;
    assert_eq!(
        answer["data"],
        json!({ "__typename": "Query", "room": { "__typename": "Room" } })
    );
    drop(client);
    app.finish().await;
}

#[tokio::test]
async fn without_introspection_no_error_suggests_a_name() {
    for (flags, suggests) in [(&["--introspection", "off"][..], false), (&[], true)] {
        let (app, mut suggested) = (TestApp::with_flags(flags).await, false);
        for document in [
            "{ viewe { id } }",
            r#"{ room(id: "room-1") { heads } }"#,
            r#"{ room(idd: "room-1") { head } }"#,
            r#"mutation { sendMesage(roomId: "room-1", text: "x") { id } }"#,
            r#"subscription { newMesage(roomId: "room-1") { id } }"#,
        ] {
            let body = json!({ "query": document }).to_string();
            let reply = http::post(
                app.address(),
                &body,
                &[("accept", "text/event-stream, application/json")],
            )
            .await;
            assert!(
                reply.body.contains("GRAPHQL_VALIDATION_FAILED"),
                "{}",
                reply.body
            );
            suggested |= reply.body.contains("Did you mean");
        }
        assert_eq!(suggested, suggests);
        let body =
            json!({ "query": "{ __typename @skip(iff: true) viewer @skip(iff: true) { id } }" })
                .to_string();
        let reply = http::post(app.address(), &body, &[]).await;
        assert_eq!(reply.error_code(), "GRAPHQL_VALIDATION_FAILED");
        assert!(!reply.body.contains("Did you mean"), "{}", reply.body);
        app.finish().await;
    }
}

#[tokio::test]
async fn introspection_is_on_by_default() {
    let app = TestApp::start().await;
    let reply = http::post(
        app.address(),
        r#"{"query":"{ __schema { queryType { name } } }"}"#,
        &[],
    )
    .await;
    assert_eq!(
        reply.json()["data"]["__schema"]["queryType"]["name"],
        "Query"
    );
    app.finish().await;
}

/// Starts a server that runs only these documents. Returns it with the folder of the list.
async fn with_list(documents: &Value) -> (TestApp, crate::support::Folder) {
    let folder = crate::support::Folder::new();
    let path = folder.path().join("operations.json");
    std::fs::write(&path, documents.to_string()).unwrap();
    (
        TestApp::with_flags(&["--persisted-operations", path.to_str().unwrap()]).await,
        folder,
    )
}

fn apq(hash: &str) -> Value {
    json!({ "persistedQuery": { "version": 1, "sha256Hash": hash } })
}

fn hash(text: &str) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(text)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[tokio::test]
async fn a_listed_document_runs_by_each_of_its_names_and_by_its_text() {
    let (app, _folder) = with_list(&json!({ hash(HEAD): HEAD })).await;
    let mut requests = vec![json!({ "query": HEAD })];
    for name in [hash(HEAD), hash(HEAD).to_uppercase()] {
        requests.extend([
            json!({ "extensions": apq(&name) }),
            json!({ "documentId": name }),
            json!({ "id": name }),
        ]);
    }
    requests.push(json!({ "documentId": format!("sha256:{}", hash(HEAD)) }));
    for body in &requests {
        let reply = http::post(app.address(), &body.to_string(), &[]).await;
        assert!(
            reply.json()["data"]["room"]["head"].is_string(),
            "{body}: {reply:?}"
        );
    }
    for target in ["documentId=", "id="].map(|name| format!("/graphql?{name}{}", hash(HEAD))) {
        assert_eq!(
            http::get(app.address(), &target, &[]).await.status,
            200,
            "{target}"
        );
    }
    let batch = http::post(
        app.address(),
        &Value::from(requests[..3].to_vec()).to_string(),
        &[],
    )
    .await
    .json();
    assert!(
        batch
            .as_array()
            .unwrap()
            .iter()
            .all(|answer| answer["data"]["room"]["head"].is_string()),
        "{batch}"
    );
    app.finish().await;
}

#[tokio::test]
async fn documents_that_are_not_listed_are_refused_and_never_registered() {
    let (app, _folder) =
        with_list(&json!({ hash(HEAD): HEAD, hash(NEW_MESSAGE): NEW_MESSAGE })).await;
    let other = "{ viewer { id } }";
    for body in [
        json!({ "query": other }),
        json!({ "query": format!("{HEAD} ") }),
        json!({ "query": other, "documentId": hash(HEAD) }),
        json!({ "query": other, "extensions": apq(&hash(other)) }),
        json!({ "extensions": apq(&hash(other)) }),
        json!({ "documentId": hash(other) }),
        json!({ "documentId": "x" }),
        json!({ "query": "", "extensions": { "persistedQuery": 7 } }),
    ] {
        for media in ["application/json", "application/graphql-response+json"] {
            let reply = http::post(app.address(), &body.to_string(), &[("accept", media)]).await;
            assert_eq!(reply.error_code(), "PERSISTED_QUERY_NOT_IN_LIST", "{body}");
            assert_eq!(
                reply.status,
                if media == "application/json" {
                    200
                } else {
                    400
                },
                "{body}"
            );
        }
    }
    let mut client = app.client(None).await;
    let errors = client.execute_refused(other, json!({})).await;
    assert_eq!(
        errors[0]["extensions"]["code"],
        "PERSISTED_QUERY_NOT_IN_LIST"
    );
    // Over a WebSocket, a listed document is named in the same way.
    let payload = json!({ "documentId": hash(NEW_MESSAGE), "variables": { "room": "room-1" } });
    client
        .send(&json!({ "id": "a", "type": "subscribe", "payload": payload }))
        .await;
    assert_eq!(client.wait_until_live().await.0, "a");
    drop(client);
    app.finish().await;
}

#[tokio::test]
async fn an_invalid_list_is_reported_in_one_line_and_the_server_does_not_start() {
    let folder = crate::support::Folder::new();
    let path = folder.path().join("operations.json");
    for (content, expected) in [
        (None, "cannot be read"),
        (Some("{"), "is not a JSON object"),
        (Some("[]"), "is not a JSON object"),
        (Some(r#"{"a":{}}"#), "is not a JSON object"),
        (Some("{}"), "holds no documents"),
        (
            Some(r#"{"a":"{ viewer { id } }","b":"query {\n  viewer {"}"#),
            "the document \"b\" is not valid GraphQL: line 2",
        ),
    ] {
        if let Some(content) = content {
            std::fs::write(&path, content).unwrap();
        }
        let database = folder.database();
        let arguments = [
            "switchboard",
            "--listen",
            "127.0.0.1:0",
            "--database",
            &database,
        ];
        let list = ["--persisted-operations", path.to_str().unwrap()];
        let line = switchboard::config::CommandLine::try_parse_from(arguments.iter().chain(&list))
            .unwrap();
        let Err(error) = switchboard::server::Server::start(&line.serve).await else {
            panic!("{content:?}")
        };
        let error = error.to_string();
        assert!(
            error.starts_with("--persisted-operations: ") && error.contains(expected),
            "{error}"
        );
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}
