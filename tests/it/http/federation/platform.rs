//! A platform on loopback that signs tokens as Kubernetes and GitHub Actions write them, and a server
//! that may ask it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::harness::answer::Answer;
use crate::harness::app::{AGENTS, Agent, ISSUER, TOKEN, TestApp, bearer, encode, wait_until};
use crate::harness::database::Database;

pub const VECTORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/tls");

const URN: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A platform: it signs tokens, and publishes its keys over TLS.
pub struct Platform {
    pub port: u16,
    pub keys: Mutex<Vec<(String, EcdsaKeyPair)>>,
    /// The body that is answered; the keys if it is `None`.
    pub answer: Mutex<Option<String>>,
    /// The whole answer, in place of one with that body.
    pub raw: Mutex<Option<String>>,
    pub seen: AtomicUsize,
    /// How many connections were opened.
    pub connections: AtomicUsize,
    /// Whether it says nothing on the connections that are opened now.
    pub is_silent: AtomicBool,
}

pub fn new_key() -> EcdsaKeyPair {
    let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new()).unwrap();
    EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref()).unwrap()
}

impl Platform {
    pub async fn start() -> Arc<Self> {
        Self::start_at("127.0.0.1:0").await
    }

    pub async fn start_at(place: &str) -> Arc<Self> {
        let chain = CertificateDer::from_pem_file(format!("{VECTORS}/a.crt")).unwrap();
        let key = PrivateKeyDer::from_pem_file(format!("{VECTORS}/a.key")).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![chain], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind(place).await.unwrap();
        let platform = Arc::new(Self {
            port: listener.local_addr().unwrap().port(),
            keys: Mutex::new(vec![("k1".to_owned(), new_key())]),
            answer: Mutex::new(None),
            raw: Mutex::new(None),
            seen: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            is_silent: AtomicBool::new(false),
        });
        let serving = Arc::clone(&platform);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, platform) = (acceptor.clone(), Arc::clone(&serving));
                platform.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(async move {
                    if platform.is_silent.load(Ordering::SeqCst) {
                        std::future::pending::<()>().await;
                    }
                    let mut stream = acceptor.accept(stream).await.ok()?;
                    let _ = stream.read(&mut [0; 4_096]).await.ok()?;
                    platform.seen.fetch_add(1, Ordering::SeqCst);
                    let answer = platform.answer();
                    stream.write_all(answer.as_bytes()).await.ok()?;
                    stream.shutdown().await.ok()
                });
            }
        });
        platform
    }

    pub fn answer(&self) -> String {
        if let Some(raw) = self.raw.lock().unwrap().clone() {
            return raw;
        }
        let body = self.answer.lock().unwrap().clone();
        let body = body.unwrap_or_else(|| self.key_set().to_string());
        format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\ncache-control: max-age=600\r\n\r\n{body}",
            body.len()
        )
    }

    pub fn key_set(&self) -> Value {
        let jwk = |(kid, key): &(String, EcdsaKeyPair)| {
            let point = &key.public_key().as_ref()[1..];
            let half = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
            json!({
                "kty": "EC", "crv": "P-256", "kid": kid, "use": "sig", "alg": "ES256",
                "x": half(&point[..32]), "y": half(&point[32..]),
            })
        };
        let keys: Vec<Value> = self.keys.lock().unwrap().iter().map(jwk).collect();
        json!({ "keys": keys })
    }

    pub fn seen(&self) -> usize {
        self.seen.load(Ordering::SeqCst)
    }

    pub fn uri(&self) -> String {
        format!("https://localhost:{}/openid/v1/jwks", self.port)
    }

    /// How many connections were opened.
    pub fn opened(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Signs with the newest key.
    pub fn sign(&self, claims: &Value) -> String {
        let kid = self.keys.lock().unwrap().last().unwrap().0.clone();
        self.sign_as(&json!({ "alg": "ES256", "kid": kid }), claims)
    }

    /// Signs with the newest key, under this header.
    pub fn sign_as(&self, header: &Value, claims: &Value) -> String {
        let keys = self.keys.lock().unwrap();
        let (_, key) = keys.last().unwrap();
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let signature = key.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// A server with a platform that it may ask.
pub struct Stage<'d> {
    pub app: TestApp<'d>,
    pub platform: Arc<Platform>,
    pub settings: Vec<(&'static str, String)>,
    /// The Bearer of an admin of `default`.
    pub admin: String,
    /// That admin.
    pub boss: Agent,
}

pub async fn run(database: &Database, test: impl AsyncFnOnce(&Stage<'_>)) {
    let platform = Platform::start().await;
    let settings = vec![
        ("outbound.allow", format!("localhost:{}", platform.port)),
        ("outbound.ca_cert", format!("{VECTORS}/a.crt")),
        ("limits.secretless_scopes", "pay:*,tokens:read".to_owned()),
        // All of a test comes from one address, and much of it fails.
        ("limits.failures_per_minute", "0".to_owned()),
    ];
    let pairs: Vec<(&str, &str)> = settings
        .iter()
        .map(|(key, value)| (*key, &**value))
        .collect();
    let app = TestApp::start_with(database, &pairs).await;
    let scopes = "agents:read agents:write admin:orgs audit:read";
    let boss = app.agent_named("boss", scopes).await;
    let admin = bearer(&app.token(&boss).await);
    let stage = Stage {
        app,
        platform,
        settings,
        admin,
        boss,
    };
    test(&stage).await;
}

impl Stage<'_> {
    pub async fn send(&self, line: &str, body: &Value) -> Answer {
        self.send_as(&self.admin, line, body).await
    }

    pub async fn send_as(&self, token: &str, line: &str, body: &Value) -> Answer {
        let (method, path) = line.split_once(' ').unwrap();
        let headers = [
            ("authorization", token),
            ("content-type", "application/json"),
        ];
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        self.app.send(method, path, &headers, body.into()).await
    }

    /// Makes a partner, and returns its id.
    pub async fn partner(&self, preset: &str, more: &Value) -> String {
        let mut body = json!({ "name": "n", "preset": preset, "jwksUri": self.platform.uri() });
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        let made = self.send("POST /api/v1/partners", &body).await;
        assert_eq!(made.status, 201, "{made:?}");
        made.text("partnerId")
    }

    /// Gives an agent a federated credential, and returns its id.
    pub async fn trust(&self, agent: &str, terms: Value) -> String {
        let mut body = terms;
        body["kind"] = "federated".into();
        let line = format!("POST {AGENTS}/{agent}/credentials");
        let made = self.send(&line, &body).await;
        assert_eq!(made.status, 201, "{made:?}");
        assert!(!made.keys().contains(&"clientSecret".to_owned()));
        made.text("credentialId")
    }

    pub async fn ask(&self, agent: &str, token: &str, more: &str) -> Answer {
        ask_at(&self.app, TOKEN, agent, token, more).await
    }

    /// Asks until the keys are there.
    pub async fn ask_patiently(&self, agent: &str, token: &str) -> Answer {
        patiently(async || self.ask(agent, token, "").await).await
    }

    pub fn now(&self) -> i64 {
        self.app.clock.now().0
    }

    /// The claims of a service account's token, as a cluster writes them.
    pub fn of_cluster(&self) -> Value {
        let now = self.now();
        json!({
            "aud": [ISSUER], "iss": CLUSTER, "iat": now, "nbf": now, "exp": now + 3_600,
            "jti": "9a4b6b0c-6b6f-4f5e-9a32-7d0e2f4a1c55", "sub": "system:serviceaccount:prod:reports",
            "kubernetes.io": {
                "namespace": "prod",
                "node": {"name": "node-1", "uid": "5fbd5a4e-8f2a-4a35-9d39-2a1a4b2f3c10"},
                "pod": {"name": "reports-0", "uid": "0c3d0a3f-9c33-44b1-8b9b-6a1d5a7f9e01"},
                "serviceaccount": {"name": "reports", "uid": ACCOUNT},
            },
        })
    }

    /// The claims of a job's token, as GitHub Actions write them.
    pub fn of_workflow(&self) -> Value {
        let now = self.now();
        json!({
            "jti": "example-id", "sub": "repo:acme/app:ref:refs/heads/main", "aud": ISSUER,
            "ref": "refs/heads/main", "sha": "example-sha", "repository": "acme/app",
            "repository_owner": "acme", "actor_id": "12", "repository_visibility": "private",
            "repository_id": "74", "repository_owner_id": "65", "run_id": "1", "run_number": "10",
            "run_attempt": "2", "runner_environment": "github-hosted", "actor": "octocat",
            "workflow": "deploy", "head_ref": "", "base_ref": "", "event_name": "push",
            "ref_type": "branch", "job_workflow_ref": "acme/app/.github/workflows/d.yml@refs/heads/main",
            "iss": GITHUB, "nbf": now - 600, "exp": now + 300, "iat": now,
        })
    }
}

pub const CLUSTER: &str = "https://kubernetes.default.svc.cluster.local";

pub const GITHUB: &str = "https://token.actions.githubusercontent.com";

/// The id of a service account.
pub const ACCOUNT: &str = "14a1c3c5-6a0e-4b53-9df5-1a7be1a3a2f7";

/// What an agent trusts of a cluster.
pub fn account(partner: &str) -> Value {
    json!({
        "partnerId": partner, "subject": "system:serviceaccount:prod:reports",
        "claims": {"/kubernetes.io/serviceaccount/uid": ACCOUNT, "/kubernetes.io/namespace": "prod"},
    })
}

pub async fn ask_at(app: &TestApp<'_>, path: &str, agent: &str, token: &str, more: &str) -> Answer {
    let id = if agent.is_empty() {
        String::new()
    } else {
        format!("&client_id={agent}")
    };
    let form = format!(
        "grant_type=client_credentials&client_assertion_type={}&client_assertion={token}{id}{more}",
        encode(URN)
    );
    app.post(path, &form).await
}

pub async fn patiently(ask: impl AsyncFn() -> Answer) -> Answer {
    let mut last = ask().await;
    wait_until("the keys are fetched", async || {
        last = ask().await;
        last.status != 503
    })
    .await;
    last
}
