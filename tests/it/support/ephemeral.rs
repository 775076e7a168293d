//! Readers of ephemeral state, and the mutations that change it, without sockets.

use std::{sync::Arc, task::Poll};

use async_graphql::Variables;
use serde_json::{Value, json};
use switchboard::{
    domain::{Caller, Seq, Timestamp, User, UserId, UserName, Viewer},
    presence::{Instant, Lobby},
    schema::{Answer, Request},
    view::{Frame, ReadError, Reader},
};

use super::core::{Core, take};

pub(crate) const TYPING: &str =
    "subscription ($room: ID!) { typing(roomId: $room) { users { name } } }";

pub(crate) const SIGNALS: &str =
    "subscription ($room: ID!) { signals(roomId: $room) { kind data direct sender { name } } }";

pub(crate) async fn listen(core: &Core, caller: Caller, query: &str, room: &str) -> Reader {
    core.subscribe(caller, query.to_owned(), json!({ "room": room }))
        .await
        .unwrap()
}

/// The result of a mutation, or the code of its refusal.
pub(crate) async fn ask(core: &Core, viewer: Viewer, field: &str) -> Result<Value, String> {
    let request = Request {
        query: format!("mutation {{ answer: {field} }}"),
        ..Request::default()
    };
    let request = Request {
        variables: Variables::default(),
        ..request
    };
    let Answer::Executed(response) = core
        .schema
        .execute(
            core.schema.prepare(request).unwrap(),
            Caller::Viewer(viewer),
        )
        .await
    else {
        panic!("{field} was refused")
    };
    let response = serde_json::to_value(&response).unwrap();
    match response["errors"][0]["extensions"]["code"].as_str() {
        Some(code) => Err(code.to_owned()),
        None => Ok(response["data"]["answer"].clone()),
    }
}

pub(crate) async fn signal(core: &Core, viewer: Viewer, room: &str, data: u64) {
    let field = format!(r#"sendSignal(roomId: "{room}", kind: "k", data: {data})"#);
    assert_eq!(ask(core, viewer, &field).await, Ok(json!(true)));
}

/// The names in a frame of [`TYPING`].
pub(crate) fn names(frame: &Frame) -> Vec<String> {
    let payload: Value = serde_json::from_str(&frame.payload).unwrap();
    let users = payload["data"]["typing"]["users"]
        .as_array()
        .unwrap_or_else(|| panic!("{payload}"))
        .clone();
    users
        .iter()
        .map(|user| user["name"].as_str().unwrap().to_owned())
        .collect()
}

/// What a frame of [`SIGNALS`] says, or its kind if that is the server's.
pub(crate) fn said(frame: &Frame) -> String {
    let payload: Value = serde_json::from_str(&frame.payload).unwrap();
    let signal = &payload["data"]["signals"];
    match signal["kind"]
        .as_str()
        .unwrap_or_else(|| panic!("{payload}"))
    {
        "_open" => "_open".to_owned(),
        _ => signal["data"].to_string(),
    }
}

pub(crate) async fn next_names(reader: &mut Reader) -> Vec<String> {
    names(&take(reader, 1).await[0])
}

pub(crate) async fn next_said(reader: &mut Reader) -> String {
    said(&take(reader, 1).await[0])
}

/// What is there to take right now.
pub(crate) async fn now(reader: &mut Reader) -> Poll<Result<Vec<Frame>, ReadError>> {
    let mut frames = Vec::new();
    futures::poll!(std::future::poll_fn(|cx| reader.poll_take(
        cx,
        usize::MAX,
        &mut frames
    )))
    .map(|result| result.map(|()| frames))
}

pub(crate) fn stranger(number: u32) -> Arc<User> {
    let id = UserId::from_uuid(uuid::Uuid::from_u128(number.into()));
    Arc::new(User {
        id,
        name: UserName::new(&number.to_string()).unwrap(),
        created_at: Timestamp(0),
    })
}

pub(crate) fn lobby(core: &Core) -> Arc<Lobby> {
    core.presence
        .enter(&"room-1".parse().unwrap(), Instant::now())
}

pub(crate) fn set(lobby: &Lobby, number: u32, typing: bool) {
    lobby
        .set_typing(stranger(number), typing, Seq(u64::MAX), Instant::now())
        .unwrap();
}
