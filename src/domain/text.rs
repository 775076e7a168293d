//! Texts that people type. Each kind has its own limit of length, and has at least one visible
//! character. No text contains U+0000, because databases refuse it or end the text there.
//!
//! Names stand beside other texts, in one line. So a name has no line breaks, no control characters
//! and no characters that change the direction of the text after them.

use std::{fmt, sync::Arc};

use icu_properties::{
    CodePointMapData, CodePointSetData,
    props::{BidiClass, DefaultIgnorableCodePoint, GeneralCategory},
};

/// The Braille pattern without dots. It is a symbol by its category, and shows nothing.
const BRAILLE_BLANK: char = '\u{2800}';

/// Why a text is refused. The message is for the person who typed it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Ask for at least one visible character.
    #[error("The {what} must not be empty.")]
    Empty {
        /// The kind of text.
        what: &'static str,
    },
    /// Ask for a shorter text.
    #[error("The {what} is {bytes} bytes long; the limit is {bytes_max}.")]
    TooLong {
        /// The kind of text.
        what: &'static str,
        /// The length of the text, in bytes.
        bytes: usize,
        /// The limit, in bytes.
        bytes_max: usize,
    },
    /// Ask for a name without line breaks and control characters.
    #[error("The {what} must not contain line breaks, control characters or changes of direction.")]
    Control {
        /// The kind of text.
        what: &'static str,
    },
    /// Ask for a text without U+0000.
    #[error("The {what} must not contain the character U+0000.")]
    Nul {
        /// The kind of text.
        what: &'static str,
    },
}

/// How many lines a text may have.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LineRule {
    Any,
    /// One, as names have.
    One,
}

fn checked(
    what: &'static str,
    lines: LineRule,
    text: &str,
    bytes_max: usize,
) -> Result<Arc<str>, TextError> {
    if text.len() > bytes_max {
        return Err(TextError::TooLong {
            what,
            bytes: text.len(),
            bytes_max,
        });
    }
    if !text.chars().any(is_visible) {
        return Err(TextError::Empty { what });
    }
    if text.contains('\0') {
        return Err(TextError::Nul { what });
    }
    if lines == LineRule::One && text.chars().any(breaks_the_line) {
        return Err(TextError::Control { what });
    }
    Ok(text.into())
}

/// Whether a character shows something by itself: it is no space, no control, no joiner and no
/// filler.
fn is_visible(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_graphic();
    }
    let is_blank = matches!(
        CodePointMapData::<GeneralCategory>::new().get(c),
        GeneralCategory::Control
            | GeneralCategory::Format
            | GeneralCategory::SpaceSeparator
            | GeneralCategory::LineSeparator
            | GeneralCategory::ParagraphSeparator
            | GeneralCategory::Unassigned
    );
    let is_ignorable = CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c);
    !is_blank && !is_ignorable && c != BRAILLE_BLANK
}

/// Whether a character ends the line, controls a terminal, or overrides the direction of the text
/// after it. The marks of direction (U+200E, U+200F) do not: names in Hebrew and Arabic have them.
fn breaks_the_line(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_control();
    }
    let breaks = matches!(
        CodePointMapData::<GeneralCategory>::new().get(c),
        GeneralCategory::Control
            | GeneralCategory::LineSeparator
            | GeneralCategory::ParagraphSeparator
    );
    let turns = matches!(
        CodePointMapData::<BidiClass>::new().get(c),
        BidiClass::LeftToRightEmbedding
            | BidiClass::LeftToRightOverride
            | BidiClass::LeftToRightIsolate
            | BidiClass::RightToLeftEmbedding
            | BidiClass::RightToLeftOverride
            | BidiClass::RightToLeftIsolate
            | BidiClass::FirstStrongIsolate
            | BidiClass::PopDirectionalFormat
            | BidiClass::PopDirectionalIsolate
    );
    breaks || turns
}

/// A text without the characters that a name must not have.
pub fn in_one_line(text: &str) -> String {
    text.chars().filter(|c| !breaks_the_line(*c)).collect()
}

macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $what:literal, $lines:ident, $bytes_max:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The default limit of the length, in bytes of UTF-8.
            pub const BYTES_MAX: usize = $bytes_max;

            /// Checks a text against the default limit.
            pub fn new(text: &str) -> Result<Self, TextError> {
                Self::within(text, Self::BYTES_MAX)
            }

            /// Checks a text against another limit, in bytes of UTF-8.
            pub fn within(text: &str, bytes_max: usize) -> Result<Self, TextError> {
                checked($what, LineRule::$lines, text, bytes_max).map(Self)
            }

            /// A text from the database. It was checked when it was stored, maybe by older rules.
            pub fn stored(text: &str) -> Self {
                Self(text.into())
            }

            /// The text as it was typed.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text! {
    /// The text of a message. Its limit is the default of `--text-bytes-max`.
    MessageText, "text", Any, 8192
}
text! {
    /// The name of a user. It is not an identity: two users may have the same name.
    UserName, "name", One, 128
}
text! {
    /// The name of a room.
    RoomName, "name", One, 256
}
text! {
    /// A sender's name for one message, so that it is safe to send the message again (S4).
    Nonce, "nonce", Any, 128
}
text! {
    /// The kind of a signal. Clients choose it; the server does not interpret it.
    SignalKind, "kind", Any, 64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_checked_at_their_limits() {
        assert!(MessageText::new(&"x".repeat(MessageText::BYTES_MAX)).is_ok());
        assert!(matches!(
            MessageText::new(&"x".repeat(MessageText::BYTES_MAX + 1)),
            Err(TextError::TooLong { .. })
        ));
        assert!(matches!(
            MessageText::new(" \n\t"),
            Err(TextError::Empty { .. })
        ));
        assert!(matches!(
            MessageText::new("a\0b"),
            Err(TextError::Nul { .. })
        ));
    }

    #[test]
    fn a_text_has_a_visible_character() {
        for blank in [
            "",
            " \n\t",
            "\u{200b}\u{200b}",
            "\u{200b}\u{2060}\u{feff}",
            "\u{3164}",
            "\u{115f}\u{1160}\u{ffa0}",
            "\u{2800}",
            "\u{200d}",
            "\u{e0001}\u{e007f}",
            "\u{ad}\u{34f}\u{180e}\u{fe0f}",
            "\u{a0}\u{2003}\u{3000}\u{1680}",
            "\u{2028}\u{2029}\u{85}",
            "\u{202e}\u{200f}",
            "\u{7f}\u{1b}",
            "\u{fff9}\u{fffb}",
            "\u{1d173}\u{1bca0}",
        ] {
            let empty = TextError::Empty { what: "text" };
            assert_eq!(MessageText::new(blank), Err(empty), "{blank:?}");
            assert!(UserName::new(blank).is_err(), "{blank:?}");
        }
        for text in [
            "a",
            ".",
            "\u{1f600}",
            "\u{301}",
            "猫",
            "\u{200b}a",
            "\u{2801}",
            "a\nb",
        ] {
            assert!(MessageText::new(text).is_ok(), "{text:?}");
        }
    }

    #[test]
    fn a_name_has_one_line_in_one_direction() {
        for name in [
            "Ada\nadmin",
            "Ada\radmin",
            "Ada\u{2028}admin",
            "Ada\u{2029}admin",
            "Ada\u{85}admin",
            "Ada\u{7}",
            "Ada\u{1b}[2J",
            "Ada\tadmin",
            "Ada\u{9b}2J",
            "admin\u{202e}",
            "\u{202a}a\u{202c}",
            "\u{2066}a\u{2069}",
            "a\u{2067}",
            "a\u{2068}",
        ] {
            assert_eq!(
                UserName::new(name),
                Err(TextError::Control { what: "name" }),
                "{name:?}"
            );
            assert!(RoomName::new(name).is_err(), "{name:?}");
            assert!(UserName::new(&in_one_line(name)).is_ok(), "{name:?}");
        }
        for name in [
            "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}",
            "می\u{200c}خواهم",
            "שלום\u{200f}",
            "नमस्ते",
            "Zoe\u{308}",
            "O'Brien, Jr.",
        ] {
            assert_eq!(UserName::new(name).unwrap().as_str(), name);
        }
    }
}
