//! The rules of graphql-transport-ws as data, kept by three: the pure machine, the server in this process, and any
//! address that `SWITCHBOARD_CONFORMANCE_URL` names (`ws://host/graphql`). `coverage.rs` is the table of what the protocol
//! says and which scenarios hold it to that. The legacy dialect has its own rules, in `rules/legacy_*.rs`.

mod babble;
mod chance;
mod coverage;
mod documents;
mod expect;
mod play;
mod rules;
mod scenario;
mod server;
mod socket;
mod stage;
mod total;
mod watch;
mod world;

use std::io::Write;

use futures::{StreamExt, stream};
use scenario::{Reach, Scenario};
use switchboard::protocol::Subprotocol;
use world::World;

/// Scenarios that are played at the same time over sockets.
const AT_ONCE: usize = 16;

/// Names all that failed, not only the first.
fn judge(whom: &str, played: &[(String, play::Outcome)]) {
    let line = |name: &str, error: &str| format!("{name:.200}\n    {error:.1000}");
    let failed: Vec<String> = played
        .iter()
        .filter_map(|(name, outcome)| Some(line(name, outcome.as_ref().err()?)))
        .collect();
    println!("{whom}: {} scenarios", played.len());
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
    judge("the machine", &played);
}

async fn on_the_server(scenarios: Vec<Scenario>) {
    let house = server::House::open(&[]).await;
    let scenarios = scenarios
        .into_iter()
        .filter(|scenario| scenario.reach != Reach::Machine);
    let play = async |scenario: Scenario| {
        let outcome = server::play_in(&house, &scenario).await;
        (scenario.name, outcome)
    };
    let played: Vec<_> = stream::iter(scenarios)
        .map(play)
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    judge("the server", &played);
    house.close().await.expect("nothing is left behind");
}

/// A test for each file of rules on each of the two that are always here.
macro_rules! rules {
    ($($rules:ident),*) => {
        /// The rules, in the order of the files.
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
        // Past the harness, which would keep it to itself.
        let _ = writeln!(
            std::io::stderr(),
            "skipped: SWITCHBOARD_CONFORMANCE_URL names no server"
        );
        return;
    };
    let address = socket::Address::parse(&url)
        .expect("SWITCHBOARD_CONFORMANCE_URL is like ws://host/graphql");
    // A server that runs already was started with flags of its own.
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
    judge(&url, &played);
}

#[test]
fn every_rule_has_a_name_of_its_own() {
    let mut names: Vec<String> = all().into_iter().map(|scenario| scenario.name).collect();
    names.sort();
    let twice: Vec<_> = names
        .windows(2)
        .filter(|pair| pair[0] == pair[1])
        .map(|pair| &pair[0])
        .collect();
    assert!(twice.is_empty(), "{twice:?}");
}
