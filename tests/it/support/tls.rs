//! Certificates of a test's own, and a client that trusts one of them.

use std::{io, net::SocketAddr, sync::Arc};

use rcgen::{CertificateParams, CertifiedKey, KeyPair, date_time_ymd, generate_simple_self_signed};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::CertificateDer},
};

use super::{Folder, http::Reply, soon};

/// What certificates of tests are for.
pub(crate) const NAME: &str = "chat.example";

pub(crate) struct Certificate {
    pub(crate) pem: String,
    pub(crate) key: String,
    pub(crate) der: CertificateDer<'static>,
}

impl Certificate {
    /// A new one, signed by itself.
    pub(crate) fn new() -> Self {
        let names = [NAME, "localhost"].map(str::to_owned).to_vec();
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).unwrap();
        Self {
            pem: cert.pem(),
            key: signing_key.serialize_pem(),
            der: cert.der().clone(),
        }
    }

    /// One that was good until this day.
    pub(crate) fn until((year, month, day): (i32, u8, u8)) -> Self {
        let mut params =
            CertificateParams::new([NAME, "localhost"].map(str::to_owned).to_vec()).unwrap();
        params.not_after = date_time_ymd(year, month, day);
        let key = KeyPair::generate().unwrap();
        let cert = params.self_signed(&key).unwrap();
        Self {
            pem: cert.pem(),
            key: key.serialize_pem(),
            der: cert.der().clone(),
        }
    }

    /// Where a server finds it, as flags.
    pub(crate) fn put(&self, folder: &Folder) -> [String; 4] {
        let [pem, key] = files(folder);
        std::fs::write(&pem, &self.pem).unwrap();
        std::fs::write(&key, &self.key).unwrap();
        ["--tls-cert".to_owned(), pem, "--tls-key".to_owned(), key]
    }

    /// A connection to a server that has this one; these protocols are offered.
    pub(crate) async fn connect(
        &self,
        address: SocketAddr,
        protocols: &[&[u8]],
    ) -> io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).unwrap();
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        let socket = TcpSocket::new_v4()?;
        // Small, so that a test need not send much to one that does not read.
        socket.set_recv_buffer_size(16 * 1024)?;
        let stream = socket.connect(address).await?;
        let connecting =
            TlsConnector::from(Arc::new(config)).connect(NAME.try_into().unwrap(), stream);
        soon("the handshake", connecting).await
    }

    /// Sends these bytes, and reads to the end.
    pub(crate) async fn exchange(&self, address: SocketAddr, text: &str) -> Reply {
        let mut stream = self.connect(address, &[b"http/1.1"]).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut reply = String::new();
        soon("a reply", stream.read_to_string(&mut reply))
            .await
            .unwrap();
        Reply::read(&reply)
    }
}

/// The paths of the certificate and of its key.
pub(crate) fn files(folder: &Folder) -> [String; 2] {
    ["cert.pem", "key.pem"].map(|name| folder.path().join(name).display().to_string())
}
