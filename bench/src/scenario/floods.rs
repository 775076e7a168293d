//! One client that floods the server, beside ordinary ones.

use std::time::{Duration, Instant};

use clap::ValueEnum;

use super::{Context, settle, token};
use crate::{
    load::{Crowd, Flood, Http, Subscription, stamped, subscribe_all},
    report::percentile_ms,
    server::{Kind, Server, beside},
};

/// The time between two messages.
const TICK: Duration = Duration::from_millis(50);

/// Measures the age of the other clients' deliveries and the server's memory: before, during and
/// after each kind of flood, with the default limits.
pub(super) async fn floods(mut context: Context<'_>) {
    if context.kind != Kind::Switchboard {
        return;
    }
    let server = Server::with(context.kind, &context.flags.switchboard, &[]).await;
    let crowd = subscribe_all(server.address, vec![Subscription::to("room-1"); 200]).await;
    let token = token(&server).await;
    let mut http = Http::connect(server.address, token.as_deref())
        .await
        .expect("a connection");
    measure(&mut context, &server, &crowd, &mut http, "before any flood").await;
    for flood in Flood::value_variants() {
        let name = flood
            .to_possible_value()
            .expect("every kind has a name")
            .get_name()
            .to_owned();
        // The flood begins a second before the measurement, and ends after it.
        let seconds = (context.time() + Duration::from_secs(2))
            .as_secs_f64()
            .to_string();
        let mut flooder = beside(&["flood", &name, &server.address.to_string(), &seconds]);
        tokio::time::sleep(Duration::from_secs(1)).await;
        measure(
            &mut context,
            &server,
            &crowd,
            &mut http,
            &format!("in a flood of {name}"),
        )
        .await;
        flooder.wait().await.expect("it ends by itself");
    }
    measure(&mut context, &server, &crowd, &mut http, "after all floods").await;
}

async fn measure(
    context: &mut Context<'_>,
    server: &Server,
    crowd: &Crowd,
    http: &mut Http,
    when: &str,
) {
    crowd.seen.ages.borrow_mut().clear();
    let before = crowd.seen.deliveries.get();
    let (start, mut sent, mut memory) = (Instant::now(), 0_u64, 0);
    let mut ticks = tokio::time::interval(TICK);
    while start.elapsed() < context.time() {
        ticks.tick().await;
        http.send("room-1", &stamped()).await.expect("an answer");
        sent += 1;
        memory = memory.max(server.memory());
    }
    settle(&crowd.seen).await;
    assert_eq!(
        crowd.seen.deliveries.get() - before,
        sent * 200,
        "everything arrives"
    );
    let mut ages = crowd.seen.ages.borrow_mut();
    for (part, name) in [(0.5, "p50"), (0.99, "p99")] {
        context.add(
            &format!("publish to delivery, {name}, {when}"),
            "ms",
            percentile_ms(&mut ages, part),
        );
    }
    context.add(
        &format!("memory at most, {when}"),
        "MiB",
        memory as f64 / 1048576.0,
    );
}
