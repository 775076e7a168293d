//! The upgrade to a WebSocket.

use std::sync::{Arc, atomic::Ordering};

use axum::{
    extract::{
        RawQuery, State, WebSocketUpgrade,
        ws::{WebSocket, rejection::WebSocketUpgradeRejection},
    },
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};

use super::{Shared, connection::Connection, graphql};
use crate::protocol::{Close, SUBPROTOCOL};

/// `GET /graphql`: a WebSocket where the client asks for one, else a query.
pub(super) async fn upgrade_or_query(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let asks_for_websocket =
        headers.get(header::UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"));
    match upgrade {
        Ok(upgrade) => accept(shared, upgrade, headers),
        Err(rejection) if asks_for_websocket => rejection.into_response(),
        Err(_) => graphql::get(shared, headers, &query.unwrap_or_default()).await,
    }
}

/// Upgrades whatever may be refused: a client takes a failed upgrade as final, and a close code as what it says (T5).
fn accept(shared: Arc<Shared>, upgrade: WebSocketUpgrade, headers: HeaderMap) -> Response {
    let limits = shared.limits;
    let upgrade = upgrade
        .protocols([SUBPROTOCOL])
        .max_message_size(limits.message_bytes_max)
        .max_frame_size(limits.message_bytes_max)
        .read_buffer_size(limits.read_buffer_bytes)
        .write_buffer_size(limits.write_buffer_bytes)
        // Room for one message beyond the buffer: the connection sends none before the last one has left.
        .max_write_buffer_size(usize::MAX);
    let spoken = upgrade.selected_protocol().is_some();
    // A socket that was opened without knowing of the protocol learns it from the close.
    upgrade.on_upgrade(move |socket| async move {
        let Some(seat) = Seat::take(&shared) else { return turn_away(socket, Close::TryAgainLater).await };
        if !spoken {
            return turn_away(socket, Close::SubprotocolNotAcceptable).await;
        }
        let bearer = graphql::bearer(&shared, &headers).await;
        let tasks = shared.tasks.clone();
        // The task that was upgraded ends here and gives back what HTTP needed; this one is all that a socket keeps.
        let offered = bearer.map_err(|error| if error.is_passing() { Close::TryAgainLater } else { Close::Forbidden });
        tasks.spawn(Connection::new(socket, shared, offered, seat).run());
    })
}

async fn turn_away(socket: WebSocket, close: Close) {
    super::connection::leave(socket, &close).await;
}

/// One of `connections_max`.
pub(super) struct Seat(Arc<Shared>);

impl Seat {
    fn take(shared: &Arc<Shared>) -> Option<Self> {
        let taken = shared.connections.fetch_add(1, Ordering::AcqRel);
        let seat = Self(shared.clone());
        let most = shared.limits.connections_max;
        (most == 0 || taken < most).then_some(seat)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::AcqRel);
    }
}
