//! What a secret may cost (security: credentials under attack; known failures 20, 26, 28). A forged
//! secret costs no hash, and any other at most one. Too many at once get a 503, never a verdict.

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use super::on_both;
use super::token::INVALID_CLIENT;
use crate::harness::app::{
    Agent, INTROSPECT, REVOKE, TOKEN, TestApp, basic, raw_basic, wait_until,
};

on_both! {
    no_flood_of_secrets_computes_a_hash_while_nothing_is_imported,
    a_full_hash_queue_is_503_and_never_401,
    a_request_computes_one_hash_at_most,
    an_imported_hash_is_replaced_at_its_first_success,
    wrong_secrets_evict_nobody,
    a_raw_secret_in_basic_is_compared_where_its_line_said_so,
}

/// The metrics of this test's thread, separate from those of all other tests.
pub struct Counts(
    PrometheusHandle,
    #[expect(dead_code)] metrics::LocalRecorderGuard<'static>,
);

impl Counts {
    pub fn here() -> Self {
        let recorder = Box::leak(Box::new(PrometheusBuilder::new().build_recorder()));
        let handle = recorder.handle();
        Self(handle, metrics::set_default_local_recorder(recorder))
    }

    /// Everything as Prometheus reads it.
    pub fn text(&self) -> String {
        self.0.render()
    }

    /// How many hashes have been requested so far.
    pub fn hashes(&self) -> u64 {
        let text = self.0.render();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("sealwright_hashes_total "));
        line.map_or(0, |value| value.parse().unwrap())
    }

    /// What the hashes have cost so far, in the unit of one algorithm.
    pub fn work(&self, kind: &str) -> f64 {
        let (text, name) = (
            self.0.render(),
            format!("sealwright_hash_work_total{{kind=\"{kind}\"}} "),
        );
        text.lines()
            .find_map(|line| line.strip_prefix(&name))
            .map_or(0.0, |value| value.parse().unwrap())
    }
}

/// Blocks every hashing thread and fills their queue.
async fn occupy_hashing(app: &TestApp<'_>) -> Vec<tokio::task::JoinHandle<bool>> {
    app.entropy.close();
    let secrets = app.opened.secrets.clone();
    let hash = || {
        let secrets = secrets.clone();
        tokio::spawn(async move {
            let secret =
                sealwright::testing::service::clients::secret::Secret::parse("something").unwrap();
            secrets.hash(&secret).await.is_ok()
        })
    };
    let mut waiting = vec![hash()];
    wait_until("the thread is held", async || app.entropy.held() == 1).await;
    waiting.push(hash());
    tokio::task::yield_now().await;
    assert!(!app.hash_something().await, "the queue had room");
    waiting
}

const ONE_THREAD: [(&str, &str); 3] = [
    ("limits.hash_threads", "1"),
    ("limits.hash_queue", "1"),
    ("limits.failures_per_minute", "0"),
];

fn junk(agents: &[&Agent]) -> Vec<String> {
    let mut junk: Vec<String> = agents
        .iter()
        .flat_map(|a| [a.secret.clone(), a.forged_secret()])
        .collect();
    junk.extend(["x", "hunter2", "sw_", "$2b$10$", "é\u{1F980}"].map(str::to_owned));
    junk.extend([
        format!("sw_!{}", "x".repeat(60)),
        "x".repeat(4_096),
        "x".repeat(4_097),
        "x".repeat(50_000),
    ]);
    junk
}

async fn no_flood_of_secrets_computes_a_hash_while_nothing_is_imported(app: &TestApp<'_>) {
    let app = &app.beside_with(&ONE_THREAD).await;
    let (victim, attacker) = (
        app.agent("tokens:read").await,
        app.agent("tokens:read").await,
    );
    app.token(&victim).await;
    let counts = Counts::here();
    // Every thread is blocked and the queue is full, so a request that needs a hash would get a
    // 503.
    let waiting = occupy_hashing(app).await;
    let before = counts.hashes();
    for secret in junk(&[&attacker]) {
        for id in [&victim.id, "nobody", "not an id", ""] {
            for (path, body) in [
                (TOKEN, "grant_type=client_credentials"),
                (INTROSPECT, "token=x"),
                (REVOKE, "token=x"),
            ] {
                if secret.len() < 20_000 {
                    app.post_as(&basic(id, &secret), path, body)
                        .await
                        .is(401, INVALID_CLIENT);
                }
                if !id.is_empty() {
                    let agent = Agent {
                        id: id.to_owned(),
                        secret: secret.clone(),
                    };
                    app.post(path, &format!("{body}&{}", agent.form()))
                        .await
                        .is(401, INVALID_CLIENT);
                }
            }
        }
    }
    // A client whose secret was proven before can still get tokens.
    app.token(&victim).await;
    assert_eq!(counts.hashes(), before);
    app.entropy.open();
    for one in waiting {
        one.await.unwrap();
    }
}

