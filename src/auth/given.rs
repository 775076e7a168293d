//! Finds the token that a caller has given.
//!
//! Many clients send an empty `Authorization` while nobody is signed in. That is no credential, so
//! the caller is anonymous. It is not an invalid token, which is always refused (A1).

use super::TokenError;

/// The only value that was given, of all values of one header or of one name. Blank values count as
/// absent. None stands for a value that is not text.
///
/// # Errors
/// [`TokenError::NotText`], or [`TokenError::Ambiguous`] if there are several values: a proxy in
/// front of this server may have checked another than this server does.
pub fn only_value<'a>(
    values: impl IntoIterator<Item = Option<&'a str>>,
) -> Result<Option<&'a str>, TokenError> {
    let mut only = None;
    for value in values {
        let value = value.ok_or(TokenError::NotText)?.trim();
        if value.is_empty() {
            continue;
        }
        if only.is_some() {
            return Err(TokenError::Ambiguous);
        }
        only = Some(value);
    }
    Ok(only)
}

/// The token in an `Authorization` value: `Bearer TOKEN`, the scheme in any letter case. None if
/// only the scheme is given.
///
/// # Errors
/// [`TokenError::Scheme`] for another scheme.
pub fn bearer_token(authorization: &str) -> Result<Option<&str>, TokenError> {
    let (scheme, token) = authorization
        .split_once(char::is_whitespace)
        .unwrap_or((authorization, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(TokenError::Scheme);
    }
    Ok(Some(token.trim()).filter(|token| !token.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blank_values_count_as_absent() {
        for values in [&[][..], &[""], &[" \t"], &["", " "]] {
            assert_eq!(only_value(values.iter().copied().map(Some)), Ok(None));
        }
        assert_eq!(only_value([Some(""), Some(" a ")]), Ok(Some("a")));
        for other in ["a", "b"] {
            let both = only_value([Some("a"), Some(other)]);
            assert_eq!(both, Err(TokenError::Ambiguous));
        }
        assert_eq!(only_value([None]), Err(TokenError::NotText));
    }

    #[test]
    fn a_scheme_without_a_token_is_no_credential() {
        for none in ["Bearer", "bearer", "Bearer  "] {
            assert_eq!(bearer_token(none), Ok(None), "{none:?}");
        }
        for token in ["Bearer a", "BEARER \t a "] {
            assert_eq!(bearer_token(token), Ok(Some("a")), "{token:?}");
        }
        for other in ["Basic YTpi", "a", "Bearera", "Token a"] {
            assert_eq!(bearer_token(other), Err(TokenError::Scheme), "{other:?}");
        }
    }
}
