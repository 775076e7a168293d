//! The task that makes the frames of an ephemeral stream.

use std::sync::Arc;

use tokio::{sync::watch, time::Instant};

use super::{
    snapshots::{Delta, Snapshots},
    view::LobbyStream,
};
use crate::{
    presence::{Occupancy, Position, Stream},
    schema::FeedItem,
    view::{
        frame::FrameError,
        live::{Backoff, Pump, PumpEnd, RetriesExhausted},
    },
};

/// A reader that begins receives at most about this many deltas of presence after the snapshot.
/// Then a new snapshot is made.
const DELTAS_AFTER_SNAPSHOT_MAX: usize = 16;

/// Signals that are read and encoded in one step.
const SIGNALS_AT_ONCE: usize = 64;

/// Makes the frames of a stream, for as long as the view has readers. `moves` is a receiver of the
/// stream, and `start` its position then.
pub(super) async fn run(
    pump: Pump<LobbyStream>,
    mut moves: watch::Receiver<Position>,
    start: Position,
) -> PumpEnd {
    let making = async {
        match pump.source.stream {
            Stream::Typing => pump.make_typing(&mut moves).await,
            Stream::Signals => pump.make_signals(&mut moves, start).await,
            Stream::Presence => pump.make_presence(&mut moves).await,
        }
    };
    // Readers that are shut out learn it at once, also while an execution runs.
    tokio::select! {
        end = making => end,
        () = wake_at_shut_outs(&pump) => Err(RetriesExhausted),
    }
}

/// Wakes the readers whenever a user is shut out. Each reader checks whether it may continue.
async fn wake_at_shut_outs(pump: &Pump<LobbyStream>) {
    let mut shut_outs = pump.source.lobby.watch_shut_outs();
    while shut_outs.changed().await.is_ok() {
        pump.live.wake_all();
    }
}

