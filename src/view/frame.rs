//! Frames: the encoded results of a document, and which of them a reader may take.

use std::sync::Arc;

use async_graphql::{ServerError, Value};
use serde::Serialize;

use crate::{
    domain::{Access, Cursor, Event, EventTag, Seq, ShutsOut, UserId},
    hub::LogReadError,
    schema::{FeedError, ItemResponse},
};

/// A GraphQL result as JSON text, made once and shared by all readers. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The event that this frame shows. A frame of an ephemeral stream shows no event, and has
    /// [`Seq::START`].
    pub seq: Seq,
    /// The tag of that event.
    pub tag: EventTag,
    /// `{"data":…,"extensions":{"cursor":"…"}}`. Frames of ephemeral streams have no `extensions`.
    pub payload: Arc<str>,
}

/// Why frames could not be made. The cause is temporary: a retry may succeed (V7).
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum FrameError {
    /// The events could not be read.
    #[error(transparent)]
    Log(Arc<LogReadError>),
    /// The document could not be run on them.
    #[error(transparent)]
    Execution(#[from] FeedError),
    /// The task that made them has stopped, because its readers went away.
    #[error("the frames are no longer needed")]
    Abandoned,
}

impl From<LogReadError> for FrameError {
    fn from(error: LogReadError) -> Self {
        Self::Log(Arc::new(error))
    }
}

#[derive(Serialize)]
struct ResultJson<'a> {
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
    /// The head as of which the result shows the room, if it shows more than its own event.
    as_of: Option<Seq>,
}

impl Encoded {
    /// Encodes a response, with the cursor of its event if it shows one.
    pub(super) fn new(cursor: Option<&Cursor>, item: &ItemResponse) -> Self {
        let result = ResultJson {
            data: &item.response.data,
            errors: &item.response.errors,
            extensions: cursor.map(|cursor| Extensions {
                cursor: cursor.to_string(),
            }),
        };
        let payload = serde_json::to_string(&result)
            .expect("a response has a JSON form")
            .into();
        Self {
            payload,
            as_of: item.as_of,
        }
    }
}

/// An event as a view keeps it: its frame, and the users whom it shuts out. An event without a
/// frame that shuts out no user is not kept.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) seq: Seq,
    pub(super) tag: EventTag,
    pub(super) payload: Option<Arc<str>>,
    /// The head as of which the frame shows the room, if it shows more than its own event. Such a
    /// frame depends on when it was made.
    pub(super) as_of: Option<Seq>,
    /// The users who may not read on from here.
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
            tag: event.cursor().tag,
            payload,
            as_of,
            shuts_out,
        })
    }

    /// The estimated bytes of memory that this entry holds.
    pub(super) fn bytes(&self) -> usize {
        let payload = self.payload.as_ref().map_or(0, |payload| payload.len());
        let shuts_out = self
            .shuts_out
            .as_ref()
            .map_or(0, |shuts_out| size_of::<ShutsOut>() + shuts_out.bytes());
        size_of::<Self>() + payload + shuts_out
    }
}

/// The right of a reader, as far as it is known (V5).
#[derive(Clone, Copy, Debug)]
pub(super) struct Gate {
    /// The event up to which the right is known to be valid: at first, the head at which it was
    /// read.
    pub(super) checked: Seq,
    /// The user who reads. `None` is anonymous.
    pub(super) reader: Option<UserId>,
}

impl Gate {
    /// Whether the event of this entry shuts the reader out, from this entry on.
    pub(super) fn closes_at(&self, entry: &Entry) -> bool {
        match &entry.shuts_out {
            Some(shuts_out) => entry.seq > self.checked && shuts_out.applies_to(self.reader),
            None => false,
        }
    }

    /// Whether the reader may see the room as of the moment that this entry shows. The frame may be
    /// made long after its event, when a later event has shut the reader out.
    fn access(&self, entry: &Entry, access: impl Fn(Gate, Seq) -> Access) -> Access {
        match entry.as_of {
            Some(as_of) if as_of > self.checked => access(*self, as_of),
            _ => Access::Open(self.checked),
        }
    }
}

/// Why a reader took no more frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TakeEnd {
    /// There were no more.
    All,
    /// The next frame would not have fitted. The reader has taken everything up to this event.
    Upto(Seq),
    /// The next entry shuts the reader out, or shows the room as of a later moment than such an
    /// entry.
    ShutOut,
    /// Whether the reader may see the next frame is not known any more. Its right must be read
    /// again.
    Unknown,
}

/// Takes frames into `out`: at least one, more while they fit into `bytes_max`. `access` returns
/// whether a reader may see the room as of an event.
pub(super) fn take_within<'a>(
    entries: impl Iterator<Item = &'a Entry>,
    gate: &mut Gate,
    access: impl Fn(Gate, Seq) -> Access,
    bytes_max: usize,
    out: &mut Vec<Frame>,
) -> TakeEnd {
    let (mut bytes, mut last) = (0, None);
    for entry in entries {
        if gate.closes_at(entry) {
            return TakeEnd::ShutOut;
        }
        match gate.access(entry, &access) {
            // Events up to this one need not be compared again.
            Access::Open(checked) => gate.checked = checked.max(gate.checked),
            Access::Shut => return TakeEnd::ShutOut,
            Access::Unknown => return TakeEnd::Unknown,
        }
        let Some(payload) = &entry.payload else {
            continue;
        };
        if let Some(last) = last.filter(|_| bytes + payload.len() > bytes_max) {
            return TakeEnd::Upto(last);
        }
        bytes += payload.len();
        last = Some(entry.seq);
        out.push(Frame {
            seq: entry.seq,
            tag: entry.tag,
            payload: payload.clone(),
        });
    }
    TakeEnd::All
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Entry {
        pub(in crate::view) fn plain(seq: Seq, payload: &str) -> Self {
            Self {
                seq,
                tag: EventTag::UNKNOWN,
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
            tag: EventTag::UNKNOWN,
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
            (0, Some(ann), vec![1, 2], TakeEnd::ShutOut),
            (2, Some(ann), vec![1, 2], TakeEnd::ShutOut),
            // The right was granted again after the removal, so the removal does not count.
            (3, Some(ann), vec![1, 2, 4], TakeEnd::All),
            (0, None, vec![1, 2, 4], TakeEnd::All),
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
                    |_, _| panic!("no frame shows the present"),
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
