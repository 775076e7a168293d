//! The files of the repository, and the list of exceptions that a rule knows.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use crate::rust::Source;

/// The folder of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The content of a file, by its path from the root.
pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The files of a folder and its subfolders with this extension, by their paths from the root.
pub(crate) fn files(folder: &str, extension: &str) -> Vec<String> {
    let (mut found, mut folders) = (Vec::new(), vec![root().join(folder)]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                let path = path.strip_prefix(root()).unwrap();
                found.push(path.to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

/// The Rust files of a folder.
pub(crate) fn sources(folder: &str) -> Vec<Source> {
    files(folder, "rs")
        .iter()
        .map(|path| Source::new(path, &read(path)))
        .collect()
}

/// The documents that people read: those in the root and in `docs/`.
pub(crate) fn documents() -> Vec<(String, String)> {
    let mut paths = files("docs", "md");
    paths.extend(["README.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(str::to_owned));
    paths
        .into_iter()
        .map(|path| (path.clone(), read(&path)))
        .collect()
}

/// The exceptions that are not listed, and the listed exceptions that are gone.
pub(crate) fn differences(found: impl IntoIterator<Item = String>, listed: &[&str]) -> Vec<String> {
    let found: BTreeSet<String> = found.into_iter().collect();
    let listed: BTreeSet<String> = listed.iter().map(ToString::to_string).collect();
    let new = found.difference(&listed).map(|name| format!("new: {name}"));
    let gone = listed
        .difference(&found)
        .map(|name| format!("gone, take it off the list: {name}"));
    new.chain(gone).collect()
}

/// Fails with one line for each fault.
#[track_caller]
pub(crate) fn none(rule: &str, faults: &[String]) {
    assert!(faults.is_empty(), "{rule}:\n  {}\n", faults.join("\n  "));
}

#[test]
fn a_list_of_exceptions_is_exact() {
    let found = || ["a", "b"].map(str::to_owned);
    assert!(differences(found(), &["b", "a"]).is_empty());
    assert_eq!(differences(found(), &["a"]), ["new: b"]);
    let gone = differences(found(), &["a", "b", "c"]);
    assert_eq!(gone, ["gone, take it off the list: c"]);
}
