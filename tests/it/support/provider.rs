//! An identity provider's web server: it answers every request with the set of keys that it was told.

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

use super::{soon, tokens};

pub(crate) struct Provider {
    pub(crate) address: SocketAddr,
    answer: Arc<Mutex<String>>,
    /// How many requests came.
    asked: watch::Receiver<usize>,
    /// False while answers are held back.
    open: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Provider {
    /// With these keys.
    pub(crate) async fn start(keys: &[Value]) -> Self {
        Self::over(None, keys).await
    }

    /// The same over TLS, as `localhost`.
    pub(crate) async fn start_tls(keys: &[Value]) -> Self {
        let certificate =
            CertificateDer::from_pem_slice(tokens::pem("tls.pem").as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(tokens::pem("tls.key").as_bytes()).unwrap();
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
        let answer = Arc::new(Mutex::new(String::new()));
        let ((count, asked), (open, opened)) = (watch::channel(0), watch::channel(true));
        let said = answer.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, said, count, opened) =
                    (tls.clone(), said.clone(), count.clone(), opened.clone());
                tokio::spawn(async move {
                    match tls {
                        None => reply(stream, &said, &count, opened).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                reply(stream, &said, &count, opened).await;
                            }
                        }
                    }
                });
            }
        });
        let provider = Self {
            address,
            answer,
            asked,
            open,
            task,
        };
        provider.publish(keys);
        provider
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/keys.json", self.address)
    }

    /// Answers with these keys from now on.
    pub(crate) fn publish(&self, keys: &[Value]) {
        let body = json!({ "keys": keys }).to_string();
        self.answer("200 OK", &body);
    }

    /// Answers with this from now on.
    pub(crate) fn answer(&self, status: &str, body: &str) {
        let text = format!(
            "HTTP/1.1 {status}\r\nlocation: /elsewhere\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        *self.answer.lock().unwrap() = text;
    }

    /// Holds answers back, or lets them go.
    pub(crate) fn open(&self, open: bool) {
        self.open.send_replace(open);
    }

    pub(crate) fn asked(&self) -> usize {
        *self.asked.borrow()
    }

    /// Waits until so many requests have come.
    pub(crate) async fn asked_for(&mut self, times: usize) {
        soon(
            "a request for keys",
            self.asked.wait_for(|asked| *asked >= times),
        )
        .await
        .unwrap();
    }
}

async fn reply<S>(
    mut stream: S,
    said: &Mutex<String>,
    count: &watch::Sender<usize>,
    mut open: watch::Receiver<bool>,
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
    count.send_modify(|asked| *asked += 1);
    let _ = open.wait_for(|open| *open).await;
    let text = said.lock().unwrap().clone();
    // Whoever asked may have gone away.
    let _ = stream.write_all(text.as_bytes()).await;
    let _ = stream.shutdown().await;
}
