//! Whose certificates are good: those of the system, and those that an operator adds.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// Where systems keep the certificates of the authorities that they trust, each in one file.
const SYSTEM_FILES: [&str; 5] = [
    // Debian, Ubuntu, Alpine, Arch, distroless
    "/etc/ssl/certs/ca-certificates.crt",
    // Fedora, RHEL
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    // openSUSE
    "/etc/ssl/ca-bundle.pem",
    // Alpine, macOS, BSD
    "/etc/ssl/cert.pem",
];

/// Why the certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TrustFault {
    /// A file that an operator names cannot be read.
    #[error("{}: {}", .0.display(), .1)]
    File(PathBuf, #[source] io::Error),
    /// A file that an operator names has no certificate.
    #[error("{}: holds no certificate in PEM", .0.display())]
    Empty(PathBuf),
    /// The library offers no protocol version.
    #[error("TLS cannot be used")]
    Protocol(#[source] rustls::Error),
}

/// Which certificates are good.
#[derive(Debug, Clone)]
pub struct Trust(pub(super) Arc<ClientConfig>);

impl Trust {
    /// Trusts the authorities of `system`, or without it those of the first file that this system
    /// has, and besides those of `added`. A system without such a file trusts nobody else.
    pub fn load(system: Option<&Path>, added: Option<&Path>) -> Result<Self, TrustFault> {
        let mut roots = RootCertStore::empty();
        let mut known = SYSTEM_FILES.iter().map(Path::new);
        let system = system.or_else(|| known.find(|path| path.exists()));
        for path in system.into_iter().chain(added) {
            add(&mut roots, path)?;
        }
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(TrustFault::Protocol)?;
        let mut config = config.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(Arc::new(config)))
    }
}

/// Adds the certificates of a PEM file. One that cannot be a root is left out, as elsewhere: systems
/// have some.
fn add(roots: &mut RootCertStore, path: &Path) -> Result<(), TrustFault> {
    let text = std::fs::read(path).map_err(|error| TrustFault::File(path.to_owned(), error))?;
    let certificates = CertificateDer::pem_slice_iter(&text).filter_map(Result::ok);
    let (added, _) = roots.add_parsable_certificates(certificates);
    if added == 0 {
        return Err(TrustFault::Empty(path.to_owned()));
    }
    Ok(())
}
