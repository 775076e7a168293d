//! The values of strings and block strings.

/// An error: an offset in bytes from the opening quote, and a sentence.
type LiteralError = (usize, &'static str);

const NOT_CLOSED: &str = "The string is not closed.";
const BAD_ESCAPE: &str = "The escape is not one of GraphQL.";
const BAD_UNICODE: &str = "The escape does not name a Unicode character.";

/// The value of the string whose content begins here, and its length up to and with its last quote.
pub(super) fn quoted(content: &str) -> Result<(String, usize), LiteralError> {
    let mut value = String::new();
    let mut at = 0;
    loop {
        let rest = &content[at..];
        let plain = rest
            .find(['"', '\\', '\n', '\r'])
            .ok_or((content.len() + 1, NOT_CLOSED))?;
        value.push_str(&rest[..plain]);
        at += plain;
        match content.as_bytes()[at] {
            b'"' => return Ok((value, at + 1)),
            b'\\' => {
                let (character, length) =
                    escape(&content[at..]).map_err(|message| (at + 1, message))?;
                value.push(character);
                at += length;
            }
            _ => return Err((at + 1, NOT_CLOSED)),
        }
    }
}

/// The character that the escape at the beginning stands for, and the length of the escape.
fn escape(text: &str) -> Result<(char, usize), &'static str> {
    let character = match text.as_bytes().get(1) {
        Some(b'"') => '"',
        Some(b'\\') => '\\',
        Some(b'/') => '/',
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => return unicode(text).ok_or(BAD_UNICODE),
        _ => return Err(BAD_ESCAPE),
    };
    Ok((character, 2))
}

/// A Unicode escape: `\u{1F600}`, `\u00e4`, or the two halves of a surrogate pair.
fn unicode(text: &str) -> Option<(char, usize)> {
    if let Some(braces) = text.strip_prefix(r"\u{") {
        let digits = &braces[..braces.find('}')?];
        return Some((char::from_u32(hexadecimal(digits)?)?, digits.len() + 4));
    }
    let first = unit(text)?;
    if let Some(character) = char::from_u32(first.into()) {
        return Some((character, 6));
    }
    let second = unit(text.get(6..)?)?;
    let mut pair = char::decode_utf16([first, second]);
    match (pair.next(), pair.next()) {
        (Some(Ok(character)), None) => Some((character, 12)),
        _ => None,
    }
}

/// The UTF-16 unit of the escape at the beginning.
fn unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix(r"\u")?.get(..4)?;
    u16::try_from(hexadecimal(digits)?).ok()
}

fn hexadecimal(digits: &str) -> Option<u32> {
    let are_digits = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let significant = digits.trim_start_matches('0');
    if !are_digits || digits.is_empty() || significant.len() > 6 {
        return None;
    }
    u32::from_str_radix(digits, 16).ok().or(Some(0))
}

/// The value of the block string whose content begins here, and its length up to and with its last
/// quotes.
pub(super) fn block(content: &str) -> Result<(String, usize), LiteralError> {
    let mut raw = String::new();
    let mut at = 0;
    loop {
        let rest = &content[at..];
        let quotes = rest.find(r#"""""#).ok_or((content.len() + 3, NOT_CLOSED))?;
        match rest[..quotes].strip_suffix('\\') {
            Some(before) => {
                raw.push_str(before);
                raw.push_str(r#"""""#);
                at += quotes + 3;
            }
            None => {
                raw.push_str(&rest[..quotes]);
                return Ok((without_indent(&raw), at + quotes + 3));
            }
        }
    }
}

/// The lines without their common indent, and without blank lines at the beginning and the end.
fn without_indent(raw: &str) -> String {
    let unified = raw.replace("\r\n", "\n").replace('\r', "\n");
    let lines: Vec<&str> = unified.split('\n').collect();
    let indent_of = |line: &&str| line.find(|c| c != ' ' && c != '\t');
    let indent = lines.iter().skip(1).filter_map(indent_of).min();
    let cut = |(number, line): (usize, &&str)| match indent {
        Some(indent) if number > 0 => line.get(indent..).unwrap_or_default().to_owned(),
        _ => (*line).to_owned(),
    };
    let begin = lines.iter().position(|line| indent_of(line).is_some());
    let end = lines.iter().rposition(|line| indent_of(line).is_some());
    let (Some(begin), Some(end)) = (begin, end) else {
        return String::new();
    };
    let cut: Vec<String> = lines.iter().enumerate().map(cut).collect();
    cut[begin..=end].join("\n")
}
