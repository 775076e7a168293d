//! The header with the token of a request.

use std::str::FromStr;

use axum::http::{HeaderMap, HeaderName, header};

use crate::{
    auth::{TokenError, bearer_token, only_value},
    protocol::{MessagePayload, values_named},
};

/// Headers that have another meaning.
const TAKEN: [HeaderName; 10] = [
    header::ACCEPT,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::COOKIE,
    header::HOST,
    header::ORIGIN,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// A header that cannot have the token. Choose another.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenHeaderError {
    /// The text is not the name of a header.
    #[error("not the name of a header")]
    Malformed,
    /// HTTP gives the header another meaning.
    #[error("this header has another meaning")]
    Taken,
}

/// The name of the header with the token. In `Authorization` the value is `Bearer TOKEN`. In
/// another header it may also be the token alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenHeader(HeaderName);

impl Default for TokenHeader {
    fn default() -> Self {
        Self(header::AUTHORIZATION)
    }
}

impl FromStr for TokenHeader {
    type Err = TokenHeaderError;

    fn from_str(text: &str) -> Result<Self, TokenHeaderError> {
        let name = text.parse().map_err(|_| TokenHeaderError::Malformed)?;
        if TAKEN.contains(&name) {
            return Err(TokenHeaderError::Taken);
        }
        Ok(Self(name))
    }
}

impl TokenHeader {
    /// The name of the header.
    pub fn name(&self) -> &HeaderName {
        &self.0
    }

    /// The token in the headers of a request. Its absence is no error.
    ///
    /// # Errors
    /// The headers have several tokens, or one that cannot be read.
    pub(super) fn token<'a>(&self, headers: &'a HeaderMap) -> Result<Option<&'a str>, TokenError> {
        let values = headers.get_all(&self.0).iter();
        self.read(values.map(|value| value.to_str().ok()))
    }

    /// The token in the payload of a WebSocket message: under `authorization`, or under the name of
    /// the header.
    ///
    /// # Errors
    /// The payload has several tokens, or one that cannot be read.
    pub(super) fn token_in_payload<'a>(
        &'a self,
        payload: &'a MessagePayload,
    ) -> Result<Option<&'a str>, TokenError> {
        let another = Some(self.0.as_str()).filter(|_| self.0 != header::AUTHORIZATION);
        let names = [Some(header::AUTHORIZATION.as_str()), another].into_iter();
        let values = names.flatten().flat_map(|name| values_named(payload, name));
        self.read(values)
    }

    fn read<'a>(
        &self,
        values: impl IntoIterator<Item = Option<&'a str>>,
    ) -> Result<Option<&'a str>, TokenError> {
        let Some(value) = only_value(values)? else {
            return Ok(None);
        };
        match bearer_token(value) {
            Err(TokenError::Scheme) if self.0 != header::AUTHORIZATION => Ok(Some(value)),
            token => token,
        }
    }
}
