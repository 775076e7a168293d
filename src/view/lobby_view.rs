//! One lobby seen through one plan.

use std::{
    sync::{
        Arc, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{sync::watch, task::AbortHandle, time::Instant};

use super::{
    Frame,
    plan::Plan,
    room_view::{log_failure, rest},
    series::{Note, Series},
};
use crate::{
    domain::{Seq, UserId},
    hub::{Bell, Listener},
    presence::{Lobby, Occupancy, Stream},
    schema::FeedItem,
};

/// So many changes of who is here are told to whoever begins; then the opening is made anew.
const OPENING_NOTES_MAX: usize = 16;

/// Signals that are read and encoded in one go.
const SIGNALS_AT_ONCE: usize = 64;

/// A stream of a lobby, encoded once for all its readers. They hold it; it goes with the last one.
pub(super) struct LobbyView {
    plan: Arc<Plan>,
    pub(super) lobby: Arc<Lobby>,
    state: Arc<State>,
    pump: AbortHandle,
}

/// What the pump and the readers share.
struct State {
    bell: Arc<Bell>,
    series: RwLock<Series>,
    failed: AtomicBool,
}

impl State {
    /// Changes what is told before the bell says so.
    fn tell(&self, upto: Seq, change: impl FnOnce(&mut Series)) {
        change(&mut self.series.write().expect("no panic under this lock"));
        self.bell.ring(upto);
    }
}

impl LobbyView {
    pub(super) fn start(plan: Arc<Plan>, lobby: Arc<Lobby>, stream: Stream) -> Arc<Self> {
        let mut moves = lobby.watch(stream);
        let head = *moves.borrow_and_update();
        let state = Arc::new(State {
            bell: Arc::default(),
            series: RwLock::new(Series::new(Seq(head), plan.frames.share())),
            failed: AtomicBool::new(false),
        });
        let pump = Pump {
            plan: plan.clone(),
            lobby: lobby.clone(),
            state: state.clone(),
            moves,
        };
        // The pump holds neither the view nor the readers: when they go it is stopped. What a lane was fed it finishes.
        let pump = plan.tasks.spawn(pump.run(stream, head)).abort_handle();
        Arc::new(Self {
            plan,
            lobby,
            state,
            pump,
        })
    }

    /// Somebody who waits for what is told.
    pub(super) fn listen(&self) -> Listener {
        self.state.bell.listen()
    }

    /// Takes what is for a reader after its cursor; see [`Series::take`].
    pub(super) fn take(
        &self,
        cursor: &mut Seq,
        begin: Seq,
        reader: Option<UserId>,
        bytes_max: usize,
        out: &mut Vec<Frame>,
    ) {
        let series = self.state.series.read().expect("no panic under this lock");
        series.take(cursor, begin, reader, bytes_max, out);
    }

    /// Whether making frames was given up.
    pub(super) fn has_failed(&self) -> bool {
        self.state.failed.load(Ordering::Acquire)
    }
}

impl Drop for LobbyView {
    fn drop(&mut self) {
        self.pump.abort();
        self.plan.lobbies.forget(self.lobby.id());
    }
}

/// Makes frames of what is new, for as long as somebody reads.
struct Pump {
    plan: Arc<Plan>,
    lobby: Arc<Lobby>,
    state: Arc<State>,
    moves: watch::Receiver<u64>,
}

/// Frames cannot be made; it was tried often enough.
struct GivenUp;

impl Pump {
    async fn run(mut self, stream: Stream, head: u64) {
        let (lobby, state) = (self.lobby.clone(), self.state.clone());
        let telling = async {
            let _ = match stream {
                Stream::Typing => self.tell_typing().await,
                Stream::Signals => self.tell_signals(head).await,
                Stream::Presence => self.tell_presence().await,
            };
        };
        // Nobody waits for an execution to learn that they are shut out.
        tokio::select! {
            () = telling => {}
            () = rouse_at_shut_outs(&lobby, &state.bell) => {}
        }
        state.failed.store(true, Ordering::Release);
        state.bell.rouse();
    }

    /// The whole state, whenever it is another one, and at most once in an interval (E5).
    async fn tell_typing(&mut self) -> Result<(), GivenUp> {
        let mut told = 0;
        loop {
            self.moves.mark_unchanged();
            let typing = self.lobby.typing(Instant::now());
            let (version, lapses_at) = (typing.version, typing.lapses_at);
            if version == told {
                self.moved_by(lapses_at).await;
                continue;
            }
            let payloads = self
                .make(vec![FeedItem::Typing(self.lobby.id().clone(), typing)])
                .await?;
            for payload in payloads {
                self.state
                    .tell(Seq(version), |series| series.replace(payload, Seq(version)));
            }
            told = version;
            tokio::time::sleep(self.lobby.limits().typing_interval).await;
        }
    }

    /// Waits until the stream moves, or until a moment at which it will without saying so.
    async fn moved_by(&mut self, at: Option<Instant>) {
        let moment = async {
            match at {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // The lobby is held, so it is there to say so.
            _ = self.moves.changed() => {}
            () = moment => {}
        }
    }

    /// That the stream is open, and then each signal.
    async fn tell_signals(&mut self, mut number: u64) -> Result<(), GivenUp> {
        let room = self.lobby.id().clone();
        for payload in self
            .make(vec![FeedItem::Signal(room.clone(), None)])
            .await?
        {
            self.state.tell(Seq(number), |series| series.open(payload));
        }
        loop {
            self.moves.mark_unchanged();
            let heard = self.lobby.signals_after(number, SIGNALS_AT_ONCE);
            if heard.upto == number {
                self.moved_by(None).await;
                continue;
            }
            let items = heard
                .signals
                .iter()
                .map(|(_, signal)| FeedItem::Signal(room.clone(), Some(signal.clone())));
            let payloads = self.make(items.collect()).await?;
            let lost = heard.lost.then(|| {
                heard
                    .signals
                    .first()
                    .map_or(heard.upto, |(first, _)| first - 1)
            });
            let notes = heard.signals.into_iter().zip(payloads);
            let notes = notes.map(|((number, signal), payload)| Note {
                number: Seq(number),
                payload,
                to: signal.to,
            });
            let limits = &self.plan.limits;
            self.state.tell(Seq(heard.upto), |series| {
                if let Some(upto) = lost {
                    series.lose(Seq(upto));
                }
                series.push(
                    notes.collect(),
                    Seq(heard.upto),
                    limits.ring_frames_max,
                    limits.ring_bytes_max,
                );
            });
            number = heard.upto;
            rest(&self.state.bell, limits.round_wait).await;
        }
    }

    /// Who is here, and then who comes and goes, at most once in an interval (E5).
    async fn tell_presence(&mut self) -> Result<(), GivenUp> {
        let (mut number, shown_max) = (0, self.lobby.limits().presence_shown_max);
        loop {
            self.moves.mark_unchanged();
            let occupancy = Arc::new(self.lobby.occupancy(number, Instant::now()));
            let too_many = occupancy.joined.len().max(occupancy.left.len()) > shown_max;
            if occupancy.lost || too_many {
                let payload = self.presence_payload(&occupancy, true).await?;
                self.state.tell(Seq(occupancy.upto), |series| {
                    series.replace(payload, Seq(occupancy.upto))
                });
            } else if occupancy.joined.is_empty() && occupancy.left.is_empty() {
                number = occupancy.upto;
                self.moved_by(occupancy.leaves_at).await;
                continue;
            } else {
                self.tell_moves(&occupancy).await?;
            }
            number = occupancy.upto;
            tokio::time::sleep(self.lobby.limits().presence_interval).await;
        }
    }

    /// Who came and went; and now and then, for those that begin, who is here.
    async fn tell_moves(&self, occupancy: &Arc<Occupancy>) -> Result<(), GivenUp> {
        let (payload, at, limits) = (
            self.presence_payload(occupancy, false).await?,
            Seq(occupancy.upto),
            &self.plan.limits,
        );
        let (notes, bytes) = self
            .state
            .series
            .read()
            .expect("no panic under this lock")
            .since_opening();
        let anew =
            notes + 1 >= OPENING_NOTES_MAX || bytes + payload.len() > limits.ring_bytes_max / 2;
        let opening = if anew {
            Some(self.presence_payload(occupancy, true).await?)
        } else {
            None
        };
        let note = Note {
            number: at,
            payload,
            to: None,
        };
        self.state.tell(at, |series| {
            if let Some(opening) = opening {
                series.reopen(opening, at);
            }
            series.push(
                vec![note],
                at,
                limits.ring_frames_max,
                limits.ring_bytes_max,
            );
        });
        Ok(())
    }

    async fn presence_payload(
        &self,
        occupancy: &Arc<Occupancy>,
        whole: bool,
    ) -> Result<Arc<str>, GivenUp> {
        let item = FeedItem::Presence {
            room: self.lobby.id().clone(),
            occupancy: occupancy.clone(),
            whole,
        };
        self.make(vec![item]).await?.pop().ok_or(GivenUp)
    }

    /// One payload for each item. What fails is tried again with backoff (V7).
    async fn make(&self, items: Vec<FeedItem>) -> Result<Vec<Arc<str>>, GivenUp> {
        let mut failures = 0;
        loop {
            match self.plan.live.payloads(items.clone()).await {
                Ok(payloads) => {
                    return Ok(payloads
                        .into_iter()
                        .flatten()
                        .map(|encoded| encoded.payload)
                        .collect());
                }
                Err(error) => {
                    log_failure(self.lobby.id(), Seq::START, &error);
                    failures += 1;
                    let pause: Duration = self.plan.limits.pause_after(failures).ok_or(GivenUp)?;
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }
}

/// Wakes the readers whenever somebody lost the right to read: each looks whether it is them.
async fn rouse_at_shut_outs(lobby: &Lobby, bell: &Bell) {
    let mut shut_outs = lobby.watch_shut_outs();
    while shut_outs.changed().await.is_ok() {
        bell.rouse();
    }
}
