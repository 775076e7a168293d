//! From an upgrade request to a WebSocket that is served.

use std::sync::Arc;

use axum::{http::request::Parts, response::Response};
use futures::{SinkExt, StreamExt};
use tokio_tungstenite::tungstenite;

use super::{
    connection::Connection,
    credentials::refusal,
    deadlines::CLOSE_TIMEOUT,
    outbox::close_message,
    upgrade::{Socket, Upgrade},
};
use crate::{
    protocol::Close,
    transport::{
        Shared,
        admission::slots::{ConnectionSlot, SlotRequest},
    },
};

/// Accepts every well-formed upgrade. A connection that is refused is closed with a code instead:
/// clients treat a failed upgrade as final, while a close code tells them whether to reconnect
/// (T5).
///
/// This includes sockets that pages of foreign origins open, which browsers allow without asking
/// the server. The close tells such a page no more than a failed upgrade would, and nothing that it
/// sends is read.
pub(crate) fn accept(shared: Arc<Shared>, upgrade: Upgrade, parts: Parts) -> Response {
    let response = upgrade.response();
    shared.tasks.clone().spawn(serve(shared, upgrade, parts));
    response
}

async fn serve(shared: Arc<Shared>, upgrade: Upgrade, parts: Parts) {
    let subprotocol = upgrade.subprotocol;
    let Some(socket) = upgrade.open(&shared.limits).await else {
        return;
    };
    if shared
        .site
        .sender(&parts.headers, &parts.uri)
        .is_foreign(&parts.headers)
    {
        return refuse(socket, &Close::Forbidden).await;
    }
    let request = SlotRequest::of(&parts, shared.proxies_trusted);
    let slot = match ConnectionSlot::take(&shared.admission, request) {
        Ok(slot) => slot.holding(parts.extensions.get().cloned()),
        Err(error) => return refuse(socket, &error.close()).await,
    };
    // The client offered no subprotocol that the server speaks. The close says so.
    let Some(subprotocol) = subprotocol else {
        return refuse(socket, &Close::SubprotocolNotAcceptable).await;
    };
    let token = shared.token_header.token(&parts.headers);
    let offered = shared.caller(token, slot.address()).await.map_err(refusal);
    let tasks = shared.tasks.clone();
    // A task of its own, so that the memory that the upgrade needed is freed.
    tasks.spawn(Connection::new(socket, subprotocol, shared, offered, slot).run());
}

/// Closes a socket that is not served.
async fn refuse(mut socket: Socket, close: &Close) {
    let closing = async {
        socket.send(close_message(close)).await?;
        // Waits for the client's answer, so that the close is not lost with the connection.
        while let Some(Ok(_)) = socket.next().await {}
        Ok::<_, tungstenite::Error>(())
    };
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, closing).await;
}
