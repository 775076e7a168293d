//! The cost of connecting and subscribing.

use super::{Context, per};
use crate::load::{Subscription, subscribe_all};

const CONNECTIONS: usize = 2_000;

/// Measures CPU per connection, until the server has read its `subscribe`.
pub(super) async fn connect(mut context: Context<'_>) {
    let server = context.server().await;
    let wanted = || vec![Subscription::to("room-1"); CONNECTIONS];
    // A first round, so that one-time work is not measured.
    let first = subscribe_all(server.address, wanted()).await;
    super::settle(&first.seen).await;
    let before = server.cpu();
    let second = subscribe_all(server.address, wanted()).await;
    super::settle(&second.seen).await;
    context.add(
        "CPU per connection, TCP to subscribed",
        "us",
        per(server.cpu() - before, CONNECTIONS as u64),
    );
}
