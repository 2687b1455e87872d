//! Runs the server inside the test process, on port 0, with the test's own database and a clock
//! that the test sets.

use std::ffi::OsString;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use sealwright::testing::app::{self, Opened, Wrapping};
use sealwright::testing::clock::{Clock, FakeClock};
use sealwright::testing::config::raw::Raw;
use sealwright::testing::config::{Config, MasterKeyNeed};
use sealwright::testing::domain::about::About;
use sealwright::testing::domain::act::Act;
use sealwright::testing::domain::agent::{AgentName, Profile, SuspendedBy, Terms};
use sealwright::testing::domain::catalogue::CatalogueEntry;
use sealwright::testing::domain::id::AgentId;
use sealwright::testing::domain::quota::PlanName;
use sealwright::testing::domain::scope::{Scope, parse_scope_list};
use sealwright::testing::domain::time::Timestamp;
use sealwright::testing::entropy::Entropy;
use sealwright::testing::http;
use sealwright::testing::http::serve::Rules;
use sealwright::testing::http::state::State;
use sealwright::testing::keys::algorithm::{GeneratedKey, RsaBits, generate};
use sealwright::testing::keys::row_seal;
use sealwright::testing::outbound::network::{OuterNetwork, SystemNetwork};
use sealwright::testing::service::clients::secret::Secret;
use sealwright::testing::service::manage::agents::{Agents, NewAgent};
use sealwright::testing::service::manage::credentials::Rotation;
use sealwright::testing::service::manage::import::{Imported, Row};
use sealwright::testing::service::manage::keeping::Keep;
use sealwright::testing::service::readiness::Draining;
use sealwright::testing::store::{Change, KeyChange, KeyState, Write};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub use super::agent::{Agent, basic, bearer, claims, encode, header, raw_basic};
use super::answer::Answer;
use super::database::Database;
use super::entropy::GatedEntropy;
use super::patience::until_hashed;
use super::time::Time;

/// 2025-01-31T12:00:00Z, near the end of a month.
pub const NOW: Timestamp = Timestamp(1_738_324_800);

pub const ISSUER: &str = "https://auth.sealwright.test";
pub const TOKEN: &str = "/api/v1/token";
pub const OAUTH_TOKEN: &str = "/oauth/token";
pub const INTROSPECT: &str = "/api/v1/token/introspect";
pub const REVOKE: &str = "/api/v1/token/revoke";
pub const REVOKED: &str = "/api/v1/token/revoked";
pub const AGENTS: &str = "/api/v1/agents";

const FORM: &str = "application/x-www-form-urlencoded";

/// How long a test waits for an event before it gives up.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A server. Several of them over one database act as several processes would.
pub struct TestApp<'d> {
    pub database: &'d Database,
    pub config: Config,
    pub opened: Opened,
    pub state: Arc<State>,
    /// Lets time pass for every process of the test and for the database.
    pub clock: Arc<Time>,
    /// The clock of this process alone.
    pub own_clock: Arc<FakeClock>,
    pub entropy: Arc<GatedEntropy>,
    pub address: SocketAddr,
    pub ops_address: SocketAddr,
    pub draining: Arc<Draining>,
    client: reqwest::Client,
}

