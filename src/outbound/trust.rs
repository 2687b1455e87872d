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

/// What was loaded, and why the authorities of the system are not part of it, if they are not.
#[derive(Debug)]
pub struct LoadedTrust {
    /// Which certificates are good.
    pub trust: Trust,
    /// What is wrong with the file of the system's authorities. Only who makes requests needs them.
    pub without_system: Option<TrustFault>,
}

impl Trust {
    /// Trusts the authorities of `system`, or without it those of the first file that this system
    /// has, and besides those of `added`. A system without such a file trusts nobody else, and neither
    /// does one whose file cannot be used: no other file takes its place. `Err` if `added` cannot be
    /// used.
    pub fn load(system: Option<&Path>, added: Option<&Path>) -> Result<LoadedTrust, TrustFault> {
        let mut roots = RootCertStore::empty();
        let mut known = SYSTEM_FILES.iter().map(Path::new);
        let system = system.or_else(|| known.find(|path| path.exists()));
        let without_system = system.and_then(|path| add(&mut roots, path).err());
        if let Some(path) = added {
            add(&mut roots, path)?;
        }
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(TrustFault::Protocol)?;
        let mut config = config.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(LoadedTrust {
            trust: Self(Arc::new(config)),
            without_system,
        })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_file_that_the_configuration_names_has_to_be_good() {
        let good = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/tls/a.crt");
        let without = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/tls/a.key");
        let load = |system: &str, added: Option<&str>| {
            Trust::load(Some(Path::new(system)), added.map(Path::new))
        };
        for added in [None, Some(good)] {
            let missing = load("/nowhere.pem", added).unwrap().without_system;
            assert!(matches!(missing, Some(TrustFault::File(..))), "{missing:?}");
            let empty = load(without, added).unwrap().without_system;
            assert!(matches!(empty, Some(TrustFault::Empty(_))), "{empty:?}");
            assert!(load(good, added).unwrap().without_system.is_none());
        }
        for bad in ["/nowhere.pem", without] {
            assert!(load(good, Some(bad)).is_err());
        }
    }
}
