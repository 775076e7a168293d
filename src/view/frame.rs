//! The encoded result of a document on one event.

use std::sync::Arc;

use async_graphql::{Response, ServerError, Value};
use serde::Serialize;

use crate::domain::{Cursor, Event, Seq, ShutsOut, UserId};

/// A GraphQL result as JSON text, made once and shared by all readers. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The event that this shows; of what is not kept, the version of its state or its number.
    pub seq: Seq,
    /// `{"data":…,"extensions":{"cursor":"…"}}`; the extensions only where there is a cursor.
    pub payload: Arc<str>,
}

#[derive(Serialize)]
struct Payload<'a> {
    data: &'a Value,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [ServerError],
    #[serde(skip_serializing_if = "Option::is_none")]
    extensions: Option<Extensions>,
}

#[derive(Serialize)]
struct Extensions {
    cursor: String,
}

/// A result as JSON text, with the cursor of what it shows where that has one.
pub(super) fn payload(cursor: Option<&Cursor>, response: &Response) -> Arc<str> {
    let extensions = cursor.map(|cursor| Extensions { cursor: cursor.to_string() });
    let payload = Payload { data: &response.data, errors: &response.errors, extensions };
    serde_json::to_string(&payload).expect("a response has a JSON form").into()
}

/// An event as a view keeps it. Events that neither show anything nor shut anybody out are not kept.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) seq: Seq,
    pub(super) payload: Option<Arc<str>>,
    /// Who may not read on from here; none where everybody may.
    shuts_out: Option<Arc<ShutsOut>>,
}

impl Entry {
    pub(super) fn new(event: &Event, payload: Option<Arc<str>>) -> Option<Self> {
        let shuts_out = match event.shuts_out() {
            ShutsOut::Nobody => None,
            shuts_out => Some(Arc::new(shuts_out.clone())),
        };
        (payload.is_some() || shuts_out.is_some()).then(|| Self { seq: event.seq(), payload, shuts_out })
    }

    /// About how many bytes of memory this entry holds, for bounds.
    pub(super) fn bytes(&self) -> usize {
        let payload = self.payload.as_ref().map_or(0, |payload| payload.len());
        let shuts_out = self.shuts_out.as_ref().map_or(0, |shuts_out| size_of::<ShutsOut>() + shuts_out.bytes());
        size_of::<Self>() + payload + shuts_out
    }
}

/// For whom a reader reads, and up to which event that is known to be right (V5).
#[derive(Clone, Copy, Debug)]
pub(super) struct Gate {
    /// The head of the log when the right to read was read.
    pub(super) checked: Seq,
    /// Who reads; none if nobody signed in.
    pub(super) reader: Option<UserId>,
}

impl Gate {
    /// Whether the reader may not have this entry nor any after it.
    pub(super) fn closes_at(&self, entry: &Entry) -> bool {
        match &entry.shuts_out {
            Some(shuts_out) => entry.seq > self.checked && shuts_out.applies_to(self.reader),
            None => false,
        }
    }
}

/// How far a reader got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// There was no more.
    All,
    /// Up to here: more would not have fitted.
    Upto(Seq),
    /// Up to the event that shuts the reader out.
    ShutOut,
}

/// Takes frames into `out` within a bound of bytes, at least one.
pub(super) fn take_within<'a>(
    entries: impl Iterator<Item = &'a Entry>,
    gate: Gate,
    bytes_max: usize,
    out: &mut Vec<Frame>,
) -> Taken {
    let (mut bytes, mut last) = (0, None);
    for entry in entries {
        if gate.closes_at(entry) {
            return Taken::ShutOut;
        }
        let Some(payload) = &entry.payload else { continue };
        if let Some(last) = last.filter(|_| bytes + payload.len() > bytes_max) {
            return Taken::Upto(last);
        }
        bytes += payload.len();
        last = Some(entry.seq);
        out.push(Frame { seq: entry.seq, payload: payload.clone() });
    }
    Taken::All
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Entry {
        pub(in crate::view) fn plain(seq: Seq, payload: &str) -> Self {
            Self { seq, payload: Some(payload.into()), shuts_out: None }
        }
    }

    #[test]
    fn v5_the_last_frame_is_the_one_before_the_event_that_shuts_out() {
        let ann = UserId::from_uuid(uuid::Uuid::nil());
        let removal = Entry { seq: Seq(3), payload: None, shuts_out: Some(Arc::new(ShutsOut::User(ann))) };
        let entries = [Entry::plain(Seq(1), "1"), Entry::plain(Seq(2), "2"), removal, Entry::plain(Seq(4), "4")];
        for (checked, reader, frames, end) in [
            (0, Some(ann), vec![1, 2], Taken::ShutOut),
            (2, Some(ann), vec![1, 2], Taken::ShutOut),
            // Let in after that: history may hold what revoked an older right.
            (3, Some(ann), vec![1, 2, 4], Taken::All),
            (0, None, vec![1, 2, 4], Taken::All),
        ] {
            let (gate, mut out) = (Gate { checked: Seq(checked), reader }, Vec::new());
            assert_eq!(take_within(entries.iter(), gate, 999, &mut out), end);
            assert_eq!(out.iter().map(|frame| frame.seq.0).collect::<Vec<_>>(), frames);
        }
    }
}
