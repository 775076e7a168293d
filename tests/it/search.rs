//! Searching, through a whole server.

use serde_json::{Value, json};

use crate::support::{Folder, app::TestApp, client::Client, http::post};

const SEARCH: &str = "query ($query: String!, $room: ID, $first: Int! = 20, $after: String) {
    searchMessages(query: $query, roomId: $room, first: $first, after: $after) {
        edges { cursor node { text } } nodes { id text room { id } sender { name } }
        pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }";

async fn search(client: &mut Client, variables: Value) -> Value {
    client.execute(SEARCH, variables).await
}

/// The texts of the hits, or the error code of the refusal.
async fn texts(
    client: &mut Client,
    query: &str,
    room: Option<&str>,
) -> Result<Vec<String>, String> {
    let result = search(
        client,
        json!({ "query": query, "room": room, "first": 100 }),
    )
    .await;
    read(&result)
}

fn read(result: &Value) -> Result<Vec<String>, String> {
    let nodes = result["data"]["searchMessages"]["nodes"].as_array();
    let texts = nodes.map(|nodes| {
        nodes
            .iter()
            .map(|node| node["text"].as_str().unwrap().to_owned())
            .collect()
    });
    texts.ok_or_else(|| {
        result["errors"][0]["extensions"]["code"]
            .as_str()
            .unwrap_or_else(|| panic!("{result}"))
            .to_owned()
    })
}

fn found(texts: &[&str]) -> Result<Vec<String>, String> {
    Ok(texts.iter().map(|text| (*text).to_owned()).collect())
}

fn refused(code: &str) -> Result<Vec<String>, String> {
    Err(code.to_owned())
}

async fn person(app: &TestApp, name: &str) -> (Client, String) {
    let mut client = app.client(Some(&app.sign_in(name).await)).await;
    let viewer = client.execute("{ viewer { id } }", json!({})).await;
    (
        client,
        viewer["data"]["viewer"]["id"].as_str().unwrap().to_owned(),
    )
}

async fn mutate(client: &mut Client, field: &str) -> Value {
    let result = client
        .execute(&format!("mutation {{ answer: {field} }}"), json!({}))
        .await;
    assert!(result["errors"].is_null(), "{field}: {result}");
    result["data"]["answer"].clone()
}

#[tokio::test]
async fn a_search_returns_a_page_of_messages() {
    let app = TestApp::start().await;
    let (mut ann, _) = person(&app, "ann").await;
    ann.send_message("room-1", "Release notes for the café")
        .await;
    ann.send_message("room-1", "notes").await;
    let result = search(&mut ann, json!({ "query": "NOTES", "first": 1 })).await;
    let page = &result["data"]["searchMessages"];
    assert_eq!(page["nodes"][0]["text"], "notes", "{result}");
    assert_eq!(page["nodes"][0]["room"]["id"], "room-1");
    assert_eq!(page["nodes"][0]["sender"]["name"], "ann");
    let cursor = page["edges"][0]["cursor"].as_str().unwrap();
    let info = json!({ "hasNextPage": true, "hasPreviousPage": false, "startCursor": cursor, "endCursor": cursor });
    assert_eq!(page["pageInfo"], info);
    let rest = search(&mut ann, json!({ "query": "notes", "after": cursor })).await;
    assert_eq!(read(&rest), found(&["Release notes for the café"]));
    assert_eq!(
        rest["data"]["searchMessages"]["pageInfo"]["hasNextPage"],
        false
    );
    assert_eq!(
        rest["data"]["searchMessages"]["pageInfo"]["hasPreviousPage"],
        true
    );
    assert_eq!(
        texts(&mut ann, "cafe \"notes for\"", Some("room-1")).await,
        found(&["Release notes for the café"])
    );
    ann.close().await;
    app.finish().await;
}

/// Checks that a client finds the message in `q` and learns nothing of those in `p`.
async fn assert_only_the_open_room_is_found(client: &mut Client) {
    assert_eq!(texts(client, "needle", None).await, found(&["needle open"]));
    assert_eq!(
        texts(client, "needle", Some("p")).await,
        refused("NOT_FOUND")
    );
    let unknown = search(client, json!({ "query": "needle", "room": "unknown" })).await;
    assert_eq!(
        search(client, json!({ "query": "needle", "room": "p" })).await,
        unknown,
        "G5"
    );
    // The page does not reveal further hits that the caller may not read.
    let page = search(client, json!({ "query": "needle", "first": 1 })).await;
    assert_eq!(
        page["data"]["searchMessages"]["pageInfo"]["hasNextPage"],
        false
    );
}

