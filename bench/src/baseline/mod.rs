//! The servers that Switchboard is compared with.

mod broadcast;
mod durable;
mod stock;

use std::path::Path;

use axum::extract::ws::{Message, WebSocket};
use futures::StreamExt;
use tokio::net::TcpListener;

/// Which baseline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// async-graphql, async-graphql-axum, tokio broadcast and sqlx, as in their documentation
    Stock,
    /// axum's WebSocket and a tokio broadcast of one finished frame: no GraphQL, no database
    Broadcast,
    /// Switchboard's design without GraphQL: a writer that commits batches, readers as cursors
    Durable,
}

pub(crate) async fn serve(kind: Kind, folder: &Path) {
    let router = match kind {
        Kind::Stock => stock::router(folder).await,
        Kind::Broadcast => broadcast::router(),
        Kind::Durable => durable::router(folder).await,
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    println!(
        "endpoint http://{}/graphql",
        listener.local_addr().expect("an address")
    );
    let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, router).await.expect("serving");
}

/// The room and the text of a request that sends a message.
fn send_variables(body: &serde_json::Value) -> (String, String) {
    let text = |name: &str| {
        body["variables"][name]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    (text("room"), text("text"))
}

/// Answers the client until it subscribes, and returns the operation's id and the room. None if the
/// client disconnects first.
async fn subscribed(socket: &mut WebSocket) -> Option<(String, String)> {
    loop {
        let Message::Text(text) = socket.next().await?.ok()? else {
            continue;
        };
        let message: serde_json::Value = serde_json::from_str(&text).ok()?;
        if message["type"] == "subscribe" {
            let room = message["payload"]["variables"]["room"]
                .as_str()
                .unwrap_or_default();
            return Some((message["id"].as_str()?.to_owned(), room.to_owned()));
        }
        answer(socket, &text).await;
    }
}

/// Answers any other message of a subscriber. Returns false if it has disconnected.
async fn handle_message(
    socket: &mut WebSocket,
    message: Option<Result<Message, axum::Error>>,
) -> bool {
    if let Some(Ok(Message::Text(text))) = &message {
        answer(socket, text).await;
    }
    matches!(message, Some(Ok(_)))
}

/// Answers `connection_init` and `ping`, as a server without GraphQL must.
async fn answer(socket: &mut WebSocket, text: &str) {
    let reply = if text.contains("connection_init") {
        r#"{"type":"connection_ack"}"#
    } else if text.contains(r#""ping""#) {
        r#"{"type":"pong"}"#
    } else {
        return;
    };
    let _ = socket.send(Message::text(reply)).await;
}

/// The result for a message, in the shape that the load's document selects.
fn result(id: &str, text: &str, at: &str, sender: &str) -> String {
    format!(
        r#"{{"data":{{"newMessage":{{"id":"{id}","text":"{text}","createdAt":"{at}","sender":{{"id":"{sender}","name":"bench"}}}}}}}}"#
    )
}

const AT: &str = "2026-01-01T00:00:00.000000Z";
const SENDER: &str = "usr_00000000000000000000000000000000";
