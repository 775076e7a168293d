//! Files and functions are small, and no comment postpones work.

use crate::{
    files::{none, read, sources},
    rust::Source,
};

/// Lines of a file, its tests and comments included.
const FILE_LINES_MAX: usize = 600;

/// Lines of a function, from its header to its closing brace.
const FUNCTION_LINES_MAX: usize = 60;

/// Lines of `src/main.rs`.
const MAIN_LINES_MAX: usize = 40;

fn rust_files() -> Vec<Source> {
    [sources("src"), sources("tests")]
        .into_iter()
        .flatten()
        .collect()
}

fn long_files(sources: &[Source]) -> Vec<String> {
    let is_long = |source: &&Source| source.text.lines().count() > FILE_LINES_MAX;
    sources
        .iter()
        .filter(is_long)
        .map(|source| source.path.clone())
        .collect()
}

fn long_functions(sources: &[Source]) -> Vec<String> {
    let of_file = |source: &Source| {
        let long = source
            .functions()
            .into_iter()
            .filter(|function| function.lines > FUNCTION_LINES_MAX);
        long.map(|function| format!("{}::{}", source.name(), function.name))
            .collect::<Vec<_>>()
    };
    sources.iter().flat_map(of_file).collect()
}

/// Words that postpone work.
fn left_for_later(sources: &[Source]) -> Vec<String> {
    let words = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("unimpl", "emented!"),
        concat!("to", "do!("),
    ];
    let of_file = |source: &Source| {
        let found = words.into_iter().filter(|word| source.text.contains(word));
        found
            .map(|word| format!("{}: {word}", source.path))
            .collect::<Vec<_>>()
    };
    sources.iter().flat_map(of_file).collect()
}

#[test]
fn files_have_at_most_600_lines() {
    none("long files", &long_files(&rust_files()));
}

#[test]
fn functions_have_at_most_60_lines() {
    none("long functions", &long_functions(&sources("src")));
}

#[test]
fn nothing_is_left_for_later() {
    none("left for later", &left_for_later(&rust_files()));
}

#[test]
fn main_is_short() {
    assert!(read("src/main.rs").lines().count() < MAIN_LINES_MAX);
}

#[test]
fn length_and_postponement_are_found() {
    let function = |lines: usize| format!("fn f(\n) {{\n{}}}\n", "x;\n".repeat(lines - 3));
    let of = |text: &str| [Source::new("src/m/x.rs", text)];
    assert!(long_functions(&of(&function(60))).is_empty());
    assert_eq!(long_functions(&of(&function(61))), ["x::f"]);
    assert!(long_files(&of(&"\n".repeat(600))).is_empty());
    assert_eq!(long_files(&of(&"\n".repeat(601))), ["src/m/x.rs"]);
    assert_eq!(left_for_later(&of(concat!("// TO", "DO: x"))).len(), 1);
}
