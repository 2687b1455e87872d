//! Processes whose clocks are wrong, minutes or a day ahead or behind, on a database with the right
//! clock. No revoked token is active anywhere, no code is valid twice, no key signs before its
//! time, no token has an `iat` in the future, and a month has as many tokens as it should.
//!
//! The long form takes ten minutes, so that the clean-up and the steps of key rotation, which run
//! once a minute, run several times.

use futures_util::future::join_all;

use crate::stage::client::{CALLBACK, Client, exchange_request};
use crate::stage::clock::{FakeClock, LIBFAKETIME};
use crate::stage::cluster::Cluster;
use crate::stage::ledger::{claims, head};
use crate::stage::server::{Agent, Server, Site};
use crate::stage::{cannot_run, eventually, pause, play_alone, scaled};

/// By how many seconds the clocks of two replicas are ahead of the database's.
const SKEWS: [(i64, i64); 6] = [
    (0, 1_200),
    (0, -1_200),
    (0, 93_600),
    (0, -93_600),
    (600, -600),
    (46_800, -46_800),
];

/// The tokens that an agent may have in a month, fewer than it asks for.
fn limit() -> i64 {
    scaled(3, 45)
}

struct Replica {
    clock: FakeClock,
    ahead: i64,
    server: Server,
}

/// Tokens that must stay inactive, codes that must stay spent, and the key that may not sign yet.
struct Stage {
    site: Site,
    replicas: [Replica; 2],
    asker: Agent,
    /// Three agents. The tokens of the first are revoked one by one, those of the second all at
    /// once, those of the third by a suspension.
    agents: Vec<Agent>,
    /// An agent with a limit, and how many tokens it got.
    limited: Agent,
    granted: i64,
    tokens: Vec<String>,
    codes: Vec<String>,
    announced: String,
    signs_from: i64,
}

impl Stage {
    async fn new(cluster: &Cluster, ahead: [i64; 2]) -> Option<Self> {
        let mut site = Site::postgres(cluster).await;
        site.set("SEALWRIGHT_KEYS__ANNOUNCE_SECONDS", "360");
        site.set("SEALWRIGHT_PLANS__FREE", &limit().to_string());
        let (asker, limited) = (
            site.agent("asker", "unlimited"),
            site.agent("limited", "free"),
        );
        let names = ["revoked", "revoked at once", "suspended"];
        let agents: Vec<Agent> = names
            .iter()
            .map(|name| site.agent(name, "unlimited"))
            .collect();
        site.must(&["agent", "update", &agents[0].id, "--redirect-uri", CALLBACK]);
        let clocks = [
            FakeClock::new(&site, "one", ahead[0])?,
            FakeClock::new(&site, "two", ahead[1])?,
        ];
        let mut number = 0;
        let replicas = clocks.map(|clock| {
            site.wear(&clock);
            number += 1;
            Replica {
                clock,
                ahead: ahead[number - 1],
                server: site.start(),
            }
        });
        // The command runs with the second clock.
        site.must(&["key", "rotate"]);
        let announced = site
            .texts("select kid from signing_key where state = 'announced'")
            .await
            .remove(0);
        let signs_from = site
            .number("select signs_from from signing_key where state = 'announced'")
            .await;
        let (tokens, codes) = (vec![], vec![]);
        Some(Self {
            site,
            replicas,
            asker,
            agents,
            limited,
            granted: 0,
            tokens,
            codes,
            announced,
            signs_from,
        })
    }

    fn client(&self, replica: usize) -> Client {
        self.replicas[replica].server.client()
    }

    /// Demands that the token's `iat` is not in the future, and that its key did not sign before
    /// its time.
    async fn check_issued(&self, token: &str) {
        let (claims, now) = (claims(token), self.site.now().await);
        let (iat, exp) = (
            claims["iat"].as_i64().unwrap(),
            claims["exp"].as_i64().unwrap(),
        );
        assert!(iat <= now, "issued {} s from now: {claims}", iat - now);
        assert_eq!(exp - iat, 600, "{claims}");
        assert!(
            now >= self.signs_from || head(token)["kid"] != *self.announced,
            "signed too early"
        );
    }

    async fn token(&self, replica: usize, agent: usize) -> String {
        let token = self
            .client(replica)
            .issue(&self.agents[agent])
            .await
            .token();
        self.check_issued(&token).await;
        token
    }

