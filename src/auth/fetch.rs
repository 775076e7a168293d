//! One GET of an identity provider's key set.
//!
//! It is bounded in bytes and in time, and does not follow redirects. It uses TLS, except to an
//! address of this machine.

use std::{fmt, net::IpAddr, sync::Arc, time::Duration};

use http_body_util::{BodyExt, Empty, Limited};
use hyper::{
    Request, StatusCode, Uri,
    body::{Bytes, Incoming},
    header,
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::ServerName},
};

use crate::limit::unless_zero;

/// Why the key set could not be fetched. It is logged, and never sent to a client.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    /// The server does not accept the connection, or the TLS handshake fails.
    #[error("no connection: {0}")]
    Connection(#[from] std::io::Error),
    /// The connection broke, or the answer is not HTTP.
    #[error("no answer: {0}")]
    Http(#[from] hyper::Error),
    /// The status is not 200.
    #[error("the answer is {0}")]
    Status(StatusCode),
    /// The answer ended early, or it has more than `jwks_bytes_max` bytes.
    #[error("the answer cannot be read: {0}")]
    Body(Box<dyn std::error::Error + Send + Sync>),
    /// The answer was not complete after `jwks_timeout`.
    #[error("the answer did not arrive in time")]
    Timeout,
    /// The answer is not a key set, or no key of the set can be used.
    #[error("the answer contains no key that can be used")]
    NoKeys,
}

/// Why an address of a key set is refused. The text is for the operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwksUrlError {
    /// The text is not a URL with a host.
    #[error("this is not a URL")]
    NotUrl,
    /// The URL contains a user or a password.
    #[error("leave out the user and the password")]
    Credentials,
    /// The scheme is not `https`, and not `http` on loopback.
    #[error("write it like https://host/path; http:// only on loopback")]
    Scheme,
    /// The host cannot be the name in a certificate.
    #[error("{0} is not a valid name of a server")]
    HostName(String),
    /// The machine has no root certificates, so no TLS server can be verified.
    #[error("this machine trusts no certificates; install ca-certificates or set SSL_CERT_FILE")]
    NoRootCertificates,
}

/// The address at which an identity provider publishes its key set.
#[derive(Clone)]
pub struct JwksUrl {
    host: String,
    port: u16,
    authority: String,
    target: String,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl fmt::Debug for JwksUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The path and the query may contain a secret of the operator (A3).
        write!(f, "{}", self.authority)
    }
}

impl JwksUrl {
    /// Parses an address: `https://…`, or `http://…` on loopback. For `https` it loads the root
    /// certificates of this machine.
    pub fn parse(text: &str) -> Result<Self, JwksUrlError> {
        let url: Uri = text.parse().map_err(|_| JwksUrlError::NotUrl)?;
        let authority = url.authority().ok_or(JwksUrlError::NotUrl)?;
        if authority.as_str().contains('@') {
            return Err(JwksUrlError::Credentials);
        }
        let host = authority
            .host()
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let (tls, port) = match url.scheme_str() {
            Some("https") => (Some(tls(&host)?), 443),
            Some("http") if is_loopback(&host) => (None, 80),
            _ => return Err(JwksUrlError::Scheme),
        };
        Ok(Self {
            host,
            port: authority.port_u16().unwrap_or(port),
            authority: authority.to_string(),
            target: url
                .path_and_query()
                .map_or_else(|| "/".to_owned(), ToString::to_string),
            tls,
        })
    }

    /// Fetches the body of the answer.
    pub(super) async fn fetch(
        &self,
        bytes_max: usize,
        timeout: Duration,
    ) -> Result<Bytes, FetchError> {
        let exchange = async {
            let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
            match &self.tls {
                None => self.get(stream, bytes_max).await,
                Some((connector, name)) => {
                    self.get(connector.connect(name.clone(), stream).await?, bytes_max)
                        .await
                }
            }
        };
        tokio::time::timeout(unless_zero(timeout), exchange)
            .await
            .unwrap_or(Err(FetchError::Timeout))
    }

    async fn get<S>(&self, stream: S, bytes_max: usize) -> Result<Bytes, FetchError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let request = Request::get(&self.target)
            .header(header::HOST, &self.authority)
            .header(header::ACCEPT, "application/jwk-set+json, application/json")
            .header(header::CONNECTION, "close")
            .body(Empty::<Bytes>::new())
            .expect("the parts of a parsed URL make a request");
        let mut answer =
            std::pin::pin!(async { read(sender.send_request(request).await?, bytes_max).await });
        tokio::select! {
            biased;
            read = &mut answer => read,
            // The connection may end before the last bytes of the answer were read.
            _ = connection => answer.await,
        }
    }
}

async fn read(response: hyper::Response<Incoming>, bytes_max: usize) -> Result<Bytes, FetchError> {
    if response.status() != StatusCode::OK {
        return Err(FetchError::Status(response.status()));
    }
    let body = Limited::new(response.into_body(), bytes_max)
        .collect()
        .await;
    Ok(body.map_err(FetchError::Body)?.to_bytes())
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

fn tls(host: &str) -> Result<(TlsConnector, ServerName<'static>), JwksUrlError> {
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| JwksUrlError::HostName(host.to_owned()))?;
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(JwksUrlError::NoRootCertificates);
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring supports the default versions of TLS")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok((TlsConnector::from(Arc::new(config)), name))
}
