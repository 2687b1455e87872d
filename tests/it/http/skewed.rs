//! Two replicas whose clocks are 20 minutes or 26 hours apart, in either direction, and a database
//! with a third clock. For ten minutes the tests do everything that a wrong clock could break. No
//! revoked token is active anywhere, no code is valid twice, no key signs before its time, no token
//! has an `iat` in the future.

use sealwright::testing::service::key_rotation::RotationMode;
use serde_json::Value;

use super::airisk::{CALLBACK, agent_for, code, exchange_at};
use super::introspect::INACTIVE;
use crate::harness::app::{Agent, TestApp, claims};
use crate::harness::database::Database;

/// By how many seconds the two clocks are ahead of the database's.
const SKEWS: [(i64, i64); 6] = [
    (0, 1_200),
    (0, -1_200),
    (600, -600),
    (0, 93_600),
    (0, -93_600),
    (46_800, -46_800),
];

const STEP: i64 = 20;

/// Tokens that must stay inactive, and codes that must stay spent.
#[derive(Default)]
struct Gone {
    tokens: Vec<String>,
    codes: Vec<String>,
}

struct Stage<'a> {
    apps: [&'a TestApp<'a>; 2],
    caller: Agent,
    agents: Vec<Agent>,
    gone: Gone,
}

impl Stage<'_> {
    fn now(&self) -> i64 {
        self.apps[0].clock.now().0
    }

    /// Gets a token, and demands that its `iat` is not in the future.
    async fn token(&self, app: &TestApp<'_>, agent: &Agent) -> String {
        let token = app.token(agent).await;
        self.is_of_the_past(&token);
        token
    }

    fn is_of_the_past(&self, token: &str) {
        let claims = claims(token);
        let (iat, exp) = (
            claims["iat"].as_i64().unwrap(),
            claims["exp"].as_i64().unwrap(),
        );
        assert!(iat <= self.now(), "{claims}");
        assert_eq!(exp - iat, 600, "{claims}");
    }

    async fn kill(&mut self, here: &TestApp<'_>, there: &TestApp<'_>, step: usize) {
        let [agent, suspended] = [step % 2, 2].map(|which| self.agents[which].clone());
        let tokens = [
            self.token(here, &agent).await,
            self.token(there, &agent).await,
        ];
        for token in tokens {
            here.revoke(&agent, &token).await.is(200, "{}");
            self.gone.tokens.push(token);
        }
        if step.is_multiple_of(4) {
            let killed = [
                self.token(here, &suspended).await,
                self.token(there, &suspended).await,
            ];
            here.suspend(&suspended).await;
            there.reactivate(&suspended).await;
            self.gone.tokens.extend(killed);
        }
    }

    async fn exchange(&mut self, here: &TestApp<'_>, there: &TestApp<'_>) {
        let agent = self.agents[0].clone();
        let one = code(here, &agent).await;
        let answer = exchange_at(there, &agent, &one, CALLBACK, "").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        self.is_of_the_past(&answer.text("access_token"));
        self.gone.codes.push(one);
    }

    async fn check(&self, step: usize) {
        for app in self.apps {
            app.state.list.refresh().await.unwrap();
            let body = app.get("/oauth/revoked-tokens").await.json();
            let listed = body["revoked_jtis"].as_array().unwrap();
            // Check all tokens in every sixth step, and the newest six in every step.
            let newest = if step.is_multiple_of(6) {
                usize::MAX
            } else {
                6
            };
            for token in self.gone.tokens.iter().rev().take(newest) {
                app.introspect(&self.caller, token).await.is(200, INACTIVE);
                let claims = claims(token);
                let is_over = claims["exp"].as_i64().unwrap() <= self.now();
                assert!(is_over || listed.contains(&claims["jti"]), "{claims}");
            }
            let last: Vec<&String> = self.gone.codes.iter().rev().take(4).collect();
            for code in last.into_iter().chain(self.gone.codes.first()) {
                let again = exchange_at(app, &self.agents[0], code, CALLBACK, "").await;
                assert_eq!(again.status, 400, "{again:?}");
            }
        }
    }
}

/// Does what the loops of a process do. Events are kept for as long as a token can live, which is
/// the shortest time that the configuration allows.
async fn turn_loops(app: &TestApp<'_>) {
    app.opened.keys.refresh().await.unwrap();
    let Some(now) = app.opened.clock.settled() else {
        return;
    };
    app.database.announce_prune().await;
    while app.opened.records.prune(now, 86_400, 1_000).await.unwrap() > 0 {}
}

async fn ten_minutes(first: i64, second: i64) {
    let database = Database::postgres().await;
    let settings = [("keys.announce_seconds", "360")];
    let right = TestApp::start_with(&database, &settings).await;
    let (one, two) = (
        right.beside_ahead(first, &settings).await,
        right.beside_ahead(second, &settings).await,
    );
    let mut agents = Vec::new();
    for _ in 0..3 {
        agents.push(agent_for(&right, "agents:read tokens:read", &[]).await);
    }
    let caller = right.agent("tokens:read").await;
    let mut stage = Stage {
        apps: [&one, &two],
        caller,
        agents,
        gone: Gone::default(),
    };
    let old = stage.agents[1].clone();
    stage.agents[1] = two.rotate(&old, 120).await;
    let rotated = stage.now();
    let announced = two
        .opened
        .keys
        .rotate(RotationMode::Announce, &two.opened.operator())
        .await
        .unwrap();
    for step in 0..30 {
        let (here, there) = if step % 2 == 0 {
            (&one, &two)
        } else {
            (&two, &one)
        };
        stage.kill(here, there, step).await;
        stage.exchange(here, there).await;
        for app in stage.apps {
            turn_loops(app).await;
            let is_over = stage.now() >= rotated + 120;
            let answer = app.ask(&old, "").await;
            assert_eq!(answer.status, if is_over { 401 } else { 200 }, "{answer:?}");
        }
        stage.check(step).await;
        let signing = database
            .texts("select kid from signing_key where state = 'signing'")
            .await;
        if stage.now() < announced.signs_from.0 {
            assert!(!signing.contains(&announced.kid.0));
        }
        right.clock.advance(STEP);
    }
    right.opened.keys.refresh().await.unwrap();
    let signing = database
        .texts("select kid from signing_key where state = 'signing'")
        .await;
    assert_eq!(signing, [announced.kid.0]);
    let expired = right
        .introspect(&stage.caller, &stage.gone.tokens[0])
        .await
        .json();
    assert_eq!(expired, serde_json::json!({ "active": Value::Bool(false) }));
    drop(stage);
    drop((right, one, two));
    database.remove().await;
}

#[tokio::test]
async fn replicas_whose_clocks_differ_by_minutes_or_a_day_revive_nothing_for_ten_minutes() {
    for (first, second) in SKEWS {
        Box::pin(ten_minutes(first, second)).await;
    }
}
