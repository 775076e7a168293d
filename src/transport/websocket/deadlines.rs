//! The moments that a WebSocket's task watches. One sleep serves all.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep};

use crate::transport::TransportLimits;

/// How long a client may take to answer a close.
pub(crate) const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// What happened when, and what is due for it.
pub(crate) struct Deadlines {
    sleep: Pin<Box<Sleep>>,
    /// When the connection was opened.
    opened: Instant,
    /// When the client said something last.
    heard: Instant,
    /// When it was pinged, if it has said nothing since.
    pinged: Option<Instant>,
    /// Since when it takes nothing of what waits.
    stuck: Option<Instant>,
    /// When it is told next that the server lives.
    pub(crate) heartbeat: Option<Instant>,
    /// When to leave because the server drains.
    pub(crate) drain: Option<Instant>,
    /// When the close was sent.
    left: Option<Instant>,
}

impl Deadlines {
    /// Those of a connection that is opened now.
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self {
            sleep: Box::pin(tokio::time::sleep_until(now)),
            opened: now,
            heard: now,
            pinged: None,
            stuck: None,
            heartbeat: None,
            drain: None,
            left: None,
        }
    }

    /// The client said something.
    pub(crate) fn hear(&mut self, now: Instant) {
        (self.heard, self.pinged) = (now, None);
    }

    /// A ping was sent.
    pub(crate) fn ping(&mut self, now: Instant) {
        self.pinged = Some(now);
    }

    /// The client does not take what waits; `moved` if it took something just before.
    pub(crate) fn get_stuck(&mut self, moved: bool) {
        if moved || self.stuck.is_none() {
            self.stuck = Some(Instant::now());
        }
    }

    /// The client has taken all there was.
    pub(crate) fn get_loose(&mut self) {
        self.stuck = None;
    }

    pub(crate) fn is_stuck(&self) -> bool {
        self.stuck.is_some()
    }

    /// A close was sent, or answered; the first counts.
    pub(crate) fn leave(&mut self) {
        let now = Instant::now();
        self.left.get_or_insert(now);
        self.wake_at(now);
    }

    /// Looks at everything at this moment at the latest.
    pub(crate) fn wake_at(&mut self, at: Instant) {
        if at < self.sleep.deadline() {
            self.sleep.as_mut().reset(at);
        }
    }

    /// Ready when something may be due. Whoever is told so plans anew.
    pub(crate) fn poll_due(&mut self, limits: &TransportLimits, cx: &mut Context<'_>) -> Poll<()> {
        // A client that just got stuck may be due before the next moment that was planned.
        if let Some(since) = self.stuck {
            self.wake_at(since + limits.write_timeout);
        }
        self.sleep.as_mut().poll(cx)
    }

    /// Whether the client has had all its time: for its answer to a close or to a ping, or to take what waits. In the last
    /// case no close frame would get through; the client sees the connection break and comes back.
    pub(crate) fn are_missed(&self, now: Instant, limits: &TransportLimits) -> bool {
        let missed =
            |since: Option<Instant>, timeout| since.is_some_and(|since| now >= since + timeout);
        missed(self.left, CLOSE_TIMEOUT)
            || missed(self.stuck, limits.write_timeout)
            || missed(self.pinged, limits.pong_timeout)
    }

    /// Whether the time for `connection_init` is over.
    pub(crate) fn is_late(&self, now: Instant, limits: &TransportLimits) -> bool {
        now >= self.opened + limits.init_timeout
    }

    /// Whether the client has been silent for so long that it should be pinged.
    pub(crate) fn is_quiet(&self, now: Instant, limits: &TransportLimits) -> bool {
        self.pinged.is_none() && now >= self.heard + limits.ping_interval
    }

    /// Sets the sleep to the next moment at which something is due, all that was due by now having been done; `time_left`
    /// is that of the token.
    pub(crate) fn plan(
        &mut self,
        now: Instant,
        limits: &TransportLimits,
        is_initialised: bool,
        time_left: Option<Duration>,
    ) {
        let init = (!is_initialised).then(|| self.opened + limits.init_timeout);
        let ping = match self.pinged {
            Some(pinged) => pinged + limits.pong_timeout,
            None => self.heard + limits.ping_interval,
        };
        // A ping that is held back because the client is stuck is not looked for again before a while.
        let ping = if ping <= now {
            now + limits.ping_interval
        } else {
            ping
        };
        // The same for a heartbeat: one that is held back comes with the next.
        let heartbeat = self.heartbeat.map(|at| {
            if at <= now {
                now + limits.heartbeat_interval
            } else {
                at
            }
        });
        let stuck = self.stuck.map(|since| since + limits.write_timeout);
        let left = self.left.map(|left| left + CLOSE_TIMEOUT);
        let drain = self.drain.filter(|at| *at > now);
        let expiry = time_left.map(|left| now + left);
        let next = [init, heartbeat, stuck, left, drain, expiry]
            .into_iter()
            .flatten()
            .fold(ping, Instant::min);
        self.sleep.as_mut().reset(next);
    }
}
