//! The limits on the cost of one answer, over every transport.

use serde_json::{Value, json};
use switchboard::{
    domain::Caller,
    hub::HubLimits,
    schema::{Answer, Code, Request, RequestContext},
    server::InUse,
    view::ViewLimits,
};

use crate::support::{
    app::TestApp,
    client::Client,
    core::{Core, TakeFrames, seqs, take_frames},
    http::{Reply, post, request},
    stream::StreamedResponse,
    wait_for,
};

/// Reads the room, the page, and for each message the message that it replies to.
const ANSWERED: &str = "query ($last: Int!) { messages(roomId: \"room-1\", last: $last) { nodes { replyTo { id } } } }";

/// Does the reads of [`ANSWERED`] for each message that arrives.
const ANSWERED_LIVE: &str =
    "subscription ($last: Int!, $after: Cursor) { newMessage(roomId: \"room-1\", after: $after) {
    id room { messages(last: $last) { nodes { replyTo { id } } } } } }";

/// The minimum of `--answer-bytes-max` and `--frame-bytes-max`.
const BYTES: &str = "53248";

/// Sends messages that each reply to the one before. The first replies to the given message.
/// Returns the id of the last.
async fn send_replies(client: &mut Client, count: usize, first: Option<String>) -> String {
    let send =
        "mutation ($to: ID) { sendMessage(roomId: \"room-1\", text: \"x\", replyTo: $to) { id } }";
    let mut last = json!(first);
    for _ in 0..count {
        last =
            client.execute(send, json!({ "to": last })).await["data"]["sendMessage"]["id"].take();
    }
    last.as_str().expect("at least one message").to_owned()
}

fn body(query: &str, last: u32) -> Value {
    json!({ "query": query, "variables": { "last": last } })
}

async fn ask(app: &TestApp, body: &Value) -> Reply {
    post(app.address(), &body.to_string(), &[]).await
}

/// The message of the only error, which must be for this path.
fn only_error(answer: &Value, path: &str) -> String {
    let errors = answer["errors"]
        .as_array()
        .unwrap_or_else(|| panic!("{answer}"));
    assert_eq!(
        (errors.len(), &errors[0]["path"]),
        (1, &json!([path])),
        "{answer}"
    );
    assert_eq!(errors[0]["extensions"]["code"], "TOO_COMPLEX", "{answer}");
    errors[0]["message"].as_str().unwrap().to_owned()
}

/// A server that allows twelve reads per answer, and thirteen messages that each reply to the one
/// before.
async fn app_with_thirteen_messages() -> (TestApp, Client, String) {
    let app = TestApp::with_flags(&["--answer-reads-max", "12", "--frame-reads-max", "12"]).await;
    let mut ann = app.client(Some(&app.sign_in("ann").await)).await;
    let last = send_replies(&mut ann, 13, None).await;
    (app, ann, last)
}

