//! What a client may say when it is not well: anything.

use serde_json::{Map, Value, json};
use switchboard::protocol::Subprotocol;

use crate::{chance::Chance, documents::TYPENAME};

/// Few enough that they meet. The last one is longer than the machine allows here.
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

/// A text: mostly a good message, now and then one that was damaged, or JSON by chance, or noise.
pub(crate) fn text(chance: &mut Chance, dialect: Subprotocol) -> String {
    match chance.below(40) {
        0 => noise(chance),
        1 => json(chance, 4).to_string(),
        2 => damaged(chance, dialect),
        3 => message_by_chance(chance).to_string(),
        _ => message(chance, dialect).to_string(),
    }
}

/// Texts that no server closes for: an id is given back before it is used again.
pub(crate) fn politely(chance: &mut Chance, dialect: Subprotocol) -> Vec<String> {
    let (begin, end) = words(dialect);
    let id = chance.pick(&IDS[..3]);
    let complete = json!({ "type": end, "id": id });
    let all = match chance.below(4) {
        0 => vec![
            json!({ "type": "ping", "payload": { "a": json(chance, 2) } }),
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

fn noise(chance: &mut Chance) -> String {
    let bytes: Vec<u8> = (0..chance.below(40))
        .map(|_| u8::try_from(chance.below(256)).expect("a byte"))
        .collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The words that begin and end an operation.
fn words(dialect: Subprotocol) -> (&'static str, &'static str) {
    match dialect {
        Subprotocol::TransportWs => ("subscribe", "complete"),
        Subprotocol::Legacy => ("start", "stop"),
    }
}

fn message(chance: &mut Chance, dialect: Subprotocol) -> Value {
    let (id, (begin, end)) = (chance.pick(&IDS), words(dialect));
    match chance.below(12) {
        0 => json!({ "type": "connection_init", "payload": {} }),
        1 => json!({ "type": "ping", "payload": { "a": json(chance, 2) } }),
        2 => json!({ "type": "pong" }),
        3..6 => json!({ "type": end, "id": id }),
        // Only the legacy dialect is left this way.
        6 if chance.one_in(8) => json!({ "type": "connection_terminate" }),
        _ => json!({ "type": begin, "id": id, "payload": { "query": TYPENAME } }),
    }
}

fn damaged(chance: &mut Chance, dialect: Subprotocol) -> String {
    let mut letters: Vec<char> = message(chance, dialect).to_string().chars().collect();
    let at = chance.below(letters.len());
    match chance.below(3) {
        0 => letters.truncate(at),
        1 => drop(letters.remove(at)),
        _ => {
            letters[at] = chance
                .pick(&["\0", "\"", "{", "}", "[", "\\", "e", "\u{FFFF}"])
                .chars()
                .next()
                .unwrap_or('x')
        }
    }
    letters.into_iter().collect()
}

/// The right keys with any values.
fn message_by_chance(chance: &mut Chance) -> Value {
    let mut message = Map::new();
    message.insert("type".to_owned(), chance.pick(&TYPES).into());
    for key in KEYS {
        if !chance.one_in(3) {
            message.entry(key).or_insert_with(|| json(chance, 3));
        }
    }
    message.into()
}

fn json(chance: &mut Chance, depth: usize) -> Value {
    match chance.below(if depth == 0 { 6 } else { 8 }) {
        0 => Value::Null,
        1 => chance.one_in(2).into(),
        2 => chance.below(1_000).into(),
        3 => json!(-1.5e300),
        4 => chance.pick(&IDS).into(),
        5 => chance.pick(&TYPES).into(),
        6 => (0..chance.below(4))
            .map(|_| json(chance, depth - 1))
            .collect(),
        _ => (0..chance.below(4))
            .map(|_| (chance.pick(&KEYS).to_owned(), json(chance, depth - 1)))
            .collect(),
    }
}
