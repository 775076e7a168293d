//! Certificates of a test's own, and a client that trusts one of them.

use std::{io, net::SocketAddr, sync::Arc};

use rcgen::{CertificateParams, CertifiedKey, KeyPair, date_time_ymd, generate_simple_self_signed};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::CertificateDer},
};
use tokio_tungstenite::MaybeTlsStream;

use super::{Folder, app::TestApp, client::Client, http::Reply, soon};

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

/// A server that has this certificate and goes by its name.
pub(crate) async fn serve(certificate: &Certificate, flags: &[&str]) -> TestApp {
    let folder = Folder::new();
    let own = certificate.put(&folder);
    let own: Vec<_> = own
        .iter()
        .map(String::as_str)
        .chain(["--allow-host", NAME])
        .collect();
    TestApp::on(folder, &[&own, flags].concat()).await
}

/// Posts to the endpoint as a page would that came from it.
pub(crate) async fn post(
    app: &TestApp,
    certificate: &Certificate,
    host: &str,
    page: &str,
    query: &str,
) -> Reply {
    let body = json!({ "query": query }).to_string();
    let head = "POST /graphql HTTP/1.1\r\ncontent-type: application/json\r\nconnection: close";
    let length = body.len();
    let text = format!(
        "{head}\r\nhost: {host}\r\norigin: {page}\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    certificate.exchange(app.address(), &text).await
}

pub(crate) async fn sign_in(app: &TestApp, certificate: &Certificate) -> (String, Reply) {
    let page = format!("https://{NAME}");
    let reply = post(
        app,
        certificate,
        NAME,
        &page,
        "mutation { signIn(name: \"ann\") { token } }",
    )
    .await;
    (
        reply.json()["data"]["signIn"]["token"]
            .as_str()
            .unwrap()
            .to_owned(),
        reply,
    )
}

pub(crate) async fn client(
    app: &TestApp,
    certificate: &Certificate,
    token: Option<&str>,
) -> Client {
    let stream = certificate
        .connect(app.address(), &[b"http/1.1"])
        .await
        .unwrap();
    Client::over(MaybeTlsStream::Rustls(stream), NAME, token).await
}
