//! Over what a test's clients reach the server: as bare as it is, or over TLS. What is promised of limits holds over both.

use std::{io, net::SocketAddr, sync::Arc};

use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::MaybeTlsStream;

use super::{soon, tls::Certificate};

/// What a server of a test's own shall speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    Tcp,
    Tls,
}

/// Has each of these run twice: over TCP as it is, and over TLS.
macro_rules! over_both {
    ($($name:ident),+ $(,)?) => {
        mod over_tcp {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name($crate::support::wire::Over::Tcp).await;
            })+
        }
        mod over_tls {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name($crate::support::wire::Over::Tls).await;
            })+
        }
    };
}
pub(crate) use over_both;

/// The way to one server.
#[derive(Clone)]
pub(crate) struct Wire {
    pub(crate) address: SocketAddr,
    pub(crate) certificate: Option<Arc<Certificate>>,
}

impl From<SocketAddr> for Wire {
    fn from(address: SocketAddr) -> Self {
        Self {
            address,
            certificate: None,
        }
    }
}

impl Wire {
    /// A connection on which HTTP/1.1 is spoken. What it has not read yet is little, so that a test need not send much to one
    /// that does not read.
    pub(crate) async fn connect(&self) -> io::Result<MaybeTlsStream<TcpStream>> {
        self.speaking(b"http/1.1").await
    }

    /// A connection on which this is spoken.
    pub(crate) async fn speaking(&self, protocol: &[u8]) -> io::Result<MaybeTlsStream<TcpStream>> {
        match &self.certificate {
            Some(certificate) => certificate
                .connect(self.address, &[protocol])
                .await
                .map(MaybeTlsStream::Rustls),
            None => self.bare().await.map(MaybeTlsStream::Plain),
        }
    }

    /// A connection before anything is said, a handshake of TLS neither.
    pub(crate) async fn bare(&self) -> io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(16 * 1024)?;
        soon("a connection", socket.connect(self.address)).await
    }
}
