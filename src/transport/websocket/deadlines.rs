//! The deadlines that a WebSocket's task watches. One timer serves all of them.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep};

use crate::{limit::unless_zero, transport::TransportLimits};

/// How long a client may take to answer a close.
pub(super) const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// When things happened on a connection, and which deadlines follow from that.
pub(super) struct Deadlines {
    timer: Pin<Box<Sleep>>,
    /// When the connection was opened.
    opened_at: Instant,
    /// When the last message was received.
    received_at: Instant,
    /// When the client was pinged, if nothing was received since.
    pinged_at: Option<Instant>,
    /// Since when the client has taken none of the bytes that wait to be sent.
    blocked_since: Option<Instant>,
    /// When the next heartbeat is due, in the dialect that has heartbeats.
    pub(super) heartbeat: Option<Instant>,
    /// In a box, because an idle connection has none of them.
    rare: Option<Box<RareDeadlines>>,
}

/// Deadlines that few connections have at a time.
#[derive(Clone, Copy, Default)]
pub(super) struct RareDeadlines {
    /// When the message that the client is sending must be complete.
    message_due: Option<Instant>,
    /// When the close was sent.
    closed_at: Option<Instant>,
    /// When to close because the server drains.
    pub(super) drain: Option<Instant>,
}

impl Deadlines {
    /// The deadlines of a connection that is opened now.
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self {
            timer: Box::pin(tokio::time::sleep_until(now)),
            opened_at: now,
            received_at: now,
            pinged_at: None,
            blocked_since: None,
            heartbeat: None,
            rare: None,
        }
    }

    /// The deadlines that few connections have.
    pub(super) fn rare(&self) -> RareDeadlines {
        self.rare.as_deref().copied().unwrap_or_default()
    }

    fn rare_mut(&mut self) -> &mut RareDeadlines {
        self.rare.get_or_insert_default()
    }

    /// The connection closes at this moment, because the server drains.
    pub(super) fn drains_at(&mut self, at: Instant) {
        self.rare_mut().drain = Some(at);
        self.wake_at(at);
    }

    pub(super) fn message_received(&mut self, now: Instant) {
        (self.received_at, self.pinged_at) = (now, None);
    }

    /// The client has sent all of a message.
    pub(super) fn message_completed(&mut self) {
        if let Some(rare) = &mut self.rare {
            rare.message_due = None;
        }
    }

    /// The client has sent a part of a message, or no part. A message may take at most `timeout`;
    /// zero is no limit.
    pub(super) fn message_is_partial(&mut self, is_partial: bool, now: Instant, timeout: Duration) {
        if !is_partial {
            self.message_completed();
        } else if self.rare().message_due.is_none() {
            let due = now + unless_zero(timeout);
            self.rare_mut().message_due = Some(due);
            self.wake_at(due);
        }
    }

    pub(super) fn ping_sent(&mut self, now: Instant) {
        self.pinged_at = Some(now);
    }

    /// The client does not take the bytes that wait to be sent. `moved` says that it took something
    /// just before, which gives it the whole write timeout again.
    pub(super) fn write_blocked(&mut self, moved: bool) {
        if moved || self.blocked_since.is_none() {
            self.blocked_since = Some(Instant::now());
        }
    }

    /// The client has taken everything.
    pub(super) fn write_unblocked(&mut self) {
        self.blocked_since = None;
    }

    pub(super) fn is_write_blocked(&self) -> bool {
        self.blocked_since.is_some()
    }

    /// A close was sent or answered. The first one counts.
    pub(super) fn close_sent(&mut self) {
        let now = Instant::now();
        self.rare_mut().closed_at.get_or_insert(now);
        self.wake_at(now);
    }

    /// Wakes the task at this moment, unless an earlier one is scheduled.
    pub(super) fn wake_at(&mut self, at: Instant) {
        if at < self.timer.deadline() {
            self.timer.as_mut().reset(at);
        }
    }

    /// Ready when a deadline may have passed. The caller must call [`Self::schedule`] afterwards.
    pub(super) fn poll_due(&mut self, limits: &TransportLimits, cx: &mut Context<'_>) -> Poll<()> {
        // Writing may have been blocked since the timer was set, with an earlier deadline.
        if let Some(since) = self.blocked_since {
            self.wake_at(since + unless_zero(limits.write_timeout));
        }
        self.timer.as_mut().poll(cx)
    }

    /// Whether the client has missed a deadline: to answer a close, to answer a ping, to complete a
    /// message, or to take the bytes that wait to be sent. In the last case no close frame would
    /// get through. The client sees the connection break, and reconnects.
    pub(super) fn client_is_dead(&self, now: Instant, limits: &TransportLimits) -> bool {
        let missed = |since: Option<Instant>, timeout| {
            since.is_some_and(|since| now >= since + unless_zero(timeout))
        };
        let rare = self.rare();
        rare.message_due.is_some_and(|due| now >= due)
            || missed(rare.closed_at, CLOSE_TIMEOUT)
            || missed(self.blocked_since, limits.write_timeout)
            || missed(self.pinged_at, limits.pong_timeout)
    }

    /// Whether the time for `connection_init` has passed.
    pub(super) fn init_is_late(&self, now: Instant, limits: &TransportLimits) -> bool {
        now >= self.opened_at + unless_zero(limits.init_timeout)
    }

    /// Whether the client has been silent for long enough to be pinged.
    pub(super) fn ping_is_due(&self, now: Instant, limits: &TransportLimits) -> bool {
        self.pinged_at.is_none() && now >= self.received_at + unless_zero(limits.ping_interval)
    }

    /// Sets the timer to the next deadline. Everything that was due by `now` must have been done.
    /// `token_left` is the time until the token expires, or until the clock is checked again.
    pub(super) fn schedule(
        &mut self,
        now: Instant,
        limits: &TransportLimits,
        is_initialised: bool,
        token_left: Option<Duration>,
    ) {
        let init = (!is_initialised).then(|| self.opened_at + unless_zero(limits.init_timeout));
        let ping_interval = unless_zero(limits.ping_interval);
        let ping = match self.pinged_at {
            Some(pinged_at) => pinged_at + unless_zero(limits.pong_timeout),
            None => self.received_at + ping_interval,
        };
        // A ping that is due but held back, because writing is blocked, is tried an interval later.
        let ping = if ping <= now {
            now + ping_interval
        } else {
            ping
        };
        // A heartbeat that is held back is sent with the next one.
        let heartbeat = self.heartbeat.map(|at| {
            if at <= now {
                now + limits.heartbeat_interval
            } else {
                at
            }
        });
        let write = self
            .blocked_since
            .map(|since| since + unless_zero(limits.write_timeout));
        let rare = self.rare();
        let close = rare.closed_at.map(|closed_at| closed_at + CLOSE_TIMEOUT);
        let drain = rare.drain.filter(|at| *at > now);
        let expiry = token_left.map(|left| now + left);
        let message = rare.message_due;
        let next = [init, heartbeat, write, close, drain, expiry, message]
            .into_iter()
            .flatten()
            .fold(ping, Instant::min);
        self.timer.as_mut().reset(next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_limit_of_zero_never_ends() {
        let limits = TransportLimits {
            init_timeout: Duration::ZERO,
            ping_interval: Duration::ZERO,
            pong_timeout: Duration::ZERO,
            write_timeout: Duration::ZERO,
            ..TransportLimits::default()
        };
        let mut deadlines = Deadlines::new();
        let later = Instant::now() + Duration::from_secs(1_000_000);
        assert!(!deadlines.init_is_late(later, &limits));
        assert!(!deadlines.ping_is_due(later, &limits));
        deadlines.ping_sent(Instant::now());
        deadlines.write_blocked(false);
        assert!(!deadlines.client_is_dead(later, &limits));
        deadlines.schedule(later, &limits, false, None);
        assert!(deadlines.timer.deadline() > later);
    }

    #[tokio::test(start_paused = true)]
    async fn limits_end_at_their_deadlines_and_not_before() {
        let limits = TransportLimits::default();
        let mut deadlines = Deadlines::new();
        let opened = deadlines.opened_at;
        let before = |limit: Duration| opened + limit - Duration::from_millis(1);
        assert!(!deadlines.init_is_late(before(limits.init_timeout), &limits));
        assert!(deadlines.init_is_late(opened + limits.init_timeout, &limits));
        assert!(!deadlines.ping_is_due(before(limits.ping_interval), &limits));
        assert!(deadlines.ping_is_due(opened + limits.ping_interval, &limits));
        deadlines.ping_sent(opened);
        assert!(!deadlines.client_is_dead(before(limits.pong_timeout), &limits));
        assert!(deadlines.client_is_dead(opened + limits.pong_timeout, &limits));
    }
}
