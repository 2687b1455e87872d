//! One `GET` through the guarded connection: no redirect is followed, no proxy is asked, and neither
//! time nor memory is unbounded.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Body as _;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, HOST, USER_AGENT};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::time::timeout;
use url::{Position, Url};

use crate::domain::host_port::HostPort;

use super::allow::AllowedTargets;
use super::caching::freshness;
use super::connect::connect;
use super::fault::FetchFault;
use super::network::OuterNetwork;
use super::trust::Trust;

/// How long one request may take, from the resolution of the name to the last byte.
pub(crate) const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest body, in bytes.
const MAX_FETCHED_BYTES: usize = 262_144;

/// The longest head, in bytes.
const MAX_HEAD_BYTES: usize = 65_536;

/// What was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The body.
    pub body: Bytes,
    /// How many seconds it is good, as far as the answer says.
    pub fresh_for: Option<u64>,
}

/// Fetches documents of others.
#[derive(Debug, Clone)]
pub struct Fetcher {
    allowed: AllowedTargets,
    trust: Trust,
    network: Arc<dyn OuterNetwork>,
}

impl Fetcher {
    /// Fetches from what is public in this network, and from these targets wherever they are.
    pub fn new(allowed: Vec<HostPort>, trust: Trust, network: Arc<dyn OuterNetwork>) -> Self {
        Self {
            allowed: AllowedTargets::new(allowed),
            trust,
            network,
        }
    }

    /// The document at this https URL.
    pub async fn fetch(&self, url: &str) -> Result<Fetched, FetchFault> {
        let url = Url::parse(url).map_err(|_| FetchFault::Url)?;
        let target = HostPort::of_url(&url).ok_or(FetchFault::Url)?;
        if url.scheme() != "https" {
            return Err(FetchFault::Url);
        }
        let fetched = timeout(FETCH_TIMEOUT, self.get(&url, &target)).await;
        fetched.unwrap_or(Err(FetchFault::Timeout))
    }

    async fn get(&self, url: &Url, target: &HostPort) -> Result<Fetched, FetchFault> {
        let stream = connect(target, &self.allowed, &self.trust, &*self.network).await?;
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(MAX_HEAD_BYTES)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(FetchFault::Http)?;
        let request = request(url)?;
        let exchange = async {
            let response = sender.send_request(request).await;
            read(response.map_err(FetchFault::Http)?).await
        };
        let (mut exchange, mut connection) = (pin!(exchange), pin!(connection));
        let mut is_over = false;
        loop {
            tokio::select! {
                biased;
                fetched = &mut exchange => return fetched,
                // What was read before the end is still handed out.
                _ = &mut connection, if !is_over => is_over = true,
            }
        }
    }
}

fn request(url: &Url) -> Result<Request<Empty<Bytes>>, FetchFault> {
    let host = &url[Position::BeforeHost..Position::AfterPort];
    Request::get(&url[Position::BeforePath..Position::AfterQuery])
        .header(HOST, host)
        .header(ACCEPT, "application/jwk-set+json, application/json")
        .header(
            USER_AGENT,
            concat!("sealwright/", env!("CARGO_PKG_VERSION")),
        )
        .body(Empty::new())
        .map_err(|_| FetchFault::Url)
}

