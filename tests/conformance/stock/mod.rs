//! The rules that the WebSocket transport of async-graphql-axum breaks.
//!
//! `docs/adr/0001-own-protocol-and-http.md` says why Switchboard does not use this transport. The
//! test here plays the scenarios against it and compares the outcome with `stock_breaks.txt`, line
//! by line. It fails when the transport breaks a rule that is not listed, and when it keeps a rule
//! that is.
//!
//! The comparison favours the stock transport where a difference says nothing about its protocol:
//!
//! - A scenario runs only if it [`applies`] to a server other than Switchboard.
//! - The application around the transport does all that the transport lets it do: see [`server`].
//! - A close is judged by its code alone. The reason is text for people.
//! - A connection that is reset after the close counts as ended.
//! - In the legacy dialect the fence is a `ping`, which this transport answers in both dialects.
//!   Switchboard's own fence is an unknown message, which closes a stock connection.
//! - A legacy connection may be acknowledged without the heartbeat that Switchboard sends at once.

mod http;
mod schema;
mod server;

use std::{collections::BTreeMap, fs, path::Path};

use futures::{StreamExt, stream};
use serde_json::{Value, json};
use switchboard::protocol::Subprotocol;
use tokio_tungstenite::tungstenite::Message;

use crate::{
    expect::{Expect, Received, ack, keep_alive, pong_with},
    play::{Outcome, Target, is_close, play},
    scenario::{Reach, Reason, Scenario, Step},
    socket::{Address, SILENCE, Socket},
    stage::Stage,
};

/// The record: one broken rule per line, as `name | reaction of the transport`, sorted.
const RECORD: &str = include_str!("../stock_breaks.txt");

/// Separates the name of a rule from the reaction of the transport.
const SEPARATOR: &str = " | ";

/// The number of scenarios that are played at the same time. It covers all of them, because some
/// wait until the time limit of a socket while the transport stays silent.
const AT_ONCE: usize = 512;

/// Whether a scenario is about the protocol rather than about a feature of Switchboard:
///
/// - It does not need the pure machine, which alone can hold back an answer.
/// - It does not need flags, such as limits and intervals. Another server has no such flags.
/// - It does not count the pings and heartbeats that Switchboard sends of its own accord.
/// - It does not renew credentials by a ping, which is an extension of Switchboard.
fn applies(scenario: &Scenario) -> bool {
    scenario.reach != Reach::Machine
        && scenario.flags.is_empty()
        && !scenario.exactly
        && !scenario.steps.iter().any(renews_credentials)
}

fn renews_credentials(step: &Step) -> bool {
    let Step::Send(texts) = step else {
        return false;
    };
    texts.iter().any(|text| {
        let message: Value = serde_json::from_str(text).unwrap_or_default();
        message["type"] == "ping" && server::authorization(&message["payload"]).is_some()
    })
}

/// The scenario without the demands that only Switchboard has to meet.
fn adapted(mut scenario: Scenario) -> Scenario {
    for step in &mut scenario.steps {
        match step {
            Step::Receive(expected) if is_legacy_preamble(expected) => *expected = vec![ack()],
            Step::Closed(_, reason) => *reason = Reason::Any,
            _ => {}
        }
    }
    scenario
}

/// Whether these are the answers to the init in [`crate::scenario::legacy_ready`].
fn is_legacy_preamble(expected: &[Expect]) -> bool {
    expected == [ack(), keep_alive()]
}

/// A connection to the stock server.
struct Client {
    socket: Socket,
    stage: Stage,
    /// The last reaction of the transport. If a rule is broken, the record quotes it.
    last: String,
}

/// A reaction of the transport as a few words that are the same in every run.
fn reaction(received: &Result<Received, String>) -> String {
    match received {
        Ok(Received::Close(code, _)) => format!("closes with {code}"),
        Ok(Received::Message(message)) => {
            let kind = message["type"].as_str().unwrap_or("a message without type");
            let payload = &message["payload"];
            let detail = if payload.get("errors").is_some() {
                " with errors"
            } else if kind == "connection_error" && payload["extensions"]["code"].is_null() {
                " without a code"
            } else {
                ""
            };
            format!("sends {kind}{detail}")
        }
        Err(error) if error == SILENCE => "sends nothing".to_owned(),
        Err(_) => "drops the connection without a close".to_owned(),
    }
}

impl Target for Client {
    async fn send(&mut self, texts: &[String]) -> Outcome {
        let messages: Vec<Message> = texts
            .iter()
            .map(|text| Message::text(self.stage.fill_in(text)))
            .collect();
        self.socket.send(messages).await
    }

    async fn send_bytes(&mut self, bytes: &[u8]) -> Outcome {
        self.socket.send([Message::binary(bytes.to_vec())]).await
    }

    async fn send_raw(&mut self, bytes: &[u8]) -> Outcome {
        self.socket.send_raw(bytes).await
    }

