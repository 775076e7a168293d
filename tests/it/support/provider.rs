//! The web server of an identity provider. It answers every request with the keys that a test
//! publishes.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
    sync::watch,
    task::JoinHandle,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

use super::{tokens, wait_for};

pub(crate) struct Provider {
    pub(crate) address: SocketAddr,
    response: Arc<Mutex<String>>,
    /// The number of requests so far.
    requests: watch::Receiver<usize>,
    /// False while responses are held back.
    released: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Provider {
    /// Starts a provider that publishes these keys.
    pub(crate) async fn start(keys: &[Value]) -> Self {
        Self::over(None, keys).await
    }

    /// Starts a provider that publishes these keys over TLS, as `localhost`.
    pub(crate) async fn start_tls(keys: &[Value]) -> Self {
        let certificate =
            CertificateDer::from_pem_slice(tokens::key_pem("tls.pem").as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(tokens::key_pem("tls.key").as_bytes()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        Self::over(Some(TlsAcceptor::from(Arc::new(config))), keys).await
    }

    async fn over(tls: Option<TlsAcceptor>, keys: &[Value]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let response = Arc::new(Mutex::new(String::new()));
        let (request_count, requests) = watch::channel(0);
        let (released, release) = watch::channel(true);
        let shared = response.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, response) = (tls.clone(), shared.clone());
                let (request_count, release) = (request_count.clone(), release.clone());
                tokio::spawn(async move {
                    match tls {
                        None => reply(stream, &response, &request_count, release).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                reply(stream, &response, &request_count, release).await;
                            }
                        }
                    }
                });
            }
        });
        let provider = Self {
            address,
            response,
            requests,
            released,
            task,
        };
        provider.publish(keys);
        provider
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/keys.json", self.address)
    }

    /// Publishes these keys from now on.
    pub(crate) fn publish(&self, keys: &[Value]) {
        let body = json!({ "keys": keys }).to_string();
        self.respond_with("200 OK", &body);
    }

    /// Sends this response from now on.
    pub(crate) fn respond_with(&self, status: &str, body: &str) {
        let text = format!(
            "HTTP/1.1 {status}\r\nlocation: /elsewhere\r\nconnection: close\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        *self.response.lock().unwrap() = text;
    }

    /// Holds responses back until [`Self::release_answers`].
    pub(crate) fn hold_answers(&self) {
        self.released.send_replace(false);
    }

    pub(crate) fn release_answers(&self) {
        self.released.send_replace(true);
    }

    pub(crate) fn request_count(&self) -> usize {
        *self.requests.borrow()
    }

    /// Waits until this many requests have arrived.
    pub(crate) async fn wait_for_requests(&mut self, count: usize) {
        wait_for(
            "a request for keys",
            self.requests.wait_for(|requests| *requests >= count),
        )
        .await
        .unwrap();
    }
}

async fn reply<S>(
    mut stream: S,
    response: &Mutex<String>,
    request_count: &watch::Sender<usize>,
    mut release: watch::Receiver<bool>,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => request.push(byte),
            Err(_) => return,
        }
    }
    request_count.send_modify(|count| *count += 1);
    let _ = release.wait_for(|released| *released).await;
    let text = response.lock().unwrap().clone();
    // The client may have disconnected.
    let _ = stream.write_all(text.as_bytes()).await;
    let _ = stream.shutdown().await;
}