/// Polls `done` until it returns true: for work that another thread or the database does in the
/// background.
pub async fn wait_until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + TIMEOUT;
    while !done().await {
        assert!(
            tokio::time::Instant::now() < deadline,
            "waited too long until {what}"
        );
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// A configuration for this database: the defaults, with these keys on top.
pub fn config(database: &Database, settings: &[(&str, &str)]) -> Config {
    let url = match database {
        Database::Sqlite { path, .. } => format!("sqlite://{}", path.display()),
        Database::Postgres { url, .. } => url.clone(),
    };
    let fixed = [
        ("database.url", url.as_str()),
        ("database.max_connections", "4"),
        (
            "keys.master_key",
            "c2VhbHdyaWdodCB0ZXN0IG1hc3RlciBrZXkgMzIgYiE=",
        ),
        ("token.issuer", ISSUER),
        ("log.requests", "false"),
    ];
    let environment = fixed.iter().chain(settings).map(|(key, value)| {
        let (section, name) = key.split_once('.').unwrap();
        let variable = format!(
            "SEALWRIGHT_{}__{}",
            section.to_uppercase(),
            name.to_uppercase()
        );
        (OsString::from(variable), OsString::from(value))
    });
    // A later setting of the same key wins.
    let environment: std::collections::HashMap<_, _> = environment.collect();
    let raw = Raw::read(None, environment, &[]);
    Config::resolve(&raw, MasterKeyNeed::WithPostgres).unwrap_or_else(|faults| panic!("{faults}"))
}

impl<'d> TestApp<'d> {
    /// A server with the default configuration.
    pub async fn start(database: &'d Database) -> Self {
        Self::start_with(database, &[]).await
    }

    /// A server with these configuration keys.
    pub async fn start_with(database: &'d Database, settings: &[(&str, &str)]) -> Self {
        Self::at(
            database,
            settings,
            Arc::new(Time::at(NOW, database.clock())),
            (0, Arc::new(SystemNetwork)),
        )
        .await
    }

    async fn at(
        database: &'d Database,
        settings: &[(&str, &str)],
        clock: Arc<Time>,
        (ahead, network): (i64, Arc<dyn OuterNetwork>),
    ) -> Self {
        let config = config(database, settings);
        let entropy = Arc::new(GatedEntropy::default());
        let drawn: Arc<dyn Entropy> = Arc::clone(&entropy) as _;
        let own_clock = clock.process(ahead);
        let told: Arc<dyn Clock> = Arc::clone(&own_clock) as _;
        let mut opened = app::open_with(&config, Wrapping::Serving, told, drawn)
            .await
            .unwrap();
        opened.network = network;
        opened.watch.look().await.unwrap();
        plant_signing_key(&opened).await;
        opened.keys.ensure_signing_key().await.unwrap();
        let draining = Arc::new(Draining::default());
        let state = app::compose(&config, &opened, Arc::clone(&draining)).unwrap();
        state.list.refresh().await.unwrap();
        let address = listen(http::public_router(&state));
        let ops_address = listen(http::ops_router(&state));
        let redirects = reqwest::redirect::Policy::none();
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(redirects)
            .build()
            .unwrap();
        Self {
            database,
            config,
            opened,
            state,
            clock,
            own_clock,
            entropy,
            address,
            ops_address,
            draining,
            client,
        }
    }

    /// Another process over the same database, with the same clock.
    pub async fn beside(&self) -> Self {
        self.beside_with(&[]).await
    }

    /// As [`Self::beside`], with these configuration keys.
    pub async fn beside_with(&self, settings: &[(&str, &str)]) -> Self {
        self.beside_in(Arc::new(SystemNetwork), settings).await
    }

    /// As [`Self::beside_with`], in this network.
    pub async fn beside_in(
        &self,
        network: Arc<dyn OuterNetwork>,
        settings: &[(&str, &str)],
    ) -> Self {
        let clock = Arc::clone(&self.clock);
        Self::at(self.database, settings, clock, (0, network)).await
    }

    /// Another process over the same database. Its clock is ahead by `seconds`.
    pub async fn beside_ahead(&self, seconds: i64, settings: &[(&str, &str)]) -> Self {
        let (clock, network) = (Arc::clone(&self.clock), Arc::new(SystemNetwork));
        Self::at(self.database, settings, clock, (seconds, network)).await
    }

    // ---- agents, credentials and scopes, changed as an operator changes them

    pub fn agents(&self) -> Agents {
        self.opened.agents(&self.config)
    }

    /// An agent with a random id that is allowed these scopes.
    pub async fn agent(&self, scopes: &str) -> Agent {
        self.agent_like(None, scopes, |_| ()).await
    }

    /// An agent with this id.
    pub async fn agent_named(&self, id: &str, scopes: &str) -> Agent {
        self.agent_like(Some(id), scopes, |_| ()).await
    }

    /// An agent whose terms `shape` has changed.
    pub async fn agent_like(
        &self,
        id: Option<&str>,
        scopes: &str,
        shape: impl FnOnce(&mut Terms),
    ) -> Agent {
        let scopes = if scopes.is_empty() {
            vec![]
        } else {
            parse_scope_list(scopes).unwrap()
        };
        let mut terms = Terms {
            scopes,
            ttl: None,
            plan: PlanName::free(),
            audiences: vec![],
            redirect_uris: vec![],
            user_ids: vec![],
        };
        shape(&mut terms);
        let profile = Profile {
            name: AgentName::parse("An agent").unwrap(),
            about: About::default(),
            terms: Arc::new(terms),
            expires_at: None,
        };
        let agent_id = id.map(|id| AgentId::parse(id).unwrap());
        let new = NewAgent {
            org_id: None,
            agent_id,
            secret: None,
            profile,
        };
        let (agents, operator) = (self.agents(), self.opened.operator());
        let made = until_hashed(async || agents.create(new.clone(), &operator).await).await;
        Agent {
            id: made.agent_id.to_string(),
            secret: made.secret.as_ref().unwrap().expose().to_owned(),
        }
    }

    /// An agent imported with a secret that another token server made.
    pub async fn imported(&self, id: &str, secret: &str, scopes: &str) -> Agent {
        let row = Row {
            client_id: id.to_owned(),
            secret: Some(secret.to_owned()),
            scopes: scopes.split(' ').map(str::to_owned).collect(),
            ..Row::default()
        };
        let (agents, operator, rows) = (self.agents(), self.opened.operator(), [row]);
        let verdicts = until_hashed(async || agents.import(&rows, &operator).await).await;
        assert_eq!(verdicts, [Ok(Imported::Made)]);
        Agent {
            id: id.to_owned(),
            secret: secret.to_owned(),
        }
    }

    pub async fn suspend(&self, agent: &Agent) {
        self.agents()
            .suspend(
                &agent.parsed_id(),
                SuspendedBy::Operator,
                &self.opened.operator(),
            )
            .await
            .unwrap();
    }

    pub async fn reactivate(&self, agent: &Agent) {
        self.agents()
            .reactivate(&agent.parsed_id(), &self.opened.operator())
            .await
            .unwrap();
    }

    pub async fn decommission(&self, agent: &Agent) {
        self.agents()
            .decommission(&agent.parsed_id(), &self.opened.operator())
            .await
            .unwrap();
    }

    pub async fn revoke_tokens(&self, agent: &Agent) {
        self.agents()
            .revoke_tokens(&agent.parsed_id(), &self.opened.operator())
            .await
            .unwrap();
    }

    /// Rotates the agent's secret, and returns the agent with the new one.
    pub async fn rotate(&self, agent: &Agent, overlap: i64) -> Agent {
        let rotation = Rotation {
            overlap,
            ..Rotation::default()
        };
        let (agents, id, operator) = (self.agents(), agent.parsed_id(), self.opened.operator());
        let rotate = async || {
            let rotation = rotation.clone();
            agents
                .rotate_credential(&id, rotation, &operator, Keep::nothing())
                .await
        };
        let made = until_hashed(rotate).await;
        agent.with_secret(made.secret.unwrap().expose())
    }

    pub async fn add_scope(&self, name: &str) {
        self.add_scope_like(name, false).await;
    }

    pub async fn add_scope_like(&self, name: &str, high_risk: bool) {
        let scopes = self.opened.scopes(&self.config);
        let scope = Scope::parse(name).unwrap();
        let entry = CatalogueEntry {
            scope,
            description: "For a test".to_owned(),
            high_risk,
        };
        scopes
            .add(entry, &self.opened.operator(), Keep::nothing())
            .await
            .unwrap();
    }

    /// Sets how many tokens the agent has used this month, directly in the database.
    pub async fn set_used(&self, agent: &Agent, used: i64) {
        let month = self.clock.now().month().key();
        let key = format!("agent_id = '{}' and month = {month}", agent.id);
        let rows = self
            .database
            .number(&format!("select count(*) from quota where {key}"))
            .await;
        assert_eq!(rows, 1, "the agent has used nothing yet");
        self.database
            .execute(&format!("update quota set used = {used} where {key}"))
            .await;
    }

    /// Asks the hashing threads for one more hash, as an operator's change does.
    pub async fn hash_something(&self) -> bool {
        self.opened
            .secrets
            .hash(&Secret::parse("something").unwrap())
            .await
            .is_ok()
    }

    // ---- requests

    pub async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Answer {
        self.send_to(self.address, method, path, headers, body)
            .await
    }

    pub async fn send_to(
        &self,
        address: SocketAddr,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Answer {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(
                name.parse::<HeaderName>().unwrap(),
                HeaderValue::from_bytes(value.as_bytes()).unwrap(),
            );
        }
        let request = self
            .client
            .request(method, format!("http://{address}{path}"))
            .headers(map)
            .body(body);
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Answer {
            status,
            headers,
            body: response.text().await.unwrap(),
        }
    }

    /// A form without any `Authorization`.
    pub async fn post(&self, path: &str, body: &str) -> Answer {
        self.send("POST", path, &[("content-type", FORM)], body.into())
            .await
    }

    /// JSON without any `Authorization`.
    pub async fn post_json(&self, path: &str, body: &str) -> Answer {
        self.send(
            "POST",
            path,
            &[("content-type", "application/json")],
            body.into(),
        )
        .await
    }

    /// A form with this `Authorization`.
    pub async fn post_as(&self, authorization: &str, path: &str, body: &str) -> Answer {
        let headers = [("content-type", FORM), ("authorization", authorization)];
        self.send("POST", path, &headers, body.into()).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], vec![]).await
    }

    pub async fn get_as(&self, authorization: &str, path: &str) -> Answer {
        self.send("GET", path, &[("authorization", authorization)], vec![])
            .await
    }

    pub async fn get_if_none_match(&self, path: &str, tags: &str) -> Answer {
        self.send("GET", path, &[("if-none-match", tags)], vec![])
            .await
    }

    /// Sends bytes unchanged, for requests that a client library refuses to send. Returns the
    /// response, or `None` when the connection ended without one.
    pub async fn raw(&self, request: &[u8]) -> Option<Answer> {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        // The server may answer and close before it has read everything.
        let _ = stream.write_all(request).await;
        let mut reply = Vec::new();
        let read = tokio::time::timeout(TIMEOUT, stream.read_to_end(&mut reply)).await;
        // A connection that was reset after the response has still delivered the response.
        let _ = read.unwrap_or_else(|_| panic!("no end of the answer: {}", reply.escape_ascii()));
        parse_answer(&reply)
    }

    /// Sends a POST with these header fields and this body, on a connection that ends with the
    /// response.
    pub async fn raw_post(&self, path: &str, headers: &[u8], body: &[u8]) -> Option<Answer> {
        let mut request =
            format!("POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n").into_bytes();
        request.extend_from_slice(headers);
        request.extend_from_slice(b"\r\n");
        request.extend_from_slice(body);
        self.raw(&request).await
    }

    // ---- tokens

    /// Asks for a token with the secret in the form, and with `parameters` added.
    pub async fn ask(&self, agent: &Agent, parameters: &str) -> Answer {
        let join = if parameters.is_empty() { "" } else { "&" };
        let body = format!(
            "grant_type=client_credentials&{}{join}{parameters}",
            agent.form()
        );
        self.post(TOKEN, &body).await
    }

    /// A token with all allowed scopes.
    pub async fn token(&self, agent: &Agent) -> String {
        self.token_with(agent, "").await
    }

    pub async fn token_with(&self, agent: &Agent, parameters: &str) -> String {
        let answer = self.ask(agent, parameters).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.text("access_token")
    }

    pub async fn introspect(&self, caller: &Agent, token: &str) -> Answer {
        self.post_as(
            &caller.basic(),
            INTROSPECT,
            &format!("token={}", encode(token)),
        )
        .await
    }

    pub async fn revoke(&self, caller: &Agent, token: &str) -> Answer {
        self.post_as(&caller.basic(), REVOKE, &format!("token={}", encode(token)))
            .await
    }

    /// Whether introspection says that the token is active. Its other members are ignored.
    pub async fn is_active(&self, caller: &Agent, token: &str) -> bool {
        let answer = self.introspect(caller, token).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        if answer.body == "{\"active\":false}" {
            return false;
        }
        assert_eq!(answer.json()["active"], true, "{answer:?}");
        true
    }
}

