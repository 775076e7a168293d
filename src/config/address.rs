//! How addresses and databases are written on the command line.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The port without a flag and without the variable `PORT`.
const PORT: &str = "4000";

/// The database that is removed when the server ends.
pub(super) const EPHEMERAL: &str = "sqlite::memory:";

/// The default of `--listen`: a port on loopback. Hosting platforms set the port in `PORT`.
pub(super) fn default_listen() -> String {
    let port = std::env::var("PORT").ok().filter(|port| !port.is_empty());
    format!("127.0.0.1:{}", port.as_deref().unwrap_or(PORT))
}

/// Reads `127.0.0.1:4000`, `[::1]:4000`, `localhost:4000`, `:4000` or `4000`. Without a host, it is
/// loopback.
pub(super) fn listen(text: &str) -> Result<SocketAddr, String> {
    let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
    let invalid = || {
        format!("write an address and a port, like 127.0.0.1:{PORT}, or only a port, like {PORT}")
    };
    let port = port.parse().map_err(|_| invalid())?;
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    let host = match host {
        "" | "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
        "*" => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        host => host.parse().map_err(|_| invalid())?,
    };
    Ok(SocketAddr::new(host, port))
}

/// Reads `sqlite://PATH`, `sqlite:PATH`, `PATH`, or `:memory:` for a database that is removed when
/// the server ends. Returns the first form.
pub(super) fn database(text: &str) -> Result<String, String> {
    let path = text
        .strip_prefix("sqlite://")
        .or_else(|| text.strip_prefix("sqlite:"))
        .unwrap_or(text);
    match path {
        "" => Err("the path is missing: sqlite://PATH".to_owned()),
        ":memory:" => Ok(EPHEMERAL.to_owned()),
        path if path.contains("mode=memory") => Ok(EPHEMERAL.to_owned()),
        path if path.contains("://") => {
            Err("this version stores its data in SQLite: sqlite://PATH".to_owned())
        }
        path => Ok(format!("sqlite://{path}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_several_spellings() {
        for (text, address) in [
            ("127.0.0.1:4000", "127.0.0.1:4000"),
            ("localhost:80", "127.0.0.1:80"),
            (":8080", "127.0.0.1:8080"),
            ("8080", "127.0.0.1:8080"),
            ("0", "127.0.0.1:0"),
            ("[::1]:4000", "[::1]:4000"),
            ("0.0.0.0:4000", "0.0.0.0:4000"),
            ("*:4000", "0.0.0.0:4000"),
        ] {
            assert_eq!(listen(text).unwrap().to_string(), address, "{text}");
        }
        for text in [
            "",
            "localhost",
            "127.0.0.1",
            ":",
            "70000",
            "example.com:80",
            "::1",
        ] {
            assert!(listen(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_database_has_several_spellings() {
        for (text, url) in [
            ("sqlite://x.db", "sqlite://x.db"),
            ("sqlite:x.db", "sqlite://x.db"),
            ("x.db", "sqlite://x.db"),
            ("/srv/x.db", "sqlite:///srv/x.db"),
            ("sqlite:///srv/x.db?mode=ro", "sqlite:///srv/x.db?mode=ro"),
            (":memory:", EPHEMERAL),
            ("sqlite::memory:", EPHEMERAL),
            ("sqlite://:memory:", EPHEMERAL),
            ("sqlite://?mode=memory", EPHEMERAL),
        ] {
            assert_eq!(database(text).as_deref(), Ok(url), "{text}");
        }
        for text in ["", "sqlite:", "sqlite://", "postgres://x/y", "mysql://x"] {
            assert!(database(text).is_err(), "{text}");
        }
    }
}
