//! The rule for sending messages.
//!
//! A backend decides a **run** of sends at once: it loads the facts of all of them with one read,
//! decides them in order, and writes the decisions with one write. The facts are as of before the
//! run, so [`SendRun`] passes the effects of each send on to the sends after it.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use super::{Refusal, Rights, require_unmuted};
use crate::{
    domain::{
        Action, Body, Cursor, Epoch, Event, EventTag, Message, Nonce, RoomId, Seq, Timestamp, User,
        UserId,
    },
    store::{CommandOutcome, Committed, SendMessage},
};

/// The facts of a send, as of before its run.
pub(in crate::store) struct SendFacts {
    /// The sender; `None` if there is no such user.
    pub(in crate::store) sender: Option<Arc<User>>,
    /// The room; `None` if there is no such room.
    pub(in crate::store) room: Option<SendTarget>,
}

/// The room that a message is sent to.
pub(in crate::store) struct SendTarget {
    pub(in crate::store) rights: Rights,
    pub(in crate::store) epoch: Epoch,
    pub(in crate::store) head: Seq,
    /// How long a member waits between two messages; 0 if the room is not in slow mode.
    pub(in crate::store) slow_mode_seconds: u32,
    /// When the sender's mute ends, if they are or were muted.
    pub(in crate::store) muted_until: Option<Timestamp>,
    /// When the sender last sent in this room, as far as slow mode recorded it.
    pub(in crate::store) last_sent_at: Option<Timestamp>,
    /// The message in any room that the sender's nonce names. Its epoch may be this room's.
    pub(in crate::store) prior: Option<Arc<Message>>,
    /// Whether the room has the message that this one replies to.
    pub(in crate::store) has_reply_target: bool,
}

/// The decision on a send that is allowed.
pub(in crate::store) enum SendDecision {
    /// Store this message and the event that sends it.
    Append(Arc<Message>),
    /// Write nothing: the nonce names this message.
    Repeat(Arc<Message>),
}

impl SendDecision {
    /// The outcome, once the decision is written.
    pub(in crate::store) fn outcome(self) -> CommandOutcome {
        match self {
            Self::Append(message) => {
                let event = Arc::new(Event::MessageSent(message.clone()));
                CommandOutcome::Sent(Committed::new(event), message)
            }
            Self::Repeat(message) => CommandOutcome::Repeated(message),
        }
    }
}

/// A run of sends, decided one after the other.
pub(in crate::store) struct SendRun {
    now: Timestamp,
    heads: HashMap<RoomId, Seq>,
    nonces: HashMap<(UserId, Nonce), Arc<Message>>,
    paced: HashSet<(RoomId, UserId)>,
}

impl SendRun {
    pub(in crate::store) fn new(now: Timestamp) -> Self {
        Self {
            now,
            heads: HashMap::new(),
            nonces: HashMap::new(),
            paced: HashSet::new(),
        }
    }

    /// The new head of each room that the run appends to.
    pub(in crate::store) fn heads(&self) -> &HashMap<RoomId, Seq> {
        &self.heads
    }

    /// The senders that slow mode makes wait after this run. Their time of sending is `now`.
    pub(in crate::store) fn paced(&self) -> &HashSet<(RoomId, UserId)> {
        &self.paced
    }

    /// Decides the next send.
    ///
    /// The rights come before the nonce: a sender who may not read the room learns nothing about
    /// its messages, not even about their own.
    pub(in crate::store) fn decide(
        &mut self,
        send: &SendMessage,
        facts: SendFacts,
    ) -> Result<SendDecision, Refusal> {
        let sender = facts.sender.ok_or(Refusal::UnknownViewer)?;
        let room = facts.room.ok_or(Refusal::NotFound)?;
        room.rights.require(Action::Send)?;
        if let Some(prior) = self.prior(send, &room) {
            return repeat(send, prior);
        }
        if send.reply_to.is_some() && !room.has_reply_target {
            return Err(Refusal::NoMessage);
        }
        require_unmuted(room.muted_until, self.now)?;
        self.pace(send, &room)?;
        Ok(SendDecision::Append(self.append(send, sender, &room)))
    }

