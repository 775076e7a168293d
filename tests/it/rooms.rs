//! Rooms: who sees them, their pages, and their cursors.

use serde_json::{Value, json};
use switchboard::domain::{Cursor, Epoch, EventTag, Seq};

use crate::support::{app::TestApp, client::Client};

const CREATE: &str = "mutation ($id: ID, $name: String!, $visibility: Visibility! = PUBLIC) {
    createRoom(id: $id, name: $name, visibility: $visibility) { id name visibility head } }";
const PAGE: &str = "query ($room: ID!, $first: Int, $after: Cursor, $last: Int, $before: Cursor) {
    messages(roomId: $room, first: $first, after: $after, last: $last, before: $before) {
        edges { cursor node { text } } nodes { text }
        pageInfo { hasPreviousPage hasNextPage startCursor endCursor } } }";

fn code(result: &Value) -> &str {
    result["errors"][0]["extensions"]["code"]
        .as_str()
        .unwrap_or_default()
}

/// Checks that the room `secret` and this message in it look as if they did not exist.
async fn assert_hidden_from(outsider: &mut Client, message: &Value) {
    for room in ["secret", "no-such-room", "NO ROOM"] {
        assert_eq!(
            code(&outsider.execute(PAGE, json!({ "room": room })).await),
            "NOT_FOUND",
            "{room}"
        );
        let looked = outsider.execute(
            "query ($id: ID!) { room(id: $id) { id } node(id: $id) { id } }",
            json!({ "id": room }),
        );
        assert_eq!(
            looked.await,
            json!({ "data": { "room": null, "node": null } })
        );
        let errors = outsider
            .execute_refused(crate::support::client::NEW_MESSAGE, json!({ "room": room }))
            .await;
        assert_eq!(errors[0]["extensions"]["code"], "NOT_FOUND");
    }
    let listed = outsider
        .execute("{ rooms { nodes { id } } }", json!({}))
        .await;
    assert_eq!(
        listed["data"]["rooms"]["nodes"],
        json!([{ "id": "room-1" }])
    );
    let looked = outsider
        .execute(
            "query ($id: ID!) { node(id: $id) { id } }",
            json!({ "id": message }),
        )
        .await;
    assert_eq!(looked["data"]["node"], Value::Null);
}

#[tokio::test]
async fn g5_a_private_room_looks_like_a_room_that_does_not_exist() {
    let app = TestApp::start().await;
    let (mut ann, mut bob) = (
        app.client(Some(&app.sign_in("ann").await)).await,
        app.client(Some(&app.sign_in("bob").await)).await,
    );
    let created = ann
        .execute(
            CREATE,
            json!({ "id": "secret", "name": "Secret", "visibility": "PRIVATE" }),
        )
        .await;
    assert_eq!(created["data"]["createRoom"]["visibility"], "PRIVATE");
    let sent = ann.send_with_nonce("secret", "psst", "n").await;
    let message = sent["data"]["sendMessage"]["id"].clone();
    ann.subscribe(
        "secret",
        created["data"]["createRoom"]["head"].as_str().unwrap(),
    )
    .await;
    assert_eq!(ann.next_texts(1).await, ["psst"]);

    let mut anonymous = app.client(None).await;
    for outsider in [&mut bob, &mut anonymous] {
        assert_hidden_from(outsider, &message).await;
    }
    for room in ["secret", "no-such-room"] {
        assert_eq!(
            code(&bob.send_with_nonce(room, "psst", "n").await),
            "NOT_FOUND"
        );
    }
    // That an id is taken is not secret.
    assert_eq!(
        code(
            &bob.execute(CREATE, json!({ "id": "secret", "name": "Mine" }))
                .await
        ),
        "CONFLICT"
    );
    drop((ann, bob, anonymous));
    app.finish().await;
}

