//! Flags for who may come, and over what.

use std::net::SocketAddr;

use clap::Args;

use crate::transport::{Host, Origin, Site};

/// Who may come, and over what.
#[derive(Args, Clone, Debug)]
pub struct EdgeFlags {
    /// An origin whose pages may do what this server's own may; repeatable, or separated by commas
    #[arg(long, env = "SWITCHBOARD_ALLOW_ORIGIN", value_delimiter = ',', value_name = "ORIGIN")]
    pub allow_origin: Vec<Origin>,
    /// A host that requests may name, beside localhost; repeatable, or separated by commas. Where it listens beyond
    /// loopback and none is given, they may name any
    #[arg(long, env = "SWITCHBOARD_ALLOW_HOST", value_delimiter = ',', value_name = "HOST")]
    pub allow_host: Vec<Host>,
}

impl EdgeFlags {
    /// As the transports want it: the names of a server that listens there, and whose pages may use it.
    pub fn site(&self, listen: SocketAddr) -> Site {
        let ip = listen.ip();
        // Nobody can make another name stand for an address that was asked for as one.
        let listened = (!ip.is_unspecified()).then(|| Host::from(ip));
        let checked = ip.to_canonical().is_loopback() || !self.allow_host.is_empty();
        let hosts = checked.then(|| self.allow_host.iter().cloned().chain(listened).collect());
        Site { origins: self.allow_origin.clone(), hosts, tls: false }
    }
}
