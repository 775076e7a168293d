//! Readers of ephemeral state, and the mutations that change it, without sockets.

use std::{sync::Arc, task::Poll};

use async_graphql::Variables;
use serde_json::{Value, json};
use switchboard::{
    domain::{Caller, Seq, Timestamp, User, UserId, UserName, Viewer},
    presence::{Instant, Lobby},
    schema::{Answer, Request, RequestContext},
    view::{Frame, ReadError, Reader},
};

use super::core::{Core, take_frames};

pub(crate) const TYPING: &str =
    "subscription ($room: ID!) { typing(roomId: $room) { users { name } } }";

pub(crate) const SIGNALS: &str =
    "subscription ($room: ID!) { signals(roomId: $room) { kind data direct sender { name } } }";

/// Subscribes to a room on behalf of a caller.
pub(crate) async fn subscribe(core: &Core, caller: Caller, query: &str, room: &str) -> Reader {
    core.subscribe(caller, query.to_owned(), json!({ "room": room }))
        .await
        .unwrap()
}

/// Runs a mutation and returns the value of its field, or the error code of the refusal.
pub(crate) async fn mutate(core: &Core, viewer: Viewer, field: &str) -> Result<Value, String> {
    let request = Request {
        query: format!("mutation {{ result: {field} }}"),
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
            &RequestContext::default(),
            None,
        )
        .await
    else {
        panic!("{field} was refused")
    };
    let response = serde_json::to_value(&response).unwrap();
    match response["errors"][0]["extensions"]["code"].as_str() {
        Some(code) => Err(code.to_owned()),
        None => Ok(response["data"]["result"].clone()),
    }
}

pub(crate) async fn send_signal(core: &Core, viewer: Viewer, room: &str, data: u64) {
    let field = format!(r#"sendSignal(roomId: "{room}", kind: "k", data: {data})"#);
    assert_eq!(mutate(core, viewer, &field).await, Ok(json!(true)));
}

/// The names in a frame of [`TYPING`].
pub(crate) fn typing_names(frame: &Frame) -> Vec<String> {
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

/// The data of a signal in a frame of [`SIGNALS`], or its kind if the server sent it.
pub(crate) fn signal_text(frame: &Frame) -> String {
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

pub(crate) async fn next_typing_names(reader: &mut Reader) -> Vec<String> {
    typing_names(&take_frames(reader, 1).await[0])
}

pub(crate) async fn next_signal(reader: &mut Reader) -> String {
    signal_text(&take_frames(reader, 1).await[0])
}

/// Polls a reader once: the frames that it has now, or `Pending`.
pub(crate) async fn take_ready(reader: &mut Reader) -> Poll<Result<Vec<Frame>, ReadError>> {
    let mut frames = Vec::new();
    futures::poll!(std::future::poll_fn(|cx| reader.poll_take(
        cx,
        usize::MAX,
        &mut frames
    )))
    .map(|result| result.map(|()| frames))
}

pub(crate) fn numbered_user(number: u32) -> Arc<User> {
    let id = UserId::from_uuid(uuid::Uuid::from_u128(number.into()));
    Arc::new(User {
        id,
        name: UserName::new(&number.to_string()).unwrap(),
        created_at: Timestamp(0),
    })
}

pub(crate) fn lobby_of_room_1(core: &Core) -> Arc<Lobby> {
    core.presence
        .enter(&"room-1".parse().unwrap(), Instant::now())
}

pub(crate) fn set_typing(lobby: &Lobby, number: u32, typing: bool) {
    lobby
        .set_typing(numbered_user(number), typing, Seq(u64::MAX), Instant::now())
        .unwrap();
}
