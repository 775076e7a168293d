//! An example in the documents that is a file of a test is the same text.

use crate::files::{documents, none, read};

/// The marker before a code block, up to the path of its file.
const MARKER: &str = "<!-- source: ";

/// The paths of the files that a document shows otherwise than they are. The module comment at the
/// begin of a file is left out in the document.
fn outdated(document: &str, read: impl Fn(&str) -> String) -> Vec<String> {
    let blocks = document.split(MARKER).skip(1);
    let differs = |block: &&str| {
        let Some((path, rest)) = block.split_once(" -->") else {
            return true;
        };
        let code = rest
            .trim_start()
            .split_once('\n')
            .map_or("", |(_, code)| code);
        let code = code.split("\n```").next().unwrap_or_default();
        let source = read(path);
        let source = source.lines().skip_while(|line| line.starts_with("//!"));
        source.collect::<Vec<_>>().join("\n").trim() != code.trim()
    };
    let path = |block: &str| block.split(" -->").next().unwrap_or_default().to_owned();
    blocks.filter(differs).map(path).collect()
}

#[test]
fn examples_in_documents_are_the_files_of_tests() {
    let mut found = Vec::new();
    for (path, text) in documents() {
        let outdated = outdated(&text, read).into_iter();
        found.extend(outdated.map(|source| format!("{path}: {source}")));
    }
    none("examples that differ from their files", &found);
}

#[test]
fn an_example_that_differs_is_found() {
    let source = |_: &str| "//! About it.\n\nfn f() {}\n".to_owned();
    let document = |code| format!("Text.\n\n{MARKER}tests/x.rs -->\n```rust\n{code}\n```\n");
    assert!(outdated(&document("fn f() {}"), source).is_empty());
    assert_eq!(outdated(&document("fn g() {}"), source), ["tests/x.rs"]);
}