/// Removes Bob between two pages of a search in `p`.
async fn assert_a_removed_member_finds_nothing(ann: &mut Client, bob: &mut Client, bob_id: &str) {
    let page = search(bob, json!({ "query": "needle", "room": "p", "first": 5 })).await;
    let cursor = &page["data"]["searchMessages"]["pageInfo"]["endCursor"];
    mutate(
        ann,
        &format!(r#"removeMember(roomId: "p", userId: "{bob_id}") {{ id }}"#),
    )
    .await;
    let next = search(
        bob,
        json!({ "query": "needle", "room": "p", "first": 5, "after": cursor }),
    )
    .await;
    assert_eq!(read(&next), refused("NOT_FOUND"));
    assert_eq!(texts(bob, "needle", None).await, found(&["needle open"]));
}

#[tokio::test]
async fn callers_find_only_messages_that_they_may_read() {
    let app = TestApp::start().await;
    let ((mut ann, _), (mut bob, bob_id)) = (person(&app, "ann").await, person(&app, "bob").await);
    let (mut eve, _) = person(&app, "eve").await;
    let mut anonymous = app.client(None).await;
    mutate(
        &mut ann,
        r#"createRoom(id: "p", name: "p", visibility: PRIVATE) { id }"#,
    )
    .await;
    mutate(&mut ann, r#"createRoom(id: "q", name: "q") { id }"#).await;
    mutate(
        &mut ann,
        &format!(r#"addMember(roomId: "p", userId: "{bob_id}") {{ id }}"#),
    )
    .await;
    for n in 0..30 {
        ann.send_message("p", &format!("needle hidden {n}")).await;
    }
    ann.send_message("q", "needle open").await;
    for client in [&mut eve, &mut anonymous] {
        assert_only_the_open_room_is_found(client).await;
    }
    assert_eq!(texts(&mut bob, "needle", None).await.unwrap().len(), 31);
    assert_eq!(
        texts(&mut bob, "hidden 7", Some("p")).await,
        found(&["needle hidden 7"])
    );

    assert_a_removed_member_finds_nothing(&mut ann, &mut bob, &bob_id).await;
    mutate(
        &mut ann,
        r#"updateRoom(id: "q", visibility: PRIVATE) { id }"#,
    )
    .await;
    assert_eq!(texts(&mut eve, "needle", None).await, found(&[]));
    assert_eq!(
        texts(&mut anonymous, "needle", Some("q")).await,
        refused("NOT_FOUND")
    );
    assert_eq!(texts(&mut ann, "open", None).await, found(&["needle open"]));
    mutate(&mut ann, r#"deleteRoom(id: "q")"#).await;
    assert_eq!(texts(&mut ann, "open", None).await, found(&[]));
    assert_eq!(
        texts(&mut ann, "open", Some("q")).await,
        refused("NOT_FOUND")
    );
    for client in [ann, bob, eve, anonymous] {
        client.close().await;
    }
    app.finish().await;
}

#[tokio::test]
async fn a_deleted_message_is_not_found() {
    let app = TestApp::start().await;
    let (mut ann, _) = person(&app, "ann").await;
    let sent = mutate(
        &mut ann,
        r#"sendMessage(roomId: "room-1", text: "needle") { id }"#,
    )
    .await;
    assert_eq!(texts(&mut ann, "needle", None).await, found(&["needle"]));
    mutate(
        &mut ann,
        &format!(r#"deleteMessage(id: {}) {{ id }}"#, sent["id"]),
    )
    .await;
    assert_eq!(texts(&mut ann, "needle", None).await, found(&[]));
    ann.close().await;
    app.finish().await;
}

async fn assert_queries_without_words_are_refused(client: &mut Client) {
    for query in [
        "", " ", "\"\"", "\"", "*", "^", "-", "()", ":", "🎉", "\u{0}", "%", "...",
    ] {
        assert_eq!(
            texts(client, query, None).await,
            refused("BAD_USER_INPUT"),
            "{query:?}"
        );
    }
}

#[tokio::test]
async fn quotes_are_the_only_syntax_of_a_query() {
    let app = TestApp::start().await;
    let (mut ann, _) = person(&app, "ann").await;
    ann.send_message("room-1", "near the column: or not, and 2 more")
        .await;
    let all = found(&["near the column: or not, and 2 more"]);
    for query in [
        "NEAR",
        "near AND column",
        "OR",
        "NOT",
        "column:",
        "column*",
        "-column",
        "^near",
        "{near}",
        "near + the",
        "near NOT more",
        "(near)",
        "((((near",
        "near)",
        "\"near the",
        "\"\" near",
        "'near'",
        "near;",
        "near\\",
        "near%",
        "\"near the\"*",
        "\u{202e}near",
        "“near the”",
    ] {
        assert_eq!(texts(&mut ann, query, None).await, all, "{query:?}");
        assert_eq!(
            texts(&mut ann, query, Some("room-1")).await,
            all,
            "{query:?}"
        );
    }
    // Words that are joined by punctuation are a phrase.
    for query in [
        "NEAR(column",
        "near\u{0}column",
        "words : column",
        "near OR elephant",
        "1_near",
        "near NOT gone",
        "n*",
        "words:near",
        "rowid:1",
    ] {
        assert_eq!(texts(&mut ann, query, None).await, found(&[]), "{query:?}");
    }
    assert_queries_without_words_are_refused(&mut ann).await;
    ann.close().await;
    app.finish().await;
}

#[tokio::test]
async fn words_of_many_languages_are_found() {
    let app = TestApp::start().await;
    let (mut ann, _) = person(&app, "ann").await;
    for (text, queries) in [
        ("Ça va, Zoë? Straße", &["ca", "ZOE", "strasse", "ÇA VA"][..]),
        ("Привет, ёлка", &["привет", "ЕЛКА"]),
        ("καλημέρα κόσμος", &["ΚΑΛΗΜΕΡΑ", "κοσμοσ"]),
        ("明日は東京へ行きます", &["東京", "行きます", "京"]),
        ("오늘은 서울에서", &["서울", "오늘"]),
        ("สวัสดีครับ", &["สวัสดี"]),
        ("नमस्ते दुनिया", &["नमस्ते"]),
        ("مُحَمَّد والسلام", &["محمد"]),
    ] {
        ann.send_message("room-1", text).await;
        for query in queries {
            assert_eq!(
                texts(&mut ann, query, Some("room-1")).await,
                found(&[text]),
                "{query}"
            );
        }
    }
    for not in ["東行", "strass", "nam"] {
        assert_eq!(
            texts(&mut ann, not, Some("room-1")).await,
            found(&[]),
            "{not}"
        );
    }
    ann.close().await;
    app.finish().await;
}

#[tokio::test]
async fn searches_are_accepted_at_each_limit_and_refused_beyond_it() {
    let flags = [
        "--search-bytes-max",
        "12",
        "--search-words-max",
        "3",
        "--page-max",
        "5",
    ];
    let app = TestApp::with_flags(&flags).await;
    let mut anonymous = app.client(None).await;
    for (variables, accepted) in [
        (json!({ "query": "a b c" }), true),
        (json!({ "query": "a b c d" }), false),
        (json!({ "query": "a \"b c\"" }), true),
        (json!({ "query": "a \"b c d\"" }), false),
        (json!({ "query": "abcdefghijkl" }), true),
        (json!({ "query": "abcdefghijklm" }), false),
        (json!({ "query": "a", "first": 5 }), true),
        (json!({ "query": "a", "first": 0 }), true),
        (json!({ "query": "a", "first": 6 }), false),
        (json!({ "query": "a", "first": -1 }), false),
    ] {
        let mut variables = variables;
        variables
            .as_object_mut()
            .unwrap()
            .entry("first")
            .or_insert(json!(5));
        let result = search(&mut anonymous, variables.clone()).await;
        let expected = if accepted {
            found(&[])
        } else {
            refused("BAD_USER_INPUT")
        };
        assert_eq!(read(&result), expected, "{variables}");
        if !accepted {
            let message = result["errors"][0]["message"].as_str().unwrap();
            assert!(
                message.ends_with('.') && message.contains("must be")
                    || message.contains("the limit is"),
                "{message}"
            );
        }
    }
    anonymous.close().await;
    app.finish().await;
}

#[tokio::test]
async fn a_cursor_is_valid_only_for_its_search() {
    let app = TestApp::start().await;
    let (mut ann, _) = person(&app, "ann").await;
    for text in ["one needle", "two needle"] {
        ann.send_message("room-1", text).await;
    }
    let page = search(
        &mut ann,
        json!({ "query": "needle", "room": "room-1", "first": 1 }),
    )
    .await;
    let cursor = page["data"]["searchMessages"]["pageInfo"]["endCursor"]
        .as_str()
        .unwrap();
    let room_cursor = ann.head("room-1").await;
    for (variables, expected) in [
        (
            json!({ "query": "Needle ", "room": "room-1", "after": cursor }),
            found(&["one needle"]),
        ),
        (
            json!({ "query": "needle", "after": cursor }),
            refused("BAD_USER_INPUT"),
        ),
        (
            json!({ "query": "one needle", "room": "room-1", "after": cursor }),
            refused("BAD_USER_INPUT"),
        ),
        (
            json!({ "query": "needle", "room": "room-1", "after": room_cursor }),
            refused("BAD_USER_INPUT"),
        ),
        (
            json!({ "query": "needle", "room": "room-1", "after": "" }),
            refused("BAD_USER_INPUT"),
        ),
        (
            json!({ "query": "needle", "room": "room-1", "after": &cursor[2..] }),
            refused("BAD_USER_INPUT"),
        ),
    ] {
        assert_eq!(
            read(&search(&mut ann, variables.clone()).await),
            expected,
            "{variables}"
        );
    }
    ann.close().await;
    app.finish().await;
}

#[tokio::test]
async fn pages_neither_repeat_nor_skip_hits_while_others_send() {
    let app = TestApp::with_flags(&["--no-rate-limits"]).await;
    let (mut ann, _) = person(&app, "ann").await;
    for n in 0..120 {
        ann.send_message(
            "room-1",
            &format!("needle {n}{}", " and so on".repeat(n % 5)),
        )
        .await;
    }
    let before = search(&mut ann, json!({ "query": "needle", "first": 100 })).await;
    let mut before = read(&before).unwrap();
    let (mut bob, _) = person(&app, "bob").await;
    let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
    // Bob sends until Ann has read every page. His messages fill a step of the index, and rank
    // higher than hers.
    let sending = async {
        let mut sent = 0;
        while sent < 300 || stopped.try_recv().is_err() {
            bob.send_message("room-1", "needle").await;
            sent += 1;
        }
        bob.close().await;
    };
    let reading = async {
        let (mut all, mut after) = (Vec::new(), Value::Null);
        let mut newest: Option<Vec<String>> = None;
        loop {
            let page = search(
                &mut ann,
                json!({ "query": "needle and", "first": 7, "after": after }),
            )
            .await;
            let texts = read(&page).unwrap();
            newest.get_or_insert_with(|| texts.clone());
            all.extend(texts);
            let info = &page["data"]["searchMessages"]["pageInfo"];
            if info["hasNextPage"] == false {
                break;
            }
            after = info["endCursor"].clone();
        }
        stop.send(()).unwrap();
        all
    };
    let (mut all, ()) = futures::join!(reading, sending);
    assert_eq!(all.len(), 96, "four of five messages hold both words");
    all.sort();
    let count = all.len();
    all.dedup();
    assert_eq!(all.len(), count, "a hit was returned twice");
    before.retain(|text| text.contains("and"));
    assert!(before.iter().all(|text| all.contains(text)));
    ann.close().await;
    app.finish().await;
}

#[tokio::test]
async fn messages_from_before_a_restart_are_found() {
    let app = TestApp::with_flags(&["--no-rate-limits"]).await;
    let (mut ann, _) = person(&app, "ann").await;
    for n in 0..300 {
        ann.send_message("room-1", &format!("needle{n}")).await;
    }
    ann.close().await;
    let folder: Folder = app.finish().await;
    let app = TestApp::in_folder(folder, &[]).await;
    let mut anonymous = app.client(None).await;
    for n in [0, 255, 256, 299] {
        let word = format!("needle{n}");
        assert_eq!(texts(&mut anonymous, &word, None).await, found(&[&word]));
    }
    anonymous.close().await;
    app.finish().await;
}

#[tokio::test]
async fn searching_works_over_http_too() {
    let app = TestApp::start().await;
    let (mut ann, _) = person(&app, "ann").await;
    ann.send_message("room-1", "needle").await;
    let body =
        json!({ "query": r#"{ searchMessages(query: "needle") { nodes { text } } }"# }).to_string();
    let reply = post(app.address(), &body, &[]).await;
    assert_eq!(
        reply.json(),
        json!({ "data": { "searchMessages": { "nodes": [{ "text": "needle" }] } } })
    );
    ann.close().await;
    app.finish().await;
}
