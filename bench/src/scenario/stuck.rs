//! A subscriber that reads nothing.

use super::{Context, publish, settle};
use crate::{
    load::{Subscription, subscribe, subscribe_all},
    report::percentile_ms,
};

/// Measures the age of the others' deliveries and the server's memory, without and with one
/// subscriber that does not read.
pub(super) async fn stuck(mut context: Context<'_>) {
    for (stuck, label) in [(false, "without"), (true, "with")] {
        let server = context.server().await;
        let crowd = subscribe_all(server.address, vec![Subscription::to("room-1"); 200]).await;
        let held = if stuck {
            Some(
                subscribe(server.address, &Subscription::to("room-1"))
                    .await
                    .expect("a connection"),
            )
        } else {
            None
        };
        settle(&crowd.seen).await;
        crowd.seen.ages.borrow_mut().clear();
        publish(&server, 16, &["room-1".to_owned()], context.time()).await;
        settle(&crowd.seen).await;
        let p99 = percentile_ms(&mut crowd.seen.ages.borrow_mut(), 0.99);
        context.add(
            &format!("p99 of 200 others under load, {label} one stuck"),
            "ms",
            p99,
        );
        context.add(
            &format!("server memory under load, {label} one stuck"),
            "MiB",
            server.memory() as f64 / 1048576.0,
        );
        drop(held);
    }
}
