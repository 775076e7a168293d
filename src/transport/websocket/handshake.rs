//! From a request to a WebSocket that is served.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{Method, request::Parts},
    response::{IntoResponse, Response},
};

use crate::{
    protocol::Close,
    transport::{
        Shared,
        admission::slots::{Client, ConnectionSlot},
        http::endpoint,
        websocket::{
            connection::{Connection, leave},
            credentials::refusal,
            upgrade::Upgrade,
        },
    },
};

/// `GET /graphql` (or CONNECT, over HTTP/2): a WebSocket where the client asks for one, else a query.
pub(crate) async fn upgrade_or_query(
    State(shared): State<Arc<Shared>>,
    request: Request,
) -> Response {
    let (mut parts, _) = request.into_parts();
    match Upgrade::asked_for(&mut parts) {
        Some(Ok(upgrade)) => accept(shared, upgrade, parts),
        Some(Err(refusal)) => refusal.into_response(),
        None if parts.method == Method::CONNECT => {
            endpoint::method_not_allowed(parts.headers).await
        }
        None => endpoint::get(shared, parts).await,
    }
}

/// Upgrades whatever may be refused: a client takes a failed upgrade as final, and a close code as what it says (T5).
///
/// So also the sockets of foreign pages, which browsers open without asking: such a page learns from the close what it
/// would not from a failed upgrade, and nothing that it sent is looked at.
fn accept(shared: Arc<Shared>, upgrade: Upgrade, parts: Parts) -> Response {
    let answer = upgrade.answer();
    shared.tasks.clone().spawn(open(shared, upgrade, parts));
    answer
}

async fn open(shared: Arc<Shared>, upgrade: Upgrade, parts: Parts) {
    let subprotocol = upgrade.subprotocol;
    let Some(socket) = upgrade.open(&shared.limits).await else {
        return;
    };
    if shared
        .site
        .sender(&parts.headers, &parts.uri)
        .is_foreign(&parts.headers)
    {
        return leave(socket, &Close::Forbidden).await;
    }
    let seat = match ConnectionSlot::take(&shared, Client::of(&parts, shared.proxies_trusted)) {
        Ok(seat) => seat.on(parts.extensions.get().cloned()),
        Err(full) => return leave(socket, &full.close()).await,
    };
    // A socket that was opened without knowing of the protocol learns it from the close.
    let Some(subprotocol) = subprotocol else {
        return leave(socket, &Close::SubprotocolNotAcceptable).await;
    };
    let bearer = endpoint::bearer(&shared, &parts.headers).await;
    let offered = bearer.map_err(refusal);
    let tasks = shared.tasks.clone();
    // The task that was upgraded ends here and gives back what HTTP needed; this one is all that a socket keeps.
    tasks.spawn(Connection::new(socket, subprotocol, shared, offered, seat).run());
}
