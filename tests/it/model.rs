//! Random interleavings against a model: whatever readers do, each sees the log after its cursor, once and in order.
//!
//! The schedule comes from a seed, so that a failure can be run again: `MODEL_SEED=7 cargo test model`.

use std::task::Poll;

use switchboard::{
    hub::HubLimits,
    view::{Frame, Reader, ViewLimits},
};

use crate::support::{
    core::{Core, seqs},
    soon,
};

/// A small generator of numbers that look random (xorshift64*): the schedule must not depend on a crate's version.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) % bound
    }
}

/// A subscriber as the model knows it.
struct Subscriber {
    reader: Reader,
    after: u64,
    seen: Vec<Frame>,
}

impl Subscriber {
    /// H4 and V1: what was seen is the log after the cursor, each entry with its own text.
    fn check(&self, seed: u64) {
        let expected: Vec<_> = (self.after + 1..=self.after + self.seen.len() as u64).collect();
        assert_eq!(seqs(&self.seen), expected, "seed {seed}");
        for frame in &self.seen {
            let text = format!(r#""text":"{}""#, frame.seq.0);
            assert!(frame.payload.contains(&text), "seed {seed}: {} is not {text}", frame.payload);
        }
    }
}

async fn history(seed: u64) {
    let mut chance = Chance(seed * 2 + 1);
    let limits =
        ViewLimits { ring_frames_max: 1 + chance.below(12) as usize, pages_bytes_max: 4096, ..ViewLimits::default() };
    let hub = HubLimits { tail_events_max: 1 + chance.below(12) as usize, ..HubLimits::default() };
    let core = Core::with(limits, hub, |log| log).await;
    let (mut head, mut subscribers) = (0, Vec::<Subscriber>::new());
    let documents = ["text", "id text", "text room { id }"];
    for _ in 0..120 {
        match chance.below(10) {
            0..3 => {
                let count = 1 + chance.below(20);
                core.send(head + 1..=head + count).await;
                head += count;
            }
            3..5 if subscribers.len() < 12 => {
                let after = chance.below(head + 1);
                let document = documents[chance.below(3) as usize];
                subscribers.push(Subscriber {
                    reader: core.reader(document, Some(after)).await,
                    after,
                    seen: Vec::new(),
                });
            }
            5 if !subscribers.is_empty() => {
                let gone = subscribers.swap_remove(chance.below(subscribers.len() as u64) as usize);
                gone.check(seed);
                if chance.below(2) == 0 {
                    // It comes back where it was, and knows what it saw.
                    let cursor = gone.after + gone.seen.len() as u64;
                    let reader = core.reader("text", Some(cursor)).await;
                    subscribers.push(Subscriber { reader, after: cursor, seen: Vec::new() });
                }
            }
            _ if !subscribers.is_empty() => {
                let at = chance.below(subscribers.len() as u64) as usize;
                let Subscriber { reader, seen, .. } = &mut subscribers[at];
                let bytes = chance.below(2000) as usize;
                // Polled once: what it does not finish now it goes on with when its turn comes again, or never.
                let polled = futures::poll!(std::future::poll_fn(|cx| reader.poll_take(cx, bytes, seen)));
                assert!(!matches!(polled, Poll::Ready(Err(_))), "seed {seed}");
                tokio::task::yield_now().await;
            }
            _ => {}
        }
    }
    for subscriber in &mut subscribers {
        while subscriber.after + (subscriber.seen.len() as u64) < head {
            soon("a frame", subscriber.reader.take(1000, &mut subscriber.seen)).await.unwrap();
        }
        subscriber.check(seed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h4_v1_random_histories_on_two_threads() {
    let seeds = match std::env::var("MODEL_SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => (0..60).collect(),
    };
    for seed in seeds {
        history(seed).await;
    }
}
