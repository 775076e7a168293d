//! The path below which a proxy serves this server.

use std::{fmt, str::FromStr};

/// A path prefix, for example `/chat`. The default is no prefix.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BasePath(String);

/// The text of a `--base-path` that is not a path prefix.
#[derive(Debug, thiserror::Error)]
#[error("write it like /chat: letters, digits, `-`, `_`, `.` and `~` between slashes")]
pub struct BasePathError;

impl FromStr for BasePath {
    type Err = BasePathError;

    fn from_str(text: &str) -> Result<Self, BasePathError> {
        let path = text.strip_suffix('/').unwrap_or(text);
        if path.is_empty() {
            return Ok(Self::default());
        }
        let mut segments = path.strip_prefix('/').ok_or(BasePathError)?.split('/');
        // The other characters would mean something to a cookie, a route or a URL.
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
        let is_segment =
            |segment: &str| !matches!(segment, "" | "." | "..") && segment.bytes().all(is_plain);
        if segments.all(is_segment) {
            Ok(Self(path.to_owned()))
        } else {
            Err(BasePathError)
        }
    }
}

impl fmt::Display for BasePath {
    /// Without a slash at the end; empty for no prefix.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl BasePath {
    /// Whether there is a prefix.
    pub(crate) fn is_given(&self) -> bool {
        !self.0.is_empty()
    }

    /// The address of the playground, as seen from the path of a request. Without a prefix it is
    /// relative, because a proxy may have removed a prefix that the server does not know.
    pub(crate) fn playground(&self, requested: &str) -> String {
        if self.is_given() {
            return format!("{self}/graphiql");
        }
        let depth = requested.matches('/').count().saturating_sub(1);
        format!("{}graphiql", "../".repeat(depth))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_one_or_more_plain_segments() {
        for (text, path) in [
            ("", ""),
            ("/", ""),
            ("/chat", "/chat"),
            ("/a/b-1/", "/a/b-1"),
        ] {
            assert_eq!(text.parse::<BasePath>().unwrap().to_string(), path);
        }
        for text in [
            "chat", "//chat", "/a//b", "/a/../b", "/{x}", "/a b", "/a;b", "/%41", "/é",
        ] {
            assert!(text.parse::<BasePath>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_playground_is_found_from_each_path() {
        let none = BasePath::default();
        for (requested, expected) in [
            ("/", "graphiql"),
            ("/graphql", "graphiql"),
            ("/graphql/", "../graphiql"),
        ] {
            assert_eq!(none.playground(requested), expected);
        }
        let chat: BasePath = "/chat".parse().unwrap();
        assert_eq!(chat.playground("/graphql/"), "/chat/graphiql");
    }
}
