//! The rules of the WebSocket protocols as data, and the targets that must keep them.
//!
//! The targets are the pure machine, a server in this process, and the server that
//! `SWITCHBOARD_CONFORMANCE_URL` names (`ws://host/graphql`), if it is set. The stock transport of
//! async-graphql-axum is a fourth target, for which `stock_breaks.txt` lists the rules that it
//! breaks.
//!
//! `rules/legacy_*.rs` is about the legacy dialect, `graphql-ws`. The other files of `rules/` are
//! about `graphql-transport-ws`. The table in `coverage.rs` names the scenarios that prove each
//! line of that protocol.

mod checked;
mod coverage;
mod documents;
mod expect;
mod machine;
mod play;
mod random;
mod random_texts;
mod rules;
mod scenario;
mod server;
mod socket;
mod stage;
mod stock;
mod world;

use std::io::Write;

use futures::{StreamExt, stream};
use scenario::{Reach, Scenario};
use switchboard::protocol::Subprotocol;
use world::World;

/// The number of scenarios that are played at the same time over sockets.
const AT_ONCE: usize = 16;

/// Fails with a list of all scenarios that failed, not only the first.
fn report(target: &str, played: &[(String, play::Outcome)]) {
    let line = |name: &str, error: &str| format!("{name:.200}\n    {error:.1000}");
    let failed: Vec<String> = played
        .iter()
        .filter_map(|(name, outcome)| Some(line(name, outcome.as_ref().err()?)))
        .collect();
    println!("{target}: {} scenarios", played.len());
    assert!(
        failed.is_empty(),
        "{} of {} failed:\n{}",
        failed.len(),
        played.len(),
        failed.join("\n")
    );
}

async fn on_the_machine(scenarios: Vec<Scenario>) {
    let mut played = Vec::new();
    for scenario in scenarios
        .into_iter()
        .filter(|scenario| scenario.reach != Reach::Sockets)
    {
        let limits = server::flags("sqlite://none", scenario.flags)
            .limits
            .transport
            .machine;
        let dialect = scenario.opening.spoken.unwrap_or(Subprotocol::TransportWs);
        let outcome = play::play(&scenario, &mut World::new(dialect, limits, scenario.slow)).await;
        played.push((scenario.name, outcome));
    }
    report("the machine", &played);
}

async fn on_the_server(scenarios: Vec<Scenario>) {
    let server = server::TestServer::start(&[]).await;
    let scenarios = scenarios
        .into_iter()
        .filter(|scenario| scenario.reach != Reach::Machine);
    let play = async |scenario: Scenario| {
        let outcome = server::play_in(&server, &scenario).await;
        (scenario.name, outcome)
    };
    let played: Vec<_> = stream::iter(scenarios)
        .map(play)
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    report("the server", &played);
    server.stop().await.expect("nothing is left behind");
}

/// Makes two tests for each file of rules: on the machine, and on the server in this process.
macro_rules! rules {
    ($($rules:ident),*) => {
        /// All rules, in the order of the files.
        fn all() -> Vec<Scenario> {
            [$(rules::$rules::scenarios()),*].concat()
        }

        $(mod $rules {
            #[tokio::test]
            async fn on_the_machine() {
                super::on_the_machine(super::rules::$rules::scenarios()).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_the_server() {
                super::on_the_server(super::rules::$rules::scenarios()).await;
            }
        })*
    };
}

rules!(
    opening,
    invalid,
    framing,
    liveness,
    identity,
    results,
    refusals,
    streams,
    live,
    leaving,
    legacy_connection,
    legacy_operations
);

#[tokio::test]
async fn at_an_address() {
    let Ok(url) = std::env::var("SWITCHBOARD_CONFORMANCE_URL") else {
        // The test harness would capture the output of `eprintln!`.
        let _ = writeln!(
            std::io::stderr(),
            "skipped: SWITCHBOARD_CONFORMANCE_URL names no server"
        );
        return;
    };
    let address = socket::Address::parse(&url)
        .expect("SWITCHBOARD_CONFORMANCE_URL is like ws://host/graphql");
    // The flags of a running server are unknown, so it plays only scenarios that need none.
    let fits = |scenario: &Scenario| scenario.reach != Reach::Machine && scenario.flags.is_empty();
    let play = async |scenario: Scenario| {
        let outcome = server::play_at(&address, &scenario).await;
        (scenario.name, outcome)
    };
    let played: Vec<_> = stream::iter(all().into_iter().filter(fits))
        .map(play)
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    report(&url, &played);
}

#[test]
fn every_scenario_has_a_unique_name() {
    let mut names: Vec<String> = all().into_iter().map(|scenario| scenario.name).collect();
    names.sort();
    let repeated: Vec<_> = names
        .windows(2)
        .filter(|pair| pair[0] == pair[1])
        .map(|pair| &pair[0])
        .collect();
    assert!(repeated.is_empty(), "{repeated:?}");
}
