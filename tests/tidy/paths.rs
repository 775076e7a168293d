//! Every path and every test that documents and module documentation name exists.

use std::{collections::BTreeSet, fs, path::Path};

use crate::files::{documents, files, none, root, sources};

/// The folders of the repository. A word in backticks that begins with one of them is a path.
const FOLDERS: &[&str] = &[
    "src",
    "tests",
    "docs",
    "web",
    "packages",
    "scripts",
    "fuzz",
    "bench",
    "migrations",
];

/// The paths that a text names in backticks.
fn in_backticks(text: &str) -> Vec<&str> {
    text.lines()
        .flat_map(|line| line.split('`').skip(1).step_by(2))
        .filter(|token| is_path(token))
        .collect()
}

/// The names of functions that a text has in backticks: at least four words, as tests have.
fn long_names(text: &str) -> Vec<&str> {
    let is_name = |token: &&str| {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let mut words = token.split('_');
        words.clone().count() >= 4 && words.all(|word| !word.is_empty() && word.chars().all(plain))
    };
    text.lines()
        .flat_map(|line| line.split('`').skip(1).step_by(2))
        .filter(is_name)
        .collect()
}

/// Whether this is a path of the repository and no media type, address or file of a user.
fn is_path(token: &str) -> bool {
    let is_plain = token
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c));
    let is_source = token.ends_with(".rs");
    let in_folder = token
        .split_once('/')
        .is_some_and(|(first, _)| FOLDERS.contains(&first));
    let is_folder = token.ends_with('/') && !token.starts_with('.');
    is_plain && !token.starts_with(['/', '.']) && (is_source || in_folder || is_folder)
}

/// The Markdown links of a text into the repository: a path, empty for the text itself, and the
/// anchor of a heading.
fn links(text: &str) -> Vec<(&str, Option<&str>)> {
    let targets = text
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next());
    let inside = targets.filter(|target| !target.contains("://") && !target.starts_with("mailto:"));
    let parts = inside.map(|target| match target.split_once('#') {
        Some((path, heading)) => (path, Some(heading)),
        None => (target, None),
    });
    parts.collect()
}

/// The anchors of the headings of a document, as GitHub makes them.
fn anchors(text: &str) -> Vec<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let is_kept = |c: &char| c.is_alphanumeric() || "-_ ".contains(*c);
    let anchor = |line: &str| -> String {
        let heading = line.trim_start_matches('#').trim().to_lowercase();
        heading
            .chars()
            .filter(is_kept)
            .map(|c| if c == ' ' { '-' } else { c })
            .collect()
    };
    headings.map(anchor).collect()
}

/// Whether a link of this document leads to a file that exists, and to a heading of it.
fn leads_somewhere(document: &str, text: &str, (path, heading): (&str, Option<&str>)) -> bool {
    let target = root().join(document).parent().unwrap().join(path);
    let has = |text: &str| {
        heading.is_none_or(|heading| anchors(text).iter().any(|anchor| anchor == heading))
    };
    match path {
        "" => has(text),
        _ if path.ends_with(".md") => fs::read_to_string(target).is_ok_and(|text| has(&text)),
        _ => target.exists(),
    }
}

/// Whether the path exists: from the root, from `src/`, from the document's own folder, or, as a
/// bare file name, anywhere.
fn exists(path: &str, folder: &Path, names: &[String]) -> bool {
    let from = [root().to_owned(), root().join("src"), root().join(folder)];
    from.iter().any(|from| from.join(path).exists())
        || (!path.contains('/') && names.iter().any(|name| name.ends_with(&format!("/{path}"))))
}

/// The paths and links of a document that lead nowhere.
fn stale(document: &str, text: &str, names: &[String]) -> Vec<String> {
    let folder = Path::new(document).parent().unwrap();
    let tokens = in_backticks(text).into_iter();
    let tokens = tokens.filter(|path| !exists(path, folder, names));
    let broken = |link: &(&str, Option<&str>)| !leads_somewhere(document, text, *link);
    let links = links(text).into_iter().filter(broken);
    let links = links.map(|(path, heading)| {
        heading.map_or(path.to_owned(), |heading| format!("{path}#{heading}"))
    });
    let found = tokens.map(str::to_owned).chain(links);
    found.map(|path| format!("{document}: {path}")).collect()
}

fn module_documentation(text: &str) -> String {
    let lines = text
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("//!"));
    lines.collect::<Vec<_>>().join("\n")
}

fn rust_files() -> Vec<String> {
    ["src", "tests", "fuzz/src", "fuzz/fuzz_targets", "bench/src"]
        .iter()
        .flat_map(|folder| files(folder, "rs"))
        .collect()
}

#[test]
fn every_path_in_documents_exists() {
    let names = rust_files();
    let faults: Vec<_> = documents()
        .iter()
        .flat_map(|(path, text)| stale(path, text, &names))
        .collect();
    none("paths that lead nowhere", &faults);
}

#[test]
fn every_path_in_module_documentation_exists() {
    let names = rust_files();
    let sources = [sources("src"), sources("tests")].into_iter().flatten();
    let of_file = |source: crate::rust::Source| {
        let text = module_documentation(&source.text);
        let tokens = in_backticks(&text).into_iter();
        let folder = Path::new(&source.path).parent().unwrap().to_owned();
        let stale = tokens.filter(|path| !exists(path, &folder, &names));
        stale
            .map(|path| format!("{}: {path}", source.path))
            .collect::<Vec<_>>()
    };
    none(
        "paths that lead nowhere",
        &sources.flat_map(of_file).collect::<Vec<_>>(),
    );
}

#[test]
fn every_long_name_in_documents_is_in_the_code() {
    assert_eq!(
        long_names("`a_b_c`, `a_b_c_d1` and `A_b_c_d`"),
        ["a_b_c_d1"]
    );
    let code = [sources("src"), sources("tests")];
    let separates = |c: char| !c.is_ascii_alphanumeric() && c != '_';
    let words = code
        .iter()
        .flatten()
        .flat_map(|source| source.text.split(separates));
    let words: BTreeSet<_> = words.collect();
    let documents = documents();
    let names = documents.iter().flat_map(|(path, text)| {
        let unknown = long_names(text).into_iter();
        let unknown = unknown.filter(|name| !words.contains(name));
        unknown.map(move |name| format!("{path}: {name}"))
    });
    none("names that no code has", &names.collect::<Vec<_>>());
}

#[test]
fn a_link_to_a_heading_that_is_not_there_is_found() {
    let text = "# One, two\n## `three()`\n[a](#one-two) [b](#three) [c](#four) [d](x.md#one)";
    assert_eq!(
        stale("docs/y.md", text, &[]),
        ["docs/y.md: #four", "docs/y.md: x.md#one"]
    );
}

#[test]
fn a_path_that_does_not_exist_is_found() {
    let text = [
        "`src/lib.rs` `store/sqlite/` `lib.rs` [a](../src/lib.rs#x)",
        "`text/html` `/graphql` [c](https://x/no.md)",
        "`src/no.rs` `no/` `no.rs` [b](no.md)",
        "`tests/no`",
    ]
    .join("\n");
    let found = stale("docs/x.md", &text, &["src/lib.rs".to_owned()]);
    let expected =
        ["src/no.rs", "no/", "no.rs", "tests/no", "no.md"].map(|path| format!("docs/x.md: {path}"));
    assert_eq!(found, expected);
}
