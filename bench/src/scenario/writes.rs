//! Durable writes, without subscribers.

use std::time::Instant;

use super::{Context, per, publish, token};
use crate::{
    load::{Http, stamped},
    report::percentile_ms,
    server::Kind,
};

/// Measures writes per second and CPU per write with 64 clients, and how long a single client
/// waits.
pub(super) async fn writes(mut context: Context<'_>) {
    if context.kind == Kind::Broadcast {
        return;
    }
    let server = context.server().await;
    let room = ["room-1".to_owned()];
    publish(&server, 64, &room, context.time() / 4).await;
    let (before, start) = (server.cpu(), Instant::now());
    let sent = publish(&server, 64, &room, context.time()).await;
    let rate = sent as f64 / start.elapsed().as_secs_f64();
    context.add("durable writes, 64 clients", "1/s", rate);
    context.add(
        "CPU per write, 64 clients",
        "us",
        per(server.cpu() - before, sent),
    );

    let token = token(&server).await;
    let mut http = Http::connect(server.address, token.as_deref())
        .await
        .expect("a connection");
    let mut waits = Vec::new();
    let start = Instant::now();
    while start.elapsed() < context.time() / 2 {
        let asked = Instant::now();
        http.send("room-1", &stamped()).await.expect("an answer");
        waits.push(asked.elapsed());
    }
    context.add(
        "one client alone, p50",
        "ms",
        percentile_ms(&mut waits, 0.5),
    );
    context.add(
        "one client alone, p99",
        "ms",
        percentile_ms(&mut waits, 0.99),
    );
}
