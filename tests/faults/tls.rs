//! The certificate and the key of TLS are replaced while clients connect.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::stage::client::get;
use crate::stage::server::{Server, Site, signal};
use crate::stage::{eventually, play, scaled};

const VECTORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/tls");
const FAULT: &str = "cannot be used, the old ones stay";
const REPLACED: &str = "the TLS certificate was replaced";

fn pem(name: &str) -> Vec<u8> {
    std::fs::read(format!("{VECTORS}/{name}")).unwrap()
}

fn certificate(name: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(&pem(&format!("{name}.crt"))).unwrap()
}

/// A client that trusts both certificates. Each connection makes a whole handshake.
fn connector() -> TlsConnector {
    let mut roots = RootCertStore::empty();
    for name in ["a", "b"] {
        roots.add(certificate(name)).unwrap();
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.resumption = rustls::client::Resumption::disabled();
    TlsConnector::from(Arc::new(config))
}

async fn connect(server: &Server) -> TlsStream<TcpStream> {
    let stream = TcpStream::connect(server.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    connector().connect(name, stream).await.unwrap()
}

/// Asks for the keys, and demands a whole response.
async fn ask(stream: &mut TlsStream<TcpStream>) {
    stream
        .write_all(&get("/.well-known/jwks.json", ""))
        .await
        .unwrap();
    let mut read = Vec::new();
    while !read.ends_with(b"}]}") {
        let bytes = stream.read_buf(&mut read).await.unwrap();
        assert_ne!(bytes, 0, "closed: {}", read.escape_ascii());
    }
    assert!(
        read.starts_with(b"HTTP/1.1 200 "),
        "{}",
        read.escape_ascii()
    );
}

/// Whether a new connection is shown this certificate.
async fn shows(server: &Server, name: &str) -> bool {
    let mut stream = connect(server).await;
    ask(&mut stream).await;
    stream.get_ref().1.peer_certificates().unwrap()[0] == certificate(name)
}

/// As Kubernetes does: `tls.crt` is a link into `..data`, which is a link that is replaced.
fn mount(folder: &Path, name: &str) {
    let version = folder.join(format!("..{name}"));
    std::fs::create_dir_all(&version).unwrap();
    std::fs::write(version.join("tls.crt"), pem(&format!("{name}.crt"))).unwrap();
    std::fs::write(version.join("tls.key"), pem(&format!("{name}.key"))).unwrap();
    let link = folder.join("..data_tmp");
    std::os::unix::fs::symlink(&version, &link).unwrap();
    std::fs::rename(&link, folder.join("..data")).unwrap();
    for file in ["tls.crt", "tls.key"] {
        let _ = std::os::unix::fs::symlink(Path::new("..data").join(file), folder.join(file));
    }
}

fn secret_site(folder: &Path) -> Site {
    let mut site = Site::sqlite();
    for (key, file) in [("CERT", "tls.crt"), ("KEY", "tls.key")] {
        let path = folder.join(file);
        site.set(
            &format!("SEALWRIGHT_SERVER__TLS_{key}"),
            path.to_str().unwrap(),
        );
    }
    site
}

#[test]
fn a_certificate_is_replaced_by_a_link_by_two_writes_and_wrongly_and_no_connection_fails() {
    play(async {
        let folder = tempfile::tempdir().unwrap();
        mount(folder.path(), "a");
        let site = secret_site(folder.path());
        let server = Arc::new(site.start());
        let mut kept = connect(&server).await;
        ask(&mut kept).await;
        // Connects all the time. A connection that fails fails the test.
        let (is_over, connected) = (AtomicBool::new(false), AtomicU64::new(0));
        let load = async {
            while !is_over.load(Ordering::Relaxed) {
                ask(&mut connect(&server).await).await;
                connected.fetch_add(1, Ordering::Relaxed);
            }
        };
        let replacing = async {
            assert!(shows(&server, "a").await);
            // Nobody says that the files changed: the server looks every ten seconds.
            mount(folder.path(), "b");
            eventually("the link is followed", async || shows(&server, "b").await).await;
            eventually("it is said", async || server.said(REPLACED) == 1).await;
            assert_eq!(server.said(FAULT), 0);
            // Two writes: between them the pair does not fit. That is said once, however often the
            // server looks.
            std::fs::remove_file(folder.path().join("tls.crt")).unwrap();
            std::fs::write(folder.path().join("tls.crt"), pem("a.crt")).unwrap();
            for _ in 0..scaled(3, 20) {
                signal(Signal::HUP, server.pid());
                let read = "the configuration was read again";
                let before = server.said(read);
                eventually("the server looks", async || server.said(read) > before).await;
                assert!(shows(&server, "b").await);
            }
            eventually("the fault is said", async || server.said(FAULT) > 0).await;
            std::fs::remove_file(folder.path().join("tls.key")).unwrap();
            std::fs::write(folder.path().join("tls.key"), pem("a.key")).unwrap();
            signal(Signal::HUP, server.pid());
            eventually("the pair fits", async || shows(&server, "a").await).await;
            eventually("it is said", async || server.said(REPLACED) == 2).await;
            assert_eq!(server.said(FAULT), 1);
            // A file that is gone, and one that is no certificate.
            std::fs::remove_file(folder.path().join("tls.crt")).unwrap();
            signal(Signal::HUP, server.pid());
            assert!(shows(&server, "a").await);
            std::fs::write(folder.path().join("tls.crt"), "soon").unwrap();
            signal(Signal::HUP, server.pid());
            eventually("the fault is said", async || server.said(FAULT) > 1).await;
            assert!(shows(&server, "a").await);
            is_over.store(true, Ordering::Relaxed);
        };
        tokio::join!(load, replacing);
        assert!(connected.into_inner() > 10);
        // A connection outlives the certificate of its handshake.
        ask(&mut kept).await;
    });
}

#[test]
fn certificates_that_change_all_the_time_fail_no_connection() {
    play(async {
        let folder = tempfile::tempdir().unwrap();
        mount(folder.path(), "a");
        let site = secret_site(folder.path());
        let server = site.start();
        let changing = async {
            for turn in 0..scaled(6, 60) {
                mount(folder.path(), ["b", "a"][turn % 2]);
                let before = server.said(REPLACED);
                signal(Signal::HUP, server.pid());
                eventually("it is replaced", async || server.said(REPLACED) > before).await;
                tokio::time::sleep(scaled(Duration::ZERO, Duration::from_secs(1))).await;
            }
        };
        let load = async {
            loop {
                ask(&mut connect(&server).await).await;
            }
        };
        tokio::select! {
            () = changing => {}
            () = load => {}
        }
    });
}

#[test]
fn a_server_does_not_start_with_a_certificate_that_it_cannot_offer() {
    play(async {
        let folder = tempfile::tempdir().unwrap();
        mount(folder.path(), "a");
        let site = secret_site(folder.path());
        std::fs::remove_file(folder.path().join("tls.key")).unwrap();
        for (key, says) in [
            (None, "server.tls_key"),
            (Some("b.key"), "KeyMismatch"),
            (Some("b.crt"), "private key"),
        ] {
            if let Some(name) = key {
                std::fs::write(folder.path().join("tls.key"), pem(name)).unwrap();
            }
            let (status, said) = site.start_or_refusal().map(drop).unwrap_err();
            assert!(!status.success());
            assert!(said.contains(says), "{said}");
        }
    });
}
