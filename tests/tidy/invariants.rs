//! Every invariant has a test of its name, and the table in `docs/ARCHITECTURE.md` lists the same
//! invariants as the documentation of the modules. Two invariants are proved here, by reading the
//! code.

use std::collections::BTreeSet;

use crate::{
    files::{none, read, sources},
    rust::{Source, identifiers},
};

/// The ids that the documentation of modules begins an entry with: `//! - **H1** ...`.
fn stated(text: &str) -> Vec<String> {
    let entries = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("//! - **"));
    let ids = entries.filter_map(|entry| entry.split_once("**"));
    ids.map(|(id, _)| id.to_owned())
        .filter(|id| is_id(id))
        .collect()
}

fn is_id(text: &str) -> bool {
    let mut letters = text.chars();
    letters.next().is_some_and(|c| c.is_ascii_uppercase())
        && !letters.as_str().is_empty()
        && letters.all(|c| c.is_ascii_digit())
}

/// A row of the table: the ids of its first cell, and the tests that its last cell names.
struct Row {
    ids: Vec<String>,
    tests: Vec<String>,
}

/// The rows of the table under the header `| | promise | kept in | proved by |`.
fn rows(document: &str) -> Vec<Row> {
    let rows = document
        .lines()
        .skip_while(|line| !line.replace(' ', "").ends_with("|keptin|provedby|"))
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let row = |row: &str| {
        let cells: Vec<&str> = row.trim().trim_matches('|').split('|').collect();
        let tests = cells[cells.len() - 1].split('`').skip(1).step_by(2);
        Row {
            ids: cells[0].split(',').flat_map(ids).collect(),
            tests: tests
                .filter(|name| is_test(name))
                .map(str::to_owned)
                .collect(),
        }
    };
    rows.map(row).collect()
}

/// The ids of a cell: one, or all of a range like `P1–P5`.
fn ids(cell: &str) -> Vec<String> {
    let (first, last) = cell.split_once('–').unwrap_or((cell, cell));
    let number = |id: &str| {
        id.trim()[1..]
            .parse::<u32>()
            .unwrap_or_else(|_| panic!("{id} is not an id"))
    };
    let letter = &first.trim()[..1];
    (number(first)..=number(last))
        .map(|number| format!("{letter}{number}"))
        .collect()
}

