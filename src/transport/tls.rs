//! TLS on the port itself: the certificate, how it is replaced while the server runs, and the handshake.

use std::{
    io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sha2::{Digest, Sha256};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::MissedTickBehavior,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        self, InconsistentKeys, ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
    server::TlsStream,
};
use tokio_util::sync::CancellationToken;

/// What is spoken inside, in the order in which the server likes it.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Bytes that wait to be encrypted, per connection; then whoever writes waits.
const UNENCRYPTED_BYTES_MAX: usize = 64 * 1024;

/// Where the certificate stands.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The certificate and those that vouch for it, in that order, as PEM.
    pub certificate: PathBuf,
    /// Its private key as PEM, not encrypted.
    pub key: PathBuf,
}

/// Why a certificate cannot be served. Each is one line for the operator, who puts better files there.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is missing or may not be read.
    #[error("cannot read {}: {error}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// A file is something else.
    #[error("{} holds no certificate in PEM", .0.display())]
    NoCertificate(PathBuf),
    /// A file is something else.
    #[error("{} holds no private key in PEM that is not encrypted", .0.display())]
    NoKey(PathBuf),
    /// The files are not a pair.
    #[error("the key in {} is not that of the certificate in {}", .0.key.display(), .0.certificate.display())]
    Mismatch(TlsFiles),
    /// They are, and still of no use.
    #[error("the certificate in {} and its key in {} cannot be used: {error}", files.certificate.display(), files.key.display())]
    Unusable {
        /// Which.
        files: TlsFiles,
        /// Why not.
        error: rustls::Error,
    },
}

/// Both files, read.
struct Pem {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl TlsFiles {
    fn read(&self) -> Result<Pem, TlsError> {
        let read =
            |path: &PathBuf| std::fs::read(path).map_err(|error| TlsError::Unreadable { path: path.clone(), error });
        Ok(Pem { certificate: read(&self.certificate)?, key: read(&self.key)? })
    }

    fn config(&self, pem: &Pem) -> Result<Arc<ServerConfig>, TlsError> {
        let no_certificate = || TlsError::NoCertificate(self.certificate.clone());
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem.certificate).collect();
        let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or_else(no_certificate)?;
        let key = PrivateKeyDer::from_pem_slice(&pem.key).map_err(|_| TlsError::NoKey(self.key.clone()))?;
        self.pair(chain, key).map(Arc::new).map_err(|error| match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => TlsError::Mismatch(self.clone()),
            error => TlsError::Unusable { files: self.clone(), error },
        })
    }

    fn pair(
        &self,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<ServerConfig, rustls::Error> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        // Many sockets that come back at the same time need not be known by a cache of this process.
        config.ticketer = ring::Ticketer::new()?;
        Ok(config)
    }
}

/// What a server that speaks TLS serves with.
pub struct Tls {
    files: TlsFiles,
    serving: Mutex<Serving>,
}

struct Serving {
    config: Arc<ServerConfig>,
    /// What the files were when they were last looked at, good or bad, so that each state is told of once.
    seen: [u8; 32],
}

impl Tls {
    /// Reads the files, which must be good.
    pub fn open(files: TlsFiles) -> Result<Self, TlsError> {
        let pem = files.read()?;
        let config = files.config(&pem)?;
        let serving = Mutex::new(Serving { config, seen: fingerprint(&Ok(pem)) });
        Ok(Self { files, serving })
    }

    /// Serves what the files hold now; if that is no good, what it serves already.
    pub async fn reload(self: &Arc<Self>) {
        self.look(|_| true).await;
    }

    /// Looks again and again whether the files have changed, until told to stop. By what is in them: whoever renews
    /// certificates may as well swap links. Zero is never.
    pub async fn watch(self: Arc<Self>, check_interval: Duration, stop: CancellationToken) {
        if check_interval.is_zero() {
            return;
        }
        let mut ticks = tokio::time::interval(check_interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            self.look(|changed| changed).await;
        }
    }

    async fn look(self: &Arc<Self>, wanted: fn(bool) -> bool) {
        let tls = self.clone();
        // The files may be on a slow disk.
        let looking = tokio::task::spawn_blocking(move || {
            let pem = tls.files.read();
            let seen = fingerprint(&pem);
            if wanted(tls.serving().seen != seen) {
                tls.replace(pem, seen);
            }
        });
        if let Err(error) = looking.await {
            tracing::error!(%error, "the certificate's files could not be looked at");
        }
    }

    fn replace(&self, pem: Result<Pem, TlsError>, seen: [u8; 32]) {
        let config = pem.and_then(|pem| self.files.config(&pem));
        let mut serving = self.serving();
        serving.seen = seen;
        match config {
            Ok(config) => {
                serving.config = config;
                tracing::info!("new connections get the certificate that the files hold now");
            }
            Err(error) => tracing::error!(%error, "the certificate stays as it was"),
        }
    }

    /// The handshake, within this time. Zero is no limit.
    pub(super) async fn accept<S>(&self, stream: S, handshake_timeout: Duration) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let acceptor = TlsAcceptor::from(self.serving().config.clone());
        let accepting = acceptor.accept_with(stream, |session| session.set_buffer_limit(Some(UNENCRYPTED_BYTES_MAX)));
        if handshake_timeout.is_zero() {
            return accepting.await;
        }
        tokio::time::timeout(handshake_timeout, accepting).await.unwrap_or(Err(io::ErrorKind::TimedOut.into()))
    }

    fn serving(&self) -> std::sync::MutexGuard<'_, Serving> {
        self.serving.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells one state of the files from another.
fn fingerprint(pem: &Result<Pem, TlsError>) -> [u8; 32] {
    let digest = Sha256::new();
    let digest = match pem {
        // Each by itself first: nothing may move from one file to the other unseen.
        Ok(pem) => digest.chain_update(Sha256::digest(&pem.certificate)).chain_update(Sha256::digest(&pem.key)),
        Err(error) => digest.chain_update(error.to_string()),
    };
    digest.finalize().into()
}
