//! The queue of commands that wait for the writer. It is bounded in all, per user and per room.
//!
//! Users take turns: a batch takes one command of each user before it takes a second one of any. So
//! a user who sends as fast as possible fills only their own part of the queue. The commands of one
//! user keep their order.
//!
//! ```text
//! Ann: 1 2 3 4    Bob: 1    Cem: 1 2        next batch of 4: Ann 1, Bob 1, Cem 1, Ann 2
//! ```

use std::collections::{HashMap, VecDeque};

use tokio::sync::{Notify, oneshot};

use super::HubLimits;
use crate::{
    domain::{RoomId, UserId},
    store::{AppendError, Command, CommandOutcome},
    sync::Mutex,
};

/// A command, and the way to its caller.
pub(super) struct Pending {
    pub(super) command: Command,
    pub(super) answer: oneshot::Sender<Result<CommandOutcome, AppendError>>,
}

/// The queue takes no more commands: a bound is reached, or the hub is stopping.
#[derive(Debug)]
pub(super) struct QueueFull;

/// The queue of the writer.
pub(super) struct Queue {
    limits: HubLimits,
    lines: Mutex<Lines>,
    /// Notified when a command waits, and when the queue is closed.
    something: Notify,
}

#[derive(Default)]
struct Lines {
    by_user: HashMap<UserId, VecDeque<Pending>>,
    /// Each user with waiting commands, once. The first one is next.
    turns: VecDeque<UserId>,
    by_room: HashMap<RoomId, usize>,
    waiting: usize,
    closed: bool,
}

impl Queue {
    pub(super) fn new(limits: HubLimits) -> Self {
        Self {
            limits,
            lines: Mutex::default(),
            something: Notify::new(),
        }
    }

    /// Adds a command, if no bound is reached.
    pub(super) fn push(&self, pending: Pending) -> Result<(), QueueFull> {
        let (user, room) = (pending.command.viewer(), pending.command.room().clone());
        let mut lines = self.lines.lock();
        let of_user = lines.by_user.get(&user).map_or(0, VecDeque::len);
        let of_room = lines.by_room.get(&room).copied().unwrap_or(0);
        let full = lines.waiting >= self.limits.append_queue_max
            || of_user >= self.limits.append_queue_per_user_max
            || of_room >= self.limits.append_queue_per_room_max;
        if full || lines.closed {
            return Err(QueueFull);
        }
        if of_user == 0 {
            lines.turns.push_back(user);
        }
        lines.by_user.entry(user).or_default().push_back(pending);
        *lines.by_room.entry(room).or_default() += 1;
        lines.waiting += 1;
        drop(lines);
        self.something.notify_one();
        Ok(())
    }

    /// Refuses commands from now on. Those that wait are still taken.
    pub(super) fn close(&self) {
        self.lines.lock().closed = true;
        self.something.notify_one();
    }

    /// Waits for the next batch. It is empty when the queue is closed and no command is left.
    pub(super) async fn take(&self) -> Vec<Pending> {
        while !self.is_ready() {
            self.something.notified().await;
        }
        self.gather().await;
        self.lines.lock().take(self.limits.append_batch_max)
    }

    /// Yields to other tasks for as long as they add commands.
    ///
    /// The next batch gathers while the last one is delivered. Larger batches mean fewer commits
    /// and fewer flushes per message. If nothing else runs this yields once.
    async fn gather(&self) {
        let mut before = 0;
        loop {
            let waiting = self.lines.lock().waiting;
            if waiting == before || waiting >= self.limits.append_batch_max {
                return;
            }
            before = waiting;
            tokio::task::yield_now().await;
        }
    }

    fn is_ready(&self) -> bool {
        let lines = self.lines.lock();
        lines.waiting > 0 || lines.closed
    }
}

impl Lines {
    /// One command of each user in turn, until the batch is full.
    fn take(&mut self, batch_max: usize) -> Vec<Pending> {
        let mut batch = Vec::with_capacity(self.waiting.min(batch_max));
        while batch.len() < batch_max {
            let Some(user) = self.turns.pop_front() else {
                break;
            };
            let Some(line) = self.by_user.get_mut(&user) else {
                continue;
            };
            batch.extend(line.pop_front());
            if line.is_empty() {
                self.by_user.remove(&user);
            } else {
                self.turns.push_back(user);
            }
        }
        for pending in &batch {
            let room = pending.command.room();
            match self.by_room.get_mut(room) {
                Some(count) if *count > 1 => *count -= 1,
                _ => {
                    self.by_room.remove(room);
                }
            }
        }
        self.waiting -= batch.len();
        batch
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::{
        domain::{MessageId, MessageText},
        store::{Command, SendMessage},
    };

    fn push(queue: &Queue, user: u128, room: &str, text: u32) -> bool {
        let command = Command::SendMessage(SendMessage {
            viewer: UserId::from_uuid(Uuid::from_u128(user)),
            room: room.parse().unwrap(),
            id: MessageId::from_uuid(Uuid::nil()),
            text: MessageText::new(&format!("{user}/{text}")).unwrap(),
            nonce: None,
            reply_to: None,
        });
        queue
            .push(Pending {
                command,
                answer: oneshot::channel().0,
            })
            .is_ok()
    }

    async fn take(queue: &Queue) -> Vec<String> {
        let text = |pending: Pending| match pending.command {
            Command::SendMessage(send) => send.text.to_string(),
            _ => unreachable!("only messages were sent"),
        };
        queue.take().await.into_iter().map(text).collect()
    }

    fn queue(in_all: usize, per_user: usize, per_room: usize, batch: usize) -> Queue {
        Queue::new(HubLimits {
            append_queue_max: in_all,
            append_queue_per_user_max: per_user,
            append_queue_per_room_max: per_room,
            append_batch_max: batch,
            ..HubLimits::default()
        })
    }

    #[tokio::test]
    async fn users_take_turns_and_the_commands_of_each_keep_their_order() {
        let queue = queue(99, 99, 99, 4);
        for (user, text) in [(1, 1), (1, 2), (1, 3), (1, 4), (2, 1), (3, 1), (3, 2)] {
            assert!(push(&queue, user, "a", text));
        }
        assert_eq!(take(&queue).await, ["1/1", "2/1", "3/1", "1/2"]);
        assert_eq!(take(&queue).await, ["3/2", "1/3", "1/4"]);
    }

    #[tokio::test]
    async fn each_bound_refuses_and_admits_again_after_a_batch() {
        for (queue, refused) in [
            (queue(2, 9, 9, 9), (3, "c")),
            (queue(9, 1, 9, 9), (1, "c")),
            (queue(9, 9, 1, 9), (3, "a")),
        ] {
            assert!(push(&queue, 1, "a", 1) && push(&queue, 2, "b", 1));
            assert!(!push(&queue, refused.0, refused.1, 2));
            take(&queue).await;
            assert!(push(&queue, refused.0, refused.1, 2));
        }
    }

    #[tokio::test]
    async fn waiting_commands_are_taken_after_the_close() {
        let queue = queue(9, 9, 9, 1);
        assert!(push(&queue, 1, "a", 1) && push(&queue, 1, "a", 2));
        queue.close();
        assert!(!push(&queue, 1, "a", 3));
        assert_eq!(
            (
                take(&queue).await,
                take(&queue).await,
                take(&queue).await.len()
            ),
            (vec!["1/1".into()], vec!["1/2".into()], 0)
        );
    }
}
