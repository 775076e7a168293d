//! Comments and documents fit the page, and are written in standard terms.

use crate::files::{documents, none, sources};

/// Columns of a comment and of a line in a document.
const COLUMNS_MAX: usize = 100;

/// Core words per 1,000 words of the comments in `src/`.
const CORE_IN_COMMENTS_MAX: f64 = 1.5;

/// All listed words per 1,000 words of the comments in `src/`.
const LISTED_IN_COMMENTS_MAX: f64 = 5.5;

/// Core words per 1,000 words of `README.md` and `docs/`.
const CORE_IN_DOCUMENTS_MAX: f64 = 2.0;

/// All listed words per 1,000 words of `README.md` and `docs/`.
const LISTED_IN_DOCUMENTS_MAX: f64 = 5.5;

/// The words of one list of `words.txt`; of every list if no name is given.
fn listed(list: Option<&str>) -> Vec<&'static str> {
    let (mut found, mut current) = (Vec::new(), "");
    for line in include_str!("words.txt").lines() {
        match line.strip_prefix('[') {
            Some(name) => current = name.trim_end_matches(']'),
            None if line.is_empty() || line.starts_with('#') => {}
            None if list.is_none_or(|list| list == current) => found.push(line),
            None => {}
        }
    }
    found
}

fn words(text: &str) -> Vec<String> {
    let is_part = |c: char| c.is_alphanumeric() || "_'’".contains(c);
    let words = text.split(|c| !is_part(c)).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect()
}

/// The comments of a file. Adjacent lines with the same marker are one comment.
fn comments(text: &str) -> Vec<String> {
    let (mut found, mut last) = (Vec::new(), None);
    for line in text.lines() {
        let line = line.trim_start();
        let marker = ["//!", "///", "//"]
            .into_iter()
            .find(|marker| line.starts_with(marker));
        if let Some(marker) = marker {
            if marker != last.unwrap_or_default() {
                found.push(String::new());
            }
            let comment: &mut String = found.last_mut().unwrap();
            comment.push_str(&line[marker.len()..]);
            comment.push('\n');
        }
        last = marker;
    }
    found
}

/// The paragraphs and list entries of a document: no code, no tables, no headings.
fn paragraphs(text: &str) -> Vec<String> {
    let (mut found, mut in_code, mut fresh) = (Vec::new(), false, true);
    for line in text.lines() {
        let stripped = line.trim();
        let is_fence = stripped.starts_with("```");
        in_code ^= is_fence;
        let is_other = stripped.is_empty() || stripped.starts_with(['#', '|', '<']);
        if is_fence || in_code || is_other || line.starts_with("    ") {
            fresh = true;
            continue;
        }
        let marker = stripped.split(' ').next().unwrap();
        let number = marker.trim_end_matches('.');
        let is_number = number.len() < marker.len() && number.bytes().all(|b| b.is_ascii_digit());
        let is_entry = ["-", "*"].contains(&marker) || is_number;
        if fresh || is_entry {
            found.push(String::new());
            fresh = false;
        }
        let paragraph: &mut String = found.last_mut().unwrap();
        paragraph.push_str(stripped[if is_entry { marker.len() } else { 0 }..].trim_start());
        paragraph.push('\n');
    }
    found
}

/// How many of the listed words there are per 1,000 words. A phrase counts once.
fn rate(blocks: &[String], listed: &[&str]) -> f64 {
    let (mut total, mut count) = (0, 0);
    for block in blocks {
        let words = words(block);
        total += words.len();
        for phrase in listed {
            let parts = self::words(phrase);
            count += match phrase.strip_prefix('^') {
                Some(start) => usize::from(block.trim_start().to_lowercase().starts_with(start)),
                None => words
                    .windows(parts.len())
                    .filter(|window| **window == parts)
                    .count(),
            };
        }
    }
    1000.0 * count as f64 / total.max(1) as f64
}

/// The comment lines that are too wide.
fn wide_comments(path: &str, text: &str) -> Vec<String> {
    let is_wide =
        |line: &&str| line.trim_start().starts_with("//") && line.chars().count() > COLUMNS_MAX;
    text.lines()
        .filter(is_wide)
        .map(|line| format!("{path}: {line}"))
        .collect()
}

/// The lines of a document that are too wide, except tables, code and lines with an address.
fn wide_lines(path: &str, text: &str) -> Vec<String> {
    let (mut found, mut in_code) = (Vec::new(), false);
    for line in text.lines() {
        in_code ^= line.trim_start().starts_with("```");
        let is_free =
            in_code || line.starts_with("    ") || line.starts_with('|') || line.contains("://");
        if !is_free && line.chars().count() > COLUMNS_MAX {
            found.push(format!("{path}: {line}"));
        }
    }
    found
}

#[test]
fn comments_fit_the_page() {
    let folders = ["src", "tests", "bench/src", "fuzz/src", "fuzz/fuzz_targets"];
    let files = folders.into_iter().flat_map(sources);
    let wide: Vec<_> = files
        .flat_map(|file| wide_comments(&file.path, &file.text))
        .collect();
    none("these comment lines are too wide", &wide);
}

#[test]
fn documents_fit_the_page() {
    let documents = documents();
    let wide: Vec<_> = documents
        .iter()
        .flat_map(|(path, text)| wide_lines(path, text))
        .collect();
    none("these lines of documents are too wide", &wide);
}

#[track_caller]
fn check_words(blocks: &[String], core_max: f64, listed_max: f64) {
    for (list, rate_max) in [(Some("core"), core_max), (None, listed_max)] {
        let rate = rate(blocks, &listed(list));
        let name = list.unwrap_or("all lists");
        assert!(
            rate <= rate_max,
            "{rate:.2} words of {name} per 1,000, of at most {rate_max}"
        );
    }
}

#[test]
fn comments_are_written_in_standard_terms() {
    let files = sources("src");
    let comments: Vec<String> = files.iter().flat_map(|file| comments(&file.text)).collect();
    check_words(&comments, CORE_IN_COMMENTS_MAX, LISTED_IN_COMMENTS_MAX);
}

#[test]
fn documents_are_written_in_standard_terms() {
    let documents = documents()
        .into_iter()
        .filter(|(path, _)| path == "README.md" || path.starts_with("docs/"));
    let prose: Vec<String> = documents.flat_map(|(_, text)| paragraphs(&text)).collect();
    check_words(&prose, CORE_IN_DOCUMENTS_MAX, LISTED_IN_DOCUMENTS_MAX);
}

#[test]
fn wide_lines_and_listed_words_are_found() {
    let wide = "x".repeat(COLUMNS_MAX);
    assert_eq!(
        wide_comments("a", &format!("// {wide}\nlet {wide};\n// x")).len(),
        1
    );
    let document =
        format!("{wide}\n{wide}x\n| {wide} |\n    {wide}\n```\n{wide}x\n```\nhttp://{wide}");
    assert_eq!(wide_lines("a", &document).len(), 1);
    let blocks = comments(
        "/// The same, but so\n/// many: What.\nfn what() {} // somebody\n// now 1 2 3 4\n",
    );
    assert_eq!(blocks.len(), 2);
    assert_eq!(rate(&blocks, &listed(Some("core"))), 1000.0 * 2.0 / 11.0);
    assert_eq!(rate(&blocks, &listed(None)), 1000.0 * 3.0 / 11.0);
    let document = "# What\nSo what.\n- b\n  c\n\n| what |\n```\nwhat\n```\nd\n";
    assert_eq!(paragraphs(document), ["So what.\n", "b\nc\n", "d\n"]);
}
