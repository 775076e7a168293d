//! Texts that people type. Each kind has its own limit of length. No text contains U+0000, because
//! databases refuse it or end the text there.

use std::{fmt, sync::Arc};

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
    /// Ask for a text without U+0000.
    #[error("The {what} must not contain the character U+0000.")]
    Nul {
        /// The kind of text.
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
            /// The default limit of the length, in bytes of UTF-8.
            pub const BYTES_MAX: usize = $bytes_max;

            /// Checks a text against the default limit.
            pub fn new(text: &str) -> Result<Self, TextError> {
                Self::within(text, Self::BYTES_MAX)
            }

            /// Checks a text against another limit, in bytes of UTF-8.
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
    /// The text of a message. Its limit is the default of `--text-bytes-max`.
    MessageText, "text", 8192
}
text! {
    /// The name of a user. It is not an identity: two users may have the same name.
    UserName, "name", 128
}
text! {
    /// The name of a room.
    RoomName, "name", 256
}
text! {
    /// A sender's name for one message, so that it is safe to send the message again (S4).
    Nonce, "nonce", 128
}
text! {
    /// The kind of a signal. Clients choose it; the server does not interpret it.
    SignalKind, "kind", 64
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
}