#[tokio::test]
async fn g3_invalid_input_gets_a_code_and_is_not_stored() {
    let app = TestApp::start().await;
    let mut ann = app.client(Some(&app.sign_in("ann").await)).await;
    let long = "x".repeat(8193);
    for (room, text, expected) in [
        ("room-1", "", "BAD_USER_INPUT"),
        ("room-1", " \n ", "BAD_USER_INPUT"),
        ("room-1", "a\0b", "BAD_USER_INPUT"),
        ("room-1", &long, "BAD_USER_INPUT"),
        ("room-1", &"x".repeat(100_000), "BAD_USER_INPUT"),
        ("nowhere", "hello", "NOT_FOUND"),
    ] {
        let result = ann.send_with_nonce(room, text, "n").await;
        assert_eq!(
            (code(&result), &result["data"]),
            (expected, &json!({ "sendMessage": null }))
        );
    }
    assert_eq!(
        code(&ann.send_with_nonce("room-1", "x", "").await),
        "BAD_USER_INPUT"
    );
    assert_eq!(
        code(&ann.send_with_nonce("room-1", "x", &"n".repeat(129)).await),
        "BAD_USER_INPUT"
    );
    for id in ["", "Room", "a b", &"r".repeat(65)] {
        assert_eq!(
            code(&ann.execute(CREATE, json!({ "id": id, "name": "x" })).await),
            "BAD_USER_INPUT",
            "{id}"
        );
    }
    assert_eq!(
        code(&ann.execute(CREATE, json!({ "name": "" })).await),
        "BAD_USER_INPUT"
    );
    assert_eq!(
        code(
            &ann.execute(CREATE, json!({ "id": "room-1", "name": "x" }))
                .await
        ),
        "CONFLICT"
    );
    let result = ann
        .execute("mutation { signIn(name: \" \") { token } }", json!({}))
        .await;
    assert_eq!(code(&result), "BAD_USER_INPUT");
    let text = &long[1..];
    ann.send_message("room-1", text).await;
    let page = ann.execute(PAGE, json!({ "room": "room-1" })).await;
    assert_eq!(page["data"]["messages"]["nodes"], json!([{ "text": text }]));
    drop(ann);
    app.finish().await;
}

fn with_seq_and_epoch(cursor: &Cursor, seq: u64, epoch: u64) -> String {
    let (seq, epoch) = (Seq(seq), Epoch(epoch));
    let room = cursor.room.clone();
    let tag = EventTag::UNKNOWN;
    Cursor {
        room,
        epoch,
        seq,
        tag,
    }
    .to_string()
}

#[tokio::test]
async fn invalid_and_expired_cursors_get_different_codes() {
    let app = TestApp::start().await;
    let mut ann = app.client(Some(&app.sign_in("ann").await)).await;
    ann.execute(CREATE, json!({ "id": "other", "name": "Other" }))
        .await;
    let other = ann.send_message("other", "x").await;
    let valid = ann.send_message("room-1", "x").await;
    let cursor: Cursor = valid.parse().unwrap();
    let changed = |seq, epoch| with_seq_and_epoch(&cursor, seq, epoch);
    for (cursor, expected) in [
        ("", "BAD_USER_INPUT"),
        ("nonsense", "BAD_USER_INPUT"),
        (&other, "BAD_USER_INPUT"),
        (&changed(2, cursor.epoch.0), "CURSOR_EXPIRED"),
        (&changed(u64::MAX, cursor.epoch.0), "CURSOR_EXPIRED"),
        (&changed(1, cursor.epoch.0 ^ 1), "CURSOR_EXPIRED"),
    ] {
        for direction in ["after", "before"] {
            let result = ann
                .execute(PAGE, json!({ "room": "room-1", direction: cursor }))
                .await;
            assert_eq!(code(&result), expected, "{direction} {cursor}");
        }
        let variables = json!({ "room": "room-1", "after": cursor });
        let errors = ann
            .execute_refused(crate::support::client::NEW_MESSAGE, variables)
            .await;
        assert_eq!(errors[0]["extensions"]["code"], expected, "{cursor}");
        if expected == "CURSOR_EXPIRED" {
            // A reader can start at the oldest cursor, which the error names.
            let id = ann
                .subscribe(
                    "room-1",
                    errors[0]["extensions"]["oldest"].as_str().unwrap(),
                )
                .await;
            assert_eq!(ann.next_texts(1).await, ["x"]);
            ann.send(&json!({ "id": id, "type": "complete" })).await;
        }
    }
    let result = ann
        .execute(
            "{ rooms(after: \"no cursor\") { nodes { id } } }",
            json!({}),
        )
        .await;
    assert_eq!(code(&result), "BAD_USER_INPUT");
    drop(ann);
    app.finish().await;
}

