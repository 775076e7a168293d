//! House rules that a compiler does not check.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// The module that every other module may use.
const EVERYWHERE: &str = "sync";

/// Which module may use which; `*` is all of them. The table of `docs/ARCHITECTURE.md`.
const ARROWS: &[(&str, &[&str])] = &[
    (EVERYWHERE, &[]),
    ("domain", &[]),
    ("limit", &[]),
    ("quota", &[]),
    ("store", &["domain", "limit"]),
    ("hub", &["store", "quota", "domain", "limit"]),
    ("presence", &["quota", "domain", "limit"]),
    ("auth", &["store", "domain", "limit"]),
    (
        "schema",
        &[
            "hub", "presence", "store", "auth", "quota", "domain", "limit",
        ],
    ),
    (
        "view",
        &["schema", "hub", "presence", "quota", "domain", "limit"],
    ),
    ("protocol", &["limit"]),
    (
        "transport",
        &[
            "view", "schema", "protocol", "auth", "quota", "domain", "limit",
        ],
    ),
    ("config", &["*"]),
    ("telemetry", &[]),
    ("server", &["*"]),
    ("client", &["config", "protocol"]),
    ("commands", &["*"]),
    ("main", &["*"]),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![root().join(folder)]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
        {
            if entry.is_dir() {
                folders.push(entry);
            } else if entry.extension().is_some_and(|found| found == ending) {
                found.push(entry);
            }
        }
    }
    found.sort();
    found
}

/// The module of `src/` that a file belongs to.
fn module(path: &Path) -> String {
    let first = path
        .strip_prefix(root().join("src"))
        .unwrap()
        .components()
        .next()
        .unwrap();
    first
        .as_os_str()
        .to_str()
        .unwrap()
        .trim_end_matches(".rs")
        .to_owned()
}

/// The modules of this crate that a text names: `crate::x`, also inside braces.
fn named(text: &str) -> Vec<String> {
    let word = |text: &str| {
        text.chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect::<String>()
    };
    let mut names = Vec::new();
    for rest in text.split("crate::").skip(1) {
        match rest.strip_prefix('{') {
            None => names.push(word(rest)),
            Some(rest) => {
                let (mut depth, mut at_start) = (0, true);
                for (index, c) in rest.char_indices() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' => at_start = depth == 0,
                        c if at_start && c.is_alphabetic() => {
                            names.push(word(&rest[index..]));
                            at_start = false;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    names
}

/// Code without its comments.
fn code(text: &str) -> String {
    text.lines()
        .map(|line| line.split("//").next().unwrap())
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn arrows_go_one_way() {
    let arrows: BTreeMap<_, _> = ARROWS.iter().copied().collect();
    let mut broken = Vec::new();
    for path in files("src", "rs") {
        let from = module(&path);
        if from == "lib" {
            continue;
        }
        let allowed = arrows
            .get(from.as_str())
            .unwrap_or_else(|| panic!("{from} is not in the table of arrows"));
        for to in named(&code(&fs::read_to_string(&path).unwrap())) {
            let everywhere = to == from || to == EVERYWHERE || allowed.contains(&"*");
            if !everywhere && !allowed.contains(&to.as_str()) {
                broken.push(format!("{from} -> {to} in {}", path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn the_arrow_reader_reads_braces() {
    let text = "use crate::{\n    domain::{A, B},\n    store::x,\n};\nlet y = crate::hub::Z;";
    assert_eq!(named(text), ["domain", "store", "hub"]);
}

#[test]
fn wire_formats_live_at_the_edge() {
    let strangers: &[(&str, &[&str])] = &[
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
    for path in files("src", "rs") {
        let text = code(&fs::read_to_string(&path).unwrap());
        for (_, names) in strangers.iter().filter(|(of, _)| *of == module(&path)) {
            for name in *names {
                let found = text.contains(&format!("{name}::"));
                assert!(!found, "{name} has no business in {}", path.display());
            }
        }
    }
}

#[test]
fn files_are_one_idea_long() {
    for path in [files("src", "rs"), files("tests", "rs")].concat() {
        let lines = fs::read_to_string(&path).unwrap().lines().count();
        let lines_max = if path.starts_with(root().join("src")) {
            610
        } else {
            1010
        };
        assert!(lines <= lines_max, "{} has {lines} lines", path.display());
    }
}

#[test]
fn every_invariant_has_a_test_that_names_it() {
    let mut tests = String::new();
    for path in [files("src", "rs"), files("tests", "rs")].concat() {
        let text = fs::read_to_string(&path).unwrap();
        let named = text
            .lines()
            .filter(|line| line.contains("fn ") || line.trim_start().starts_with('s'));
        tests.extend(named.map(|line| format!("{line}\n")));
    }
    let promised = [
        "s2", "s4", "s5", "s7", "h3", "h4", "h5", "v1", "v3", "v4", "v7", "v8", "e1", "e2", "e3",
        "e4", "e5", "p1", "t1", "t4", "g1", "g5", "a1", "a2", "a3", "a4", "a5",
    ];
    for number in promised {
        assert!(
            tests.contains(&format!("fn {number}_")),
            "no test is named after {}",
            number.to_uppercase()
        );
    }
}

#[test]
fn nothing_is_left_for_later() {
    for path in [files("src", "rs"), files("tests", "rs")].concat() {
        let text = fs::read_to_string(&path).unwrap();
        for word in [
            concat!("TO", "DO"),
            concat!("FIX", "ME"),
            concat!("unimpl", "emented!"),
            concat!("to", "do!("),
        ] {
            assert!(!text.contains(word), "{word} in {}", path.display());
        }
    }
}

#[test]
fn the_way_in_is_short() {
    assert!(
        fs::read_to_string(root().join("src/main.rs"))
            .unwrap()
            .lines()
            .count()
            < 40
    );
}
