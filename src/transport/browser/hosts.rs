//! By which names this server goes, and whose pages may use it.

use std::{net::IpAddr, str::FromStr};

use axum::http::{HeaderMap, Uri, header, uri::Authority};

use crate::transport::browser::origin::{self, Origin, Sender};

/// The names of the machine that asks itself. No web page can have one of them.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// A host that is written wrongly.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "write a host as it stands in an address, like chat.example or 192.168.0.7, without a scheme, a port or *"
)]
pub struct HostError;

/// The host of an address, as browsers write it: a name in small letters, or an IP address, in brackets if it is IPv6.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host(String);

impl From<IpAddr> for Host {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => Self(ip.to_string()),
            IpAddr::V6(ip) => Self(format!("[{ip}]")),
        }
    }
}

impl FromStr for Host {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, HostError> {
        let inside = text
            .strip_prefix('[')
            .and_then(|text| text.strip_suffix(']'));
        if let Ok(ip) = inside.unwrap_or(text).parse::<IpAddr>()
            && (inside.is_none() || ip.is_ipv6())
        {
            return Ok(ip.into());
        }
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        if text.is_empty() || !text.bytes().all(is_name) {
            return Err(HostError);
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
}

impl Host {
    /// The host in what a request names, with or without a port.
    fn asked_for(authority: &str) -> Option<Self> {
        let parsed: Authority = authority.parse().ok()?;
        if authority.contains('@') {
            None
        } else {
            parsed.host().parse().ok()
        }
    }

    fn is_loopback(&self) -> bool {
        LOOPBACK.contains(&self.0.as_str())
    }
}

/// What this server knows of itself and of its pages' neighbours.
#[derive(Clone, Debug, Default)]
pub struct Site {
    /// Pages of other origins that may do what this server's own may.
    pub origins: Vec<Origin>,
    /// The hosts that requests may name, beside loopback's own; none if they may name any.
    pub hosts: Option<Vec<Host>>,
    /// Whether the server itself speaks TLS.
    pub tls: bool,
}

impl Site {
    /// Whether a request is meant for this server: it names a host, and none but this server's. A page whose name was
    /// bound to this machine's address names its own.
    pub(crate) fn is_meant(&self, headers: &HeaderMap, uri: &Uri) -> bool {
        let Some(hosts) = &self.hosts else {
            return true;
        };
        let mut asked = asked_for(headers, uri).peekable();
        asked.peek().is_some()
            && asked
                .all(|host| host.is_some_and(|host| host.is_loopback() || hosts.contains(&host)))
    }

    /// Whether browsers may remember that they reach the host of this request over TLS only. They would believe it of all
    /// ports, so it is not said of loopback, where other programs serve too.
    pub(crate) fn is_pinned(&self, headers: &HeaderMap, uri: &Uri) -> bool {
        self.tls && asked_for(headers, uri).all(|host| host.is_some_and(|host| !host.is_loopback()))
    }

    /// Whose page sent a request.
    pub(crate) fn sender(&self, headers: &HeaderMap, uri: &Uri) -> Sender {
        match origin::sender(headers, uri, &self.origins) {
            // A server that speaks TLS has no page without it; whoever sits in between may have made one.
            Sender::Own(page) if self.tls && !page.is_https() => match self.origins.contains(&page)
            {
                true => Sender::Allowed(page),
                false => Sender::Foreign,
            },
            sender => sender,
        }
    }
}

/// The hosts that a request names: in its address, which HTTP/2 always gives, and in its header. None for one that
/// cannot be read.
fn asked_for(headers: &HeaderMap, uri: &Uri) -> impl Iterator<Item = Option<Host>> {
    let address = uri
        .authority()
        .map(|authority| Host::asked_for(authority.as_str()));
    let named = headers.get_all(header::HOST).into_iter();
    address
        .into_iter()
        .chain(named.map(|host| Host::asked_for(host.to_str().unwrap_or_default())))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;

    use super::*;

    fn headers(given: &[(HeaderName, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in given {
            headers.append(name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn hosts_are_written_as_browsers_write_them() {
        for (text, written) in [
            ("Chat.Example", Some("chat.example")),
            ("192.168.0.7", Some("192.168.0.7")),
            ("::1", Some("[::1]")),
            ("[0:0:0:0:0:0:0:1]", Some("[::1]")),
            ("my_host-1", Some("my_host-1")),
            ("chat.example:4000", None),
            ("https://chat.example", None),
            ("user@chat.example", None),
            ("chat.example/", None),
            ("[127.0.0.1]", None),
            ("*", None),
            ("*.chat.example", None),
            ("", None),
        ] {
            assert_eq!(
                text.parse::<Host>().ok().map(|host| host.0).as_deref(),
                written,
                "{text}"
            );
        }
    }

    #[test]
    fn a_request_may_name_loopback_and_the_hosts_that_are_known() {
        let site = Site {
            hosts: Some(vec!["chat.example".parse().unwrap()]),
            ..Site::default()
        };
        let meant = |hosts: &[&str], uri: &str| {
            let given: Vec<_> = hosts.iter().map(|host| (header::HOST, *host)).collect();
            site.is_meant(&headers(&given), &uri.parse().unwrap())
        };
        for host in [
            "localhost",
            "LOCALHOST:4000",
            "127.0.0.1:4000",
            "[::1]",
            "[::1]:1",
            "chat.example",
            "Chat.Example:443",
        ] {
            assert!(meant(&[host], "/graphql"), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "evil.example:127",
            "127.0.0.2",
            "127.0.0.1.evil.example",
            "localhost@evil.example",
            "evil@localhost",
            "[::1",
            "a b",
            "",
        ] {
            assert!(!meant(&[host], "/graphql"), "{host}");
        }
        assert!(!meant(&[], "/graphql"), "a request that names no host");
        assert!(
            meant(&[], "https://localhost:4000/graphql"),
            "HTTP/2 names it in the address"
        );
        assert!(!meant(&["localhost"], "https://evil.example/graphql"));
        assert!(!meant(&["localhost", "evil.example"], "/graphql"));
        assert!(Site::default().is_meant(
            &headers(&[(header::HOST, "evil.example")]),
            &Uri::from_static("/")
        ));
    }

    #[test]
    fn a_page_without_tls_is_not_that_of_a_server_with_it() {
        let asked = |origin: &str, site: &Site| {
            site.sender(
                &headers(&[(header::ORIGIN, origin), (header::HOST, "chat.example")]),
                &Uri::from_static("/"),
            )
        };
        let (plain, secure) = (
            Site::default(),
            Site {
                tls: true,
                ..Site::default()
            },
        );
        assert!(matches!(
            asked("http://chat.example", &plain),
            Sender::Own(_)
        ));
        assert!(matches!(
            asked("https://chat.example", &secure),
            Sender::Own(_)
        ));
        assert_eq!(asked("http://chat.example", &secure), Sender::Foreign);
        let named = Site {
            tls: true,
            origins: vec!["http://chat.example".parse().unwrap()],
            hosts: None,
        };
        assert!(matches!(
            asked("http://chat.example", &named),
            Sender::Allowed(_)
        ));
    }
}
