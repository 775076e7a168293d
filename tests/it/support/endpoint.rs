//! How clients reach a server: over plain TCP or over TLS. Limits must hold over both.

use std::{io, net::SocketAddr, sync::Arc};

use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::MaybeTlsStream;

use super::{tls::Certificate, wait_for};

/// The layer below the connections of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Tcp,
    Tls,
}

/// Makes two tests of each function: one over plain TCP and one over TLS.
macro_rules! over_tcp_and_tls {
    ($($name:ident),+ $(,)?) => {
        mod over_tcp {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name($crate::support::endpoint::Transport::Tcp).await;
            })+
        }
        mod over_tls {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name($crate::support::endpoint::Transport::Tls).await;
            })+
        }
    };
}
pub(crate) use over_tcp_and_tls;

/// How to reach one server: its address, and its certificate if it uses TLS.
#[derive(Clone)]
pub(crate) struct Endpoint {
    pub(crate) address: SocketAddr,
    pub(crate) certificate: Option<Arc<Certificate>>,
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        Self {
            address,
            certificate: None,
        }
    }
}

impl Endpoint {
    /// Connects for HTTP/1.1. The receive buffer is small, so a test soon fills it while the client
    /// reads nothing.
    pub(crate) async fn connect(&self) -> io::Result<MaybeTlsStream<TcpStream>> {
        self.connect_with_protocol(b"http/1.1").await
    }

    /// Connects for a protocol, which is the name that TLS negotiates.
    pub(crate) async fn connect_with_protocol(
        &self,
        protocol: &[u8],
    ) -> io::Result<MaybeTlsStream<TcpStream>> {
        match &self.certificate {
            Some(certificate) => certificate
                .connect(self.address, &[protocol])
                .await
                .map(MaybeTlsStream::Rustls),
            None => self.connect_tcp().await.map(MaybeTlsStream::Plain),
        }
    }

    /// Connects over TCP and sends nothing, not even a handshake of TLS.
    pub(crate) async fn connect_tcp(&self) -> io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(16 * 1024)?;
        wait_for("a connection", socket.connect(self.address)).await
    }
}
