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

use crate::{
    domain::Clock,
    transport::listen::certificate::{CertificateStatus, EXPIRY_WARNING_DAYS, Validity},
};

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
        let read = |path: &PathBuf| {
            std::fs::read(path).map_err(|error| TlsError::Unreadable {
                path: path.clone(),
                error,
            })
        };
        Ok(Pem {
            certificate: read(&self.certificate)?,
            key: read(&self.key)?,
        })
    }

    fn load(&self, pem: &Pem) -> Result<Loaded, TlsError> {
        let no_certificate = || TlsError::NoCertificate(self.certificate.clone());
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem.certificate).collect();
        let chain = chain
            .ok()
            .filter(|chain| !chain.is_empty())
            .ok_or_else(no_certificate)?;
        let key = PrivateKeyDer::from_pem_slice(&pem.key)
            .map_err(|_| TlsError::NoKey(self.key.clone()))?;
        let validity = Validity::read(&chain[0]);
        let config = self.pair(chain, key).map_err(|error| match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                TlsError::Mismatch(self.clone())
            }
            error => TlsError::Unusable {
                files: self.clone(),
                error,
            },
        })?;
        Ok(Loaded {
            config: Arc::new(config),
            validity,
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

/// A pair that can be served.
struct Loaded {
    config: Arc<ServerConfig>,
    /// None if it cannot be read here.
    validity: Option<Validity>,
}

/// What a server that speaks TLS serves with.
pub struct Tls {
    files: TlsFiles,
    clock: Clock,
    serving: Mutex<Serving>,
}

struct Serving {
    loaded: Loaded,
    /// What the operator was told of it last.
    told: CertificateStatus,
    /// What the files were when they were last looked at, good or bad, so that each state is told of once.
    seen: [u8; 32],
}

impl Tls {
    /// Reads the files, which must be good. A certificate that clients refuse for its time, or soon will, is served all the
    /// same, and a warning in the log: the operator may have no other, and clients may have their reasons.
    pub fn open(files: TlsFiles, clock: Clock) -> Result<Self, TlsError> {
        let pem = files.read()?;
        let loaded = files.load(&pem)?;
        let serving = Mutex::new(Serving {
            loaded,
            told: CertificateStatus::Good,
            seen: fingerprint(&Ok(pem)),
        });
        let tls = Self {
            files,
            clock,
            serving,
        };
        tls.tell(true);
        Ok(tls)
    }

    /// Warns of a certificate that expires: `anew` says it again, else only what has changed since is told.
    fn tell(&self, anew: bool) {
        let mut serving = self.serving();
        let Some(validity) = serving.loaded.validity else {
            return;
        };
        let standing = validity.standing((self.clock)());
        if !anew && standing.is_like(serving.told) {
            return;
        }
        serving.told = standing;
        let (file, until) = (self.files.certificate.display(), validity.until());
        match standing {
            CertificateStatus::Good => {}
            CertificateStatus::Early => {
                tracing::warn!(%file, from = validity.from(), "the certificate is not good yet: clients refuse it");
            }
            CertificateStatus::Expiring { days } => {
                tracing::warn!(%file, until, days, "the certificate expires in less than {EXPIRY_WARNING_DAYS} days");
            }
            CertificateStatus::Expired => {
                tracing::warn!(%file, until, "the certificate has expired: clients refuse it")
            }
        }
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
            let wanted = wanted(tls.serving().seen != seen);
            if wanted {
                tls.replace(pem, seen);
            }
            wanted
        });
        match looking.await {
            Ok(read) => self.tell(read),
            Err(error) => tracing::error!(%error, "the certificate's files could not be looked at"),
        }
    }

    fn replace(&self, pem: Result<Pem, TlsError>, seen: [u8; 32]) {
        let loaded = pem.and_then(|pem| self.files.load(&pem));
        let mut serving = self.serving();
        serving.seen = seen;
        match loaded {
            Ok(loaded) => {
                serving.loaded = loaded;
                tracing::info!("new connections get the certificate that the files hold now");
            }
            Err(error) => tracing::error!(%error, "the certificate stays as it was"),
        }
    }

    /// The handshake, within this time. Zero is no limit.
    pub(crate) async fn accept<S>(
        &self,
        stream: S,
        handshake_timeout: Duration,
    ) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let acceptor = TlsAcceptor::from(self.serving().loaded.config.clone());
        let accepting = acceptor.accept_with(stream, |session| {
            session.set_buffer_limit(Some(UNENCRYPTED_BYTES_MAX))
        });
        if handshake_timeout.is_zero() {
            return accepting.await;
        }
        tokio::time::timeout(handshake_timeout, accepting)
            .await
            .unwrap_or(Err(io::ErrorKind::TimedOut.into()))
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
        Ok(pem) => digest
            .chain_update(Sha256::digest(&pem.certificate))
            .chain_update(Sha256::digest(&pem.key)),
        Err(error) => digest.chain_update(error.to_string()),
    };
    digest.finalize().into()
}