async fn read(response: Response<hyper::body::Incoming>) -> Result<Fetched, FetchFault> {
    if response.status() != StatusCode::OK {
        return Err(FetchFault::Status(response.status().as_u16()));
    }
    let fresh_for = freshness(response.headers());
    let body = response.into_body();
    let most = u64::try_from(MAX_FETCHED_BYTES).unwrap_or(u64::MAX);
    if body.size_hint().lower() > most {
        return Err(FetchFault::TooLarge);
    }
    match Limited::new(body, MAX_FETCHED_BYTES).collect().await {
        Ok(collected) => Ok(Fetched {
            body: collected.to_bytes(),
            fresh_for,
        }),
        Err(error) => Err(match error.downcast::<hyper::Error>() {
            Ok(error) => FetchFault::Http(*error),
            Err(_) => FetchFault::TooLarge,
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::path::Path;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use rustls::ServerConfig;
    use rustls::crypto::aws_lc_rs::default_provider;
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::*;
    use crate::outbound::network::SystemNetwork;

    const VECTORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/tls");

    /// What a server answers.
    #[derive(Debug, Clone)]
    enum Answer {
        Text(String),
        /// This head, and then zeros without an end.
        Endless(&'static str),
        /// This head, and then one byte after another, long after each other.
        Dripping(&'static str),
        /// Nothing, after the request was read.
        Nothing,
        /// Nothing, not even a handshake.
        Silence,
    }

    /// A TLS server on loopback, with the certificate of this name.
    struct Server {
        port: u16,
        connections: Arc<AtomicUsize>,
    }

    impl Server {
        async fn start(certificate: &str, answer: Answer) -> Self {
            let file = |ending| format!("{VECTORS}/{certificate}.{ending}");
            let chain = vec![CertificateDer::from_pem_file(file("crt")).unwrap()];
            let key = PrivateKeyDer::from_pem_file(file("key")).unwrap();
            let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(chain, key)
                .unwrap();
            let acceptor = TlsAcceptor::from(Arc::new(config));
            let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let connections = Arc::new(AtomicUsize::new(0));
            let seen = Arc::clone(&connections);
            tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    seen.fetch_add(1, Ordering::SeqCst);
                    let (acceptor, answer) = (acceptor.clone(), answer.clone());
                    tokio::spawn(async move {
                        if matches!(answer, Answer::Silence) {
                            std::future::pending::<()>().await;
                        }
                        let mut stream = acceptor.accept(stream).await.ok()?;
                        let mut request = vec![0; 4_096];
                        let _ = stream.read(&mut request).await.ok()?;
                        match answer {
                            Answer::Text(text) => stream.write_all(text.as_bytes()).await.ok()?,
                            Answer::Endless(head) => {
                                stream.write_all(head.as_bytes()).await.ok()?;
                                loop {
                                    stream.write_all(&[b'0'; 4_096]).await.ok()?;
                                }
                            }
                            Answer::Dripping(head) => {
                                stream.write_all(head.as_bytes()).await.ok()?;
                                loop {
                                    stream.write_all(b"0").await.ok()?;
                                    tokio::time::sleep(FETCH_TIMEOUT / 4).await;
                                }
                            }
                            Answer::Nothing | Answer::Silence => std::future::pending().await,
                        }
                        stream.shutdown().await.ok()
                    });
                }
            });
            Self { port, connections }
        }

        fn url(&self) -> String {
            format!("https://localhost:{}/keys?a=b", self.port)
        }

        fn seen(&self) -> usize {
            self.connections.load(Ordering::SeqCst)
        }
    }

    fn fetcher(allowed: &[String]) -> Fetcher {
        let loaded = Trust::load(Some(Path::new(&format!("{VECTORS}/a.crt"))), None).unwrap();
        assert!(loaded.without_system.is_none());
        let allowed = allowed.iter().map(|text| HostPort::parse(text).unwrap());
        Fetcher::new(allowed.collect(), loaded.trust, Arc::new(SystemNetwork))
    }

    async fn fetched(certificate: &str, answer: Answer) -> Result<Fetched, FetchFault> {
        let server = Server::start(certificate, answer).await;
        let allowed = [format!("localhost:{}", server.port)];
        fetcher(&allowed).fetch(&server.url()).await
    }

    fn text(head: &str, body: &str) -> Answer {
        let length = body.len();
        Answer::Text(format!(
            "HTTP/1.1 {head}\r\ncontent-length: {length}\r\n\r\n{body}"
        ))
    }

    #[tokio::test]
    async fn a_document_is_fetched_with_how_long_it_is_good() {
        let answer = text("200 OK\r\ncache-control: max-age=900", "{}");
        let found = fetched("a", answer).await.unwrap();
        let expected = Fetched {
            body: Bytes::from_static(b"{}"),
            fresh_for: Some(900),
        };
        assert_eq!(found, expected);
        let until_close = Answer::Text("HTTP/1.0 200 OK\r\n\r\n[1]".to_owned());
        assert_eq!(fetched("a", until_close).await.unwrap().body, "[1]");
        let largest = "0".repeat(MAX_FETCHED_BYTES);
        let found = fetched("a", text("200 OK", &largest)).await.unwrap();
        assert_eq!(
            (found.body.len(), found.fresh_for),
            (MAX_FETCHED_BYTES, None)
        );
    }

    #[tokio::test]
    async fn no_redirect_is_followed_and_no_other_status_taken() {
        let target = Server::start("a", text("200 OK", "{}")).await;
        for status in [301, 302, 303, 307, 308] {
            let head = format!("{status} Moved\r\nlocation: {}", target.url());
            let refused = fetched("a", text(&head, "")).await.unwrap_err();
            assert!(
                matches!(refused, FetchFault::Status(told) if told == status),
                "{refused:?}"
            );
        }
        assert_eq!(target.seen(), 0);
        for status in [204, 206, 304, 401, 404, 500, 503] {
            let refused = fetched("a", text(&format!("{status} X"), ""))
                .await
                .unwrap_err();
            assert!(
                matches!(refused, FetchFault::Status(told) if told == status),
                "{refused:?}"
            );
        }
    }

    #[tokio::test]
    async fn an_answer_is_read_up_to_its_limit() {
        let body = "0".repeat(MAX_FETCHED_BYTES + 1);
        let endless = [
            "HTTP/1.1 200 OK\r\ncontent-length: 999999999999\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n",
        ];
        let answers = endless.map(Answer::Endless).into_iter();
        for answer in answers.chain([text("200 OK", &body)]) {
            let refused = fetched("a", answer).await.unwrap_err();
            assert!(matches!(refused, FetchFault::TooLarge), "{refused:?}");
        }
        let refused = fetched("a", Answer::Endless("HTTP/1.1 200 OK\r\na: ")).await;
        assert!(matches!(refused, Err(FetchFault::Http(_))), "{refused:?}");
        for broken in [
            "SSH-2.0-OpenSSH\r\n",
            "",
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n1",
        ] {
            let refused = fetched("a", Answer::Text(broken.to_owned())).await;
            assert!(
                matches!(refused, Err(FetchFault::Http(_))),
                "{broken}: {refused:?}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_waited_for_longer_than_the_timeout() {
        let drips = [
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n",
            "HTTP/1.1 200 OK\r\na: ",
        ];
        let drips = drips.map(Answer::Dripping).into_iter();
        for answer in drips.chain([Answer::Silence, Answer::Nothing]) {
            let refused = fetched("a", answer).await.unwrap_err();
            assert!(matches!(refused, FetchFault::Timeout), "{refused:?}");
        }
    }

    #[tokio::test]
    async fn whoever_has_no_good_certificate_gets_no_request() {
        let refused = fetched("b", text("200 OK", "{}")).await.unwrap_err();
        assert!(matches!(refused, FetchFault::Tls(_)), "{refused:?}");
        // A good certificate of another name.
        let server = Server::start("a", text("200 OK", "{}")).await;
        let allowed = [format!("127.0.0.2:{}", server.port)];
        let refused = fetcher(&allowed)
            .fetch(&format!("https://{}/", allowed[0]))
            .await;
        assert!(matches!(refused, Err(FetchFault::Tls(_))), "{refused:?}");
    }

    #[tokio::test]
    async fn what_is_compressed_is_never_unpacked() {
        // The beginning of a gzip stream, which would go on for long.
        let head = "200 OK\r\ncontent-encoding: gzip";
        let found = fetched("a", text(head, "\u{1f}packed")).await.unwrap();
        assert_eq!(found.body, "\u{1f}packed");
    }

    #[tokio::test]
    async fn no_address_outside_the_rule_is_ever_connected() {
        let server = Server::start("a", text("200 OK", "{}")).await;
        let port = server.port;
        // Only the name that is listed is allowed, at the port that is listed.
        let fetcher = fetcher(&["localhost:1".to_owned(), format!("keys.example:{port}")]);
        for host in [
            "localhost",
            "127.0.0.1",
            "127.1",
            "0x7f000001",
            "2130706433",
            "017700000001",
            "0.0.0.0",
            "0",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[64:ff9b::7f00:1]",
            "[::1]",
            "[::]",
        ] {
            let refused = fetcher
                .fetch(&format!("https://{host}:{port}/"))
                .await
                .unwrap_err();
            assert!(
                matches!(refused, FetchFault::Address),
                "{host}: {refused:?}"
            );
        }
        for url in [
            format!("http://localhost:{port}/"),
            format!("ftp://localhost:{port}/"),
            "https://".to_owned(),
            "localhost".to_owned(),
        ] {
            let refused = fetcher.fetch(&url).await.unwrap_err();
            assert!(matches!(refused, FetchFault::Url), "{url}: {refused:?}");
        }
        assert_eq!(server.seen(), 0);
    }
}
