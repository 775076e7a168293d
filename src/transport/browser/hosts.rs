//! The host names of this server, and the origins whose pages may use it.

use std::{net::IpAddr, str::FromStr};

use axum::http::{HeaderMap, HeaderName, Uri, header, uri::Authority};

use crate::transport::browser::{
    base_path::BasePath,
    origin::{self, Origin, Sender},
};

/// The names of the local machine. No page on the web can have one of them.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// A malformed host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "write a host as in a URL, like chat.example or 192.168.0.7, without a scheme, a port or *"
)]
pub struct HostError;

/// The host of a URL as browsers write it: a name in lower case, or an IP address, which is in
/// brackets if it is IPv6.
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
    /// The host in an authority, with or without a port.
    fn of_authority(authority: &str) -> Option<Self> {
        let parsed: Authority = authority.parse().ok()?;
        let host = parsed.host();
        let port = authority.strip_prefix(host)?;
        let is_port = |port: &str| port.parse::<u16>().is_ok() && !port.starts_with('+');
        match port.strip_prefix(':') {
            Some(port) if !is_port(port) => None,
            None if !port.is_empty() => None,
            _ => host.parse().ok(),
        }
    }

    fn is_loopback(&self) -> bool {
        LOOPBACK.contains(&self.0.as_str())
    }

    /// Whether a page of this origin was loaded from the local machine.
    fn is_loopback_page(page: &Origin) -> bool {
        let host = page.web_authority().and_then(Self::of_authority);
        // Browsers resolve these names to the local machine too.
        host.is_some_and(|host| host.is_loopback() || host.0.ends_with(".localhost"))
    }
}

/// The identity of this server towards browsers: its hosts, and the origins that it allows.
#[derive(Clone, Debug, Default)]
pub struct Site {
    /// Other origins whose pages may do everything that this server's own pages may.
    pub origins: Vec<Origin>,
    /// Whether pages of every origin on this machine are allowed too, for development.
    pub loopback_pages: bool,
    /// Request headers that pages of allowed origins may set, beside the usual ones.
    pub headers: Vec<HeaderName>,
    /// The hosts that requests may name, beside those of the local machine. None if any is allowed.
    pub hosts: Option<Vec<Host>>,
    /// Whether the server itself serves TLS.
    pub tls: bool,
    /// The path below which a proxy serves this server.
    pub base_path: BasePath,
}

impl Site {
    /// Whether a request names a host of this server, and no other host. A page that attacks by DNS
    /// rebinding names its own host.
    pub(super) fn serves_host(&self, headers: &HeaderMap, uri: &Uri) -> bool {
        let mut named = hosts_named(headers, uri).peekable();
        let Some(hosts) = &self.hosts else {
            return named.all(|host| host.is_some());
        };
        named.peek().is_some()
            && named
                .all(|host| host.is_some_and(|host| host.is_loopback() || hosts.contains(&host)))
    }

    /// Whether the response tells browsers to use only TLS for this host (HSTS). Browsers apply
    /// that to all ports, so it is not sent for the local machine, where other programs serve too.
    pub(super) fn sends_hsts(&self, headers: &HeaderMap, uri: &Uri) -> bool {
        self.tls
            && hosts_named(headers, uri).all(|host| host.is_some_and(|host| !host.is_loopback()))
    }

    /// The page that sent a request, by its `Origin` header.
    pub(crate) fn sender(&self, headers: &HeaderMap, uri: &Uri) -> Sender {
        match origin::sender(headers, uri, &self.origins) {
            // A server with TLS has no page without TLS. An attacker in between may have made one.
            Sender::Own(page) if self.tls && !page.is_https() => match self.origins.contains(&page)
            {
                true => Sender::Allowed(page),
                false => Sender::Foreign,
            },
            Sender::Foreign if self.loopback_pages => match origin::origin(headers) {
                Some(page) if Host::is_loopback_page(&page) => Sender::Allowed(page),
                _ => Sender::Foreign,
            },
            sender => sender,
        }
    }
}

/// The hosts that a request names: in its URI, which HTTP/2 always includes, and in the `Host`
/// header. None stands for a host that cannot be read.
fn hosts_named(headers: &HeaderMap, uri: &Uri) -> impl Iterator<Item = Option<Host>> {
    let in_uri = uri
        .authority()
        .map(|authority| Host::of_authority(authority.as_str()));
    let in_headers = headers.get_all(header::HOST).into_iter();
    let in_headers = in_headers.filter(|host| !host.is_empty());
    in_uri
        .into_iter()
        .chain(in_headers.map(|host| Host::of_authority(host.to_str().unwrap_or_default())))
}

#[cfg(test)]
mod tests {
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
    fn a_request_may_name_the_local_machine_and_configured_hosts() {
        let site = Site {
            hosts: Some(vec!["chat.example".parse().unwrap()]),
            ..Site::default()
        };
        let is_served = |hosts: &[&str], uri: &str| {
            let given: Vec<_> = hosts.iter().map(|host| (header::HOST, *host)).collect();
            site.serves_host(&headers(&given), &uri.parse().unwrap())
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
            assert!(is_served(&[host], "/graphql"), "{host}");
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
            assert!(!is_served(&[host], "/graphql"), "{host}");
        }
        assert!(!is_served(&[], "/graphql"), "a request that names no host");
        assert!(
            is_served(&[], "https://localhost:4000/graphql"),
            "HTTP/2 names it in the URI"
        );
        assert!(!is_served(&["localhost"], "https://evil.example/graphql"));
        assert!(!is_served(&["localhost", "evil.example"], "/graphql"));
        assert!(Site::default().serves_host(
            &headers(&[(header::HOST, "evil.example")]),
            &Uri::from_static("/")
        ));
    }

    #[test]
    fn a_page_without_tls_does_not_belong_to_a_server_with_tls() {
        let sender = |origin: &str, site: &Site| {
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
            sender("http://chat.example", &plain),
            Sender::Own(_)
        ));
        assert!(matches!(
            sender("https://chat.example", &secure),
            Sender::Own(_)
        ));
        assert_eq!(sender("http://chat.example", &secure), Sender::Foreign);
        let named = Site {
            tls: true,
            origins: vec!["http://chat.example".parse().unwrap()],
            ..Site::default()
        };
        assert!(matches!(
            sender("http://chat.example", &named),
            Sender::Allowed(_)
        ));
    }
}
