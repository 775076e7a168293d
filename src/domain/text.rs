//! Texts that people type. Each kind has its own bound, and none holds a NUL, which databases refuse or cut at.

use std::{fmt, sync::Arc};

/// Why a text is refused. The message is fit for the person who typed it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Ask for at least one visible character.
    #[error("{what} must not be empty")]
    Empty {
        /// Which text.
        what: &'static str,
    },
    /// Ask for a shorter one.
    #[error("{what} is {bytes} bytes long; the most is {bytes_max}")]
    TooLong {
        /// Which text.
        what: &'static str,
        /// How long it was.
        bytes: usize,
        /// How long it may be.
        bytes_max: usize,
    },
    /// Ask for one without U+0000.
    #[error("{what} must not hold the character U+0000")]
    Nul {
        /// Which text.
        what: &'static str,
    },
}

fn checked(what: &'static str, text: &str, bytes_max: usize) -> Result<Arc<str>, TextError> {
    if text.trim().is_empty() {
        return Err(TextError::Empty { what });
    }
    if text.len() > bytes_max {
        return Err(TextError::TooLong {
            what,
            bytes: text.len(),
            bytes_max,
        });
    }
    if text.contains('\0') {
        return Err(TextError::Nul { what });
    }
    Ok(text.into())
}

macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $what:literal, $bytes_max:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The most bytes of UTF-8 that this text may have unless a flag says less.
            pub const BYTES_MAX: usize = $bytes_max;

            /// Checks a text against this kind's own bound.
            pub fn new(text: &str) -> Result<Self, TextError> {
                Self::within(text, Self::BYTES_MAX)
            }

            /// Checks a text against a bound of the caller's, in bytes.
            pub fn within(text: &str, bytes_max: usize) -> Result<Self, TextError> {
                checked($what, text, bytes_max).map(Self)
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
    /// What a message says. The bound is the default of `--text-bytes-max`.
    MessageText, "text", 8192
}
text! {
    /// What a user is called. Not an identity: two users may share a name.
    UserName, "name", 128
}
text! {
    /// What a room is called.
    RoomName, "name", 256
}
text! {
    /// A sender's own name for one message, so that sending it again is safe (S4).
    Nonce, "nonce", 128
}
text! {
    /// What kind of thing a signal is, in the clients' own words.
    SignalKind, "kind", 64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_checked_at_and_past_their_edges() {
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
}