async fn page(client: &mut Client, variables: Value) -> (Vec<String>, [bool; 2]) {
    let result = client.execute(PAGE, variables).await;
    let page = &result["data"]["messages"];
    let texts = page["nodes"]
        .as_array()
        .unwrap_or_else(|| panic!("{result}"))
        .iter();
    let info = &page["pageInfo"];
    let edges = page["edges"].as_array().unwrap();
    assert_eq!(
        edges.first().map(|edge| &edge["cursor"]),
        (!edges.is_empty()).then_some(&info["startCursor"])
    );
    assert_eq!(
        edges.last().map(|edge| &edge["cursor"]),
        (!edges.is_empty()).then_some(&info["endCursor"])
    );
    let flag = |name: &str| info[name].as_bool().unwrap();
    (
        texts
            .map(|node| node["text"].as_str().unwrap().to_owned())
            .collect(),
        [flag("hasPreviousPage"), flag("hasNextPage")],
    )
}

async fn assert_invalid_pages_are_refused(client: &mut Client, room: &str) {
    for variables in [
        json!({ "room": room, "first": 1, "last": 1 }),
        json!({ "room": room, "first": 101 }),
        json!({ "room": room, "first": -1 }),
        json!({ "room": room, "last": 101 }),
    ] {
        assert_eq!(
            code(&client.execute(PAGE, variables.clone()).await),
            "BAD_USER_INPUT",
            "{variables}"
        );
    }
}

#[tokio::test]
async fn pages_work_in_both_directions() {
    let app = TestApp::start().await;
    let mut ann = app.client(Some(&app.sign_in("ann").await)).await;
    let mut cursors = Vec::new();
    for number in 1..=5 {
        cursors.push(ann.send_message("room-1", &number.to_string()).await);
    }
    let room = "room-1";
    for (variables, texts, more) in [
        (json!({ "room": room }), "12345", [false, false]),
        (json!({ "room": room, "first": 2 }), "12", [false, true]),
        (json!({ "room": room, "first": 5 }), "12345", [false, false]),
        (
            json!({ "room": room, "first": 2, "after": cursors[1] }),
            "34",
            [true, true],
        ),
        (
            json!({ "room": room, "first": 9, "after": cursors[3] }),
            "5",
            [true, false],
        ),
        (
            json!({ "room": room, "after": cursors[4] }),
            "",
            [true, false],
        ),
        (json!({ "room": room, "last": 2 }), "45", [true, false]),
        (
            json!({ "room": room, "last": 2, "before": cursors[3] }),
            "23",
            [true, true],
        ),
        (
            json!({ "room": room, "before": cursors[2] }),
            "12",
            [false, true],
        ),
        (
            json!({ "room": room, "first": 1, "after": cursors[0], "before": cursors[4] }),
            "2",
            [true, true],
        ),
        (json!({ "room": room, "first": 0 }), "", [false, true]),
    ] {
        let expected = texts.chars().map(String::from).collect::<Vec<_>>();
        assert_eq!(
            page(&mut ann, variables.clone()).await,
            (expected, more),
            "{variables}"
        );
    }
    assert_invalid_pages_are_refused(&mut ann, room).await;
    drop(ann);
    app.finish().await;
}