    /// Kills tokens of both replicas in every way. Requests go to the replica `here`, and commands
    /// run with its clock.
    async fn kill(&mut self, here: usize) {
        self.site.wear(&self.replicas[here].clock);
        for agent in 0..self.agents.len() {
            let tokens = [self.token(0, agent).await, self.token(1, agent).await];
            let id = self.agents[agent].id.clone();
            match agent {
                0 => {
                    for token in &tokens {
                        let reply = self.client(here).revoke(&self.agents[0], token).await;
                        assert_eq!(reply.status, 200, "{}", reply.text());
                    }
                }
                1 => drop(self.site.must(&["agent", "revoke-tokens", &id])),
                _ => {
                    self.site.must(&["agent", "suspend", &id]);
                    for replica in 0..2 {
                        assert_eq!(
                            self.client(replica).issue(&self.agents[agent]).await.status,
                            403
                        );
                    }
                    self.site.must(&["agent", "reactivate", &id]);
                }
            }
            self.tokens.extend(tokens);
        }
    }

    /// Asks both replicas for a token of the agent that has a limit.
    async fn count(&mut self) {
        for replica in 0..2 {
            let reply = self.client(replica).issue(&self.limited).await;
            let is_full = self.granted == limit();
            assert_eq!(
                reply.status,
                if is_full { 403 } else { 200 },
                "{}",
                reply.text()
            );
            if !is_full {
                self.check_issued(&reply.token()).await;
                self.granted += 1;
            }
        }
    }

    async fn exchange(&mut self, here: usize) {
        let code = self.client(here).code(&self.agents[0]).await;
        let reply = self
            .client(1 - here)
            .ask(&exchange_request(&self.agents[0], &code))
            .await;
        let token = reply.token();
        self.check_issued(&token).await;
        self.codes.push(code);
        // `check` exchanges the code again, which revokes this token.
        self.tokens.push(token);
    }

    /// Demands that both replicas refuse all spent codes and dead tokens, and that their lists name
    /// the newest tokens.
    async fn check(&self) {
        for (number, replica) in self.replicas.iter().enumerate() {
            let mut client = self.client(number);
            for code in &self.codes {
                let again = client.ask(&exchange_request(&self.agents[0], code)).await;
                assert_eq!(again.status, 400, "a code was good twice: {}", again.text());
            }
            for token in &self.tokens {
                let active = client.introspect(&self.asker, token).await.active();
                assert!(
                    !active,
                    "active where the clock is {} s ahead: {}",
                    replica.ahead,
                    claims(token)
                );
            }
            let newest = &self.tokens[self.tokens.len() - 7..];
            eventually("what was killed is on the list", async || {
                let (list, now) = (
                    client.get("/oauth/revoked-tokens").await.json(),
                    self.site.now().await,
                );
                let listed = list["revoked_jtis"].as_array().unwrap();
                let mut claims = newest.iter().map(|token| claims(token));
                claims
                    .all(|one| one["exp"].as_i64().unwrap() <= now || listed.contains(&one["jti"]))
            })
            .await;
        }
    }

    /// Demands that both replicas accept the old secret exactly until the end of its overlap, by
    /// the database's clock.
    async fn check_overlap(&self, old: &Agent, ends: i64) {
        for replica in 0..2 {
            let before = self.site.now().await;
            let status = self.client(replica).issue(old).await.status;
            let after = self.site.now().await;
            assert!(
                after >= ends || status == 200,
                "{status} {} s before the end",
                ends - after
            );
            // A process knows the database's time only to the few milliseconds that a query takes.
            assert!(
                before <= ends || status == 401,
                "{status} {} s after the end",
                before - ends
            );
        }
    }
}

async fn apart(cluster: &Cluster, ahead: [i64; 2]) -> bool {
    let Some(mut stage) = Stage::new(cluster, ahead).await else {
        return false;
    };
    let old = stage.site.agent("rotated", "unlimited");
    stage.site.rotate(&old, scaled(4, 120));
    let end = format!(
        "select max(expires_at) from credential where agent_id = '{}'",
        old.id
    );
    let ends = stage.site.number(&end).await;
    for (number, replica) in stage.replicas.iter().enumerate() {
        let expected = if replica.ahead == 0 { 200 } else { 503 };
        eventually("a replica says whether its clock is off", async || {
            stage.client(number).get("/readyz").await.status == expected
        })
        .await;
    }
    for step in 0..scaled(2, 30) {
        stage.kill(step % 2).await;
        stage.exchange(step % 2).await;
        stage.count().await;
        stage.check_overlap(&old, ends).await;
        stage.check().await;
        pause(scaled(0, 20_000)).await;
    }
    eventually("the overlap ends", async || stage.site.now().await > ends).await;
    stage.check_overlap(&old, ends).await;
    let signing = stage
        .site
        .texts("select kid from signing_key where state = 'signing'")
        .await;
    assert_eq!(
        signing.contains(&stage.announced),
        scaled(false, true),
        "{ahead:?}"
    );
    stage.check().await;
    assert_eq!(stage.granted, limit());
    assert_eq!(stage.site.used(&stage.limited.id).await, limit());
    println!(
        "clocks {ahead:?} s ahead: {} tokens stay dead, {} codes spent, {} tokens of a month, no more",
        stage.tokens.len(),
        stage.codes.len(),
        stage.granted
    );
    true
}

