//! Compares the acknowledged messages, the log and the records of the subscribers.

use std::collections::{HashMap, HashSet};

use crate::traffic::Tally;

impl Tally {
    pub(crate) fn add(&mut self, other: Self) {
        self.lost += other.lost;
        self.repeated += other.repeated;
        self.out_of_order += other.out_of_order;
    }

    /// Whether every message arrived once and in order.
    pub(crate) fn is_clean(&self) -> bool {
        (self.lost, self.repeated, self.out_of_order) == (0, 0, 0)
    }
}

/// How many entries are in the list before.
fn repeated(list: &[String]) -> usize {
    let distinct: HashSet<&String> = list.iter().collect();
    list.len() - distinct.len()
}

/// The writer and the count of a message `writer/count`.
fn parts(number: &str) -> Option<(u64, u64)> {
    let (writer, count) = number.split_once('/')?;
    Some((writer.parse().ok()?, count.parse().ok()?))
}

/// Compares the log with the acknowledged messages. A writer sends a message after the one before
/// was acknowledged, so its messages must have the same order in the log.
pub(crate) fn log_against(acknowledged: &[String], log: &[String]) -> Tally {
    let in_log: HashSet<&String> = log.iter().collect();
    let lost = acknowledged
        .iter()
        .filter(|number| !in_log.contains(number));
    let (mut newest, mut out_of_order) = (HashMap::new(), 0);
    for (writer, count) in log.iter().filter_map(|number| parts(number)) {
        let before = newest.insert(writer, count);
        out_of_order += usize::from(before.is_some_and(|before| before > count));
    }
    Tally {
        messages: log.len(),
        lost: lost.count(),
        repeated: repeated(log),
        out_of_order,
    }
}

/// Compares the record of a subscriber with the log. A message that the subscriber has seen and
/// that is not in the log counts as lost.
pub(crate) fn record_against(seen: &[String], log: &[String]) -> Tally {
    let places: HashMap<&String, usize> = log.iter().zip(0..).collect();
    let distinct: HashSet<&String> = seen.iter().collect();
    let missing = log.iter().filter(|number| !distinct.contains(number));
    let vanished = seen.iter().filter(|number| !places.contains_key(number));
    let (mut newest, mut out_of_order) = (None, 0);
    for place in seen.iter().filter_map(|number| places.get(number)) {
        out_of_order += usize::from(newest.is_some_and(|newest| newest > place));
        newest = newest.max(Some(place));
    }
    Tally {
        messages: log.len(),
        lost: missing.count() + vanished.count(),
        repeated: repeated(seen),
        out_of_order,
    }
}

/// Checks that each kind of difference is found.
pub(crate) fn check_itself() {
    let list = |text: &str| -> Vec<String> { text.split(' ').map(str::to_owned).collect() };
    let counts = |tally: Tally| (tally.lost, tally.repeated, tally.out_of_order);
    let log = list("0/0 1/0 0/1");
    assert_eq!(counts(log_against(&list("0/0 0/1"), &log)), (0, 0, 0));
    assert_eq!(counts(log_against(&list("0/0 0/2"), &log)), (1, 0, 0));
    let wrong = list("0/1 0/0 0/1");
    assert_eq!(counts(log_against(&log, &wrong)), (1, 1, 1));
    assert_eq!(counts(record_against(&log, &log)), (0, 0, 0));
    assert_eq!(counts(record_against(&list("0/0 0/1"), &log)), (1, 0, 0));
    let repeated = list("0/0 1/0 1/0 0/1");
    assert_eq!(counts(record_against(&repeated, &log)), (0, 1, 0));
    let swapped = list("1/0 0/0 0/1");
    assert_eq!(counts(record_against(&swapped, &log)), (0, 0, 1));
    let vanished = list("0/0 1/0 0/1 0/2");
    assert_eq!(counts(record_against(&vanished, &log)), (1, 0, 0));
}