#[tokio::test]
async fn an_answer_beyond_its_reads_fails_with_one_error() {
    let (app, ann, _) = app_with_thirteen_messages().await;
    let nodes = ask(&app, &body(ANSWERED, 11)).await.json()["data"]["messages"]["nodes"].clone();
    assert!(
        nodes
            .as_array()
            .unwrap()
            .iter()
            .all(|node| node["replyTo"]["id"].is_string()),
        "{nodes}"
    );
    let answer = ask(&app, &body(ANSWERED, 12)).await.json();
    assert_eq!(answer["data"], Value::Null);
    assert_eq!(
        only_error(&answer, "messages"),
        "The request asks for too much; the limit of an answer is 12 reads of the database."
    );
    // The other fields are answered, and the field that failed is null as a whole.
    let query = "query ($last: Int!) { fine: room(id: \"room-1\") { id }
        dear: room(id: \"room-1\") { id messages(last: $last) { nodes { replyTo { id } } } } }";
    let answer = ask(&app, &body(query, 11)).await.json();
    assert_eq!(
        answer["data"],
        json!({ "fine": { "id": "room-1" }, "dear": null })
    );
    only_error(&answer, "dear");
    drop(ann);
    app.finish().await;
}

#[tokio::test]
async fn an_object_that_an_answer_repeats_is_read_once() {
    let app = TestApp::with_flags(&["--answer-reads-max", "3"]).await;
    let mut ann = app.client(Some(&app.sign_in("ann").await)).await;
    let first = send_replies(&mut ann, 1, None).await;
    let send =
        "mutation ($to: ID) { sendMessage(roomId: \"room-1\", text: \"x\", replyTo: $to) { id } }";
    for _ in 0..20 {
        ann.execute(send, json!({ "to": first })).await;
    }
    let aliases: String = (0..98)
        .map(|number| format!("a{number}: replyTo {{ id room {{ name }} }} "))
        .collect();
    let query = format!(
        "query ($last: Int!) {{ messages(roomId: \"room-1\", last: $last) {{ nodes {{ {aliases} }} }} }}"
    );
    let answer = ask(&app, &body(&query, 20)).await.json();
    let node = &answer["data"]["messages"]["nodes"][19];
    assert_eq!(
        node.as_object().map(|node| node.len()),
        Some(98),
        "{answer}"
    );
    assert_eq!(node["a97"]["id"], json!(first));
    drop(ann);
    app.finish().await;
}

#[tokio::test]
async fn the_bytes_of_an_answer_are_bounded() {
    let app = TestApp::with_flags(&["--answer-bytes-max", BYTES]).await;
    let mut ann = app.client(Some(&app.sign_in("ann").await)).await;
    // Seven texts. Beside each text, two bytes count for its quotes and twelve for its object. For
    // all of them together, eleven more bytes count, and the brackets of the list.
    for (room, rest, whole) in [("at-edge", 3_992, true), ("past-edge", 3_993, false)] {
        let create = "mutation ($id: ID!) { createRoom(id: $id, name: \"a room\") { id } }";
        ann.execute(create, json!({ "id": room })).await;
        for length in [8_192, 8_192, 8_192, 8_192, 8_192, 8_192, rest] {
            ann.send_message(room, &"x".repeat(length)).await;
        }
        let query = json!({ "query": format!("{{ messages(roomId: \"{room}\") {{ nodes {{ text }} }} }}") });
        let reply = ask(&app, &query).await;
        assert_eq!(reply.json()["data"].is_object(), whole, "{room}");
        if whole {
            assert!(
                (52_000..54_000).contains(&reply.body.len()),
                "{}",
                reply.body.len()
            );
        } else {
            let message = only_error(&reply.json(), "messages");
            assert_eq!(
                message,
                "The request asks for too much; the limit of an answer is 53248 bytes."
            );
        }
    }
    // Aliases count too, even before a value that the library resolves itself.
    let long = "a".repeat(1_000);
    let query = format!("{{ messages(roomId: \"at-edge\") {{ nodes {{ {long}: __typename }} }} }}");
    assert_eq!(
        ask(&app, &json!({ "query": query })).await.json()["data"]["messages"]["nodes"][6][&long],
        "Message"
    );
    let longer = "a".repeat(10_000);
    let query = query.replace(&long, &longer);
    only_error(
        &ask(&app, &json!({ "query": query })).await.json(),
        "messages",
    );
    drop(ann);
    app.finish().await;
}

#[tokio::test]
async fn a_full_page_of_the_longest_texts_in_their_longest_json_is_answered() {
    let app = TestApp::start().await;
    let mut ann = app.client(Some(&app.sign_in("ann").await)).await;
    let text = format!("{}x", "\u{1}".repeat(8_191));
    for _ in 0..100 {
        ann.send_message("room-1", &text).await;
    }
    let query = "{ messages(roomId: \"room-1\", last: 100) { nodes { id text cursor createdAt sender { id name } } } }";
    let answer = ask(&app, &json!({ "query": query })).await.json();
    let nodes = answer["data"]["messages"]["nodes"].as_array().unwrap();
    assert_eq!(
        (nodes.len(), nodes[99]["text"].as_str()),
        (100, Some(&*text))
    );
    drop(ann);
    app.finish().await;
}

#[tokio::test]
async fn the_requests_of_a_batch_share_the_cost_limit_of_one_answer() {
    let (app, ann, _) = app_with_thirteen_messages().await;
    let batch = |lasts: [u32; 2]| json!(lasts.map(|last| body(ANSWERED, last)));
    let answers = ask(&app, &batch([5, 5])).await.json();
    assert!(
        (0..2).all(|at| answers[at]["data"]["messages"]["nodes"].is_array()),
        "{answers}"
    );
    let answers = ask(&app, &batch([5, 6])).await.json();
    let failed = answers
        .as_array()
        .unwrap()
        .iter()
        .filter(|answer| answer["data"].is_null());
    let failed: Vec<_> = failed
        .map(|answer| only_error(answer, "messages"))
        .collect();
    assert!(!failed.is_empty(), "{answers}");
    assert_eq!(
        failed[0],
        "The request asks for too much; the limit of all answers of a batch together is 12 reads of the database."
    );
    drop(ann);
    app.finish().await;
}

#[tokio::test]
async fn a_mutation_whose_answer_costs_too_much_is_done_and_the_next_one_is_not_started() {
    let (app, mut ann, _) = app_with_thirteen_messages().await;
    let mutation = "mutation { a: sendMessage(roomId: \"room-1\", text: \"made\") {
            room { messages(last: 12) { nodes { replyTo { id } } } } }
        b: sendMessage(roomId: \"room-1\", text: \"not made\") { id } }";
    let answer = ann.execute(mutation, Value::Null).await;
    assert_eq!(answer["data"], json!({ "a": null, "b": null }));
    let error_at = |at: usize| {
        let error = &answer["errors"][at];
        (
            error["path"][0].as_str().unwrap(),
            error["message"].as_str().unwrap(),
        )
    };
    let too_much =
        "The request asks for too much; the limit of an answer is 12 reads of the database.";
    assert_eq!(
        error_at(0),
        (
            "a",
            &*format!("{too_much} The change was made; only its answer is missing.")
        )
    );
    assert_eq!(
        error_at(1),
        ("b", &*format!("{too_much} Nothing was done."))
    );
    assert_eq!(answer["errors"].as_array().unwrap().len(), 2);
    let texts = ann
        .execute(
            "{ messages(roomId: \"room-1\", last: 2) { nodes { text } } }",
            Value::Null,
        )
        .await;
    assert_eq!(
        texts["data"]["messages"]["nodes"],
        json!([{ "text": "x" }, { "text": "made" }])
    );
    drop(ann);
    app.finish().await;
}

#[tokio::test]
async fn reads_are_repeated_after_a_mutation_of_the_same_request() {
    let app = TestApp::start().await;
    let mut ann = app.client(Some(&app.sign_in("ann").await)).await;
    ann.execute(
        "mutation { createRoom(id: \"own\", name: \"first\") { id } }",
        Value::Null,
    )
    .await;
    let mutation = "mutation {
        a: sendMessage(roomId: \"own\", text: \"1\") { room { name } }
        b: updateRoom(id: \"own\", name: \"second\") { name }
        c: sendMessage(roomId: \"own\", text: \"2\") { room { name } } }";
    let answer = ann.execute(mutation, Value::Null).await;
    let (first, second) = (
        json!({ "room": { "name": "first" } }),
        json!({ "room": { "name": "second" } }),
    );
    assert_eq!(
        answer["data"],
        json!({ "a": first, "b": { "name": "second" }, "c": second })
    );
    drop(ann);
    app.finish().await;
}

/// The next results of one operation, on a connection with several operations.
async fn results(
    client: &mut Client,
    id: &str,
    count: usize,
    others: &mut Vec<Value>,
) -> Vec<Value> {
    let is_its = |next: &mut Value| next["id"] == id;
    let mut found: Vec<Value> = others.extract_if(.., is_its).collect();
    while found.len() < count {
        let mut next = client.receive().await;
        assert_eq!(next["type"], "next", "{next}");
        if is_its(&mut next) {
            found.push(next)
        } else {
            others.push(next)
        }
    }
    found
        .into_iter()
        .map(|mut next| next["payload"].take())
        .collect()
}

#[tokio::test]
async fn the_reads_of_each_event_are_bounded_live_and_in_history() {
    let (app, mut ann, last) = app_with_thirteen_messages().await;
    let start = ann.head("room-1").await;
    for history in [false, true] {
        let mut bob = app.client(None).await;
        let within = bob
            .start(ANSWERED_LIVE, json!({ "last": 10, "after": start }))
            .await;
        let past = bob
            .start(ANSWERED_LIVE, json!({ "last": 11, "after": start }))
            .await;
        if !history {
            send_replies(&mut ann, 2, Some(last.clone())).await;
        }
        let mut others = Vec::new();
        let within = results(&mut bob, &within, 2, &mut others).await;
        let past = results(&mut bob, &past, 2, &mut others).await;
        for (within, past) in within.iter().zip(&past) {
            assert!(within["data"]["newMessage"]["id"].is_string(), "{within}");
            assert_eq!(past["data"], Value::Null, "{past}");
            let message = only_error(past, "newMessage");
            assert_eq!(
                message,
                "The request asks for too much; the limit of one result of a subscription is 12 reads of the database."
            );
            // The error is a result like others: it has a cursor, and the subscription continues
            // after it.
            assert_eq!(past["extensions"], within["extensions"]);
        }
        assert_ne!(past[0]["extensions"], past[1]["extensions"]);
        bob.fence().await;
    }
    drop(ann);
    app.finish().await;
}

#[tokio::test]
async fn the_bytes_of_each_event_are_bounded() {
    let app = TestApp::with_flags(&["--frame-bytes-max", BYTES]).await;
    let (mut ann, mut bob) = (
        app.client(Some(&app.sign_in("ann").await)).await,
        app.client(None).await,
    );
    // The text seven times, each with two quotes and six bytes for its key, and two braces.
    let aliases: String = (0..7).map(|number| format!("t{number}: text ")).collect();
    let query = format!(
        "subscription ($after: Cursor) {{ newMessage(roomId: \"room-1\", after: $after) {{ {aliases} }} }}"
    );
    let head = ann.head("room-1").await;
    let id = bob.start(&query, json!({ "after": head })).await;
    for length in [7_598, 7_599, 7_598] {
        ann.send_message("room-1", &"x".repeat(length)).await;
        let result = results(&mut bob, &id, 1, &mut Vec::new()).await.remove(0);
        assert_eq!(
            result["data"]["newMessage"]["t6"].as_str().map(str::len),
            (length == 7_598).then_some(length)
        );
        if length == 7_599 {
            let message = only_error(&result, "newMessage");
            assert_eq!(
                message,
                "The request asks for too much; the limit of one result of a subscription is 53248 bytes."
            );
        }
    }
    drop((ann, bob));
    app.finish().await;
}

#[tokio::test]
async fn a_reservation_buffers_a_bounded_number_of_bytes() {
    // The length of two answers `{"data":{"__typename":"Query"}}`.
    let app = TestApp::with_flags(&["--reservation-bytes-max", "62"]).await;
    let token = request(app.address(), "PUT", "/graphql", &[], "")
        .await
        .body;
    let own = [("x-graphql-event-stream-token", token.as_str())];
    let operate = async |id: &str, query: &str| {
        let body = json!({ "query": query, "extensions": { "operationId": id } });
        assert_eq!(
            post(app.address(), &body.to_string(), &own).await.status,
            202
        );
    };
    for id in ["a", "b", "c"] {
        operate(id, "{ __typename }").await;
    }
    let mut stream = StreamedResponse::get(
        app.address(),
        "/graphql",
        &[("accept", "text/event-stream"), own[0]],
    )
    .await;
    for id in ["a", "b"] {
        let (next, _) = stream.next_result().await;
        assert_eq!(
            (&next["id"], &next["payload"]),
            (&json!(id), &json!({ "data": { "__typename": "Query" } }))
        );
        assert_eq!(
            stream.next_event().await,
            format!("event: complete\ndata: {{\"id\":\"{id}\"}}")
        );
    }
    let (next, _) = stream.next_result().await;
    assert_eq!(
        (&next["id"], &next["payload"]["data"]),
        (&json!("c"), &Value::Null)
    );
    assert_eq!(
        next["payload"]["errors"][0]["extensions"]["code"],
        "TOO_COMPLEX"
    );
    stream
        .read_until("complete\ndata: {\"id\":\"c\"}\n\n")
        .await;
    // Answers that an open stream takes at once are not buffered.
    operate(
        "d",
        "{ room(id: \"room-1\") { id visibility createdAt head } }",
    )
    .await;
    let (next, _) = stream.next_result().await;
    assert_eq!(
        next["payload"]["data"]["room"]["visibility"], "PUBLIC",
        "{next}"
    );
    drop(stream);
    app.finish().await;
}

#[tokio::test]
async fn an_answer_waits_at_most_once_for_a_store_that_times_out() {
    let (core, faults) = Core::with_faults(ViewLimits::default(), HubLimits::default()).await;
    let query = "{ a: room(id: \"room-1\") { id } b: room(id: \"room-2\") { id } c: room(id: \"room-3\") { id } }";
    let ask = async || {
        let prepared = core
            .schema
            .prepare(Request {
                query: query.to_owned(),
                ..Request::default()
            })
            .unwrap();
        match core
            .schema
            .execute(
                prepared,
                Caller::Anonymous,
                &RequestContext::default(),
                None,
            )
            .await
        {
            Answer::Executed(response) => response,
            Answer::Refused(errors) => panic!("{errors:?}"),
        }
    };
    faults.fail_next(1);
    let response = ask().await;
    assert!(
        Code::Unavailable.is_of(&response.errors[2..]) && response.errors.len() == 3,
        "{:?}",
        response.errors
    );
    assert_eq!(faults.failures_left(), 0);
    // The next answer reads again.
    assert!(ask().await.errors.is_empty());
}

#[tokio::test]
async fn a_page_is_not_retried_after_its_reader_is_gone() {
    let (core, faults) = Core::with_faults(ViewLimits::default(), HubLimits::default()).await;
    core.send_messages(1..=3).await;
    let mut reader = core.reader("text", Some(0)).await;
    let idle = core.tasks.len();
    // Each attempt reads the events once.
    faults.fail_next(1);
    let mut frames = Vec::new();
    let begun = wait_for("a failed read", async {
        let mut taking = Box::pin(reader.take(usize::MAX, &mut frames));
        while faults.failures_left() > 0 {
            assert!(futures::poll!(&mut taking).is_pending());
            tokio::task::yield_now().await;
        }
    });
    begun.await;
    assert!(core.tasks.len() > idle, "the page waits for its retry");
    drop(reader);
    wait_for("the end of the page's task", async {
        // The two lanes, the pump and the page have a task each; those of the view end too.
        while core.tasks.len() > idle - 3 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(faults.event_reads(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_long_frames_end_early_and_lose_nothing() {
    let limits = ViewLimits {
        page_bytes_max: 1,
        ring_frames_max: 8,
        ..ViewLimits::default()
    };
    let (core, faults) = Core::with_faults(limits, HubLimits::default()).await;
    core.send_messages(1..=130).await;
    let mut reader = core.reader("text", Some(0)).await;
    assert_eq!(
        seqs(&take_frames(&mut reader, 130).await),
        (1..=130).collect::<Vec<_>>()
    );
    // One read for every four events.
    assert_eq!(faults.event_reads(), 16 + 16 + 1);
    // A reader that starts in the middle finds the same pages.
    let mut late = core.reader("text", Some(70)).await;
    assert_eq!(
        seqs(&take_frames(&mut late, 60).await),
        (71..=130).collect::<Vec<_>>()
    );
    assert_eq!(faults.event_reads(), 33);
    // The last page ended at the head of that time. A reader of pages also gets what came later.
    core.send_messages(131..=150).await;
    let mut later = core.reader("text", Some(127)).await;
    assert_eq!(
        seqs(&take_frames(&mut later, 23).await),
        (128..=150).collect::<Vec<_>>()
    );
    for reader in [&mut reader, &mut late] {
        assert_eq!(
            seqs(&take_frames(reader, 20).await),
            (131..=150).collect::<Vec<_>>()
        );
    }
}

#[tokio::test]
async fn a_client_that_disconnects_leaves_no_reads_behind() {
    let app = TestApp::start().await;
    let mut ann = app.client(Some(&app.sign_in("ann").await)).await;
    send_replies(&mut ann, 101, None).await;
    let aliases: String = (0..98)
        .map(|number| format!("a{number}: replyTo {{ id }} "))
        .collect();
    let selection = format!("room {{ messages(last: 100) {{ nodes {{ {aliases} }} }} }}");
    let query = format!(
        "subscription ($after: Cursor) {{ newMessage(roomId: \"room-1\", after: $after) {{ {selection} }} }}"
    );
    let start = ask(
        &app,
        &json!({ "query": "{ messages(roomId: \"room-1\", first: 1) { edges { cursor } } }" }),
    )
    .await;
    let start = start.json()["data"]["messages"]["edges"][0]["cursor"].clone();
    let mut bob = app.client(None).await;
    bob.start(&query, json!({ "after": start })).await;
    // The client disconnects before the server makes any frame.
    drop((ann, bob));
    wait_for("the end of the client's reads", async {
        while app.in_use() != InUse::default() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    app.finish().await;
}