/// Whether the name in backticks is that of a test: `v1_…`, `a_portion_is_bounded_…`.
fn is_test(name: &str) -> bool {
    let name = name.trim_end_matches('…');
    name.contains('_')
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

fn faults(stated: &BTreeSet<String>, rows: &[Row], tests: &BTreeSet<String>) -> Vec<String> {
    let listed: BTreeSet<String> = rows.iter().flat_map(|row| row.ids.clone()).collect();
    let mut faults = Vec::new();
    for id in stated.symmetric_difference(&listed) {
        let place = if listed.contains(id) {
            "the table"
        } else {
            "a module"
        };
        faults.push(format!("{id} is stated by {place} alone"));
    }
    for id in stated {
        let name = format!("{}_", id.to_lowercase());
        if !tests
            .iter()
            .any(|test| test.starts_with(&name) || test.contains(&format!("_{name}")))
        {
            faults.push(format!("no test is named after {id}"));
        }
    }
    for name in rows.iter().flat_map(|row| &row.tests) {
        let exists = match name.strip_suffix('…') {
            Some(start) => tests.iter().any(|test| test.starts_with(start)),
            None => tests.contains(name),
        };
        if !exists {
            faults.push(format!("the table names {name}, which is no test"));
        }
    }
    faults
}

#[test]
fn every_invariant_has_a_test_of_its_name_and_a_row_in_the_table() {
    let (code, mut tests) = (sources("src"), sources("tests"));
    let stated = code
        .iter()
        .flat_map(|source| stated(&source.text))
        .collect();
    tests.extend(sources("src"));
    let names = tests.iter().flat_map(Source::test_functions);
    let names = names.map(|function| function.name).collect();
    none(
        "invariants",
        &faults(&stated, &rows(&read("docs/ARCHITECTURE.md")), &names),
    );
}

#[test]
fn an_invariant_without_a_test_or_a_row_is_found() {
    let stated: BTreeSet<_> = stated("//! - **H1** x\n//! - **V10** y, **H3**\n/// - **H4** z")
        .into_iter()
        .collect();
    let table = [
        "| | promise | kept in | proved by |",
        "|---|---|---|---|",
        "| H1 | x | `a_b` | `h1_…`, `a_b`, `X::f`, `x.rs` |",
        "| V9–V10, H2 | | | |",
        "",
    ]
    .join("\n");
    let tests = BTreeSet::from(["h1_x", "a_b", "w_v10_y"].map(str::to_owned));
    assert_eq!(
        faults(&stated, &rows(&table), &tests),
        [
            "H2 is stated by the table alone",
            "V9 is stated by the table alone"
        ]
    );
    let tests = BTreeSet::from(["h10_x"].map(str::to_owned));
    assert_eq!(
        faults(&stated, &rows(&table), &tests)[2..],
        [
            "no test is named after H1",
            "no test is named after V10",
            "the table names h1_…, which is no test",
            "the table names a_b, which is no test"
        ]
    );
}

/// The files outside the store that make a `Committed`.
fn forgers(sources: &[Source]) -> Vec<String> {
    let is_forger = |source: &&Source| {
        let is_store = source
            .module()
            .first()
            .is_some_and(|first| first == "store");
        let made = ["Committed(", "Committed::new"]
            .iter()
            .any(|made| source.code.contains(made));
        !is_store && made
    };
    sources
        .iter()
        .filter(is_forger)
        .map(|source| source.path.clone())
        .collect()
}

/// Only committed events are announced: the type that can be announced is made in the store alone,
/// and the compiler enforces this.
#[test]
fn h1_only_the_store_makes_a_committed_value() {
    let sources = sources("src");
    none("a Committed is made by", &forgers(&sources));
    let definition = sources
        .iter()
        .find(|source| source.types().contains(&"Committed".to_owned()))
        .unwrap();
    assert_eq!(definition.module()[0], "store");
    assert!(
        definition.code.contains("pub struct Committed<T>(T);"),
        "its value is private"
    );
    let methods = definition
        .code
        .split("impl<T> Committed<T> {")
        .nth(1)
        .unwrap();
    assert!(
        methods.trim_start().starts_with("pub(super) fn new("),
        "its constructor is the store's"
    );
    let forger = [Source::new("src/hub/x.rs", "fn f() { Committed::new(1) }")];
    assert_eq!(forgers(&forger), ["src/hub/x.rs"]);
}

/// Files with resolvers that hold a lock, use SQL or a socket. The slots of a subscription's modes
/// are the exception.
fn impure_resolvers(sources: &[Source]) -> Vec<String> {
    let foreign = [
        "sqlx", "axum", "hyper", "tokio", "net", "Mutex", "RwLock", "lock",
    ];
    let has_resolvers = |source: &&Source| {
        let is_schema = source
            .module()
            .first()
            .is_some_and(|first| first == "schema");
        let marks = ["#[Object", "#[ComplexObject", "#[Subscription"];
        is_schema
            && marks.iter().any(|mark| source.code.contains(mark))
            && source.name() != "subscription"
    };
    let impure = |source: &&Source| {
        let words = identifiers(&source.code);
        words.iter().any(|(_, word)| foreign.contains(word))
    };
    let found = sources.iter().filter(has_resolvers).filter(impure);
    found.map(|source| source.path.clone()).collect()
}

#[test]
fn g2_resolvers_use_no_sql_no_sockets_and_no_locks() {
    let sources = sources("src");
    let resolvers = sources
        .iter()
        .filter(|source| source.code.contains("#[Object"))
        .count();
    assert!(resolvers > 4, "the files with resolvers are found");
    none(
        "resolvers that are more than translation",
        &impure_resolvers(&sources),
    );
    let impure = [Source::new(
        "src/schema/x.rs",
        "#[Object]\nimpl X { fn f() { self.0.lock() } }",
    )];
    assert_eq!(impure_resolvers(&impure), ["src/schema/x.rs"]);
}
