//! Who a client is to limits that count by address.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::http::{Extensions, HeaderMap};

/// Who stands at the other end of a connection, in the extensions of each of its requests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// An address as it is counted. Of IPv6 it is the network of 64 bits: that is what one customer is given, and who has it has
/// as many addresses in it as he likes.
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
    fn from(Address(counted): Address) -> Self {
        counted
    }
}

impl Address {
    /// Where a request comes from. Behind so many trusted proxies it is what the first of them heard; each adds whom it hears
    /// to the end of X-Forwarded-For, and what stands before that anybody can have written. A request without that many entries
    /// is the last proxy's own. None for a connection that is not of the network.
    pub(crate) fn of(
        extensions: &Extensions,
        headers: &HeaderMap,
        proxies_trusted: usize,
    ) -> Option<Self> {
        let Peer(peer) = *extensions.get()?;
        Some(forwarded(headers, proxies_trusted).unwrap_or(peer).into())
    }
}

fn forwarded(headers: &HeaderMap, proxies_trusted: usize) -> Option<IpAddr> {
    let back = proxies_trusted.checked_sub(1)?;
    let values = headers.get_all("x-forwarded-for").iter().rev();
    let mut entries = values.flat_map(|value| value.as_bytes().rsplit(|byte| *byte == b','));
    read(std::str::from_utf8(entries.nth(back)?).ok()?.trim())
}

/// An address, with a port or without one.
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
    fn only_what_trusted_proxies_wrote_is_believed() {
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
        // What is not there or cannot be read is the proxy's own.
        assert_eq!(address(&[], 1), PROXY);
        for value in [&b""[..], b"unknown", b"192.0.2.7, \xff"] {
            assert_eq!(address(&[value], 1), PROXY, "{value:?}");
        }
        assert_eq!(address(&[b"192.0.2.7"], 2), PROXY);
        // What a client wrote cannot shift what the proxy wrote behind it.
        assert_eq!(address(&[b"\xff,, x", b"192.0.2.7"], 1), client);
    }

    #[test]
    fn ipv6_counts_by_network_and_what_is_mapped_is_ipv4() {
        let seen = |text: &str| address(&[text.as_bytes()], 1).to_string();
        assert_eq!(seen("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(seen("[2001:db8:1:2::ffff]:443"), "2001:db8:1:2::");
        assert_eq!(seen("[2001:db8:1:3::1]"), "2001:db8:1:3::");
        assert_eq!(seen("::ffff:192.0.2.7"), "192.0.2.7");
    }

    #[test]
    fn what_is_not_of_the_network_has_no_address() {
        assert_eq!(Address::of(&Extensions::new(), &HeaderMap::new(), 1), None);
    }
}
