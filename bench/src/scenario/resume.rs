//! All subscribers resume at the same time.

use serde_json::json;

use super::{Context, per, settle, token};
use crate::{
    load::{Http, Subscription, stamped, subscribe_all},
    server::Kind,
};

const SUBSCRIBERS: usize = 5_000;
const BEHIND: u64 = 200;

/// Measures CPU per delivery when all subscribers resume at the same old position. Only Switchboard
/// can resume; compare with the figures of the fan-out.
pub(super) async fn storm(mut context: Context<'_>) {
    if context.kind != Kind::Switchboard {
        return;
    }
    let server = context.server().await;
    let token = token(&server).await;
    let mut http = Http::connect(server.address, token.as_deref())
        .await
        .expect("a connection");
    let head = http
        .ask("{room(id:\"room-1\"){head}}", json!({}))
        .await
        .expect("an answer");
    let after = head["data"]["room"]["head"].as_str().map(str::to_owned);
    for _ in 0..BEHIND {
        http.send("room-1", &stamped()).await.expect("an answer");
    }
    let idle = server.cpu();
    let document = "subscription($room:ID!,$after:Cursor){newMessage(roomId:$room,after:$after){id text createdAt sender{id name}}}";
    let wanted = Subscription {
        after,
        document: document.to_owned(),
        ..Subscription::to("room-1")
    };
    let wanted = vec![wanted; SUBSCRIBERS];
    let crowd = subscribe_all(server.address, wanted).await;
    settle(&crowd.seen).await;
    let deliveries = crowd.seen.deliveries.get();
    assert_eq!(
        deliveries,
        SUBSCRIBERS as u64 * (BEHIND),
        "everybody got everything"
    );
    context.add(
        "CPU per delivery, 5000 resume at once, connecting included",
        "us",
        per(server.cpu() - idle, deliveries),
    );
}
