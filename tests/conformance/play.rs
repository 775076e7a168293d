//! The player acts as the client of a scenario. It checks every answer of a target.

use serde_json::{Value, json};
use switchboard::protocol::{Close, Subprotocol};

use crate::{
    expect::{Expect, Received, is_extra, take},
    scenario::{Reason, Scenario, Step},
};

/// The result of a step or of a scenario. The error describes the difference.
pub(crate) type Outcome = Result<(), String>;

/// A target that acts as the server. Most targets cannot do the steps that have a default here.
/// [`crate::scenario::Reach`] excludes targets from the scenarios that they cannot play.
pub(crate) trait Target {
    async fn send(&mut self, texts: &[String]) -> Outcome;
    async fn send_bytes(&mut self, bytes: &[u8]) -> Outcome;
    async fn send_raw(&mut self, _bytes: &[u8]) -> Outcome {
        unreachable!("only a socket has frames")
    }
    async fn receive(&mut self) -> Result<Received, String>;
    /// Proves that nothing follows the close that the client has just received.
    async fn ended(&mut self) -> Outcome;
    async fn publish(&mut self, text: &str) -> Outcome;
    async fn init_time_passes(&mut self) -> Outcome;
    async fn beat(&mut self) -> Outcome {
        unreachable!("only the machine has heartbeats on demand")
    }
    async fn settle(&mut self) -> Outcome {
        unreachable!("only the machine has a slow world")
    }
    async fn server_leaves(&mut self, _close: &Close) -> Outcome {
        unreachable!("only the machine closes on demand")
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
    /// A message that is answered at once in every state that is not closed, and its answer.
    fn fence(&self, dialect: Subprotocol) -> (Value, Expect) {
        let payload = json!({ "fence": true });
        match dialect {
            Subprotocol::TransportWs => (
                json!({ "type": "ping", "payload": payload }),
                Expect::Pong(Some(payload)),
            ),
            Subprotocol::Legacy => (json!({ "type": "fence" }), Expect::Stray("BAD_USER_INPUT")),
        }
    }
}

/// Plays a scenario. If the connection is still open at the end, it must be silent.
pub(crate) async fn play(scenario: &Scenario, target: &mut impl Target) -> Outcome {
    let dialect = scenario.opening.spoken.unwrap_or(Subprotocol::TransportWs);
    let mut player = Player {
        target,
        dialect,
        exactly: scenario.exactly,
    };
    let mut open = true;
    for (at, step) in scenario.steps.iter().enumerate() {
        open &= !matches!(step, Step::Closed(..) | Step::ClientLeaves);
        player
            .perform(step)
            .await
            .map_err(|error| format!("step {at}, {step:?}: {error}"))?;
    }
    if open {
        player
            .silence()
            .await
            .map_err(|error| format!("at the end: {error}"))
    } else {
        Ok(())
    }
}

/// The client's part of a scenario.
struct Player<'a, T> {
    target: &'a mut T,
    dialect: Subprotocol,
    exactly: bool,
}

impl<T: Target> Player<'_, T> {
    async fn perform(&mut self, step: &Step) -> Outcome {
        match step {
            Step::Send(texts) => self.target.send(texts).await,
            Step::SendBytes(bytes) => self.target.send_bytes(bytes).await,
            Step::SendRaw(bytes) => self.target.send_raw(bytes).await,
            Step::Receive(expected) => self.receive(expected.clone()).await,
            Step::Silence => self.silence().await,
            Step::AllOrNothing(id, payload) => self.all_or_nothing(id, payload).await,
            Step::Closed(code, reason) => self.closed(*code, reason).await,
            Step::Publish(text) => self.target.publish(text).await,
            Step::InitTimePasses => self.target.init_time_passes().await,
            Step::Beat => self.target.beat().await,
            Step::Settle => self.target.settle().await,
            Step::ServerLeaves(close) => self.target.server_leaves(close).await,
            Step::ServerStops => self.target.server_stops().await,
            Step::AnotherIsClosed(code, reason) => {
                self.target.another_is_closed(*code, reason).await
            }
            Step::ClientLeaves => self.target.client_leaves().await,
        }
    }

    /// The next message or close. Live pings and heartbeats that are not expected are skipped.
    async fn next(&mut self, expected: &[Expect]) -> Result<Received, String> {
        loop {
            let received = self.target.receive().await?;
            let Received::Message(message) = &received else {
                return Ok(received);
            };
            let wanted = || expected.iter().any(|one| one.is(message, self.dialect));
            if self.exactly || !is_extra(message) || wanted() {
                return Ok(received);
            }
        }
    }

    async fn message(&mut self, expected: &[Expect]) -> Result<Value, String> {
        match self.next(expected).await? {
            Received::Message(message) => Ok(message),
            Received::Close(code, reason) => Err(format!("closed with {code} {reason:?}")),
        }
    }

    async fn receive(&mut self, mut expected: Vec<Expect>) -> Outcome {
        while !expected.is_empty() {
            let received = self
                .message(&expected)
                .await
                .map_err(|error| format!("{error} instead of {expected:?}"))?;
            take(&mut expected, &received, self.dialect)?;
        }
        Ok(())
    }

    async fn closed(&mut self, code: u16, reason: &Reason) -> Outcome {
        is_close(&self.next(&[]).await?, code, reason)?;
        self.target.ended().await
    }

    /// Sends a fence and returns the answer that must come.
    async fn fence(&mut self) -> Result<Expect, String> {
        let (fence, answer) = self.target.fence(self.dialect);
        self.target.send(&[fence.to_string()]).await?;
        Ok(answer)
    }

    /// Proves that no message is on its way: it would come before the answer to the fence.
    async fn silence(&mut self) -> Outcome {
        let answer = self.fence().await?;
        self.receive(vec![answer]).await
    }

    /// The legacy dialect answers a `stop` with `complete` if it came in time. It ignores a `stop`
    /// that came after the result.
    async fn all_or_nothing(&mut self, id: &str, payload: &Value) -> Outcome {
        let fence_answered = self.fence().await?;
        let first = self.message(&[]).await?;
        let complete = Expect::Complete(id.to_owned());
        match self.dialect {
            Subprotocol::TransportWs if fence_answered.is(&first, self.dialect) => {
                return Ok(());
            }
            Subprotocol::Legacy if complete.is(&first, self.dialect) => {
                return self.receive(vec![fence_answered]).await;
            }
            _ => take(
                &mut vec![Expect::Next(id.to_owned(), payload.clone())],
                &first,
                self.dialect,
            )?,
        }
        self.receive(vec![complete, fence_answered]).await
    }
}

pub(crate) fn is_close(received: &Received, code: u16, reason: &Reason) -> Outcome {
    match received {
        Received::Close(with, because) if *with == code && reason.is(because) => Ok(()),
        other => Err(format!("received {other:?}")),
    }
}
