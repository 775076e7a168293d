//! One message, many subscribers.

use std::time::{Duration, Instant};

use super::{Context, make_rooms, publish, settle, token};
use crate::{
    load::{Http, Subscription, stamped, subscribe_all},
    report::{median, percentile_ms},
    scenario::per,
    server::Kind,
};

fn room_1() -> Vec<String> {
    vec!["room-1".to_owned()]
}

/// Measures CPU per delivery while 16 clients publish as fast as they are answered.
pub(super) async fn flood(mut context: Context<'_>, subscribers: usize) {
    let server = context.server().await;
    let crowd = subscribe_all(
        server.address,
        vec![Subscription::to("room-1"); subscribers],
    )
    .await;
    settle(&crowd.seen).await;
    let before = server.cpu();
    let sent = publish(&server, 16, &room_1(), context.time()).await;
    settle(&crowd.seen).await;
    let cpu = server.cpu() - before;
    let deliveries = crowd.seen.deliveries.get();
    context.add(
        &format!("CPU per delivery, {subscribers} subscribers"),
        "us",
        per(cpu, deliveries),
    );
    let arrived = deliveries as f64 / (sent * subscribers as u64) as f64;
    context.add(
        &format!("delivered, {subscribers} subscribers"),
        "of 1",
        arrived,
    );
    if subscribers == 1_000 {
        context.add(
            "bytes per delivery",
            "bytes",
            crowd.seen.bytes.get() as f64 / deliveries as f64,
        );
    }
}

/// Measures CPU per delivery and the age of deliveries at 10 messages per second.
pub(super) async fn rate(mut context: Context<'_>) {
    let server = context.server().await;
    let crowd = subscribe_all(server.address, vec![Subscription::to("room-1"); 1_000]).await;
    let token = token(&server).await;
    let mut http = Http::connect(server.address, token.as_deref())
        .await
        .expect("a connection");
    let (mut costs, mut p99) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        settle(&crowd.seen).await;
        let (before, seen) = (server.cpu(), crowd.seen.deliveries.get());
        crowd.seen.ages.borrow_mut().clear();
        let start = Instant::now();
        let mut ticks = tokio::time::interval(Duration::from_millis(100));
        while start.elapsed() < context.time() {
            ticks.tick().await;
            http.send("room-1", &stamped()).await.expect("an answer");
        }
        settle(&crowd.seen).await;
        costs.push(per(
            server.cpu() - before,
            crowd.seen.deliveries.get() - seen,
        ));
        p99.push(percentile_ms(&mut crowd.seen.ages.borrow_mut(), 0.99));
    }
    context.add(
        "CPU per delivery, 1000 subscribers, 10 messages/s",
        "us",
        median(costs),
    );
    context.add(
        "publish to delivery, p99, 1000 subscribers, 10 messages/s",
        "ms",
        median(p99),
    );
}

/// Measures the case in which every subscriber sends a different document.
pub(super) async fn documents(mut context: Context<'_>) {
    if !matches!(context.kind, Kind::Switchboard | Kind::Stock) {
        return;
    }
    let server = context.server().await;
    let own = |number: usize| Subscription {
        document: format!(
            "subscription($room:ID!){{newMessage(roomId:$room){{id text createdAt sender{{id name}} own{number}:id}}}}"
        ),
        ..Subscription::to("room-1")
    };
    let crowd = subscribe_all(server.address, (0..1_000).map(own).collect()).await;
    settle(&crowd.seen).await;
    let before = server.cpu();
    publish(&server, 16, &room_1(), context.time()).await;
    settle(&crowd.seen).await;
    let cpu = server.cpu() - before;
    context.add(
        "CPU per delivery, 1000 documents",
        "us",
        per(cpu, crowd.seen.deliveries.get()),
    );
}

/// Measures the CPU of a delivery without that of the write: 1,000 rooms with one subscriber each.
pub(super) async fn rooms(mut context: Context<'_>) {
    if context.kind == Kind::Broadcast {
        return;
    }
    let server = context.server().await;
    let rooms = make_rooms(&server, 1_000).await;
    let cost = async |rooms: &[String]| {
        let before = server.cpu();
        let sent = publish(&server, 16, rooms, context.time()).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        per(server.cpu() - before, sent)
    };
    let alone = cost(&rooms).await;
    let crowd = subscribe_all(
        server.address,
        rooms.iter().map(|room| Subscription::to(room)).collect(),
    )
    .await;
    settle(&crowd.seen).await;
    let read = cost(&rooms).await;
    assert!(
        crowd.seen.deliveries.get() > 0,
        "the subscribers received messages"
    );
    context.add("CPU per write, 16 clients, no readers", "us", alone);
    context.add(
        "CPU per delivery beside the write, 1000 rooms",
        "us",
        read - alone,
    );
}
