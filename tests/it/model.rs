//! Random interleavings, compared with a model. Whatever readers do, each one sees the log after
//! its cursor, once and in order.
//!
//! The schedule comes from a seed, so that a failure can be repeated: `MODEL_SEED=7 cargo test
//! model`.

use std::{collections::HashSet, task::Poll};

use switchboard::{
    hub::HubLimits,
    store::RoomChange,
    view::{Frame, Reader, ViewLimits},
};

use crate::support::{
    core::{Core, TakeFrames, message_id, seqs},
    wait_for,
};

/// A small random number generator (xorshift64*). With a crate, the schedule would depend on its
/// version.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) % bound
    }
}

/// The log of the room in the model.
#[derive(Default)]
struct Log {
    /// For each Seq from 1 on, whether its event sent a message.
    sent: Vec<bool>,
    deleted: HashSet<u64>,
}

impl Log {
    fn head(&self) -> u64 {
        self.sent.len() as u64
    }

    /// The Seqs of the messages after an event.
    fn after(&self, seq: u64) -> impl Iterator<Item = u64> {
        (seq + 1..=self.head()).filter(|seq| self.sent[*seq as usize - 1])
    }
}

/// A subscriber in the model.
struct Subscriber {
    reader: Reader,
    after: u64,
    seen: Vec<Frame>,
    /// The number of frames that were checked.
    checked: usize,
}

impl Subscriber {
    fn new(reader: Reader, after: u64) -> Self {
        Self {
            reader,
            after,
            seen: Vec::new(),
            checked: 0,
        }
    }

    /// Polls the reader once. If it is not ready, it continues at its next turn, or never.
    async fn poll(&mut self, bytes: usize, log: &Log, seed: u64) {
        let Self { reader, seen, .. } = self;
        let polled = futures::poll!(std::future::poll_fn(|cx| reader.poll_take(cx, bytes, seen)));
        assert!(!matches!(polled, Poll::Ready(Err(_))), "seed {seed}");
        self.check(log, seed);
    }

    /// Reads the rest of the log and checks it.
    async fn finish(&mut self, log: &Log, seed: u64) {
        while self.seen.len() < log.after(self.after).count() {
            wait_for("a frame", self.reader.take(1000, &mut self.seen))
                .await
                .unwrap();
        }
        self.check(log, seed);
    }

    /// H4: the frames are the log after the cursor. V1 and V6: each frame has the text of its
    /// message, unless the message was deleted before the frame was taken.
    fn check(&mut self, log: &Log, seed: u64) {
        let expected: Vec<_> = log.after(self.after).take(self.seen.len()).collect();
        assert_eq!(seqs(&self.seen), expected, "seed {seed}");
        for frame in &self.seen[self.checked..] {
            let seq = frame.seq.0;
            let expected_text = if log.deleted.contains(&seq) {
                String::new()
            } else {
                seq.to_string()
            };
            let text = format!(r#""text":"{expected_text}""#);
            assert!(
                frame.payload.contains(&text),
                "seed {seed}: {} is not {text}",
                frame.payload
            );
        }
        self.checked = self.seen.len();
    }

    /// The Seq after which the subscriber resumes when it reconnects.
    fn cursor(&self) -> u64 {
        self.seen.last().map_or(self.after, |frame| frame.seq.0)
    }
}

/// Deletes a random message that is not deleted yet, if there is one.
async fn delete(core: &Core, log: &mut Log, random: &mut Random) {
    let messages: Vec<_> = log
        .after(0)
        .filter(|seq| !log.deleted.contains(seq))
        .collect();
    if messages.is_empty() {
        return;
    }
    let seq = messages[random.below(messages.len() as u64) as usize];
    core.change_room(
        core.ann,
        "room-1",
        RoomChange::DeleteMessage(message_id(seq)),
    )
    .await;
    log.deleted.insert(seq);
    log.sent.push(false);
}

async fn history(seed: u64) {
    let mut random = Random(seed * 2 + 1);
    let limits = ViewLimits {
        ring_frames_max: 1 + random.below(12) as usize,
        pages_bytes_max: 4096,
        ..ViewLimits::default()
    };
    let hub = HubLimits {
        tail_events_max: 1 + random.below(12) as usize,
        ..HubLimits::default()
    };
    let core = Core::with_limits(limits, hub).await;
    let (mut log, mut subscribers) = (Log::default(), Vec::<Subscriber>::new());
    let documents = ["text", "id text", "text room { id }"];
    for _ in 0..120 {
        match random.below(11) {
            0..3 => {
                let count = 1 + random.below(20);
                core.send_messages(log.head() + 1..=log.head() + count)
                    .await;
                log.sent.extend((0..count).map(|_| true));
            }
            3..5 if subscribers.len() < 12 => {
                let after = random.below(log.head() + 1);
                let reader = core
                    .reader(documents[random.below(3) as usize], Some(after))
                    .await;
                subscribers.push(Subscriber::new(reader, after));
            }
            5 if !subscribers.is_empty() => {
                let mut gone =
                    subscribers.swap_remove(random.below(subscribers.len() as u64) as usize);
                gone.check(&log, seed);
                if random.below(2) == 0 {
                    // The subscriber reconnects and resumes after the last frame that it saw.
                    let after = gone.cursor();
                    let reader = core.reader("text", Some(after)).await;
                    subscribers.push(Subscriber::new(reader, after));
                }
            }
            6 => delete(&core, &mut log, &mut random).await,
            _ if !subscribers.is_empty() => {
                let at = random.below(subscribers.len() as u64) as usize;
                let bytes = random.below(2000) as usize;
                subscribers[at].poll(bytes, &log, seed).await;
                tokio::task::yield_now().await;
            }
            _ => {}
        }
    }
    for subscriber in &mut subscribers {
        subscriber.finish(&log, seed).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h4_v1_v6_hold_in_random_histories_on_two_threads() {
    let seeds = match std::env::var("MODEL_SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => (0..60).collect(),
    };
    for seed in seeds {
        history(seed).await;
    }
}
