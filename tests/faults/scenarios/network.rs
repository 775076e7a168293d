//! Connections break, fall silent, or are not read.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{any_moment, scenario};
use crate::{
    Failure, Outcome, Rounds, Scenario,
    proxy::Proxy,
    site::Site,
    socket::Socket,
    stage::Stage,
    traffic::{SUBSCRIBE, Traffic, take},
    wait_for,
};

pub(super) fn all() -> Vec<Scenario> {
    vec![
        scenario!(true, cut_connections, "all connections are cut"),
        scenario!(
            true,
            silent_network,
            "the network passes on nothing for seconds"
        ),
        scenario!(
            true,
            slow_reader,
            "a subscriber reads nothing; the others are not delayed"
        ),
    ]
}

/// A server whose clients connect through a proxy.
async fn behind_proxy() -> Result<(Stage, Proxy), Failure> {
    let mut site = Site::new(&[]);
    let server = site.start().await?;
    let proxy = Proxy::start(site.address).await;
    let traffic = Traffic::start(proxy.address, 3, 100).await?;
    Ok((Stage::with(site, server, traffic).await?, proxy))
}

async fn cut_connections(rounds: Rounds) -> Result<Outcome, Failure> {
    let (mut stage, proxy) = behind_proxy().await?;
    let cuts = rounds.of(20, 200);
    for _ in 0..cuts {
        any_moment(Duration::from_millis(50)).await;
        let now = Instant::now();
        proxy.cut();
        stage.recovers(now).await?;
    }
    let connections = proxy.connections();
    if connections < cuts {
        return Err(format!("only {connections} connections for {cuts} cuts").into());
    }
    stage.finish(&format!("{cuts} cuts")).await
}

async fn silent_network(rounds: Rounds) -> Result<Outcome, Failure> {
    let (mut stage, proxy) = behind_proxy().await?;
    let silences = rounds.of(1, 5);
    for _ in 0..silences {
        stage.traffic.acknowledges(100).await?;
        proxy.be_silent();
        // The fault is this time.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = Instant::now();
        proxy.open();
        stage.recovers(now).await?;
    }
    stage
        .finish(&format!("{}, 1 s each", crate::times(silences)))
        .await
}

async fn slow_reader(rounds: Rounds) -> Result<Outcome, Failure> {
    let mut site = Site::new(&["--write-timeout", "500ms"]);
    let server = site.start().await?;
    let traffic = Traffic::start(site.address, 2, 8000).await?;
    let mut stage = Stage::with(site, server, traffic).await?;
    let stalls = rounds.of(1, 3);
    for _ in 0..stalls {
        let mut slow = Socket::connect(stage.site.address, None, Some(4096)).await?;
        let (subscriber, start) = stage.traffic.idle_subscriber();
        slow.start(SUBSCRIBE, json!({ "after": start })).await?;
        // The client reads nothing. It sends pings, and so learns that the server has dropped it.
        let stalling = async {
            while slow.send(&json!({ "type": "ping" })).await.is_ok() {
                stage.traffic.acknowledges(10).await?;
                stage.traffic.seen_by_all().await?;
            }
            Ok::<(), Failure>(())
        };
        wait_for("the server to drop the slow subscriber", stalling).await??;
        // What has arrived is read now. Then the client resumes.
        while let Ok(message) = slow.receive_alive().await {
            take(&message, &subscriber);
        }
        stage
            .traffic
            .resume_subscriber(stage.site.address, subscriber);
    }
    stage.finish(&format!("{stalls} stalls")).await
}
