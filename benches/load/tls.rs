//! The client's side of TLS: the certificate that the measured server shows, and what trusts it.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

use crate::Fallible;

/// The PEM files of an ECDSA certificate for `localhost`, and of its key.
pub const CERTIFICATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/tls/a.crt");
pub const KEY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/tls/a.key");

/// A client that trusts the certificate alone.
pub fn connector() -> Fallible<TlsConnector> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(CERTIFICATE)?)?;
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
