//! Counts the tokens and the nesting of a document's text in one linear pass, before it is parsed.

/// The size of a document's text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Extent {
    /// Number of names, numbers, strings and punctuators.
    pub(super) tokens: usize,
    /// Levels of nested brackets, of any kind.
    pub(super) nesting: usize,
}

/// Measures a text. It accepts any text; the parser decides whether it is well formed.
pub(super) fn scan(text: &str) -> Extent {
    let bytes = text.as_bytes();
    let (mut extent, mut open, mut at) = (Extent::default(), 0_usize, 0);
    while at < bytes.len() {
        at = match bytes[at] {
            b' ' | b'\t' | b'\r' | b'\n' | b',' => at + 1,
            b'#' => end_of_run(bytes, at, |byte| !matches!(byte, b'\r' | b'\n')),
            byte => {
                extent.tokens += 1;
                match byte {
                    b'{' | b'[' | b'(' => {
                        open += 1;
                        extent.nesting = extent.nesting.max(open);
                        at + 1
                    }
                    b'}' | b']' | b')' => {
                        open = open.saturating_sub(1);
                        at + 1
                    }
                    b'"' => string_end(bytes, at),
                    byte if is_word(byte) => end_of_run(bytes, at, is_word),
                    _ => at + 1,
                }
            }
        };
    }
    extent
}

/// Whether a byte can be part of a name or a number.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'+' | b'.')
}

/// The position after the bytes from `start` on that satisfy `belongs`.
fn end_of_run(bytes: &[u8], start: usize, belongs: impl Fn(u8) -> bool) -> usize {
    bytes[start..]
        .iter()
        .position(|byte| !belongs(*byte))
        .map_or(bytes.len(), |length| start + length)
}

/// The position after the string that begins at `start`. An unclosed string ends with its line, an
/// unclosed block string with the text.
fn string_end(bytes: &[u8], start: usize) -> usize {
    let block = bytes[start..].starts_with(br#"""""#);
    let quote: &[u8] = if block { br#"""""# } else { br#"""# };
    let mut at = start + quote.len();
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if block && bytes[at..].starts_with(br#"\""""#) => at += 4,
            b'\\' if !block => at += 2,
            b'\r' | b'\n' if !block => return at,
            _ if bytes[at..].starts_with(quote) => return at + quote.len(),
            _ => at += 1,
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_and_nesting_are_counted_in_any_text() {
        for (text, tokens, nesting) in [
            ("", 0, 0),
            ("{ a }", 3, 1),
            (
                "query Q($x: [Int!]! = [1, -2.5e3]) { a(x: $x) { b } }",
                29,
                2,
            ),
            ("# { [ (\n{ a }", 3, 1),
            (r#"{ a(t: "} ) \" {{{") }"#, 8, 2),
            (r#"{ a(t: """ { " \""" { """) }"#, 8, 2),
            ("[[[[", 4, 4),
            ("\"open", 1, 0),
            ("\"\"\"open", 1, 0),
            ("\"\\", 1, 0),
            ("}}}{", 4, 1),
        ] {
            assert_eq!(scan(text), Extent { tokens, nesting }, "{text}");
        }
    }
}
