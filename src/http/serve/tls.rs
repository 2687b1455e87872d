//! TLS 1.2 and 1.3 of a listener, with a certificate that can be replaced while it serves.
//!
//! Owns the handshake and what is offered in it. Must not know where a certificate comes from, or
//! what a connection serves.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::{Ticketer, default_provider};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ProducesTickets;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// A client that has not finished its handshake by then is disconnected. A handshake takes two
/// round trips at most.
pub(super) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(15);

/// The type of the first record of a handshake (RFC 8446 §5.1).
const HANDSHAKE_RECORD: u8 = 22;

/// What a client is told that speaks plain HTTP.
const SPEAK_TLS: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\
    content-type: text/plain\r\n\
    connection: close\r\n\
    content-length: 41\r\n\
    \r\n\
    This port speaks TLS: use an https: URL.\n";

/// Why a certificate and a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsFault {
    /// The file of the certificate holds none, or is no PEM.
    #[error("the certificate is no PEM file of certificates")]
    Certificate(#[source] Option<pem::Error>),
    /// The file of the key holds none, or is no PEM.
    #[error("the key is no PEM file of an unencrypted private key")]
    Key(#[source] pem::Error),
    /// The two do not belong together, or cannot be used.
    #[error("the certificate and the key cannot be used")]
    Pair(#[source] rustls::Error),
}

/// What a listener offers in its handshakes.
pub struct Tls {
    current: ArcSwap<ServerConfig>,
    /// Resumes sessions across a change of the certificate.
    tickets: Arc<dyn ProducesTickets>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls(redacted)")
    }
}

impl Tls {
    /// Offers this chain of certificates, the server's own first, with its key. Both are PEM.
    pub fn new(certificates: &[u8], key: &[u8]) -> Result<Self, TlsFault> {
        let tickets = Ticketer::new().map_err(TlsFault::Pair)?;
        let config = offer(certificates, key, Arc::clone(&tickets))?;
        Ok(Self {
            current: ArcSwap::from_pointee(config),
            tickets,
        })
    }

    /// Offers these from the next handshake on. Open connections stay. A pair with a fault changes
    /// nothing.
    pub fn replace(&self, certificates: &[u8], key: &[u8]) -> Result<(), TlsFault> {
        let config = offer(certificates, key, Arc::clone(&self.tickets))?;
        self.current.store(Arc::new(config));
        Ok(())
    }

    /// The connection after its handshake. `None` if the client fails it, is too slow, or speaks
    /// plain HTTP, which it is told.
    pub(super) async fn accept(&self, stream: TcpStream) -> Option<TlsStream<TcpStream>> {
        timeout(HANDSHAKE_TIMEOUT, self.shake_hands(stream))
            .await
            .ok()?
    }

    async fn shake_hands(&self, mut stream: TcpStream) -> Option<TlsStream<TcpStream>> {
        let mut first = [0];
        stream.peek(&mut first).await.ok()?;
        if first[0] != HANDSHAKE_RECORD {
            if first[0].is_ascii_uppercase() {
                let _ = stream.write_all(SPEAK_TLS).await;
                let _ = stream.shutdown().await;
                super::discard::discard(&mut stream).await;
            }
            return None;
        }
        let acceptor = TlsAcceptor::from(self.current.load_full());
        acceptor.accept(stream).await.ok()
    }
}

fn offer(
    certificates: &[u8],
    key: &[u8],
    tickets: Arc<dyn ProducesTickets>,
) -> Result<ServerConfig, TlsFault> {
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(certificates)
        .collect::<Result<_, _>>()
        .map_err(|error| TlsFault::Certificate(Some(error)))?;
    if chain.is_empty() {
        return Err(TlsFault::Certificate(None));
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(TlsFault::Key)?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(TlsFault::Pair)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(TlsFault::Pair)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.ticketer = tickets;
    Ok(config)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use axum::Router;
    use rustls::pki_types::ServerName;
    use rustls::{ClientConfig, ProtocolVersion, RootCertStore, SupportedProtocolVersion, version};
    use tokio::io::AsyncReadExt;
    use tokio_rustls::TlsConnector;
    use tokio_rustls::client::TlsStream as ClientStream;

    use super::super::{Rules, serve};
    use super::*;

    const FIRST: [&[u8]; 2] = [
        include_bytes!("../../../tests/vectors/tls/a.crt"),
        include_bytes!("../../../tests/vectors/tls/a.key"),
    ];
    const SECOND: [&[u8]; 2] = [
        include_bytes!("../../../tests/vectors/tls/b.crt"),
        include_bytes!("../../../tests/vectors/tls/b.key"),
    ];
    const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

    fn certificate(pem: &[u8]) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(pem).unwrap()
    }

    /// A server with this certificate, and where it listens.
    fn served(tls: &Arc<Tls>) -> std::net::SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", axum::routing::any(|| async { "answered" }));
        let rules = Rules {
            tls: Some(Arc::clone(tls)),
            ..Rules::default()
        };
        tokio::spawn(serve(
            listener,
            router,
            rules,
            std::future::pending(),
            Duration::ZERO,
        ));
        address
    }

    /// A connection of a client that trusts both certificates.
    async fn connect(
        address: std::net::SocketAddr,
        version: &'static SupportedProtocolVersion,
    ) -> ClientStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        for [pem, _] in [FIRST, SECOND] {
            roots.add(certificate(pem)).unwrap();
        }
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
            .unwrap()
    }

    async fn answer(stream: &mut (impl tokio::io::AsyncRead + AsyncWriteExt + Unpin)) -> String {
        stream.write_all(GET).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn both_versions_are_served_and_the_connection_ends_as_it_should() {
        let tls = Arc::new(Tls::new(FIRST[0], FIRST[1]).unwrap());
        let address = served(&tls);
        for (version, spoken) in [
            (&version::TLS12, ProtocolVersion::TLSv1_2),
            (&version::TLS13, ProtocolVersion::TLSv1_3),
        ] {
            let mut stream = connect(address, version).await;
            // A read that ends without `close_notify` would be an error.
            let answer = answer(&mut stream).await;
            assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("answered"));
            assert_eq!(stream.get_ref().1.protocol_version(), Some(spoken));
        }
    }

    #[tokio::test]
    async fn a_new_certificate_holds_from_the_next_handshake_on() {
        let tls = Arc::new(Tls::new(FIRST[0], FIRST[1]).unwrap());
        let address = served(&tls);
        let shown = |stream: &ClientStream<TcpStream>| {
            stream.get_ref().1.peer_certificates().unwrap()[0].clone()
        };
        let mut old = connect(address, &version::TLS13).await;
        tls.replace(SECOND[0], SECOND[1]).unwrap();
        let mut new = connect(address, &version::TLS13).await;
        assert_eq!(shown(&old), certificate(FIRST[0]));
        assert_eq!(shown(&new), certificate(SECOND[0]));
        for stream in [&mut old, &mut new] {
            assert!(answer(stream).await.ends_with("answered"));
        }
        // What cannot be used changes nothing.
        for (certificates, key) in [
            (FIRST[0], SECOND[1]),
            (&b"not a file of certificates"[..], FIRST[1]),
            (FIRST[0], &b""[..]),
            (FIRST[1], FIRST[1]),
        ] {
            tls.replace(certificates, key).unwrap_err();
        }
        let last = connect(address, &version::TLS13).await;
        assert_eq!(shown(&last), certificate(SECOND[0]));
    }

    #[tokio::test]
    async fn who_speaks_plain_http_is_told_so_and_who_speaks_neither_is_not_answered() {
        let tls = Arc::new(Tls::new(FIRST[0], FIRST[1]).unwrap());
        let address = served(&tls);
        let mut plain = TcpStream::connect(address).await.unwrap();
        let told = answer(&mut plain).await;
        let (head, body) = told.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
        assert!(head.ends_with(&format!("content-length: {}", body.len())));
        for bytes in [&b"\x16\x03\x01\xff\xff\x00"[..], b"\x00\x00"] {
            let mut other = TcpStream::connect(address).await.unwrap();
            other.write_all(bytes).await.unwrap();
            other.shutdown().await.unwrap();
            let mut read = Vec::new();
            let _ = other.read_to_end(&mut read).await;
            assert!(!read.starts_with(b"HTTP"));
        }
    }

    #[test]
    fn a_key_is_never_shown() {
        let tls = Tls::new(FIRST[0], FIRST[1]).unwrap();
        assert_eq!(format!("{tls:?}"), "Tls(redacted)");
        let fault = Tls::new(FIRST[0], SECOND[1]).unwrap_err();
        assert!(!format!("{fault:?} {fault}").contains("PRIVATE KEY"));
    }
}
