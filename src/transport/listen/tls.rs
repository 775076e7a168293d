//! TLS on the server's own port: the certificate, its replacement while the server runs, and the
//! handshake.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

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
    limit::unless_zero,
    sync::Mutex,
    transport::listen::certificate::{CertificateStatus, EXPIRY_WARNING_DAYS, Validity},
};

/// The protocols inside TLS (ALPN), in the server's order of preference.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Bytes per connection that wait to be encrypted. Beyond that the writer waits.
const UNENCRYPTED_BYTES_MAX: usize = 64 * 1024;

/// The paths of the certificate and its key.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The certificate and then its chain of issuers, as PEM.
    pub certificate: PathBuf,
    /// The private key as PEM, not encrypted.
    pub key: PathBuf,
}

/// Why a certificate cannot be served. Each message is one line for the operator, who has to
/// correct the files.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is missing or may not be read.
    #[error("cannot read {}: {error}", path.display())]
    Unreadable {
        /// The path of the file.
        path: PathBuf,
        /// The cause.
        error: io::Error,
    },
    /// The certificate's file has another format.
    #[error("{} holds no certificate in PEM", .0.display())]
    NoCertificate(PathBuf),
    /// The key's file has another format, or the key is encrypted.
    #[error("{} holds no private key in PEM (encrypted keys are not supported)", .0.display())]
    NoKey(PathBuf),
    /// The key belongs to another certificate.
    #[error("the key in {} does not belong to the certificate in {}", .0.key.display(), .0.certificate.display())]
    Mismatch(TlsFiles),
    /// The TLS library refuses the certificate or its key.
    #[error("the certificate in {} and its key in {} cannot be used: {error}", files.certificate.display(), files.key.display())]
    Unusable {
        /// The paths of both files.
        files: TlsFiles,
        /// The cause.
        error: rustls::Error,
    },
}

/// The content of both files.
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

    fn load(&self, pem: &Pem) -> Result<LoadedCertificate, TlsError> {
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
        Ok(LoadedCertificate {
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
        // Tickets, so that clients that reconnect all at once resume without a cache of sessions.
        config.ticketer = ring::Ticketer::new()?;
        Ok(config)
    }
}

/// A certificate that can be served.
struct LoadedCertificate {
    config: Arc<ServerConfig>,
    /// None if the period cannot be read.
    validity: Option<Validity>,
}

/// The certificate that a server serves, and the files it comes from.
pub struct Tls {
    files: TlsFiles,
    clock: Clock,
    serving: Mutex<Serving>,
}

struct Serving {
    loaded: LoadedCertificate,
    /// The status that was logged last.
    logged: CertificateStatus,
    /// The fingerprint of the files when they were last read, valid or not. Each state of the files
    /// is logged once.
    fingerprint: [u8; 32],
}

impl Tls {
    /// Reads the files, which must be valid. A certificate that is expired, about to expire or not
    /// yet valid is served all the same, with a warning in the log: the operator may have no other,
    /// and some clients accept it.
    pub fn open(files: TlsFiles, clock: Clock) -> Result<Self, TlsError> {
        let pem = files.read()?;
        let loaded = files.load(&pem)?;
        let serving = Mutex::new(Serving {
            loaded,
            logged: CertificateStatus::Valid,
            fingerprint: fingerprint(&Ok(pem)),
        });
        let tls = Self {
            files,
            clock,
            serving,
        };
        tls.log_status(true);
        Ok(tls)
    }

    /// Logs a warning if the certificate is expired, expires soon, or is not yet valid. With
    /// `is_repeated`, logs it again even if the status has not changed.
    fn log_status(&self, is_repeated: bool) {
        let mut serving = self.serving();
        let Some(validity) = serving.loaded.validity else {
            return;
        };
        let status = validity.status((self.clock)());
        if !is_repeated && status.is_like(serving.logged) {
            return;
        }
        serving.logged = status;
        let (file, until) = (self.files.certificate.display(), validity.until());
        match status {
            CertificateStatus::Valid => {}
            CertificateStatus::NotYetValid => {
                tracing::warn!(%file, from = validity.from(), "the certificate is not valid yet: clients refuse it");
            }
            CertificateStatus::Expiring { days } => {
                tracing::warn!(%file, until, days, "the certificate expires in less than {EXPIRY_WARNING_DAYS} days");
            }
            CertificateStatus::Expired => {
                tracing::warn!(%file, until, "the certificate has expired: clients refuse it")
            }
        }
    }

    /// Reads the files again and serves their certificate. If they are not valid, the current
    /// certificate stays.
    pub async fn reload(self: &Arc<Self>) {
        self.check_files(|_| true).await;
    }

    /// Checks at this interval whether the files have changed, until `stop` is cancelled. With an
    /// interval of zero it never checks. It compares contents, not times: tools that renew
    /// certificates may replace symbolic links.
    pub async fn watch(self: Arc<Self>, check_interval: Duration, stop: CancellationToken) {
        if check_interval.is_zero() {
            return;
        }
        let mut ticks = tokio::time::interval(check_interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            self.check_files(|has_changed| has_changed).await;
        }
    }

    /// Reads the files, and replaces the certificate if `is_wanted` says so, given whether the
    /// files have changed.
    async fn check_files(self: &Arc<Self>, is_wanted: fn(bool) -> bool) {
        let tls = self.clone();
        // Blocking, because the files may be on a slow disk.
        let checking = tokio::task::spawn_blocking(move || {
            let pem = tls.files.read();
            let fingerprint = fingerprint(&pem);
            let is_wanted = is_wanted(tls.serving().fingerprint != fingerprint);
            if is_wanted {
                tls.replace(pem, fingerprint);
            }
            is_wanted
        });
        match checking.await {
            Ok(was_read) => self.log_status(was_read),
            Err(error) => tracing::error!(%error, "the certificate's files could not be checked"),
        }
    }

    fn replace(&self, pem: Result<Pem, TlsError>, fingerprint: [u8; 32]) {
        let loaded = pem.and_then(|pem| self.files.load(&pem));
        let mut serving = self.serving();
        serving.fingerprint = fingerprint;
        match loaded {
            Ok(loaded) => {
                serving.loaded = loaded;
                tracing::info!("new connections get the certificate that the files now hold");
            }
            Err(error) => tracing::error!(%error, "the certificate stays as it was"),
        }
    }

    /// Performs the handshake within this time. Zero is no limit.
    pub(super) async fn accept<S>(
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
        tokio::time::timeout(unless_zero(handshake_timeout), accepting)
            .await
            .unwrap_or(Err(io::ErrorKind::TimedOut.into()))
    }

    fn serving(&self) -> std::sync::MutexGuard<'_, Serving> {
        self.serving.lock()
    }
}

/// Identifies a state of the files.
fn fingerprint(pem: &Result<Pem, TlsError>) -> [u8; 32] {
    let digest = Sha256::new();
    let digest = match pem {
        // Each file is hashed by itself first, so that bytes that move from one file to the other
        // change the result.
        Ok(pem) => digest
            .chain_update(Sha256::digest(&pem.certificate))
            .chain_update(Sha256::digest(&pem.key)),
        Err(error) => digest.chain_update(error.to_string()),
    };
    digest.finalize().into()
}
