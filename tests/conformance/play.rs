//! How a scenario is played, on whatever can be talked to.

use serde_json::json;
use switchboard::protocol::Close;

use crate::{
    expect::{Expect, Heard, take},
    scenario::{Reason, Scenario, Step},
};

/// What went otherwise.
pub(crate) type Outcome = Result<(), String>;

/// Something that speaks the server's side. What it cannot do, no scenario that reaches it asks for.
pub(crate) trait Target {
    async fn say(&mut self, texts: &[String]) -> Outcome;
    async fn say_bytes(&mut self, bytes: &[u8]) -> Outcome;
    async fn hear(&mut self) -> Result<Heard, String>;
    /// Proves that nothing follows the close that was just heard.
    async fn ended(&mut self) -> Outcome;
    async fn publish(&mut self, text: &str) -> Outcome;
    async fn init_time_passes(&mut self) -> Outcome;
    async fn settle(&mut self) -> Outcome {
        unreachable!("only the machine has a slow world")
    }
    async fn server_leaves(&mut self, _close: &Close) -> Outcome {
        unreachable!("only the machine is told to leave")
    }
    async fn server_stops(&mut self) -> Outcome {
        unreachable!("only a server is stopped")
    }
    async fn another_is_closed(&mut self, _code: u16, _reason: &Reason) -> Outcome {
        unreachable!("only a server has several sockets")
    }
    async fn client_leaves(&mut self) -> Outcome {
        unreachable!("only a socket is closed by its client")
    }
}

/// Plays a scenario; one that is not closed at its end must be silent there.
pub(crate) async fn play(scenario: &Scenario, target: &mut impl Target) -> Outcome {
    let mut open = true;
    for (at, step) in scenario.steps.iter().enumerate() {
        open &= !matches!(step, Step::Closed(..) | Step::ClientLeaves);
        perform(step, target).await.map_err(|error| format!("step {at}, {step:?}: {error}"))?;
    }
    if open { silence(target).await.map_err(|error| format!("at the end: {error}")) } else { Ok(()) }
}

async fn perform(step: &Step, target: &mut impl Target) -> Outcome {
    match step {
        Step::Say(texts) => target.say(texts).await,
        Step::SayBytes(bytes) => target.say_bytes(bytes).await,
        Step::Hear(expected) => hear(expected.clone(), target).await,
        Step::Silence => silence(target).await,
        Step::AllOrNothing(id, payload) => all_or_nothing(id, payload, target).await,
        Step::Closed(code, reason) => {
            is_close(&target.hear().await?, *code, reason)?;
            target.ended().await
        }
        Step::Publish(text) => target.publish(text).await,
        Step::InitTimePasses => target.init_time_passes().await,
        Step::Settle => target.settle().await,
        Step::ServerLeaves(close) => target.server_leaves(close).await,
        Step::ServerStops => target.server_stops().await,
        Step::AnotherIsClosed(code, reason) => target.another_is_closed(*code, reason).await,
        Step::ClientLeaves => target.client_leaves().await,
    }
}

async fn message(target: &mut impl Target) -> Result<serde_json::Value, String> {
    match target.hear().await? {
        Heard::Message(message) => Ok(message),
        Heard::Close(code, reason) => Err(format!("closed with {code} {reason:?}")),
    }
}

async fn hear(mut expected: Vec<Expect>, target: &mut impl Target) -> Outcome {
    while !expected.is_empty() {
        let heard = message(target).await.map_err(|error| format!("{error} instead of {expected:?}"))?;
        take(&mut expected, &heard)?;
    }
    Ok(())
}

async fn fence(target: &mut impl Target) -> Outcome {
    target.say(&[json!({ "type": "ping", "payload": { "fence": true } }).to_string()]).await
}

fn fence_answered() -> Expect {
    Expect::Pong(Some(json!({ "fence": true })))
}

/// Whatever was on its way would come before the answer to a ping.
async fn silence(target: &mut impl Target) -> Outcome {
    fence(target).await?;
    hear(vec![fence_answered()], target).await
}

async fn all_or_nothing(id: &str, payload: &serde_json::Value, target: &mut impl Target) -> Outcome {
    fence(target).await?;
    let first = message(target).await?;
    if fence_answered().is(&first) {
        return Ok(());
    }
    let next = Expect::Next(id.to_owned(), payload.clone());
    take(&mut vec![next], &first)?;
    hear(vec![Expect::Complete(id.to_owned()), fence_answered()], target).await
}

pub(crate) fn is_close(heard: &Heard, code: u16, reason: &Reason) -> Outcome {
    match heard {
        Heard::Close(with, because) if *with == code && reason.is(because) => Ok(()),
        other => Err(format!("heard {other:?}")),
    }
}
