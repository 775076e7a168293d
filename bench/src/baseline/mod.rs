//! What others do, or what would be done without GraphQL, written as their authors would.

mod broadcast;
mod durable;
mod stock;

use std::path::Path;

use tokio::net::TcpListener;

/// A baseline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// async-graphql, async-graphql-axum, tokio broadcast and sqlx, as their documentation puts them together
    Stock,
    /// axum's WebSocket and a tokio broadcast of one ready frame: no GraphQL, no database
    Broadcast,
    /// Our design without GraphQL: readers as cursors behind a writer that commits groups
    Durable,
}

pub(crate) async fn serve(kind: Kind, folder: &Path) {
    let router = match kind {
        Kind::Stock => stock::router(folder).await,
        Kind::Broadcast => broadcast::router(),
        Kind::Durable => durable::router(folder).await,
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    println!("endpoint http://{}/graphql", listener.local_addr().expect("an address"));
    let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, router).await.expect("serving");
}

/// The variables of a request to send a message: where to, and what.
fn send_variables(body: &serde_json::Value) -> (String, String) {
    let text = |name: &str| body["variables"][name].as_str().unwrap_or_default().to_owned();
    (text("room"), text("text"))
}

/// The room of a `subscribe`, and its id.
fn subscribe(text: &str) -> Option<(String, String)> {
    let message: serde_json::Value = serde_json::from_str(text).ok()?;
    if message["type"] != "subscribe" {
        return None;
    }
    let room = message["payload"]["variables"]["room"].as_str().unwrap_or_default();
    Some((message["id"].as_str()?.to_owned(), room.to_owned()))
}

/// What a server that knows no GraphQL answers to the messages around `subscribe`.
fn reply(text: &str) -> Option<&'static str> {
    if text.contains("connection_init") {
        Some(r#"{"type":"connection_ack"}"#)
    } else if text.contains(r#""ping""#) {
        Some(r#"{"type":"pong"}"#)
    } else {
        None
    }
}

/// The result of a message, as the document of the load asks for it.
fn result(id: &str, text: &str, at: &str, sender: &str) -> String {
    format!(
        r#"{{"data":{{"newMessage":{{"id":"{id}","text":"{text}","createdAt":"{at}","sender":{{"id":"{sender}","name":"bench"}}}}}}}}"#
    )
}

const AT: &str = "2026-01-01T00:00:00.000000Z";
const SENDER: &str = "usr_00000000000000000000000000000000";
