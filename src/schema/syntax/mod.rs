//! Parses GraphQL documents, by the grammar of the specification of September 2025.
//!
//! The syntax tree is the library's. Its own parser is not used, because it follows an older
//! specification: ADR 10 lists the differences.

mod lexer;
mod number;
mod parser;
#[cfg(test)]
mod tests;
mod text;

use async_graphql::Pos;

pub(super) use number::{float, long_int};
pub use parser::parse_document;

/// Why a text is no document. The message is a sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Syntax error: {message}")]
pub struct SyntaxError {
    message: String,
    /// Where the text is wrong. None if it lacks an operation.
    pub position: Option<Pos>,
}

impl SyntaxError {
    fn at(position: Pos, message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            position: Some(position),
        }
    }
}

fn is_name_start(character: char) -> bool {
    character.is_ascii_alphabetic() || character == '_'
}

fn is_name_continue(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}