fn listen(router: axum::Router) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    // The runtime ends with the test, and the server with the runtime.
    tokio::spawn(http::serve::serve(
        listener,
        router,
        Rules::default(),
        std::future::pending(),
        Duration::ZERO,
    ));
    address
}

/// Gives a fresh store the signing key that the tests share: generating one for each test takes
/// long.
async fn plant_signing_key(opened: &Opened) {
    static KEY: OnceLock<GeneratedKey> = OnceLock::new();
    if !opened.records.keys().await.unwrap().keys.is_empty() {
        return;
    }
    let key = KEY.get_or_init(|| generate(RsaBits::B2048).unwrap());
    let now = opened.clock.now();
    let master = opened.keyring.master_key();
    let record = row_seal::new_record(master, key, KeyState::Signing, (now, now), &*opened.entropy);
    let change = Change::Key(KeyChange::Insert(Box::new(record.unwrap())));
    opened
        .store
        .commit(vec![Write::new(Act::system(now.into()), change)])
        .await
        .unwrap();
}

/// Parses one HTTP/1.1 response. Its body is all that follows the head.
fn parse_answer(reply: &[u8]) -> Option<Answer> {
    // An interim response (100) may come before the final one.
    let reply = reply
        .strip_prefix(b"HTTP/1.1 100 Continue\r\n\r\n")
        .unwrap_or(reply);
    let end = reply.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&reply[..end]).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines
        .next()
        .unwrap()
        .split(' ')
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(':').unwrap();
        headers.append(
            name.parse::<HeaderName>().unwrap(),
            value.trim().parse().unwrap(),
        );
    }
    Some(Answer {
        status,
        headers,
        body: String::from_utf8(reply[end + 4..].to_vec()).unwrap(),
    })
}
