//! Many subscribers that read nothing, and little memory.

use serde_json::json;

use super::scenario;
use crate::{
    Failure, Outcome, Rounds, Scenario,
    site::Site,
    socket::Socket,
    stage::Stage,
    traffic::{SUBSCRIBE, Traffic},
};

/// The address space of the server in KiB.
const ADDRESS_SPACE: u32 = 1_500_000;

pub(super) fn all() -> Vec<Scenario> {
    vec![scenario!(
        false,
        unread_memory,
        "many subscribers read nothing, and the address space is small (1.5 GB); others are served"
    )]
}

async fn unread_memory(rounds: Rounds) -> Result<Outcome, Failure> {
    let mut site = Site::new(&["--write-timeout", "10m"])
        .with_variable("TOKIO_WORKER_THREADS", "2")
        .after_command(&format!("ulimit -v {ADDRESS_SPACE}"));
    let server = site.start().await?;
    let traffic = Traffic::start(site.address, 2, 8000).await?;
    let mut stage = Stage::with(site, server, traffic).await?;
    let subscribers = rounds.of(200, 1000);
    let mut unread = Vec::new();
    let (_, start) = stage.traffic.idle_subscriber();
    for _ in 0..subscribers {
        let mut client = Socket::connect(stage.site.address, None, Some(4096)).await?;
        client.start(SUBSCRIBE, json!({ "after": start })).await?;
        unread.push(client);
    }
    // More than the buffers of the system hold for one subscriber.
    for _ in 0..rounds.of(10, 30) {
        stage.traffic.acknowledges(100).await?;
        // The writers pause, because they can be faster than the subscribers for long.
        stage.traffic.pause().await?;
        stage.traffic.seen_by_all().await?;
        stage.traffic.resume();
        if let Some(ended) = stage.server().ended() {
            return Err(format!("the server ended with {ended}").into());
        }
    }
    let tried = format!("{subscribers} such subscribers");
    let outcome = stage.finish(&tried).await;
    drop(unread);
    outcome
}
