//! Time and random values are arguments, and every task has an owner: only the listed modules read
//! the clock, make random ids or start tasks.

use crate::{
    files::{differences, none, sources},
    rust::Source,
};

/// Each call, and the modules that use it, by their last names.
const CALLS: &[(&str, &[&str])] = &[
    (
        "Instant::now",
        &[
            "activity",
            "connection",
            "body",
            "deadlines",
            "engine",
            "ephemeral",
            "http2_stall",
            "hub",
            "listener",
            "lobby",
            "live",
            "mutation",
            "pump",
            "readers",
            "request_limits",
            "slots",
            "subscription",
            "users",
            "view",
        ],
    ),
    ("SystemTime::now", &["server"]),
    (
        "Uuid::now_v7",
        &[
            "admin",
            "client",
            "jwt",
            "mutation",
            "room_mutation",
            "token",
        ],
    ),
    ("tokio::spawn", &["accounts", "http2_stall", "server"]),
];

/// The modules outside tests whose code has this call.
fn callers(sources: &[Source], call: &str) -> Vec<String> {
    let is_caller = |source: &&Source| {
        source.code.match_indices(call).any(|(at, _)| {
            let after = source.code[at + call.len()..].chars().next();
            after.is_some_and(|c| !c.is_ascii_alphanumeric() && c != '_')
        })
    };
    sources.iter().filter(is_caller).map(Source::name).collect()
}

#[test]
fn time_random_values_and_tasks_come_from_listed_modules() {
    let sources = sources("src");
    for (call, allowed) in CALLS {
        none(call, &differences(callers(&sources, call), allowed));
    }
}

#[test]
fn a_call_outside_its_modules_is_found() {
    let found = |text| callers(&[Source::new("src/hub/x.rs", text)], "Instant::now");
    assert_eq!(found("fn f() { std::time::Instant::now() }"), ["x"]);
    assert_eq!(found("fn f() { x.unwrap_or_else(Instant::now) }"), ["x"]);
    assert!(found("#[cfg(test)]\nmod tests { fn f() { Instant::now() } }").is_empty());
}
