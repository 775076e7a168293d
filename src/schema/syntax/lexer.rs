//! Splits a document into tokens.

use std::fmt;

use async_graphql::Pos;

use super::{SyntaxError, is_name_continue, is_name_start, number, text};

/// The characters that are tokens by themselves. `...` is a token too.
const PUNCTUATORS: &str = "!$&():=@[]{|}";

/// A token.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token<'a> {
    /// The end of the document.
    End,
    Punctuator(char),
    /// `...`
    Spread,
    Name(&'a str),
    /// The text of a number without a fraction or an exponent.
    Int(&'a str),
    /// The text of another number.
    Float(&'a str),
    /// The value of a string or a block string.
    Text(String),
}

impl fmt::Display for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::End => f.write_str("the end of the document"),
            Self::Punctuator(character) => write!(f, "\"{character}\""),
            Self::Spread => f.write_str("\"...\""),
            Self::Name(text) | Self::Int(text) | Self::Float(text) => write!(f, "\"{text}\""),
            Self::Text(_) => f.write_str("a string"),
        }
    }
}

/// Reads the tokens of a text, one after the other.
#[derive(Debug)]
pub(super) struct Lexer<'a> {
    rest: &'a str,
    position: Pos,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            rest: text,
            position: Pos { line: 1, column: 1 },
        }
    }

    /// The next token, and where it begins.
    pub(super) fn next(&mut self) -> Result<(Token<'a>, Pos), SyntaxError> {
        self.skip_ignored();
        let begin = self.position;
        let token = self.token()?;
        Ok((token, begin))
    }

    fn token(&mut self) -> Result<Token<'a>, SyntaxError> {
        let Some(first) = self.rest.chars().next() else {
            return Ok(Token::End);
        };
        if PUNCTUATORS.contains(first) {
            self.take(first.len_utf8());
            return Ok(Token::Punctuator(first));
        }
        if self.rest.starts_with("...") {
            self.take(3);
            return Ok(Token::Spread);
        }
        if is_name_start(first) {
            let end = self.rest.find(|c| !is_name_continue(c));
            return Ok(Token::Name(self.take(end.unwrap_or(self.rest.len()))));
        }
        if first == '-' || first.is_ascii_digit() {
            return self.number();
        }
        if first == '"' {
            return self.text().map(Token::Text);
        }
        let message = format!("The character {} is not allowed here.", described(first));
        Err(SyntaxError::at(self.position, message))
    }

    fn number(&mut self) -> Result<Token<'a>, SyntaxError> {
        let (length, is_float) = number::length(self.rest)
            .map_err(|offset| self.error_at(offset, "The number is not well formed."))?;
        let text = self.take(length);
        Ok(if is_float {
            Token::Float(text)
        } else {
            Token::Int(text)
        })
    }

    fn text(&mut self) -> Result<String, SyntaxError> {
        let reading = match self.rest.strip_prefix(r#"""""#) {
            Some(content) => text::block(content).map(|(value, length)| (value, length + 3)),
            None => text::quoted(&self.rest[1..]).map(|(value, length)| (value, length + 1)),
        };
        let (value, length) =
            reading.map_err(|(offset, message)| self.error_at(offset, message))?;
        self.take(length);
        Ok(value)
    }

    /// Skips white space, commas, comments and byte order marks.
    fn skip_ignored(&mut self) {
        loop {
            let ignored = self
                .rest
                .find(|c| !matches!(c, ' ' | '\t' | '\n' | '\r' | ',' | '\u{feff}'));
            self.take(ignored.unwrap_or(self.rest.len()));
            if !self.rest.starts_with('#') {
                return;
            }
            let end = self.rest.find(['\n', '\r']);
            self.take(end.unwrap_or(self.rest.len()));
        }
    }

    /// Moves past this many bytes, and returns them.
    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.position = after(self.position, taken);
        self.rest = rest;
        taken
    }

    /// An error at an offset in bytes from here. An offset inside a character counts as its begin.
    fn error_at(&self, offset: usize, message: &str) -> SyntaxError {
        let offset = self.rest.floor_char_boundary(offset);
        SyntaxError::at(after(self.position, &self.rest[..offset]), message)
    }
}

/// The position after a text that begins at `position`.
fn after(mut position: Pos, text: &str) -> Pos {
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let is_break = character == '\n' || (character == '\r' && characters.peek() != Some(&'\n'));
        if is_break {
            position.line += 1;
            position.column = 1;
        } else {
            position.column += 1;
        }
    }
    position
}

/// A character as an error message names it.
fn described(character: char) -> String {
    if character.is_ascii_graphic() {
        format!("{character:?}")
    } else {
        format!("U+{:04X}", u32::from(character))
    }
}
