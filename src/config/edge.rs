//! Flags for who may come, and over what.

use std::{net::SocketAddr, path::PathBuf};

use clap::Args;

use crate::transport::{Host, Origin, Site, TlsFiles};

/// Who may come, and over what.
#[derive(Args, Clone, Debug)]
pub struct EdgeFlags {
    /// An origin whose pages may do what this server's own may; repeatable, or separated by commas
    #[arg(
        long,
        env = "SWITCHBOARD_ALLOW_ORIGIN",
        value_delimiter = ',',
        value_name = "ORIGIN"
    )]
    pub allow_origin: Vec<Origin>,
    /// A host that requests may name, beside localhost; repeatable, or separated by commas. Where it listens beyond
    /// loopback and none is given, they may name any
    #[arg(
        long,
        env = "SWITCHBOARD_ALLOW_HOST",
        value_delimiter = ',',
        value_name = "HOST"
    )]
    pub allow_host: Vec<Host>,
    /// Serve https and wss with this certificate (PEM; the ones that vouch for it behind it). Read again when it
    /// changes, and on SIGHUP
    #[arg(long, env = "SWITCHBOARD_TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// Its private key (PEM, not encrypted)
    #[arg(long, env = "SWITCHBOARD_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
}

impl EdgeFlags {
    /// As the transports want it: the names of a server that listens there, and whose pages may use it.
    pub fn site(&self, listen: SocketAddr) -> Site {
        let ip = listen.ip();
        // Nobody can make another name stand for an address that was asked for as one.
        let listened = (!ip.is_unspecified()).then(|| Host::from(ip));
        let checked = ip.to_canonical().is_loopback() || !self.allow_host.is_empty();
        let hosts = checked.then(|| self.allow_host.iter().cloned().chain(listened).collect());
        Site {
            origins: self.allow_origin.clone(),
            hosts,
            tls: self.tls_cert.is_some(),
        }
    }

    /// The certificate's files, if it shall speak TLS.
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