/// Waits until the stream moves, or until a moment at which it may move without a notification.
async fn moved_by(moves: &mut watch::Receiver<Position>, at: Option<Instant>) {
    let moment = async {
        match at {
            Some(at) => tokio::time::sleep_until(at).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        // The view holds the lobby, so the sender is never gone.
        _ = moves.changed() => {}
        () = moment => {}
    }
}

impl Pump<LobbyStream> {
    /// A snapshot whenever the typing users change, and at most one in an interval (E5).
    async fn make_typing(&self, moves: &mut watch::Receiver<Position>) -> PumpEnd {
        let lobby = &self.source.lobby;
        let mut shown = Position::START;
        loop {
            moves.mark_unchanged();
            let typing = lobby.typing(Instant::now());
            let (version, lapses_at) = (typing.version, typing.lapses_at);
            if version == shown {
                moved_by(moves, lapses_at).await;
                continue;
            }
            let item = FeedItem::Typing(lobby.id().clone(), typing);
            for payload in self.payloads(vec![item]).await? {
                self.update(version, |buffer| buffer.replace(payload, version));
            }
            shown = version;
            tokio::time::sleep(lobby.limits().typing_interval).await;
        }
    }

    /// The signal `_open`, and then each signal.
    async fn make_signals(
        &self,
        moves: &mut watch::Receiver<Position>,
        mut position: Position,
    ) -> PumpEnd {
        let lobby = &self.source.lobby;
        let item = |signal| FeedItem::Signal(lobby.id().clone(), signal);
        for payload in self.payloads(vec![item(None)]).await? {
            self.update(position, |buffer| buffer.open(payload));
        }
        loop {
            moves.mark_unchanged();
            let batch = lobby.signals_after(position, SIGNALS_AT_ONCE);
            if batch.upto == position {
                moved_by(moves, None).await;
                continue;
            }
            let signals = batch.signals.iter().map(|(_, signal)| signal.clone());
            let items = signals.map(|signal| item(Some(signal))).collect();
            let payloads = self.payloads(items).await?;
            let first = batch.signals.first().map(|(first, _)| first.0 - 1);
            let lost_upto = batch.lost.then(|| first.map_or(batch.upto, Position));
            let signals = batch.signals.into_iter().zip(payloads);
            let deltas = signals.map(|((position, signal), payload)| Delta {
                position,
                payload,
                recipient: signal.to,
            });
            self.update(batch.upto, |buffer| {
                if let Some(upto) = lost_upto {
                    buffer.lose(upto);
                }
                self.push(buffer, deltas.collect(), batch.upto);
            });
            position = batch.upto;
            self.live.rest(self.plan.limits.round_wait).await;
        }
    }

    /// A snapshot of the users who are present, and then deltas, at most one in an interval (E5).
    async fn make_presence(&self, moves: &mut watch::Receiver<Position>) -> PumpEnd {
        let lobby = &self.source.lobby;
        let (mut position, shown_max) = (Position::START, lobby.limits().presence_shown_max);
        loop {
            moves.mark_unchanged();
            let occupancy = Arc::new(lobby.occupancy(position, Instant::now()));
            let (joined, left) = (occupancy.joined.len(), occupancy.left.len());
            position = occupancy.upto;
            if occupancy.lost || joined.max(left) > shown_max {
                let payload = self.presence(&occupancy, true).await?;
                self.update(position, |buffer| buffer.replace(payload, position));
            } else if joined == 0 && left == 0 {
                moved_by(moves, occupancy.leaves_at).await;
                continue;
            } else {
                self.make_presence_delta(&occupancy).await?;
            }
            tokio::time::sleep(lobby.limits().presence_interval).await;
        }
    }

    /// A delta. Now and then also a new snapshot, for readers that begin later.
    async fn make_presence_delta(
        &self,
        occupancy: &Arc<Occupancy>,
    ) -> Result<(), RetriesExhausted> {
        let position = occupancy.upto;
        let payload = self.presence(occupancy, false).await?;
        let (deltas, bytes) = self.live.buffer().since_snapshot();
        let bytes_max = self.plan.limits.ring_bytes_max / 2;
        let many = deltas + 1 >= DELTAS_AFTER_SNAPSHOT_MAX || bytes + payload.len() > bytes_max;
        let snapshot = match many {
            true => Some(self.presence(occupancy, true).await?),
            false => None,
        };
        let delta = Delta {
            position,
            payload,
            recipient: None,
        };
        self.update(position, |buffer| {
            if let Some(snapshot) = snapshot {
                buffer.renew(snapshot, position);
            }
            self.push(buffer, vec![delta], position);
        });
        Ok(())
    }

    async fn presence(
        &self,
        occupancy: &Arc<Occupancy>,
        whole: bool,
    ) -> Result<Arc<str>, RetriesExhausted> {
        let item = FeedItem::Presence {
            room: self.source.lobby.id().clone(),
            occupancy: occupancy.clone(),
            whole,
        };
        let mut payloads = self.payloads(vec![item]).await?;
        payloads.pop().ok_or(RetriesExhausted)
    }

    /// The payload of each item. A failure is retried (V7).
    async fn payloads(&self, items: Vec<FeedItem>) -> Result<Vec<Arc<str>>, RetriesExhausted> {
        let (room, limits) = (self.source.lobby.id(), &self.plan.limits);
        let mut backoff = Backoff::default();
        loop {
            let error = match self.plan.live.results(items.clone()).await {
                Ok(results) => {
                    let encoded = results.into_iter().flatten();
                    return Ok(encoded.map(|encoded| encoded.payload).collect());
                }
                Err(error) => FrameError::from(error),
            };
            backoff.pause(limits, room, 0, &error).await?;
        }
    }

    fn update(&self, upto: Position, change: impl FnOnce(&mut Snapshots)) {
        self.live.update(upto, change);
    }

    fn push(&self, buffer: &mut Snapshots, deltas: Vec<Delta>, upto: Position) {
        let limits = &self.plan.limits;
        buffer.push(deltas, upto, limits.ring_frames_max, limits.ring_bytes_max);
    }
}
