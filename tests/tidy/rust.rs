//! The part of Rust's grammar that the rules need: code and comments, tests, and the beginnings and
//! ends of items.

use std::ops::Range;

/// One Rust file. Comments, strings and characters are blanked out of its code; lines and columns
/// stay.
pub(crate) struct Source {
    /// The path from the root.
    pub(crate) path: String,
    /// The text as it is.
    pub(crate) text: String,
    /// The code with its tests.
    pub(crate) all: String,
    /// The code without items marked `#[cfg(test)]`.
    pub(crate) code: String,
}

/// A function with a body.
pub(crate) struct Function {
    pub(crate) name: String,
    /// From the header to the closing brace.
    pub(crate) lines: usize,
    /// Where the function begins in the code.
    pub(crate) start: usize,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let all = code(text);
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            code: without_tests(&all),
            all,
        }
    }

    /// The path from the crate's root as modules: `["store", "sqlite", "append"]`.
    pub(crate) fn module(&self) -> Vec<String> {
        let path = self.path.trim_start_matches("src/");
        let mut parts: Vec<String> = path
            .trim_end_matches(".rs")
            .split('/')
            .map(str::to_owned)
            .collect();
        if matches!(parts.last().unwrap().as_str(), "mod" | "lib") {
            parts.pop();
        }
        parts
    }

    /// The last name of the module, which stays when a file moves to another folder.
    pub(crate) fn name(&self) -> String {
        self.module().pop().unwrap_or_else(|| "lib".to_owned())
    }

    /// The functions outside tests.
    pub(crate) fn functions(&self) -> Vec<Function> {
        functions(&self.code)
    }

    /// The functions inside tests; in `tests/`, all of them.
    pub(crate) fn test_functions(&self) -> Vec<Function> {
        let is_test = |function: &Function| {
            self.path.starts_with("tests/") || !self.code[function.start..].starts_with("fn ")
        };
        functions(&self.all).into_iter().filter(is_test).collect()
    }

    /// The names of the types that are defined outside tests, associated types excepted.
    pub(crate) fn types(&self) -> Vec<String> {
        types(&self.code)
    }
}

/// The code with comments, strings and characters blanked out. All of it is ASCII.
fn code(text: &str) -> String {
    let letters: Vec<char> = text.chars().collect();
    let (mut result, mut at) = (String::with_capacity(letters.len()), 0);
    while at < letters.len() {
        let end = at + not_code(&letters, at);
        if end == at {
            let letter = letters[at];
            result.push(if letter.is_ascii() { letter } else { ' ' });
            at += 1;
        }
        for letter in &letters[at..end.max(at)] {
            result.push(if *letter == '\n' { '\n' } else { ' ' });
        }
        at = end.max(at);
    }
    result
}

/// How many characters from here on are a comment, a string or a character; 0 if this is code.
fn not_code(letters: &[char], at: usize) -> usize {
    let rest = &letters[at..];
    let starts = |text: &str| text.chars().eq(rest.iter().copied().take(text.len()));
    let in_word = at > 0 && (letters[at - 1].is_alphanumeric() || letters[at - 1] == '_');
    if starts("//") {
        return until(rest, 2, &['\n']);
    }
    if starts("/*") {
        return until(rest, 2, &['*', '/']) + 2;
    }
    let prefix = usize::from(!in_word && rest[0] == 'b' && rest.len() > 1);
    match rest[prefix] {
        '"' => quoted(rest, prefix),
        'r' if !in_word => raw(rest, prefix),
        '\'' if rest.get(prefix + 1) == Some(&'\\') => until(rest, prefix + 3, &['\'']) + 1,
        '\'' if rest.get(prefix + 2) == Some(&'\'') => prefix + 3,
        _ => 0,
    }
}

fn until(rest: &[char], from: usize, end: &[char]) -> usize {
    let found = rest[from..].windows(end.len()).position(|part| part == end);
    found.map_or(rest.len(), |found| from + found)
}

