//! The page that sent a request, as the browser reports it.

use std::{fmt, str::FromStr};

use axum::http::{HeaderMap, HeaderName, Uri, header};

/// A malformed origin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// A wildcard. Name each origin instead.
    #[error("name each origin: with * every page on the web could act here for its visitors")]
    Any,
    /// Not an origin. Correct it.
    #[error(
        "write an origin as browsers do, like https://chat.example or http://localhost:3000, without a path"
    )]
    Malformed,
}

/// The origin that browsers send for pages without an origin of their own.
const NULL: &str = "null";

/// A browser's origin: scheme, host, and the port unless it is the scheme's default. The origin
/// `null`, of pages from files and in Electron, has an empty scheme.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    scheme: String,
    authority: String,
}

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        let text = text.to_ascii_lowercase();
        if text == NULL {
            return Ok(Self {
                scheme: String::new(),
                authority: String::new(),
            });
        }
        if text.contains('*') {
            return Err(OriginError::Any);
        }
        let (scheme, authority) = text.split_once("://").ok_or(OriginError::Malformed)?;
        let uri: Uri = authority.parse().map_err(|_| OriginError::Malformed)?;
        // An authority alone: no path, no query, no user.
        let bare = uri
            .authority()
            .is_some_and(|parsed| parsed.as_str() == authority)
            && !authority.contains('@');
        if !bare
            || scheme.is_empty()
            || !scheme
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        {
            return Err(OriginError::Malformed);
        }
        Ok(Self {
            authority: without_default_port(scheme, authority).to_owned(),
            scheme: scheme.to_owned(),
        })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_null() {
            return f.write_str(NULL);
        }
        write!(f, "{}://{}", self.scheme, self.authority)
    }
}

impl Origin {
    /// Whether this is the origin that many pages share: those from files, in Electron, and in
    /// sandboxed frames of any page.
    pub fn is_null(&self) -> bool {
        self.scheme.is_empty()
    }

    /// The host and the port of the page, if it was loaded from a web server.
    pub(super) fn web_authority(&self) -> Option<&str> {
        matches!(&*self.scheme, "http" | "https").then_some(&self.authority)
    }

    /// Whether the page was loaded over TLS.
    pub(super) fn is_https(&self) -> bool {
        self.scheme == "https"
    }
}

/// The page that sent a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sender {
    /// No page, or a page that the browser does not name.
    Unknown,
    /// A page of this server.
    Own(Origin),
    /// A page of an origin that the operator allows.
    Allowed(Origin),
    /// A page of any other origin.
    Foreign,
}

impl Sender {
    /// Whether the request comes from a page that may not use this server. `headers` are those of
    /// the request.
    pub(crate) fn is_foreign(&self, headers: &HeaderMap) -> bool {
        match self {
            Self::Foreign => true,
            Self::Allowed(_) => false,
            Self::Own(_) | Self::Unknown => is_cross_site(headers),
        }
    }
}

/// The page that sent a request: its `Origin` is the server's own, or on the list, or foreign.
///
/// Only host and port decide whether it is the server's own: behind a proxy that terminates TLS the
/// server does not know its scheme.
pub(crate) fn sender(headers: &HeaderMap, uri: &Uri, allowed: &[Origin]) -> Sender {
    if !headers.contains_key(header::ORIGIN) {
        return Sender::Unknown;
    }
    let Some(origin) = origin(headers) else {
        return Sender::Foreign;
    };
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let host = host
        .or_else(|| uri.authority().map(|authority| authority.as_str()))
        .map(str::to_ascii_lowercase);
    match host.filter(|_| !origin.is_null()) {
        Some(host) if without_default_port(&origin.scheme, &host) == origin.authority => {
            Sender::Own(origin)
        }
        _ if allowed.contains(&origin) => Sender::Allowed(origin),
        _ => Sender::Foreign,
    }
}

/// The origin that a request names, if it can be read.
pub(super) fn origin(headers: &HeaderMap) -> Option<Origin> {
    headers.get(header::ORIGIN)?.to_str().ok()?.parse().ok()
}

