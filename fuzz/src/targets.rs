//! One function for each target. It accepts any bytes, and panics if a promise is broken.

use std::sync::OnceLock;

use switchboard::{
    domain::{Cursor, Epoch, EventTag, Seq, Timestamp},
    protocol::{Close, Input, MachineLimits},
    schema::{Introspection, Prepare, PrepareLimits, Request},
    transport::read_request,
};

use self::checked::{CheckedMachine, Legacy, TransportWs};

/// The checked machines of the conformance suite.
#[path = "../../tests/conformance/checked.rs"]
mod checked;

/// The number of inputs that are tried after a close.
const LATE_INPUTS: usize = 8;

/// Bytes that are taken from the front one by one.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// A piece with its length in front, in one byte. It is shorter if fewer bytes are left.
    fn piece(&mut self) -> &'a [u8] {
        let length = self.byte().unwrap_or(0);
        let (piece, rest) = self.0.split_at(self.0.len().min(usize::from(length)));
        self.0 = rest;
        piece
    }
}

/// The WebSocket protocols: P1 and P2 in both dialects, for any history.
///
/// The first byte selects the dialect. Each further byte selects an input. If the input has a text,
/// the length of the text and the text follow.
pub fn machine(data: &[u8]) {
    let mut bytes = Bytes(data);
    match bytes.byte() {
        Some(dialect) if dialect.is_multiple_of(2) => {
            history::<TransportWs>(bytes, "subscribe", "complete")
        }
        Some(_) => history::<Legacy>(bytes, "start", "stop"),
        None => {}
    }
}

fn history<W: CheckedMachine>(mut bytes: Bytes<'_>, begin: &str, end: &str) {
    // Small limits, so that histories reach them.
    let mut machine = W::new(MachineLimits {
        operations_max: 3,
        operation_id_bytes_max: 16,
        held_bytes_max: 256,
    });
    // A closed machine treats all inputs alike, so a few of them are enough.
    let mut late = 0;
    while let Some(selector) = bytes.byte().filter(|_| late < LATE_INPUTS) {
        late += usize::from(machine.is_closed());
        let id = ["a", "b", "\u{2603}\"", "c"][usize::from(selector >> 6)];
        let operation = |word: &str, payload: &str| {
            format!(r#"{{"type":"{word}","id":{id:?},"payload":{payload}}}"#)
        };
        match selector % 16 {
            0..3 => machine.handle(Input::Text(&String::from_utf8_lossy(bytes.piece()))),
            3 => machine.handle(Input::Text(&operation(
                begin,
                &String::from_utf8_lossy(bytes.piece()),
            ))),
            4 => machine.handle(Input::Text(&operation(begin, r#"{"query":"{ a }"}"#))),
            5 => machine.handle(Input::Text(&operation(end, "null"))),
            6 => machine.handle(Input::Text(r#"{"type":"connection_init"}"#)),
            7 | 8 if machine.is_checking_credentials() => machine.handle(Input::Admitted),
            9 if machine.is_checking_credentials() => machine.handle(Input::Rejected),
            10 => machine.handle(Input::Answered {
                id,
                payload: r#"{"data":null}"#,
            }),
            11 => machine.handle(Input::Refused {
                id,
                errors: r#"[{"message":"no"},{"message":"nor"}]"#,
            }),
            12 => machine.handle(Input::Live { id, cursor: "c" }),
            13 => machine.handle(Input::Heartbeat),
            14 => machine.handle(Input::Binary(bytes.piece())),
            15 if selector > 0xc0 => machine.handle(Input::Leave(Close::TryAgainLater)),
            _ => machine.handle(Input::InitialisationTimeout),
        }
    }
}

/// Cursors: parsing a text and writing the cursor gives the same text, and writing a cursor and
/// parsing it gives the same cursor.
pub fn cursor(data: &[u8]) {
    if let Ok(cursor) = String::from_utf8_lossy(data).parse::<Cursor>() {
        assert_eq!(cursor.to_string().as_bytes(), data, "a cursor has one text");
    }
    let mut bytes = Bytes(data);
    let mut number = || (0..8).fold(0, |sum, _| sum << 8 | u64::from(bytes.byte().unwrap_or(0)));
    let (epoch, seq) = (Epoch(number()), Seq(number()));
    if let Ok(room) = String::from_utf8_lossy(bytes.0).parse() {
        let tag = EventTag::of(Timestamp(seq.0.cast_signed()));
        let cursor = Cursor {
            room,
            epoch,
            seq,
            tag,
        };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
    }
}

/// The parts of an HTTP request that are read before its execution: Accept and Last-Event-ID, the
/// query string and the body.
pub fn request(data: &[u8]) {
    let mut bytes = Bytes(data);
    let (accept, last_event_id) = (bytes.piece(), bytes.piece());
    let query = String::from_utf8_lossy(bytes.piece());
    let read = read_request(accept, last_event_id, &query, bytes.0);
    assert!(
        !read.streams || read.acceptable,
        "a client that accepts a stream accepts a response"
    );
    assert!(!read.resumes || !last_event_id.is_empty());
    if let Some(by_query) = read.by_query {
        assert!(
            by_query.names_document(),
            "a request contains a document or its hash"
        );
    }
    if let Some(body) = read.by_body {
        let object: serde_json::Value =
            serde_json::from_slice(bytes.0).expect("a body that was parsed is JSON");
        assert_eq!(object["query"].as_str().unwrap_or_default(), body.query);
    }
}

/// GraphQL documents: preparing one twice gives the same result and, for a subscription, the same
/// plan.
pub fn prepare(data: &[u8]) {
    static PREPARE: OnceLock<Prepare> = OnceLock::new();
    let prepare = PREPARE.get_or_init(|| {
        // Without a cache, every document is prepared again.
        let limits = PrepareLimits {
            documents_cached_bytes_max: 0,
            ..PrepareLimits::default()
        };
        Prepare::new(&switchboard::schema::sdl(), limits, Introspection::Allowed)
    });
    let query = String::from_utf8_lossy(data).into_owned();
    let once = || {
        prepare.prepare(Request {
            query: query.clone(),
            ..Request::default()
        })
    };
    match (once(), once()) {
        (Ok(first), Ok(second)) => {
            assert_eq!(first.kind(), second.kind());
            if first.is_subscription() {
                assert_eq!(first.plan().key, second.plan().key);
            }
        }
        (Err(first), Err(second)) => assert!(!first.is_empty() && first.len() == second.len()),
        (first, second) => panic!("first {first:?}, then {second:?}"),
    }
}