#[tokio::test]
async fn rooms_are_listed_in_pages_and_found_by_name() {
    let app = TestApp::start().await;
    let mut ann = app.client(Some(&app.sign_in("ann").await)).await;
    for (id, name) in [("zoo", "Animals"), ("alpha", "First"), ("beta", "Second")] {
        ann.execute(CREATE, json!({ "id": id, "name": name })).await;
    }
    let generated = ann.execute(CREATE, json!({ "name": "Nameless" })).await;
    assert_eq!(
        generated["data"]["createRoom"]["id"]
            .as_str()
            .unwrap()
            .len(),
        32
    );
    let list = "query ($first: Int! = 50, $after: String, $search: String) {
        rooms(first: $first, after: $after, search: $search) { nodes { id } pageInfo { hasNextPage endCursor } } }";
    let mut ids = async |variables: Value| {
        let result = ann.execute(list, variables).await;
        let rooms = &result["data"]["rooms"];
        let ids: Vec<_> = rooms["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|room| room["id"].as_str().unwrap().to_owned())
            .collect();
        (ids, rooms["pageInfo"]["hasNextPage"].as_bool().unwrap())
    };
    assert_eq!(
        ids(json!({ "search": "ANIM" })).await,
        (vec!["zoo".to_owned()], false)
    );
    assert_eq!(ids(json!({ "search": "%" })).await, (vec![], false));
    // The order is by id: alpha, beta, then the generated id and room-1 in any order, then zoo.
    let (first, more) = ids(json!({ "first": 2 })).await;
    assert!(more);
    let rest = ids(json!({ "after": first[1] })).await;
    let all: Vec<_> = first.into_iter().chain(rest.0).collect();
    assert!(all.is_sorted() && all.len() == 5 && !rest.1, "{all:?}");
    let backwards = "query ($last: Int, $before: String) { rooms(last: $last, before: $before) {
        nodes { id } pageInfo { hasPreviousPage hasNextPage startCursor } } }";
    let mut page = async |variables: Value| {
        let mut result = ann.execute(backwards, variables).await;
        let rooms = result["data"]["rooms"].take();
        let nodes = rooms["nodes"].as_array().unwrap().iter();
        let ids: Vec<_> = nodes
            .map(|room| room["id"].as_str().unwrap().to_owned())
            .collect();
        (ids, rooms["pageInfo"].clone())
    };
    let (end, info) = page(json!({ "last": 2 })).await;
    assert_eq!(end, all[3..]);
    assert_eq!(
        (&info["hasPreviousPage"], &info["hasNextPage"]),
        (&json!(true), &json!(false))
    );
    let (begin, info) = page(json!({ "before": info["startCursor"] })).await;
    assert_eq!(begin, all[..3]);
    assert_eq!(
        (&info["hasPreviousPage"], &info["hasNextPage"]),
        (&json!(false), &json!(true))
    );
    drop(ann);
    app.finish().await;
}

#[tokio::test]
async fn rooms_are_found_by_a_part_of_their_name_however_it_is_written() {
    let app = TestApp::start().await;
    let mut ann = app.client(Some(&app.sign_in("ann").await)).await;
    for (id, name) in [
        ("apple", "Äpfel"),
        ("hi", "ПРИВЕТ"),
        ("greece", "Ελλάδα"),
        ("cafe", "cafe\u{301} 100%_x"),
    ] {
        ann.execute(CREATE, json!({ "id": id, "name": name })).await;
    }
    let rename = "mutation { updateRoom(id: \"hi\", name: \"Übung ПРИВЕТ\") { id } }";
    ann.execute(rename, json!({})).await;
    for (search, id) in [
        ("äpfel", "apple"),
        ("APFEL", "apple"),
        ("привет", "hi"),
        ("ubung", "hi"),
        ("ΕΛΛΆΔΑ", "greece"),
        ("ελλαδα", "greece"),
        ("caf\u{e9}", "cafe"),
        ("CAFÉ 100%_", "cafe"),
        ("GREE", "greece"),
    ] {
        let list = "query ($search: String) { rooms(search: $search) { nodes { id } } }";
        let found = ann.execute(list, json!({ "search": search })).await;
        assert_eq!(
            found["data"]["rooms"]["nodes"],
            json!([{ "id": id }]),
            "{search}"
        );
    }
    drop(ann);
    app.finish().await;
}

#[tokio::test]
async fn the_head_in_a_frame_is_the_cursor_of_its_event() {
    let app = TestApp::start().await;
    let mut ann = app.client(Some(&app.sign_in("ann").await)).await;
    let head = ann.head("room-1").await;
    let cursors = [
        ann.send_message("room-1", "1").await,
        ann.send_message("room-1", "2").await,
    ];
    let query = "subscription ($after: Cursor) { newMessage(roomId: \"room-1\", after: $after) { cursor room { head name } } }";
    ann.start(query, json!({ "after": head })).await;
    for cursor in cursors {
        let payload = ann.receive().await["payload"].clone();
        assert_eq!(payload["extensions"]["cursor"], json!(cursor));
        assert_eq!(
            payload["data"]["newMessage"],
            json!({ "cursor": cursor, "room": { "head": cursor, "name": "General" } })
        );
    }
    drop(ann);
    app.finish().await;
}
