//! The newest events of a room, in memory.

use std::{collections::VecDeque, sync::Arc};

use crate::domain::{Event, EventTag, Seq};

/// A run of events without a hole, bounded in events and bytes (H3).
#[derive(Debug)]
pub(super) struct Tail {
    events: VecDeque<Arc<Event>>,
    bytes: usize,
    events_max: usize,
    bytes_max: usize,
}

impl Tail {
    pub(super) fn new(events_max: usize, bytes_max: usize) -> Self {
        Self {
            events: VecDeque::new(),
            bytes: 0,
            events_max,
            bytes_max,
        }
    }

    /// Adds the next event. An event that leaves a hole begins a new run, and a known one is
    /// ignored.
    pub(super) fn push(&mut self, event: Arc<Event>) {
        if let Some(last) = self.events.back() {
            if event.seq() <= last.seq() {
                return;
            }
            if event.seq() != last.seq().next() {
                self.events.clear();
                self.bytes = 0;
            }
        }
        self.bytes += event.bytes();
        self.events.push_back(event);
        while self.events.len() > self.events_max || self.bytes > self.bytes_max {
            let Some(oldest) = self.events.pop_front() else {
                break;
            };
            self.bytes -= oldest.bytes();
        }
    }

    /// Replaces the event with the same Seq, if it is here.
    pub(super) fn replace(&mut self, event: Arc<Event>) {
        let found = self
            .events
            .binary_search_by_key(&event.seq(), |held| held.seq());
        if let Ok(at) = found {
            self.bytes = self.bytes + event.bytes() - self.events[at].bytes();
            self.events[at] = event;
        }
    }

    /// The tag of an event, if it is here.
    pub(super) fn tag(&self, seq: Seq) -> Option<EventTag> {
        let found = self.events.binary_search_by_key(&seq, |held| held.seq());
        Some(self.events[found.ok()?].cursor().tag)
    }

    /// At most `limit` events after `after` and up to `upto`. `None` if the tail does not reach
    /// back that far.
    pub(super) fn read(&self, after: Seq, upto: Seq, limit: usize) -> Option<Vec<Arc<Event>>> {
        let first = self.events.front()?.seq();
        if first > after.next() {
            return None;
        }
        let skip = usize::try_from(after.next().0 - first.0).ok()?;
        let wanted = |event: &&Arc<Event>| event.seq() <= upto;
        Some(
            self.events
                .iter()
                .skip(skip)
                .take(limit)
                .take_while(wanted)
                .cloned()
                .collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        Body, Cursor, Epoch, Message, MessageId, MessageText, Timestamp, User, UserId, UserName,
    };

    fn event(seq: u64) -> Arc<Event> {
        let sender = User {
            id: UserId::from_uuid(uuid::Uuid::nil()),
            name: UserName::new("ann").unwrap(),
            created_at: Timestamp(0),
        };
        Arc::new(Event::MessageSent(Arc::new(Message {
            id: MessageId::from_uuid(uuid::Uuid::nil()),
            cursor: Cursor {
                room: "a".parse().unwrap(),
                epoch: Epoch(1),
                seq: Seq(seq),
                tag: EventTag::UNKNOWN,
            },
            sender: Arc::new(sender),
            body: Body::Text(MessageText::new("hi").unwrap()),
            created_at: Timestamp(0),
            reply_to: None,
            nonce: None,
        })))
    }

    #[test]
    fn v6_a_deleted_message_is_replaced_by_what_remains_of_it() {
        let mut tail = Tail::new(9, usize::MAX);
        (5..=7).for_each(|seq| tail.push(event(seq)));
        for seq in [4, 6, 8] {
            let Event::MessageSent(mut message) = Event::clone(&event(seq)) else {
                unreachable!()
            };
            Arc::make_mut(&mut message).body = Body::Deleted(Timestamp(1));
            tail.replace(Arc::new(Event::MessageSent(message)));
        }
        let events = tail.read(Seq(4), Seq(9), 9).unwrap();
        let texts: Vec<_> = events
            .iter()
            .map(|event| event.as_message_sent().unwrap().text().to_owned())
            .collect();
        assert_eq!(texts, ["hi", "", "hi"]);
        assert_eq!(
            tail.bytes,
            events.iter().map(|event| event.bytes()).sum::<usize>()
        );
    }

    fn read(tail: &Tail, after: u64, upto: u64, limit: usize) -> Option<Vec<u64>> {
        let events = tail.read(Seq(after), Seq(upto), limit)?;
        Some(events.iter().map(|event| event.seq().0).collect())
    }

    #[test]
    fn h3_a_tail_is_bounded_in_events_and_bytes() {
        let mut tail = Tail::new(3, usize::MAX);
        (1..=10).for_each(|seq| tail.push(event(seq)));
        assert_eq!(read(&tail, 7, 10, 9), Some(vec![8, 9, 10]));
        assert_eq!(read(&tail, 6, 10, 9), None, "7 was given up");

        let mut tail = Tail::new(usize::MAX, event(1).bytes() * 2);
        (1..=10).for_each(|seq| tail.push(event(seq)));
        assert_eq!(read(&tail, 8, 10, 9), Some(vec![9, 10]));
        assert_eq!(read(&tail, 7, 10, 9), None);
    }

    #[test]
    fn h4_a_tail_has_no_hole_and_no_repeat() {
        let mut tail = Tail::new(9, usize::MAX);
        for seq in [1, 2, 2, 1, 3, 7, 8] {
            tail.push(event(seq));
        }
        assert_eq!(
            read(&tail, 2, 9, 9),
            None,
            "events before the hole are not in memory"
        );
        assert_eq!(read(&tail, 6, 9, 9), Some(vec![7, 8]));
        assert_eq!(read(&tail, 6, 7, 9), Some(vec![7]));
        assert_eq!(read(&tail, 6, 9, 1), Some(vec![7]));
        assert_eq!(read(&tail, 8, 9, 9), Some(vec![]));
    }
}