    /// The message that the sender's nonce names: a stored one, or one of this run (S4).
    fn prior(&self, send: &SendMessage, room: &SendTarget) -> Option<Arc<Message>> {
        let nonce = send.nonce.as_ref()?;
        match &room.prior {
            Some(prior) => Some(prior.clone()),
            None => self.nonces.get(&(send.viewer, nonce.clone())).cloned(),
        }
    }

    /// Refuses a sender who sends too often for the room's slow mode. Moderators and owners are
    /// exempt.
    fn pace(&mut self, send: &SendMessage, room: &SendTarget) -> Result<(), Refusal> {
        let seconds = room.slow_mode_seconds;
        if seconds == 0 || room.rights.moderates() {
            return Ok(());
        }
        let sender = (send.room.clone(), send.viewer);
        let last_sent_at = match self.paced.contains(&sender) {
            true => Some(self.now),
            false => room.last_sent_at,
        };
        // A time that is still to come was written before the clock was set back.
        let last_sent_at = last_sent_at.filter(|last| *last <= self.now);
        let wait = last_sent_at.map_or(Duration::ZERO, |last| {
            let free_at = last.plus(Duration::from_secs(seconds.into()));
            self.now.until(free_at)
        });
        if !wait.is_zero() {
            let whole_seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            let whole_seconds = u32::try_from(whole_seconds).unwrap_or(seconds);
            return Err(Refusal::TooSoon(whole_seconds.min(seconds)));
        }
        self.paced.insert(sender);
        Ok(())
    }

    /// Makes the message, with the next Seq of its room (S2).
    fn append(&mut self, send: &SendMessage, sender: Arc<User>, room: &SendTarget) -> Arc<Message> {
        let head = self.heads.entry(send.room.clone()).or_insert(room.head);
        *head = head.next();
        let message = Arc::new(Message {
            id: send.id,
            cursor: Cursor {
                room: send.room.clone(),
                epoch: room.epoch,
                seq: *head,
                tag: EventTag::of(self.now),
            },
            sender,
            body: Body::Text(send.text.clone()),
            created_at: self.now,
            reply_to: send.reply_to,
            nonce: send.nonce.clone(),
        });
        if let Some(nonce) = &send.nonce {
            let key = (send.viewer, nonce.clone());
            self.nonces.insert(key, message.clone());
        }
        message
    }
}

