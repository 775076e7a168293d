//! Flags for web pages, host names and TLS.

use std::{net::SocketAddr, path::PathBuf};

use clap::Args;

use crate::transport::{BasePath, Host, Origin, RequestHeader, Site, TlsFiles};

/// Which web pages and host names may use the server, and TLS.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Browsers and TLS")]
pub struct EdgeFlags {
    /// Origin whose web pages may use the server as the server's own pages do, except that they do
    /// not get the cookie from `signIn`. `null` stands for pages from files and in Electron, but
    /// also for sandboxed frames of any page. Repeat it, or separate with commas
    #[arg(
        long,
        env = "SWITCHBOARD_ALLOW_ORIGIN",
        value_delimiter = ',',
        value_name = "ORIGIN"
    )]
    pub allow_origin: Vec<Origin>,
    /// Request header that pages of an allowed origin may set, beside those of common frameworks
    /// and tracing tools. Repeat it, or separate with commas
    #[arg(
        long,
        env = "SWITCHBOARD_ALLOW_HEADER",
        value_delimiter = ',',
        value_name = "NAME"
    )]
    pub allow_header: Vec<RequestHeader>,
    /// Host name that requests may use, besides localhost and the address of --listen. If not
    /// given, a server on a non-loopback address accepts any host. Repeat it, or separate with
    /// commas
    #[arg(
        long,
        env = "SWITCHBOARD_ALLOW_HOST",
        value_delimiter = ',',
        value_name = "HOST"
    )]
    pub allow_host: Vec<Host>,
    /// Path below which a proxy serves this server, for example /chat. The server then serves every
    /// path with and without it: the proxy may keep it or remove it
    #[arg(
        long,
        env = "SWITCHBOARD_BASE_PATH",
        default_value_t,
        hide_default_value = true,
        value_name = "PATH"
    )]
    pub base_path: BasePath,
    /// Serve https and wss with this certificate (PEM, followed by its intermediate certificates).
    /// Reloaded on SIGHUP, and when a check finds it changed (see --tls-check-interval)
    #[arg(long, env = "SWITCHBOARD_TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// The private key of the certificate (PEM, not encrypted)
    #[arg(long, env = "SWITCHBOARD_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
}

impl EdgeFlags {
    /// The hosts and origins that may use a server that listens on `listen`.
    pub fn site(&self, listen: SocketAddr) -> Site {
        let ip = listen.ip();
        // An IP address as the host is safe: an attacker cannot make a domain name of their own
        // appear as this address.
        let listened = (!ip.is_unspecified()).then(|| Host::from(ip));
        let checked = ip.to_canonical().is_loopback() || !self.allow_host.is_empty();
        let hosts = checked.then(|| self.allow_host.iter().cloned().chain(listened).collect());
        Site {
            origins: self.allow_origin.clone(),
            loopback_pages: self.allows_loopback_pages(listen),
            headers: self.allow_header.clone(),
            hosts,
            tls: self.tls_cert.is_some(),
            base_path: self.base_path.clone(),
        }
    }

    /// Whether pages of every origin on this machine may use a server that listens on `listen`: it
    /// is reached from this machine only, and no origin is named.
    pub fn allows_loopback_pages(&self, listen: SocketAddr) -> bool {
        listen.ip().to_canonical().is_loopback() && self.allow_origin.is_empty()
    }

    /// The files of the certificate. None if the server does not speak TLS.
    pub fn tls(&self) -> Result<Option<TlsFiles>, String> {
        match (&self.tls_cert, &self.tls_key) {
            (Some(certificate), Some(key)) => Ok(Some(TlsFiles {
                certificate: certificate.clone(),
                key: key.clone(),
            })),
            (None, None) => Ok(None),
            (Some(_), None) => {
                Err("--tls-cert needs --tls-key, the file with its private key".to_owned())
            }
            (None, Some(_)) => {
                Err("--tls-key needs --tls-cert, the file with its certificate".to_owned())
            }
        }
    }
}
