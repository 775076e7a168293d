//! Requests of clients that are written in an unusual way, and whose meaning is clear.

use serde_json::json;

use crate::support::{
    app::TestApp,
    http::{get, post},
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
