//! Random texts from a client: valid messages, damaged messages, JSON and noise.

use serde_json::{Map, Value, json};
use switchboard::protocol::Subprotocol;

use crate::{documents::TYPENAME, random::Random};

/// The ids of operations. They are few, so that texts often share one. The last id is longer than
/// the machine allows here.
pub(crate) const IDS: [&str; 4] = ["a", "b", "\u{2603}\"", "iiiiiiiiiiiiiiiiii"];

const KEYS: [&str; 7] = [
    "type",
    "id",
    "payload",
    "query",
    "operationName",
    "variables",
    "extensions",
];

const TYPES: [&str; 13] = [
    "connection_init",
    "connection_ack",
    "connection_terminate",
    "ping",
    "pong",
    "subscribe",
    "start",
    "stop",
    "next",
    "data",
    "error",
    "complete",
    "Subscribe",
];

/// A random text. Most are valid messages; some are damaged messages, random JSON or noise.
pub(crate) fn text(random: &mut Random, dialect: Subprotocol) -> String {
    match random.below(40) {
        0 => noise(random),
        1 => json(random, 4).to_string(),
        2 => damaged(random, dialect),
        3 => random_message(random).to_string(),
        _ => message(random, dialect).to_string(),
    }
}

/// Texts that break no rule. An operation is completed before its id is used again.
pub(crate) fn valid_texts(random: &mut Random, dialect: Subprotocol) -> Vec<String> {
    let (begin, end) = operation_types(dialect);
    let id = random.pick(&IDS[..3]);
    let complete = json!({ "type": end, "id": id });
    let all = match random.below(4) {
        0 => vec![
            json!({ "type": "ping", "payload": { "a": json(random, 2) } }),
            json!({ "type": "pong" }),
        ],
        1 => vec![complete],
        _ => vec![
            complete,
            json!({ "type": begin, "id": id, "payload": { "query": TYPENAME } }),
        ],
    };
    all.iter().map(Value::to_string).collect()
}

fn noise(random: &mut Random) -> String {
    let bytes: Vec<u8> = (0..random.below(40))
        .map(|_| u8::try_from(random.below(256)).expect("a byte"))
        .collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The message types that begin and end an operation.
fn operation_types(dialect: Subprotocol) -> (&'static str, &'static str) {
    match dialect {
        Subprotocol::TransportWs => ("subscribe", "complete"),
        Subprotocol::Legacy => ("start", "stop"),
    }
}

fn message(random: &mut Random, dialect: Subprotocol) -> Value {
    let (id, (begin, end)) = (random.pick(&IDS), operation_types(dialect));
    match random.below(12) {
        0 => json!({ "type": "connection_init", "payload": {} }),
        1 => json!({ "type": "ping", "payload": { "a": json(random, 2) } }),
        2 => json!({ "type": "pong" }),
        3..6 => json!({ "type": end, "id": id }),
        // Only the legacy dialect has this message.
        6 if random.one_in(8) => json!({ "type": "connection_terminate" }),
        _ => json!({ "type": begin, "id": id, "payload": { "query": TYPENAME } }),
    }
}

fn damaged(random: &mut Random, dialect: Subprotocol) -> String {
    let mut letters: Vec<char> = message(random, dialect).to_string().chars().collect();
    let at = random.below(letters.len());
    match random.below(3) {
        0 => letters.truncate(at),
        1 => drop(letters.remove(at)),
        _ => {
            letters[at] = random
                .pick(&["\0", "\"", "{", "}", "[", "\\", "e", "\u{FFFF}"])
                .chars()
                .next()
                .unwrap_or('x')
        }
    }
    letters.into_iter().collect()
}

/// A message with the keys of the protocol and random values.
fn random_message(random: &mut Random) -> Value {
    let mut message = Map::new();
    message.insert("type".to_owned(), random.pick(&TYPES).into());
    for key in KEYS {
        if !random.one_in(3) {
            message.entry(key).or_insert_with(|| json(random, 3));
        }
    }
    message.into()
}

fn json(random: &mut Random, depth: usize) -> Value {
    match random.below(if depth == 0 { 6 } else { 8 }) {
        0 => Value::Null,
        1 => random.one_in(2).into(),
        2 => random.below(1_000).into(),
        3 => json!(-1.5e300),
        4 => random.pick(&IDS).into(),
        5 => random.pick(&TYPES).into(),
        6 => (0..random.below(4))
            .map(|_| json(random, depth - 1))
            .collect(),
        _ => (0..random.below(4))
            .map(|_| (random.pick(&KEYS).to_owned(), json(random, depth - 1)))
            .collect(),
    }
}
