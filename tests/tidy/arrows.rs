//! Modules use one another only as the table in `docs/ARCHITECTURE.md` allows, and wire formats
//! stay at the edge.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    files::{none, read, sources},
    graph::{Crate, Edges, cycles},
    rust::{Source, identifiers},
};

/// The crates that a module does not know. They would bring a wire format, a database or a runtime
/// into it.
const STRANGERS: &[(&str, &[&str])] = &[
    (
        "domain",
        &["serde", "async_graphql", "sqlx", "axum", "tokio"],
    ),
    (
        "quota",
        &["serde", "async_graphql", "sqlx", "axum", "tokio"],
    ),
    ("protocol", &["async_graphql", "sqlx", "axum", "tokio"]),
    ("hub", &["async_graphql", "sqlx", "axum"]),
    (
        "presence",
        &["serde", "serde_json", "async_graphql", "sqlx", "axum"],
    ),
    ("schema", &["sqlx", "axum", "tokio"]),
    ("view", &["sqlx", "axum"]),
];

/// The rows of the table in order: each module, and the modules that it may use. No list means any
/// module.
type Table = Vec<(String, Option<BTreeSet<String>>)>;

/// The table under the header `| module | owns | may use |`.
fn table(document: &str) -> Table {
    let rows = document
        .lines()
        .skip_while(|line| !line.replace(' ', "").starts_with("|module|owns|mayuse|"))
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let mut found = Vec::new();
    for row in rows {
        let cells: Vec<&str> = row.trim().trim_matches('|').split('|').collect();
        let (modules, uses) = (cells[0], cells[cells.len() - 1].trim());
        let uses = match uses {
            "anything" => None,
            "nothing" => Some(BTreeSet::new()),
            list => Some(list.split(',').map(name).collect()),
        };
        found.extend(
            modules
                .split(',')
                .map(|module| (name(module), uses.clone())),
        );
    }
    found
}

/// The name of a module in a cell: `` `store/` `` is `store`.
fn name(cell: &str) -> String {
    cell.trim()
        .trim_matches('`')
        .trim_end_matches('/')
        .to_owned()
}

/// The arrows that the table does not allow.
fn broken(sources: &[Source], table: &Table) -> Vec<String> {
    let rows: BTreeMap<_, _> = table.iter().cloned().collect();
    let modules: BTreeSet<String> = sources
        .iter()
        .filter_map(|s| s.module().into_iter().next())
        .collect();
    let listed: BTreeSet<String> = rows.keys().cloned().collect();
    let differ = modules.symmetric_difference(&listed);
    let mut faults: Vec<String> = differ
        .map(|module| format!("{module} is only in one of src/ and the table"))
        .collect();
    for (from, file, path) in Crate::new(sources).named() {
        let (Some(from), Some(to)) = (from.first(), path.first()) else {
            continue;
        };
        let is_free = from == to || !modules.contains(to) || !rows.contains_key(from);
        if !is_free && rows[from].as_ref().is_some_and(|uses| !uses.contains(to)) {
            faults.push(format!("{file}: {from} may not use {to}"));
        }
    }
    faults
}

#[test]
fn arrows_go_one_way() {
    let table = table(&read("docs/ARCHITECTURE.md"));
    none("arrows", &broken(&sources("src"), &table));
    let limited = table
        .iter()
        .filter_map(|(from, to)| Some((from.clone(), to.clone()?)));
    let edges: Edges = limited.collect();
    assert!(
        cycles(&edges).is_empty(),
        "the table has a cycle: {:?}",
        cycles(&edges)
    );
}

#[test]
fn a_forbidden_arrow_is_found_however_it_is_written() {
    let text = [
        "| module | owns | may use |",
        "|---|---|---|",
        "| `low/` | x | nothing |",
        "| `high`, `main` | y, z | low |",
        "| `lib` | | anything |",
        "",
        "after",
    ]
    .join("\n");
    let table = table(&text);
    assert_eq!(table.len(), 4);
    let with = |use_: &str| {
        let files = [
            ("src/low/a.rs", use_),
            ("src/high.rs", "use crate::low::X;"),
            ("src/main.rs", ""),
            ("src/lib/x.rs", "use crate::high;"),
        ];
        broken(&files.map(|(path, text)| Source::new(path, text)), &table)
    };
    assert!(with("use super::b; use std::high::X;").is_empty());
    for forbidden in [
        "use crate::high::X;",
        "use super::super::high::X;",
        "use crate::{low::Y, high::X};",
        "fn f() { crate::high::f() }",
        "use super::super::{high};",
    ] {
        assert_eq!(
            with(forbidden),
            ["src/low/a.rs: low may not use high"],
            "{forbidden}"
        );
    }
}

/// The modules of `lib.rs` in the order in which they are declared.
fn declared(lib: &str) -> Vec<String> {
    let lines = lib.lines().filter_map(|line| {
        line.strip_prefix("pub ")
            .unwrap_or(line)
            .strip_prefix("mod ")
    });
    lines
        .map(|line| line.trim_end_matches(';').to_owned())
        .collect()
}

#[test]
fn the_table_lists_the_modules_in_the_order_of_lib() {
    let table = table(&read("docs/ARCHITECTURE.md"));
    let listed = table.into_iter().map(|(module, _)| module);
    let listed: Vec<String> = listed.filter(|module| module != "main").collect();
    assert_eq!(declared(&read("src/lib.rs")), listed);
    assert_eq!(
        declared("//! x\npub mod b;\n\n/// y\npub mod a;\n"),
        ["b", "a"]
    );
}

/// The crates that a file knows and its module must not.
fn foreign_crates(source: &Source) -> Vec<String> {
    let module = source.module();
    let rules = STRANGERS
        .iter()
        .filter(|(of, _)| module.first().is_some_and(|first| first == of));
    let names = rules.flat_map(|(_, names)| *names);
    let words = identifiers(&source.code);
    let is_named = |name: &&&str| {
        words
            .iter()
            .any(|(at, word)| word == *name && source.code[at + word.len()..].starts_with("::"))
    };
    names
        .filter(is_named)
        .map(|name| format!("{}: {name}", source.path))
        .collect()
}

#[test]
fn wire_formats_live_at_the_edge() {
    let faults: Vec<String> = sources("src").iter().flat_map(foreign_crates).collect();
    none("crates that have no business there", &faults);
}

#[test]
fn a_foreign_crate_is_found() {
    let strange = |path, text| foreign_crates(&Source::new(path, text));
    assert_eq!(
        strange("src/domain/x.rs", "use serde::Serialize;"),
        ["src/domain/x.rs: serde"]
    );
    assert_eq!(
        strange("src/quota.rs", "fn f(x: tokio::Y) {}"),
        ["src/quota.rs: tokio"]
    );
    assert!(strange("src/domain/x.rs", "// serde::X\nuse myserde::X;").is_empty());
    assert!(strange("src/transport/x.rs", "use axum::Router;").is_empty());
}
