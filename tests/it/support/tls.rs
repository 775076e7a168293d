//! Certificates that a test makes, and clients that trust one of them.

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

use super::{Folder, app::TestApp, client::Client, http::Reply, wait_for};

/// The host name in the certificates of the tests.
pub(crate) const SERVER_NAME: &str = "chat.example";

pub(crate) struct Certificate {
    pub(crate) pem: String,
    pub(crate) key: String,
    pub(crate) der: CertificateDer<'static>,
}

impl Certificate {
    /// A new self-signed certificate.
    pub(crate) fn new() -> Self {
        let names = [SERVER_NAME, "localhost"].map(str::to_owned).to_vec();
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).unwrap();
        Self {
            pem: cert.pem(),
            key: signing_key.serialize_pem(),
            der: cert.der().clone(),
        }
    }

    /// A self-signed certificate that expires on this day.
    pub(crate) fn expiring_on((year, month, day): (i32, u8, u8)) -> Self {
        let mut params =
            CertificateParams::new([SERVER_NAME, "localhost"].map(str::to_owned).to_vec()).unwrap();
        params.not_after = date_time_ymd(year, month, day);
        let key = KeyPair::generate().unwrap();
        let cert = params.self_signed(&key).unwrap();
        Self {
            pem: cert.pem(),
            key: key.serialize_pem(),
            der: cert.der().clone(),
        }
    }

    /// Writes the certificate and its key into a folder, and returns the flags that name the files.
    pub(crate) fn write_to(&self, folder: &Folder) -> [String; 4] {
        let [pem, key] = certificate_paths(folder);
        std::fs::write(&pem, &self.pem).unwrap();
        std::fs::write(&key, &self.key).unwrap();
        ["--tls-cert".to_owned(), pem, "--tls-key".to_owned(), key]
    }

    /// Connects to a server with this certificate, and offers these protocols.
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
        // A small buffer: a test soon fills it when the client does not read.
        socket.set_recv_buffer_size(16 * 1024)?;
        let stream = socket.connect(address).await?;
        let connecting =
            TlsConnector::from(Arc::new(config)).connect(SERVER_NAME.try_into().unwrap(), stream);
        wait_for("the handshake", connecting).await
    }

    /// Sends a request and reads the response until the connection ends.
    pub(crate) async fn exchange(&self, address: SocketAddr, text: &str) -> Reply {
        let mut stream = self.connect(address, &[b"http/1.1"]).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut reply = String::new();
        wait_for("a response", stream.read_to_string(&mut reply))
            .await
            .unwrap();
        Reply::parse(&reply)
    }
}

/// The paths of the certificate and of its key.
pub(crate) fn certificate_paths(folder: &Folder) -> [String; 2] {
    ["cert.pem", "key.pem"].map(|name| folder.path().join(name).display().to_string())
}

/// A server with this certificate, which accepts its host name.
pub(crate) async fn serve_with(certificate: &Certificate, flags: &[&str]) -> TestApp {
    let folder = Folder::new();
    let tls_flags = certificate.write_to(&folder);
    let tls_flags: Vec<_> = tls_flags
        .iter()
        .map(String::as_str)
        .chain(["--allow-host", SERVER_NAME])
        .collect();
    TestApp::in_folder(folder, &[&tls_flags, flags].concat()).await
}

/// Posts a query to the endpoint, like a page of the given origin.
pub(crate) async fn post_from_page(
    app: &TestApp,
    certificate: &Certificate,
    host: &str,
    origin: &str,
    query: &str,
) -> Reply {
    let body = json!({ "query": query }).to_string();
    let head = "POST /graphql HTTP/1.1\r\ncontent-type: application/json\r\nconnection: close";
    let length = body.len();
    let text = format!(
        "{head}\r\nhost: {host}\r\norigin: {origin}\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    certificate.exchange(app.address(), &text).await
}

/// Signs in from a page of the server. Returns the token and the whole response.
pub(crate) async fn sign_in(app: &TestApp, certificate: &Certificate) -> (String, Reply) {
    let origin = format!("https://{SERVER_NAME}");
    let reply = post_from_page(
        app,
        certificate,
        SERVER_NAME,
        &origin,
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

/// Connects a client over a WebSocket under TLS.
pub(crate) async fn connect_client(
    app: &TestApp,
    certificate: &Certificate,
    token: Option<&str>,
) -> Client {
    let stream = certificate
        .connect(app.address(), &[b"http/1.1"])
        .await
        .unwrap();
    Client::over_stream(MaybeTlsStream::Rustls(stream), SERVER_NAME, token).await
}