#[test]
fn replicas_whose_clocks_differ_by_minutes_or_a_day_revive_nothing() {
    play_alone(async {
        let cluster = Cluster::start().await;
        let skews = SKEWS.iter().take(scaled(4, 6));
        let shown = join_all(skews.map(|(one, two)| apart(&cluster, [*one, *two]))).await;
        if shown.contains(&false) {
            cannot_run("two replicas with clocks of their own", LIBFAKETIME);
        }
    });
}

/// A machine starts without a network, and SQLite offers no second clock to compare with.
#[test]
fn a_server_on_sqlite_whose_clock_is_a_day_ahead_until_it_is_set_loses_nothing() {
    play_alone(async {
        let mut site = Site::sqlite();
        let (asker, agent) = (
            site.agent("asker", "unlimited"),
            site.agent("agent", "unlimited"),
        );
        let server = site.start();
        let mut client = server.client();
        let early = client.issue(&agent).await.token();
        let (late, live) = (
            client.issue(&agent).await.token(),
            client.issue(&agent).await.token(),
        );
        assert_eq!(client.revoke(&agent, &early).await.status, 200);
        server.kill();

        let Some(clock) = FakeClock::new(&site, "wrong", 90_000) else {
            return cannot_run("a server whose clock is set", LIBFAKETIME);
        };
        site.wear(&clock);
        let server = site.start();
        let mut client = server.client();
        for token in [&early, &late, &live] {
            assert!(
                !client.introspect(&asker, token).await.active(),
                "it is over by this clock"
            );
        }
        assert_eq!(client.revoke(&agent, &late).await.status, 200);
        // In the long form this is long enough for the clean-up, which runs once a minute.
        pause(scaled(1_500, 130_000)).await;
        clock.set(0);
        eventually("the clock is right", async || {
            client.introspect(&asker, &live).await.active()
        })
        .await;
        for token in [&early, &late] {
            assert!(
                !client.introspect(&asker, token).await.active(),
                "revived: {}",
                claims(token)
            );
        }
        eventually("both are on the list", async || {
            let list = client.get("/oauth/revoked-tokens").await.json();
            let listed = list["revoked_jtis"].as_array().unwrap();
            [&early, &late]
                .iter()
                .all(|token| listed.contains(&claims(token)["jti"]))
        })
        .await;
    });
}

#[test]
fn a_server_whose_clock_shows_a_time_before_1970_serves_as_soon_as_it_is_set() {
    play_alone(async {
        let cluster = Cluster::start().await;
        for mut site in [Site::sqlite(), Site::postgres(&cluster).await] {
            let agent = site.agent("agent", "unlimited");
            let Some(clock) = FakeClock::new(&site, "wrong", -1_900_000_000) else {
                return cannot_run("a server whose clock shows a time before 1970", LIBFAKETIME);
            };
            site.wear(&clock);
            let refused = site.run(&["agent", "list"]);
            assert_eq!(refused.status.code(), Some(1));
            let said = String::from_utf8(refused.stderr).unwrap();
            assert!(said.contains("before 1970"), "{said}");
            let mut server = site.start_waiting("before 1970", || clock.set(0));
            assert_eq!(server.client().issue(&agent).await.status, 200);
            assert!(server.is_alive());
        }
    });
}

#[test]
fn a_server_whose_clock_is_set_before_1970_while_it_serves_still_answers_on_every_thread() {
    play_alone(async {
        let mut site = Site::sqlite();
        let Some(clock) = FakeClock::new(&site, "set back", 0) else {
            return cannot_run("a server whose clock is set before 1970", LIBFAKETIME);
        };
        site.wear(&clock);
        let mut server = site.start();
        clock.set(-1_900_000_000);
        // Connections that are all open at once reach every thread.
        for _ in 0..20 {
            let mut clients: Vec<Client> = (0..20).map(|_| server.client()).collect();
            let asked = clients
                .iter_mut()
                .map(|client| client.get("/.well-known/jwks.json"));
            for reply in join_all(asked).await {
                assert_eq!(reply.status, 200);
            }
        }
        assert_eq!(server.said("panicked"), 0);
        assert!(server.is_alive());
    });
}