/// Decides a send whose nonce names an earlier message.
fn repeat(send: &SendMessage, prior: Arc<Message>) -> Result<SendDecision, Refusal> {
    let same_text = prior.body.may_be_sent_as(&send.text);
    if same_text && prior.cursor.room == send.room && prior.reply_to == send.reply_to {
        Ok(SendDecision::Repeat(prior))
    } else {
        Err(Refusal::NonceTaken)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::{MessageId, MessageText, Role, UserName, Visibility};

    const NOW: Timestamp = Timestamp::from_seconds(100);

    fn ann() -> Arc<User> {
        Arc::new(User {
            id: UserId::from_uuid(Uuid::from_u128(1)),
            name: UserName::new("ann").unwrap(),
            created_at: Timestamp(0),
        })
    }

    fn message_id(number: u128) -> MessageId {
        MessageId::from_uuid(Uuid::from_u128(number))
    }

    fn send(room: &str, text: &str) -> SendMessage {
        SendMessage {
            viewer: ann().id,
            room: room.parse().unwrap(),
            id: message_id(7),
            text: MessageText::new(text).unwrap(),
            nonce: None,
            reply_to: None,
        }
    }

    fn with_nonce(room: &str, text: &str) -> SendMessage {
        SendMessage {
            nonce: Some(Nonce::new("n").unwrap()),
            ..send(room, text)
        }
    }

    fn reply(room: &str, text: &str) -> SendMessage {
        SendMessage {
            reply_to: Some(message_id(3)),
            ..send(room, text)
        }
    }

    /// A public room that Ann is a member of.
    fn open() -> SendTarget {
        SendTarget {
            rights: Rights {
                visibility: Visibility::Public,
                role: Some(Role::Member),
            },
            epoch: Epoch(1),
            head: Seq(4),
            slow_mode_seconds: 0,
            muted_until: None,
            last_sent_at: None,
            prior: None,
            has_reply_target: false,
        }
    }

    fn rights(visibility: Visibility, role: Option<Role>) -> SendTarget {
        SendTarget {
            rights: Rights { visibility, role },
            ..open()
        }
    }

    fn muted(until: Timestamp) -> SendTarget {
        SendTarget {
            muted_until: Some(until),
            ..open()
        }
    }

    fn slow(last_sent_at: Option<Timestamp>) -> SendTarget {
        SendTarget {
            slow_mode_seconds: 5,
            last_sent_at,
            ..open()
        }
    }

    fn with_prior(room: &str, body: Body) -> SendTarget {
        let prior = Message {
            id: message_id(2),
            cursor: Cursor {
                room: room.parse().unwrap(),
                epoch: Epoch(1),
                seq: Seq(2),
                tag: EventTag::UNKNOWN,
            },
            sender: ann(),
            body,
            created_at: Timestamp(0),
            reply_to: None,
            nonce: None,
        };
        SendTarget {
            prior: Some(Arc::new(prior)),
            ..open()
        }
    }

    fn text(text: &str) -> Body {
        Body::Text(MessageText::new(text).unwrap())
    }

    fn decide(run: &mut SendRun, send: &SendMessage, room: Option<SendTarget>) -> String {
        let facts = SendFacts {
            sender: Some(ann()),
            room,
        };
        match run.decide(send, facts) {
            Ok(SendDecision::Append(message)) => {
                format!("{} {}", message.cursor.room, message.cursor.seq.0)
            }
            Ok(SendDecision::Repeat(message)) => format!("again {}", message.cursor.seq.0),
            Err(refusal) => format!("{refusal:?}"),
        }
    }

    /// Decides one send in a run of its own.
    fn check(send: &SendMessage, room: SendTarget, expected: &str) {
        let found = decide(&mut SendRun::new(NOW), send, Some(room));
        assert_eq!(found, expected, "{send:?}");
    }

    #[test]
    fn a_sender_must_exist_and_be_allowed_to_send() {
        use Visibility::{Private, Public};
        let nobody = SendFacts {
            sender: None,
            room: None,
        };
        let refused = SendRun::new(NOW).decide(&send("a", "x"), nobody);
        assert_eq!(refused.err(), Some(Refusal::UnknownViewer));
        let unknown = decide(&mut SendRun::new(NOW), &send("a", "x"), None);
        assert_eq!(unknown, "NotFound");
        check(&send("a", "x"), rights(Public, None), "a 5");
        check(&send("a", "x"), rights(Private, Some(Role::Member)), "a 5");
        check(&send("a", "x"), rights(Private, None), "NotFound");
    }

    #[test]
    fn s4_a_nonce_names_one_message() {
        check(&with_nonce("a", "x"), open(), "a 5");
        check(&with_nonce("a", "x"), with_prior("a", text("x")), "again 2");
        check(
            &with_nonce("a", "y"),
            with_prior("a", text("x")),
            "NonceTaken",
        );
        check(
            &with_nonce("a", "x"),
            with_prior("b", text("x")),
            "NonceTaken",
        );
        let deleted = with_prior("a", Body::Deleted(Timestamp(1)));
        check(&with_nonce("a", "y"), deleted, "again 2");
        let reply = SendMessage {
            reply_to: Some(message_id(3)),
            ..with_nonce("a", "x")
        };
        check(&reply, with_prior("a", text("x")), "NonceTaken");
    }

    #[test]
    fn g5_the_right_comes_before_the_nonce_and_the_nonce_before_the_rest() {
        let unreadable = SendTarget {
            rights: Rights {
                visibility: Visibility::Private,
                role: None,
            },
            ..with_prior("a", text("x"))
        };
        check(&with_nonce("a", "x"), unreadable, "NotFound");
        let muted_and_slow = SendTarget {
            muted_until: Some(NOW.plus(Duration::from_secs(1))),
            slow_mode_seconds: 5,
            last_sent_at: Some(NOW),
            ..with_prior("a", text("x"))
        };
        check(&with_nonce("a", "x"), muted_and_slow, "again 2");
    }

    #[test]
    fn a_reply_needs_a_message_of_the_same_room() {
        let found = SendTarget {
            has_reply_target: true,
            ..open()
        };
        check(&reply("a", "x"), found, "a 5");
        check(&reply("a", "x"), open(), "NoMessage");
        check(&reply("a", "x"), muted(Timestamp(i64::MAX)), "NoMessage");
    }

    #[test]
    fn a_muted_sender_waits_until_the_mute_ends() {
        let later = Timestamp(NOW.0 + 1);
        check(&send("a", "x"), muted(later), "Muted(Timestamp(100000001))");
        check(&send("a", "x"), muted(NOW), "a 5");
        let also_slow = SendTarget {
            muted_until: Some(later),
            ..slow(Some(NOW))
        };
        check(&send("a", "x"), also_slow, "Muted(Timestamp(100000001))");
    }

    #[test]
    fn slow_mode_does_not_wait_for_a_clock_that_was_set_back() {
        for (micros, expected) in [(0, "TooSoon(5)"), (1, "a 5"), (3_600_000_000, "a 5")] {
            let later = slow(Some(Timestamp(NOW.0 + micros)));
            check(&send("a", "x"), later, expected);
        }
    }

    #[test]
    fn slow_mode_rounds_the_wait_up_to_whole_seconds() {
        let ago = |micros: i64| slow(Some(Timestamp(NOW.0 - micros)));
        check(&send("a", "x"), slow(None), "a 5");
        check(&send("a", "x"), ago(0), "TooSoon(5)");
        check(&send("a", "x"), ago(1), "TooSoon(5)");
        check(&send("a", "x"), ago(1_000_000), "TooSoon(4)");
        check(&send("a", "x"), ago(4_999_999), "TooSoon(1)");
        check(&send("a", "x"), ago(5_000_000), "a 5");
    }

    #[test]
    fn moderators_and_owners_do_not_wait() {
        for role in [Role::Owner, Role::Moderator] {
            let exempt = SendTarget {
                rights: Rights {
                    visibility: Visibility::Private,
                    role: Some(role),
                },
                ..slow(Some(NOW))
            };
            check(&send("a", "x"), exempt, "a 5");
        }
    }

    #[test]
    fn s2_later_sends_of_a_run_see_earlier_ones() {
        let mut run = SendRun::new(NOW);
        for (send, room, expected) in [
            (send("a", "1"), open(), "a 5"),
            (
                send("b", "1"),
                rights(Visibility::Private, None),
                "NotFound",
            ),
            (send("b", "2"), open(), "b 5"),
            (with_nonce("a", "3"), open(), "a 6"),
            (with_nonce("a", "3"), open(), "again 6"),
            (with_nonce("a", "4"), open(), "NonceTaken"),
            (send("slow", "5"), slow(None), "slow 5"),
            (send("slow", "6"), slow(None), "TooSoon(5)"),
        ] {
            assert_eq!(decide(&mut run, &send, Some(room)), expected, "{send:?}");
        }
        let mut heads: Vec<_> = run
            .heads()
            .iter()
            .map(|(id, head)| (id.as_str(), head.0))
            .collect();
        heads.sort_unstable();
        assert_eq!(heads, [("a", 6), ("b", 5), ("slow", 5)]);
        assert_eq!(run.paced().len(), 1);
    }
}
