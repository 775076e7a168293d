//! A look at a document's text before any parser sees it: how many tokens, how deeply nested. One linear pass.

/// What a document's text amounts to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Extent {
    /// Names, numbers, strings and punctuators.
    pub(super) tokens: usize,
    /// The deepest nesting of brackets of any kind.
    pub(super) nesting: usize,
}

/// Counts, without judging whether the text is well formed: that is the parser's.
pub(super) fn scan(text: &str) -> Extent {
    let bytes = text.as_bytes();
    let (mut extent, mut open, mut at) = (Extent::default(), 0_usize, 0);
    while at < bytes.len() {
        at = match bytes[at] {
            b' ' | b'\t' | b'\r' | b'\n' | b',' => at + 1,
            b'#' => past(bytes, at, |byte| !matches!(byte, b'\r' | b'\n')),
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
                    byte if word(byte) => past(bytes, at, word),
                    _ => at + 1,
                }
            }
        };
    }
    extent
}

fn word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'+' | b'.')
}

fn past(bytes: &[u8], start: usize, belongs: impl Fn(u8) -> bool) -> usize {
    bytes[start..]
        .iter()
        .position(|byte| !belongs(*byte))
        .map_or(bytes.len(), |length| start + length)
}

/// Where the string that begins at `start` ends; an unclosed one ends with its line, or with the text.
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
    fn tokens_and_nesting() {
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