/// The header by which browsers say whether a page of another site has caused the request.
pub(super) const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether the browser says that another site caused this request (`Sec-Fetch-Site`).
pub(super) fn is_cross_site(headers: &HeaderMap) -> bool {
    headers
        .get(SEC_FETCH_SITE)
        .is_some_and(|site| !matches!(site.as_bytes(), b"same-origin" | b"none"))
}

fn without_default_port<'a>(scheme: &str, authority: &'a str) -> &'a str {
    let port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return authority,
    };
    authority.strip_suffix(port).unwrap_or(authority)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(headers: &[(HeaderName, &str)]) -> Sender {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.clone(), value.parse().unwrap()))
            .collect();
        sender(
            &headers,
            &Uri::from_static("/graphql"),
            &["https://friend.example".parse().unwrap()],
        )
    }

    #[test]
    fn a_page_is_identified_by_its_origin() {
        let own = |text: &str| Sender::Own(text.parse().unwrap());
        for (origin, host, expected) in [
            (
                "http://localhost:4000",
                "localhost:4000",
                own("http://localhost:4000"),
            ),
            (
                "https://Chat.Example",
                "chat.example",
                own("https://chat.example"),
            ),
            (
                "https://chat.example",
                "chat.example:443",
                own("https://chat.example"),
            ),
            ("http://[::1]:4000", "[::1]:4000", own("http://[::1]:4000")),
            ("https://chat.example:8443", "chat.example", Sender::Foreign),
            (
                "https://friend.example",
                "chat.example",
                Sender::Allowed("https://friend.example".parse().unwrap()),
            ),
            ("http://friend.example", "chat.example", Sender::Foreign),
            (
                "https://friend.example.evil",
                "chat.example",
                Sender::Foreign,
            ),
            ("https://chat.example.evil", "chat.example", Sender::Foreign),
            ("https://evil@chat.example", "chat.example", Sender::Foreign),
            ("null", "chat.example", Sender::Foreign),
            ("", "", Sender::Foreign),
        ] {
            assert_eq!(
                sent(&[(header::ORIGIN, origin), (header::HOST, host)]),
                expected,
                "{origin} at {host}"
            );
        }
        assert_eq!(sent(&[(header::HOST, "chat.example")]), Sender::Unknown);
    }

    #[test]
    fn http_2_names_the_host_in_the_uri() {
        let headers = [(header::ORIGIN, "https://chat.example".parse().unwrap())]
            .into_iter()
            .collect();
        let uri = Uri::from_static("https://chat.example/graphql");
        assert!(matches!(sender(&headers, &uri, &[]), Sender::Own(_)));
    }

    #[test]
    fn origins_are_written_as_browsers_write_them() {
        for (text, written) in [
            ("https://chat.example", Some("https://chat.example")),
            ("HTTPS://Chat.Example:443", Some("https://chat.example")),
            ("http://localhost:3000", Some("http://localhost:3000")),
            (
                "chrome-extension://abcdef",
                Some("chrome-extension://abcdef"),
            ),
            ("https://chat.example/", None),
            ("https://chat.example/path", None),
            ("https://user@chat.example", None),
            ("null", Some("null")),
            ("chat.example", None),
            ("https://", None),
            ("", None),
        ] {
            let parsed = text.parse::<Origin>().ok().map(|origin| origin.to_string());
            assert_eq!(parsed.as_deref(), written, "{text}");
        }
        for text in ["*", "https://*", "https://*.chat.example"] {
            assert_eq!(text.parse::<Origin>(), Err(OriginError::Any), "{text}");
        }
    }

    #[test]
    fn sec_fetch_site_marks_requests_of_other_sites() {
        let is_marked = |site: &str| {
            is_cross_site(
                &[(
                    HeaderName::from_static("sec-fetch-site"),
                    site.parse().unwrap(),
                )]
                .into_iter()
                .collect(),
            )
        };
        assert!(
            !is_cross_site(&HeaderMap::new()) && !is_marked("same-origin") && !is_marked("none")
        );
        assert!(is_marked("cross-site") && is_marked("same-site") && is_marked("anything else"));
    }
}
