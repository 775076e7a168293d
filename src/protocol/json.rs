//! Reads the JSON that clients send, as tolerantly as browsers do.

use std::borrow::Cow;

use serde::de::DeserializeOwned;

/// U+FFFD, the replacement character, as an escape of JSON.
const REPLACEMENT: &[u8] = br"\ufffd";

/// The length of an escape of one UTF-16 unit: `\u` and four digits.
const ESCAPE_BYTES: usize = 6;

/// Reads JSON. Half of a surrogate pair, as in a text that was cut in the middle of an emoji, is
/// read as U+FFFD. A byte order mark in front is skipped.
///
/// # Errors
/// The bytes are not JSON, or not of this type; a number is too large for a float; or arrays and
/// objects are nested more than 127 deep.
pub fn read_json<T: DeserializeOwned>(bytes: &[u8]) -> serde_json::Result<T> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    serde_json::from_slice(&with_whole_pairs(bytes))
}

/// The text with [`REPLACEMENT`] in place of each escape of half a surrogate pair.
pub(super) fn with_whole_pairs(text: &[u8]) -> Cow<'_, [u8]> {
    let mut whole = Cow::Borrowed(text);
    let mut at = 0;
    while let Some(distance) = text[at..].iter().position(|byte| *byte == b'\\') {
        at += distance;
        let unit = unit_at(text, at);
        let is_pair = unit.is_some_and(is_leading)
            && unit_at(text, at + ESCAPE_BYTES).is_some_and(is_trailing);
        at += match unit {
            Some(_) if is_pair => 2 * ESCAPE_BYTES,
            Some(unit) => {
                if is_leading(unit) || is_trailing(unit) {
                    whole.to_mut()[at..at + ESCAPE_BYTES].copy_from_slice(REPLACEMENT);
                }
                ESCAPE_BYTES
            }
            // Another escape: a backslash and one character.
            None => 2.min(text.len() - at),
        };
    }
    whole
}

/// The UTF-16 unit whose escape begins here, if one does.
fn unit_at(text: &[u8], at: usize) -> Option<u16> {
    let escape = text.get(at..at + ESCAPE_BYTES)?;
    let digits = escape.strip_prefix(br"\u")?;
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u16::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()
}

fn is_leading(unit: u16) -> bool {
    (0xd800..0xdc00).contains(&unit)
}

fn is_trailing(unit: u16) -> bool {
    (0xdc00..0xe000).contains(&unit)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn half_a_surrogate_pair_is_the_replacement_character() {
        for (text, expected) in [
            (r#""\ud83d\ude00""#, "\u{1f600}"),
            (r#""a\ud83d""#, "a\u{fffd}"),
            (r#""\uDE00b""#, "\u{fffd}b"),
            (r#""\ud83d\ud83d\ude00""#, "\u{fffd}\u{1f600}"),
            (r#""\ude00\ud83d""#, "\u{fffd}\u{fffd}"),
            (r#""\ud83d\n""#, "\u{fffd}\n"),
            (r#""\ud83d\u0041""#, "\u{fffd}A"),
            (r#""\\ud83d""#, r"\ud83d"),
            (r#""\\\ud83d""#, "\\\u{fffd}"),
            (r#""\u00e4\"""#, "\u{e4}\""),
        ] {
            let read: String = read_json(text.as_bytes()).unwrap();
            assert_eq!(read, expected, "{text}");
        }
    }

    #[test]
    fn texts_that_are_not_json_are_errors() {
        for text in [r#""\"#, r#""\u"#, r#""\ud83"#, r#""\ud83g""#, "\\", "1e999"] {
            assert!(read_json::<Value>(text.as_bytes()).is_err(), "{text}");
        }
        assert!(read_json::<Value>(b"\"\xff\"").is_err());
        assert!(read_json::<Value>("[".repeat(200).as_bytes()).is_err());
        assert_eq!(read_json::<Value>(b"\xef\xbb\xbf1").unwrap(), 1);
    }
}
