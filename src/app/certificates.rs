//! The certificate and the key of the clients' listener: two files, read at the start and again when
//! they change.
//!
//! Owns when the files are read, and what is said of them. Must not know what a handshake is.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use tokio::sync::Notify;
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::http::serve::{Tls, TlsFault};
use crate::telemetry::error_chain;

use super::error::{AppError, system};

/// How often the files are looked at.
const LOOK_PERIOD: Duration = Duration::from_secs(10);

/// The files, and what the listener offers.
pub(super) struct CertificateFiles {
    certificate: PathBuf,
    key: PathBuf,
    /// What the listener offers.
    pub(super) tls: Arc<Tls>,
    /// A digest of the contents that were tried last, so that a fault is told once.
    tried: Mutex<[u8; 32]>,
    /// Looks at the files at once.
    pub(super) hurry: Notify,
}

/// What the two files hold.
struct CertificateBytes {
    certificate: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
}

impl CertificateBytes {
    fn digest(&self) -> [u8; 32] {
        let each = [
            digest(&SHA256, &self.certificate),
            digest(&SHA256, &self.key),
        ];
        let mut both = [0; 32];
        both.copy_from_slice(
            digest(&SHA256, &each.map(|one| one.as_ref().to_vec()).concat()).as_ref(),
        );
        both
    }
}

impl CertificateFiles {
    /// Reads the files. A server does not start with a pair that it cannot offer.
    pub(super) fn open(certificate: PathBuf, key: PathBuf) -> Result<Self, AppError> {
        let read = |name: &str, path: &PathBuf| {
            std::fs::read(path).map_err(system(format!("{name} {} cannot be read", path.display())))
        };
        let contents = CertificateBytes {
            certificate: read("server.tls_cert", &certificate)?,
            key: Zeroizing::new(read("server.tls_key", &key)?),
        };
        let tls = Tls::new(&contents.certificate, &contents.key).map_err(|fault| {
            AppError::Other(format!(
                "server.tls_cert {} with server.tls_key {}: {}",
                certificate.display(),
                key.display(),
                error_chain(&fault)
            ))
        })?;
        Ok(Self {
            certificate,
            key,
            tls: Arc::new(tls),
            tried: Mutex::new(contents.digest()),
            hurry: Notify::new(),
        })
    }

    /// Waits until the files are to be looked at, and looks.
    pub(super) async fn watch(self: &Arc<Self>) {
        let _ = timeout(LOOK_PERIOD, self.hurry.notified()).await;
        let files = Arc::clone(self);
        // The files may lie on a file server that is gone. Its answer blocks nothing else.
        if let Ok(Some(told)) = tokio::task::spawn_blocking(move || files.look()).await {
            match told {
                Ok(()) => tracing::info!("the TLS certificate was replaced"),
                Err(fault) => tracing::warn!(
                    cause = error_chain(&fault),
                    "the TLS certificate and key that lie there now cannot be used, the old ones stay"
                ),
            }
        }
    }

    /// Offers what the files hold now. `None` if nothing changed since the last look, or if a file
    /// cannot be read: whoever replaces it may be at work.
    fn look(&self) -> Option<Result<(), TlsFault>> {
        let contents = CertificateBytes {
            certificate: std::fs::read(&self.certificate).ok()?,
            key: Zeroizing::new(std::fs::read(&self.key).ok()?),
        };
        let found = contents.digest();
        {
            let mut tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
            if *tried == found {
                return None;
            }
            *tried = found;
        }
        Some(self.tls.replace(&contents.certificate, &contents.key))
    }
}
