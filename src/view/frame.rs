//! The encoded result of a document on one event.

use std::sync::Arc;

use async_graphql::{ServerError, Value};
use serde::Serialize;

use crate::{
    domain::{Access, Cursor, Event, Seq, ShutsOut, UserId},
    schema::ItemResponse,
};

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

/// A result as JSON text, and how much of the present it shows.
#[derive(Clone, Debug)]
pub(super) struct Encoded {
    pub(super) payload: Arc<str>,
    /// How far the log reached when that was read which the event itself does not tell.
    as_of: Option<Seq>,
}

impl Encoded {
    /// With the cursor of what is shown, where that has one.
    pub(super) fn new(cursor: Option<&Cursor>, shown: &ItemResponse) -> Self {
        let extensions = cursor.map(|cursor| Extensions {
            cursor: cursor.to_string(),
        });
        let payload = Payload {
            data: &shown.response.data,
            errors: &shown.response.errors,
            extensions,
        };
        let payload = serde_json::to_string(&payload)
            .expect("a response has a JSON form")
            .into();
        Self {
            payload,
            as_of: shown.as_of,
        }
    }
}

/// An event as a view keeps it. Events that neither show anything nor shut anybody out are not kept.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) seq: Seq,
    pub(super) payload: Option<Arc<str>>,
    /// How far the log reached when that was read which the event itself does not tell; none if the frame is the same whenever
    /// it is made.
    pub(super) as_of: Option<Seq>,
    /// Who may not read on from here; none where everybody may.
    shuts_out: Option<Arc<ShutsOut>>,
}

impl Entry {
    pub(super) fn new(event: &Event, encoded: Option<Encoded>) -> Option<Self> {
        let shuts_out = match event.shuts_out() {
            ShutsOut::Nobody => None,
            shuts_out => Some(Arc::new(shuts_out.clone())),
        };
        let (payload, as_of) = encoded.map_or((None, None), |encoded| {
            (Some(encoded.payload), encoded.as_of)
        });
        (payload.is_some() || shuts_out.is_some()).then(|| Self {
            seq: event.seq(),
            payload,
            as_of,
            shuts_out,
        })
    }

    /// About how many bytes of memory this entry holds, for bounds.
    pub(super) fn bytes(&self) -> usize {
        let payload = self.payload.as_ref().map_or(0, |payload| payload.len());
        let shuts_out = self
            .shuts_out
            .as_ref()
            .map_or(0, |shuts_out| size_of::<ShutsOut>() + shuts_out.bytes());
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

    /// Whether the reader may have what this entry shows of the present. It may be made long after its event, when the reader
    /// has been shut out by a later one.
    fn access(&self, entry: &Entry, access: impl Fn(Gate, Seq) -> Access) -> Access {
        match entry.as_of {
            Some(as_of) if as_of > self.checked => access(*self, as_of),
            _ => Access::Open(self.checked),
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
    /// Up to the event that shuts the reader out, or to the first that would show what came after that.
    ShutOut,
    /// Up to the first of which it is not known whether it would show that: the right must be read anew.
    Unknown,
}

/// Takes frames into `out` within a bound of bytes, at least one. `access` tells whether somebody may see how the room stood at
/// an event.
pub(super) fn take_within<'a>(
    entries: impl Iterator<Item = &'a Entry>,
    gate: &mut Gate,
    access: impl Fn(Gate, Seq) -> Access,
    bytes_max: usize,
    out: &mut Vec<Frame>,
) -> Taken {
    let (mut bytes, mut last) = (0, None);
    for entry in entries {
        if gate.closes_at(entry) {
            return Taken::ShutOut;
        }
        match gate.access(entry, &access) {
            // What shut out others until then need not be looked at again.
            Access::Open(checked) => gate.checked = checked.max(gate.checked),
            Access::Shut => return Taken::ShutOut,
            Access::Unknown => return Taken::Unknown,
        }
        let Some(payload) = &entry.payload else {
            continue;
        };
        if let Some(last) = last.filter(|_| bytes + payload.len() > bytes_max) {
            return Taken::Upto(last);
        }
        bytes += payload.len();
        last = Some(entry.seq);
        out.push(Frame {
            seq: entry.seq,
            payload: payload.clone(),
        });
    }
    Taken::All
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Entry {
        pub(in crate::view) fn plain(seq: Seq, payload: &str) -> Self {
            Self {
                seq,
                payload: Some(payload.into()),
                as_of: None,
                shuts_out: None,
            }
        }
    }

    #[test]
    fn v5_the_last_frame_is_the_one_before_the_event_that_shuts_out() {
        let ann = UserId::from_uuid(uuid::Uuid::nil());
        let removal = Entry {
            seq: Seq(3),
            payload: None,
            as_of: None,
            shuts_out: Some(Arc::new(ShutsOut::User(ann))),
        };
        let entries = [
            Entry::plain(Seq(1), "1"),
            Entry::plain(Seq(2), "2"),
            removal,
            Entry::plain(Seq(4), "4"),
        ];
        for (checked, reader, frames, end) in [
            (0, Some(ann), vec![1, 2], Taken::ShutOut),
            (2, Some(ann), vec![1, 2], Taken::ShutOut),
            // Let in after that: history may hold what revoked an older right.
            (3, Some(ann), vec![1, 2, 4], Taken::All),
            (0, None, vec![1, 2, 4], Taken::All),
        ] {
            let (mut gate, mut out) = (
                Gate {
                    checked: Seq(checked),
                    reader,
                },
                Vec::new(),
            );
            assert_eq!(
                take_within(
                    entries.iter(),
                    &mut gate,
                    |_, _| panic!("nothing of the present"),
                    999,
                    &mut out
                ),
                end
            );
            assert_eq!(
                out.iter().map(|frame| frame.seq.0).collect::<Vec<_>>(),
                frames
            );
        }
    }
}