fn quoted(rest: &[char], quote: usize) -> usize {
    let mut at = quote + 1;
    while at < rest.len() && rest[at] != '"' {
        at += if rest[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

fn raw(rest: &[char], r: usize) -> usize {
    let hashes = rest[r + 1..].iter().take_while(|l| **l == '#').count();
    if rest.get(r + 1 + hashes) != Some(&'"') {
        return 0;
    }
    let end: Vec<char> = std::iter::once('"')
        .chain(std::iter::repeat_n('#', hashes))
        .collect();
    until(rest, r + 2 + hashes, &end) + end.len()
}

/// The position at which the bracket that opens at `start` is closed.
pub(crate) fn closing(code: &str, start: usize) -> usize {
    let mut depth = 0;
    for (at, letter) in code.bytes().enumerate().skip(start) {
        match letter {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 && matches!(letter, b')' | b']' | b'}') {
            return at;
        }
    }
    code.len() - 1
}

/// The position at which the body of an item opens; `Err` with the position of the `;` if the item
/// has no body.
fn body(code: &str, start: usize) -> Result<usize, usize> {
    let (bytes, mut at) = (code.as_bytes(), start);
    while at < bytes.len() {
        match bytes[at] {
            b'(' | b'[' => at = closing(code, at),
            b'{' => return Ok(at),
            b';' => return Err(at),
            _ => {}
        }
        at += 1;
    }
    Err(code.len() - 1)
}

fn without_tests(code: &str) -> String {
    let (mut result, mut from) = (String::with_capacity(code.len()), 0);
    while let Some(start) = next_test(code, from) {
        let mut end = closing(code, start + 1) + 1;
        while code[end..].trim_start().starts_with("#[") {
            let attribute = end + code[end..].find('[').unwrap();
            end = closing(code, attribute) + 1;
        }
        let last = body(code, end).map_or_else(|semicolon| semicolon, |open| closing(code, open));
        result.push_str(&code[from..start]);
        let blanked = code[start..=last].chars();
        result.extend(blanked.map(|c| if c == '\n' { '\n' } else { ' ' }));
        from = last + 1;
    }
    result + &code[from..]
}

fn next_test(code: &str, from: usize) -> Option<usize> {
    ["#[cfg(test)", "#[cfg(all(test"]
        .iter()
        .filter_map(|attribute| Some(from + code[from..].find(attribute)?))
        .min()
}

/// The identifiers and keywords of a text, each with its place.
pub(crate) fn identifiers(code: &str) -> Vec<(usize, &str)> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let (mut found, mut at) = (Vec::new(), 0);
    while let Some(start) = code[at..].find(is_part).map(|start| at + start) {
        let length = code[start..].find(|c| !is_part(c));
        at = length.map_or(code.len(), |length| start + length);
        found.push((start, &code[start..at]));
    }
    found
}

fn functions(code: &str) -> Vec<Function> {
    let words = identifiers(code);
    let is_function = |pair: &&[(usize, &str)]| {
        let [(at, keyword), (name_at, _)] = pair else {
            return false;
        };
        *keyword == "fn" && code[at + 2..*name_at].trim().is_empty()
    };
    let headers = words.windows(2).filter(is_function);
    let with_body = headers.filter_map(|pair| {
        let open = body(code, pair[1].0).ok()?;
        let span = &code[pair[0].0..closing(code, open)];
        Some(Function {
            name: pair[1].1.to_owned(),
            lines: span.matches('\n').count() + 1,
            start: pair[0].0,
        })
    });
    with_body.collect()
}

fn types(code: &str) -> Vec<String> {
    let (mut found, mut blocks, mut header) = (Vec::new(), Vec::new(), 0);
    let words = identifiers(code);
    let mut word = 0;
    for (at, letter) in code.bytes().enumerate() {
        match letter {
            b'{' => blocks.push(header..at),
            b'}' => drop(blocks.pop()),
            _ => {}
        }
        if matches!(letter, b'{' | b'}' | b';') {
            header = at + 1;
        }
        while word + 1 < words.len() && words[word].0 <= at {
            let ((start, kind), (name_at, name)) = (words[word], words[word + 1]);
            let is_type = ["struct", "enum", "union", "trait", "type"].contains(&kind)
                && name.starts_with(|c: char| c.is_ascii_uppercase())
                && code[start + kind.len()..name_at].trim().is_empty();
            let is_associated = kind == "type" && blocks.last().is_some_and(|b| is_impl(code, b));
            if is_type && !is_associated {
                found.push(name.to_owned());
            }
            word += 1;
        }
    }
    found
}

/// Whether a block with this header is a trait or an impl.
fn is_impl(code: &str, header: &Range<usize>) -> bool {
    let mut text = code[header.clone()].trim_start();
    while text.starts_with("#[") {
        text = text[closing(text, 1) + 1..].trim_start();
    }
    let mut words = text.split(|c: char| !c.is_ascii_alphanumeric());
    let known = ["pub", "crate", "super", "in", "unsafe", ""];
    let first = words.find(|word| !known.contains(word));
    matches!(first, Some("impl" | "trait"))
}

#[test]
fn comments_and_strings_are_not_code() {
    let text = "a /* b */ // c\n\"d\\\"e\" r#\"f\"g\"# 'h' '\\'' 'i: loop b\"j\" k";
    let kept: Vec<_> = code(text).split_whitespace().map(str::to_owned).collect();
    assert_eq!(kept, ["a", "'i:", "loop", "k"]);
    assert_eq!(code(text).len(), text.len());
}

#[test]
fn tests_are_left_out() {
    let text = [
        "fn a() {}",
        "#[cfg(test)]",
        "#[x]",
        "mod tests {",
        "    fn b() {}",
        "}",
        "#[cfg(test)]",
        "use c;",
        "fn d() {}",
        "",
    ]
    .join("\n");
    let source = Source::new("src/x.rs", &text);
    let names = |found: Vec<Function>| found.into_iter().map(|f| f.name).collect::<Vec<_>>();
    assert_eq!(names(source.functions()), ["a", "d"]);
    assert_eq!(names(source.test_functions()), ["b"]);
}

#[test]
fn types_are_found_wherever_they_are_defined() {
    let text = [
        "pub(crate) struct A;",
        "impl I for A { type B = C; fn f() { enum D {} } }",
        "trait E { type F; }",
        "type G = A;",
    ]
    .join("\n");
    assert_eq!(Source::new("src/x.rs", &text).types(), ["A", "D", "E", "G"]);
}
