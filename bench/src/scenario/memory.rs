//! Memory per subscriber.

use std::time::Duration;

use super::{Context, make_rooms, publish, settle};
use crate::load::{Subscription, subscribe_all};

const SUBSCRIBERS: usize = 9_500;

/// Measures resident memory per subscriber: idle in one room, after a burst, and idle in 3,000
/// rooms.
pub(super) async fn memory(mut context: Context<'_>) {
    let server = context.server().await;
    let empty = server.memory();
    let kib = |bytes: u64| bytes.saturating_sub(empty) as f64 / SUBSCRIBERS as f64 / 1024.0;
    let crowd = subscribe_all(
        server.address,
        vec![Subscription::to("room-1"); SUBSCRIBERS],
    )
    .await;
    settle(&crowd.seen).await;
    context.add(
        "memory per idle subscriber, one room",
        "KiB",
        kib(server.memory()),
    );
    publish(&server, 16, &["room-1".to_owned()], Duration::from_secs(3)).await;
    settle(&crowd.seen).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    context.add(
        "memory per subscriber, 4 s after a burst",
        "KiB",
        kib(server.memory()),
    );
    drop((crowd, server));

    let server = context.server().await;
    let rooms = make_rooms(&server, 3_000).await;
    let empty = server.memory();
    let wanted = rooms
        .iter()
        .cycle()
        .take(SUBSCRIBERS)
        .map(|room| Subscription::to(room))
        .collect();
    let crowd = subscribe_all(server.address, wanted).await;
    settle(&crowd.seen).await;
    let each = server.memory().saturating_sub(empty) as f64 / SUBSCRIBERS as f64 / 1024.0;
    context.add("memory per idle subscriber, 3000 rooms", "KiB", each);
}
