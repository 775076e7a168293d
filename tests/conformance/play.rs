//! How a scenario is played, on whatever can be talked to.

use serde_json::{Value, json};
use switchboard::protocol::{Close, Subprotocol};

use crate::{
    expect::{Expect, Heard, is_extra, take},
    scenario::{Reason, Scenario, Step},
};

/// What went otherwise.
pub(crate) type Outcome = Result<(), String>;

/// Something that speaks the server's side. What it cannot do, no scenario that reaches it asks for.
pub(crate) trait Target {
    async fn say(&mut self, texts: &[String]) -> Outcome;
    async fn say_bytes(&mut self, bytes: &[u8]) -> Outcome;
    async fn say_raw(&mut self, _bytes: &[u8]) -> Outcome {
        unreachable!("only a socket has frames")
    }
    async fn hear(&mut self) -> Result<Heard, String>;
    /// Proves that nothing follows the close that was just heard.
    async fn ended(&mut self) -> Outcome;
    async fn publish(&mut self, text: &str) -> Outcome;
    async fn init_time_passes(&mut self) -> Outcome;
    async fn beat(&mut self) -> Outcome {
        unreachable!("only the machine is told the time")
    }
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

/// One who plays the client of a scenario.
struct Player<'a, T> {
    target: &'a mut T,
    dialect: Subprotocol,
    exactly: bool,
}

impl<T: Target> Player<'_, T> {
    async fn perform(&mut self, step: &Step) -> Outcome {
        match step {
            Step::Say(texts) => self.target.say(texts).await,
            Step::SayBytes(bytes) => self.target.say_bytes(bytes).await,
            Step::SayRaw(bytes) => self.target.say_raw(bytes).await,
            Step::Hear(expected) => self.hear(expected.clone()).await,
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

    /// The next that is heard, but for what may be said at any time and is not expected.
    async fn next(&mut self, expected: &[Expect]) -> Result<Heard, String> {
        loop {
            let heard = self.target.hear().await?;
            let Heard::Message(message) = &heard else {
                return Ok(heard);
            };
            let wanted = || expected.iter().any(|one| one.is(message, self.dialect));
            if self.exactly || !is_extra(message) || wanted() {
                return Ok(heard);
            }
        }
    }

    async fn message(&mut self, expected: &[Expect]) -> Result<Value, String> {
        match self.next(expected).await? {
            Heard::Message(message) => Ok(message),
            Heard::Close(code, reason) => Err(format!("closed with {code} {reason:?}")),
        }
    }

    async fn hear(&mut self, mut expected: Vec<Expect>) -> Outcome {
        while !expected.is_empty() {
            let heard = self
                .message(&expected)
                .await
                .map_err(|error| format!("{error} instead of {expected:?}"))?;
            take(&mut expected, &heard, self.dialect)?;
        }
        Ok(())
    }

    async fn closed(&mut self, code: u16, reason: &Reason) -> Outcome {
        is_close(&self.next(&[]).await?, code, reason)?;
        self.target.ended().await
    }

    /// Something that is answered at once, in any state that is not closed.
    async fn fence(&mut self) -> Outcome {
        let fence = match self.dialect {
            Subprotocol::TransportWs => json!({ "type": "ping", "payload": { "fence": true } }),
            Subprotocol::Legacy => json!({ "type": "fence" }),
        };
        self.target.say(&[fence.to_string()]).await
    }

    fn fence_answered(&self) -> Expect {
        match self.dialect {
            Subprotocol::TransportWs => Expect::Pong(Some(json!({ "fence": true }))),
            Subprotocol::Legacy => Expect::ConnectionError("BAD_USER_INPUT"),
        }
    }

    /// Whatever was on its way would come before the answer to a fence.
    async fn silence(&mut self) -> Outcome {
        self.fence().await?;
        self.hear(vec![self.fence_answered()]).await
    }

    /// The legacy protocol answers a `stop` that came in time with `complete`, and one that came too late not at all.
    async fn all_or_nothing(&mut self, id: &str, payload: &Value) -> Outcome {
        self.fence().await?;
        let first = self.message(&[]).await?;
        let complete = Expect::Complete(id.to_owned());
        match self.dialect {
            Subprotocol::TransportWs if self.fence_answered().is(&first, self.dialect) => {
                return Ok(());
            }
            Subprotocol::Legacy if complete.is(&first, self.dialect) => {
                return self.hear(vec![self.fence_answered()]).await;
            }
            _ => take(
                &mut vec![Expect::Next(id.to_owned(), payload.clone())],
                &first,
                self.dialect,
            )?,
        }
        self.hear(vec![complete, self.fence_answered()]).await
    }
}

pub(crate) fn is_close(heard: &Heard, code: u16, reason: &Reason) -> Outcome {
    match heard {
        Heard::Close(with, because) if *with == code && reason.is(because) => Ok(()),
        other => Err(format!("heard {other:?}")),
    }
}
