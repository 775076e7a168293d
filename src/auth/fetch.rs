//! One GET of a provider's keys: bounded in bytes and in time, over TLS unless it stays on this machine, without following
//! redirects.

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

/// Why the keys could not be fetched. Logged, never sent to a client.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    /// Nobody answers there, or not as TLS.
    #[error("no connection: {0}")]
    Connection(#[from] std::io::Error),
    /// What came is no HTTP.
    #[error("no answer: {0}")]
    Http(#[from] hyper::Error),
    /// It answers something else.
    #[error("the answer is {0}")]
    Status(StatusCode),
    /// The answer broke off or has more bytes than are read.
    #[error("the answer cannot be read: {0}")]
    Body(Box<dyn std::error::Error + Send + Sync>),
    /// It took too long.
    #[error("there was no answer in time")]
    Timeout,
    /// It is no set of keys, or one without a key that can be used.
    #[error("the answer holds no key that can be used")]
    NoKeys,
}

/// Where a provider publishes its keys.
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
        // What follows the host may hold a key of the operator's.
        write!(f, "{}", self.authority)
    }
}

impl JwksUrl {
    /// Reads an address: `https://…`, or `http://…` on loopback. Loads the certificates that this machine trusts; a
    /// refusal is a sentence for the operator.
    pub fn parse(text: &str) -> Result<Self, String> {
        let url: Uri = text.parse().map_err(|_| "this is no address".to_owned())?;
        let authority = url.authority().ok_or("this is no address")?;
        if authority.as_str().contains('@') {
            return Err("leave out the user and the password".to_owned());
        }
        let host = authority
            .host()
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let (tls, port) = match url.scheme_str() {
            Some("https") => (Some(tls(&host)?), 443),
            Some("http") if is_loopback(&host) => (None, 80),
            _ => return Err("write it like https://host/path; http:// only on loopback".to_owned()),
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

    /// The bytes that stand there now.
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
        tokio::time::timeout(timeout, exchange)
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
            .expect("an address that was read makes a request");
        let mut answer =
            std::pin::pin!(async { read(sender.send_request(request).await?, bytes_max).await });
        tokio::select! {
            biased;
            read = &mut answer => read,
            // The connection may be over before its last bytes were taken.
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

fn tls(host: &str) -> Result<(TlsConnector, ServerName<'static>), String> {
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| format!("{host} is no name of a server"))?;
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(
            "this machine trusts no certificates; install ca-certificates or set SSL_CERT_FILE"
                .to_owned(),
        );
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider speaks what it offers")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok((TlsConnector::from(Arc::new(config)), name))
}
