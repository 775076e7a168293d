//! The address that a client is counted by.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::http::{Extensions, HeaderMap};

/// A request extension: the IP address at the other end of the connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// The address that a client is counted by. For IPv6 it is the /64 network: providers assign one
/// such network to a customer, who can use any address in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Address(IpAddr);

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(address) => address.into(),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
            }
        })
    }
}

impl From<Address> for IpAddr {
    fn from(Address(address): Address) -> Self {
        address
    }
}

impl Address {
    /// The address that a request comes from. None if the connection is not a network connection.
    ///
    /// Behind N trusted proxies it is the Nth entry from the end of `X-Forwarded-For`: each proxy
    /// appends the address of its own peer. The client can have written any entry before that. A
    /// request with fewer entries comes from the last proxy itself.
    pub(crate) fn of(
        extensions: &Extensions,
        headers: &HeaderMap,
        proxies_trusted: usize,
    ) -> Option<Self> {
        let Peer(peer) = *extensions.get()?;
        Some(forwarded(headers, proxies_trusted).unwrap_or(peer).into())
    }
}

/// The client's address by `X-Forwarded-For`, if the trusted proxies wrote one.
fn forwarded(headers: &HeaderMap, proxies_trusted: usize) -> Option<IpAddr> {
    let index_from_end = proxies_trusted.checked_sub(1)?;
    let values = headers.get_all("x-forwarded-for").iter().rev();
    let mut entries = values.flat_map(|value| value.as_bytes().rsplit(|byte| *byte == b','));
    read(
        std::str::from_utf8(entries.nth(index_from_end)?)
            .ok()?
            .trim(),
    )
}

/// Reads an address with or without a port.
fn read(entry: &str) -> Option<IpAddr> {
    let bare = entry
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(entry);
    bare.parse().ok().or_else(|| {
        entry
            .parse()
            .ok()
            .map(|with_port: SocketAddr| with_port.ip())
    })
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use axum::http::HeaderValue;

    use super::*;

    const PROXY: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));

    fn address(values: &[&[u8]], proxies_trusted: usize) -> IpAddr {
        let (mut headers, mut extensions) = (HeaderMap::new(), Extensions::new());
        for value in values {
            headers.append("x-forwarded-for", HeaderValue::from_bytes(value).unwrap());
        }
        extensions.insert(Peer(PROXY));
        Address::of(&extensions, &headers, proxies_trusted)
            .unwrap()
            .0
    }

    #[test]
    fn only_entries_of_trusted_proxies_count() {
        let client: IpAddr = "192.0.2.7".parse().unwrap();
        let forged_first: &[u8] = b"203.0.113.9, 192.0.2.7";
        assert_eq!(address(&[forged_first], 0), PROXY);
        assert_eq!(address(&[forged_first], 1), client);
        assert_eq!(address(&[b"203.0.113.9", b"192.0.2.7"], 1), client);
        assert_eq!(
            address(&[b"203.0.113.9, 192.0.2.7", b"10.0.0.2"], 2),
            client
        );
        assert_eq!(address(&[b"192.0.2.7:4711"], 1), client);
        // A missing or malformed entry stands for the proxy itself.
        assert_eq!(address(&[], 1), PROXY);
        for value in [&b""[..], b"unknown", b"192.0.2.7, \xff"] {
            assert_eq!(address(&[value], 1), PROXY, "{value:?}");
        }
        assert_eq!(address(&[b"192.0.2.7"], 2), PROXY);
        // Entries that the client wrote do not shift the proxy's entry.
        assert_eq!(address(&[b"\xff,, x", b"192.0.2.7"], 1), client);
    }

    #[test]
    fn ipv6_counts_by_network_and_mapped_addresses_are_ipv4() {
        let seen = |text: &str| address(&[text.as_bytes()], 1).to_string();
        assert_eq!(seen("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(seen("[2001:db8:1:2::ffff]:443"), "2001:db8:1:2::");
        assert_eq!(seen("[2001:db8:1:3::1]"), "2001:db8:1:3::");
        assert_eq!(seen("::ffff:192.0.2.7"), "192.0.2.7");
    }

    #[test]
    fn a_connection_without_a_peer_has_no_address() {
        assert_eq!(Address::of(&Extensions::new(), &HeaderMap::new(), 1), None);
    }
}