    async fn receive(&mut self) -> Result<Received, String> {
        let received = self.socket.receive().await;
        self.last = reaction(&received);
        received
    }

    async fn ended(&mut self) -> Outcome {
        let more = match self.socket.receive().await {
            Ok(received) => reaction(&Ok(received)),
            Err(error) if error == SILENCE => "keeps the connection open".to_owned(),
            Err(_) => return Ok(()),
        };
        self.last = format!("{} and {more}", self.last);
        Err(self.last.clone())
    }

    async fn publish(&mut self, text: &str) -> Outcome {
        let published = self.stage.publish(text).await;
        published.expect("the stock server accepts a message over HTTP");
        Ok(())
    }

    async fn init_time_passes(&mut self) -> Outcome {
        unreachable!("only scenarios with flags shorten this time")
    }

    async fn client_leaves(&mut self) -> Outcome {
        self.socket.close().await?;
        is_close(&self.receive().await?, 1000, &Reason::Any)?;
        self.ended().await
    }

    fn fence(&self, _dialect: Subprotocol) -> (Value, Expect) {
        let payload = json!({ "fence": true });
        (
            json!({ "type": "ping", "payload": payload }),
            pong_with(payload),
        )
    }
}

/// Plays a scenario. Returns the reaction of the transport if it breaks the rule.
async fn broken(address: &Address, scenario: &Scenario) -> Option<String> {
    let stage = Stage::build(address).await;
    let stage = stage.expect("the stock server creates a room over HTTP");
    let socket = match Socket::open(address, &scenario.opening).await {
        Ok(socket) => socket,
        // The other lines of the error are the headers of an HTTP response.
        Err(error) => return error.lines().next().map(str::to_owned),
    };
    let last = "sends nothing".to_owned();
    let mut client = Client {
        socket,
        stage,
        last,
    };
    let kept = play(scenario, &mut client).await.is_ok();
    (!kept).then_some(client.last)
}

/// The lines of the record without its comments, by the name of the rule.
fn recorded() -> BTreeMap<&'static str, &'static str> {
    let lines = RECORD.lines().filter(|line| !line.starts_with('#'));
    let lines: Vec<_> = lines.collect();
    assert!(lines.is_sorted(), "stock_breaks.txt is not sorted");
    let split = |line: &'static str| line.split_once(SEPARATOR).expect("a name and a reaction");
    lines.into_iter().map(split).collect()
}

/// The differences between the record and this run, as one line each.
fn differences(actual: &BTreeMap<String, String>) -> Vec<String> {
    let recorded = recorded();
    let changed = actual
        .iter()
        .filter_map(|(name, instead)| match recorded.get(name.as_str()) {
            None => Some(format!(
                "breaks, and is not listed: {name}{SEPARATOR}{instead}"
            )),
            Some(known) if known != instead => Some(format!(
                "breaks in another way: {name}{SEPARATOR}{instead}, not {known}"
            )),
            Some(_) => None,
        });
    let kept = recorded
        .keys()
        .filter(|name| !actual.contains_key(**name))
        .map(|name| format!("is kept, or was not run, and is listed: {name}"));
    changed.chain(kept).collect()
}

/// Writes the record of this run to the target directory, from where it can be copied.
fn write_record(actual: &BTreeMap<String, String>) -> std::path::PathBuf {
    let comments = RECORD.lines().take_while(|line| line.starts_with('#'));
    let mut lines: Vec<_> = actual
        .iter()
        .map(|(name, instead)| format!("{name}{SEPARATOR}{instead}"))
        .collect();
    lines.sort();
    let lines = comments.map(str::to_owned).chain(lines);
    let text: String = lines.map(|line| line + "\n").collect();
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("stock_breaks.txt");
    fs::write(&path, text).expect("the target directory can be written");
    path
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stock_transport_breaks_the_rules_on_record() {
    let address = server::start().await;
    let scenarios: Vec<_> = crate::all()
        .into_iter()
        .filter(applies)
        .map(adapted)
        .collect();
    let run = scenarios.len();
    let play = async |scenario: Scenario| {
        let instead = broken(&address, &scenario).await?;
        Some((scenario.name, instead))
    };
    let actual: BTreeMap<_, _> = stream::iter(scenarios)
        .map(play)
        .buffer_unordered(AT_ONCE)
        .filter_map(async |broken| broken)
        .collect()
        .await;
    let differences = differences(&actual);
    assert!(
        differences.is_empty(),
        "the stock transport does not behave as recorded:\n{}\nthe record of this run is {}",
        differences.join("\n"),
        write_record(&actual).display()
    );
    let claim = format!("breaks {} of {run} rules", actual.len());
    let decision = include_str!("../../../docs/adr/0001-own-protocol-and-http.md");
    let words: Vec<_> = decision.split_whitespace().collect();
    assert!(
        words.join(" ").contains(&claim),
        "the decision does not contain: {claim}"
    );
}