async fn a_full_hash_queue_is_503_and_never_401(app: &TestApp<'_>) {
    let app = &app.beside_with(&ONE_THREAD).await;
    let (warm, cold) = (
        app.agent("tokens:read").await,
        app.agent("tokens:read").await,
    );
    app.token(&warm).await;
    let waiting = occupy_hashing(app).await;
    demand_shed(app, &cold).await;
    // Requests that need no hash are answered as usual.
    app.token(&warm).await;
    app.ask(&cold.with_secret(&warm.secret), "")
        .await
        .is(401, INVALID_CLIENT);
    app.entropy.open();
    for one in waiting {
        one.await.unwrap();
    }
    app.token(&cold).await;
}

/// Demands a 503 at the token endpoint and at introspection, as the queue is full.
pub async fn demand_shed(app: &TestApp<'_>, agent: &Agent) {
    let answer = app.ask(agent, "").await;
    answer.is_error(503, "temporarily_unavailable");
    assert_eq!(answer.header("retry-after"), "1");
    let answer = app.post_as(&agent.basic(), INTROSPECT, "token=x").await;
    answer.is_error(503, "temporarily_unavailable");
}

/// Known failure 28: this holds also when an imported credential exists.
async fn a_request_computes_one_hash_at_most(app: &TestApp<'_>) {
    let app = &app
        .beside_with(&[("limits.failures_per_minute", "0")])
        .await;
    let (agent, other) = (
        app.agent("tokens:read").await,
        app.agent("tokens:read").await,
    );
    let imported = app.imported("imported", "hunter2", "tokens:read").await;
    let rotated = app.rotate(&agent, 3_600).await;
    let counts = Counts::here();
    let unknown = Agent {
        id: "nobody".to_owned(),
        secret: "hunter2".to_owned(),
    };
    app.token(&agent).await;
    app.token(&rotated).await;
    app.token(&imported).await;
    assert_eq!(counts.hashes(), 3, "a first proof is one hash");
    let mut after = 3;
    let mut costs = async |agent: &Agent, expected: u64, what: &str| {
        for path in [TOKEN, INTROSPECT] {
            let body = if path == TOKEN {
                "grant_type=client_credentials"
            } else {
                "token=x"
            };
            app.post_as(&agent.basic(), path, body).await;
            let cost = counts.hashes() - after;
            after = counts.hashes();
            assert_eq!(cost, expected, "{what} at {path}");
        }
    };
    costs(&rotated, 0, "a proven secret").await;
    costs(&imported, 0, "a proven imported secret").await;
    costs(&unknown, 1, "an unknown id").await;
    costs(
        &agent.with_secret("junk"),
        1,
        "an agent without an imported credential",
    )
    .await;
    costs(&imported.with_secret("junk"), 1, "a wrong imported secret").await;
    costs(
        &imported.with_secret(&other.secret),
        0,
        "another agent's secret",
    )
    .await;
    costs(
        &unknown.with_secret(&other.secret),
        0,
        "a stranger with an agent's secret",
    )
    .await;
    costs(
        &Agent {
            id: "not an id".to_owned(),
            secret: "junk".to_owned(),
        },
        1,
        "what is no id",
    )
    .await;
}

async fn an_imported_hash_is_replaced_at_its_first_success(app: &TestApp<'_>) {
    use sealwright::testing::service::manage::import::{Imported, Row};
    // The test vector of the bcrypt library's documentation: "U*U" at cost 5.
    let hash = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
    let row = Row {
        client_id: "abc123".to_owned(),
        secret_hash: Some(hash.to_owned()),
        scopes: vec!["agents:read".to_owned()],
        ..Row::default()
    };
    assert_eq!(
        app.agents()
            .import(&[row], &app.opened.operator())
            .await
            .unwrap(),
        [Ok(Imported::Made)]
    );
    let agent = Agent {
        id: "abc123".to_owned(),
        secret: "U*U".to_owned(),
    };
    app.ask(&agent.with_secret("U*V"), "")
        .await
        .is(401, INVALID_CLIENT);
    let stored = "select hash from credential where agent_id = 'abc123'";
    assert_eq!(app.database.texts(stored).await, [hash]);
    app.token(&agent).await;
    assert!(app.database.texts(stored).await[0].starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
    let event = "select actor from audit_event where kind = 'credential.rehashed'";
    assert_eq!(app.database.texts(event).await, ["agent:abc123"]);
    app.token(&agent).await;
    let other = app.beside().await;
    other.token(&agent).await;
    other
        .ask(&agent.with_secret("U*V"), "")
        .await
        .is(401, INVALID_CLIENT);
}

/// Known failure 26.
async fn wrong_secrets_evict_nobody(app: &TestApp<'_>) {
    let app = &app
        .beside_with(&[("limits.failures_per_minute", "0")])
        .await;
    let agent = app.agent("tokens:read").await;
    let imported = app.imported("imported", "hunter2", "tokens:read").await;
    for one in [&agent, &imported] {
        app.token(one).await;
    }
    for i in 0..40 {
        app.ask(&imported.with_secret(&format!("wrong {i}")), "")
            .await
            .is(401, INVALID_CLIENT);
    }
    let counts = Counts::here();
    for one in [&agent, &imported] {
        app.token(one).await;
    }
    assert_eq!(counts.hashes(), 0);
}

/// RFC 6749 §2.3.1 demands form-encoded credentials in Basic. kafka's client, some MCP clients and
/// users of curl send them raw.
async fn a_raw_secret_in_basic_is_compared_where_its_line_said_so(app: &TestApp<'_>) {
    use sealwright::testing::service::manage::import::{Imported, Row};
    let app = &app
        .beside_with(&[("limits.failures_per_minute", "0")])
        .await;
    let secret = "a+b/c%25d==";
    let row = |id: &str, raw: Option<&str>| Row {
        client_id: id.to_owned(),
        secret: Some(secret.to_owned()),
        scopes: vec!["tokens:read".to_owned()],
        raw_basic: raw.map(str::to_owned),
        ..Row::default()
    };
    let rows = [
        row("raw", Some("true")),
        row("encoded", Some("false")),
        row("unsaid", None),
    ];
    let verdicts = app
        .agents()
        .import(&rows, &app.opened.operator())
        .await
        .unwrap();
    assert_eq!(verdicts, vec![Ok(Imported::Made); 3]);
    assert!(
        app.agents()
            .import(&[row("odd", Some("yes"))], &app.opened.operator())
            .await
            .unwrap()[0]
            .is_err()
    );
    let unknown = app
        .post_as(&basic("nobody", "x"), INTROSPECT, "token=x")
        .await;
    for warm in [false, true] {
        for (id, takes_raw) in [
            ("raw", true),
            ("encoded", false),
            ("unsaid", false),
            ("nobody", false),
        ] {
            let raw = raw_basic(format!("{id}:{secret}"));
            let decoded = raw_basic(format!(
                "{id}:{}",
                secret.replace('+', " ").replace("%25", "%")
            ));
            let encoded = basic(id, secret);
            let takes_encoded = !takes_raw && id != "nobody";
            for (authorization, right) in [
                (&raw, takes_raw),
                (&encoded, takes_encoded),
                (&decoded, false),
            ] {
                let counts = Counts::here();
                let answer = app.post_as(authorization, INTROSPECT, "token=x").await;
                assert!(counts.hashes() <= 1, "{id}: {} hashes", counts.hashes());
                if right {
                    assert_eq!(answer.status, 200, "{id}, warm: {warm}");
                } else {
                    assert_eq!(
                        answer.fingerprint(),
                        unknown.fingerprint(),
                        "{id}, warm: {warm}"
                    );
                    assert_eq!(counts.hashes(), 1, "{id}: its time reveals that it exists");
                }
                drop(counts);
            }
            // In a form the encoding is unambiguous.
            let agent = Agent {
                id: id.to_owned(),
                secret: secret.to_owned(),
            };
            assert_eq!(
                app.ask(&agent, "").await.status,
                if id == "nobody" { 401 } else { 200 }
            );
        }
    }
}
