//! The database goes away, in every way, and comes back.

use crate::stage::client::{Reply, get, post, revoke_request, token_request};
use crate::stage::cluster::{Cluster, Locked};
use crate::stage::ledger::Load;
use crate::stage::outcome::{expect_in_time, expect_unavailable};
use crate::stage::server::{Agent, Server, Site};
use crate::stage::{answer_within, eventually, play};

/// What a client has when the database goes away.
struct Holder {
    /// An agent that the server knows: its secret was proven a moment ago.
    warm: Agent,
    /// An agent that this server has never seen.
    cold: Agent,
    token: String,
}

impl Holder {
    async fn new(site: &Site, server: &Server) -> Self {
        let (warm, cold) = (
            site.agent("warm", "unlimited"),
            site.agent("cold", "unlimited"),
        );
        let token = server.client().issue(&warm).await.token();
        Self { warm, cold, token }
    }

    /// Every kind of request that needs the database, with a name.
    fn questions(&self) -> Vec<(&'static str, Vec<u8>)> {
        let bearer = format!("authorization: Bearer {}\r\n", self.token);
        let form = format!("token={}", self.token);
        let with_secret = format!(
            "client_id={}&client_secret={}&{form}",
            self.warm.id, self.warm.secret
        );
        vec![
            ("token of a known agent", token_request(&self.warm)),
            (
                "token of an agent not seen before",
                token_request(&self.cold),
            ),
            (
                "introspection with a secret",
                post("/api/v1/token/introspect", "", &with_secret),
            ),
            (
                "introspection with a Bearer",
                post("/api/v1/token/introspect", &bearer, &form),
            ),
            (
                "revocation with a secret",
                revoke_request(&self.warm, &self.token),
            ),
            (
                "revocation with a Bearer",
                post("/api/v1/token/revoke", &bearer, &form),
            ),
            (
                "revocation under its other name",
                post("/oauth/revoke", &bearer, &form),
            ),
        ]
    }
}

/// Sends all requests at once.
async fn ask_all(
    server: &Server,
    questions: Vec<(&'static str, Vec<u8>)>,
) -> Vec<(&'static str, Reply)> {
    let asked = questions.into_iter().map(|(what, request)| {
        let mut client = server.client();
        tokio::spawn(async move { (what, client.ask(&request).await) })
    });
    let mut replies = Vec::new();
    for one in asked.collect::<Vec<_>>() {
        replies.push(one.await.unwrap());
    }
    replies
}

/// Demands that the documents in memory and liveness are still served.
async fn expect_memory(server: &Server) {
    for path in [
        "/livez",
        "/readyz/verify",
        "/.well-known/jwks.json",
        "/.well-known/oauth-authorization-server",
        "/.well-known/openid-configuration",
        "/api/v1/token/revoked",
        "/oauth/revoked-tokens",
    ] {
        let reply = server.client().get(path).await;
        assert_eq!(reply.status, 200, "{path}");
        assert!(
            reply.took <= answer_within(),
            "{path}: answered after {} ms",
            reply.took.as_millis()
        );
    }
    assert_eq!(server.ops_client().get("/livez").await.status, 200);
}

async fn expect_gone(server: &Server, holder: &Holder) {
    for (what, reply) in ask_all(server, holder.questions()).await {
        expect_unavailable(what, &reply);
    }
    let bearer = format!("authorization: Bearer {}\r\n", holder.token);
    let listing = server.client().ask(&get("/api/v1/agents", &bearer)).await;
    assert_eq!(listing.status, 503, "{}", listing.text());
    assert!(listing.header("retry-after").is_some() && listing.took <= answer_within());
    expect_memory(server).await;
    for mut client in [server.client(), server.ops_client()] {
        let ready = client.get("/readyz").await;
        assert_eq!(ready.status, 503);
        assert!(ready.header("retry-after").is_some() && ready.took <= answer_within());
    }
}

/// Everything works again, in the same process.
async fn expect_back(server: &Server, holder: &Holder) {
    let healed = eventually("tokens after the outage", async || {
        server.client().issue(&holder.warm).await.status == 200
    })
    .await;
    eventually("readiness after the outage", async || {
        server.client().get("/readyz").await.status == 200
    })
    .await;
    let token = server.client().issue(&holder.cold).await.token();
    let mut client = server.client();
    assert!(
        client
            .introspect(&holder.warm, &holder.token)
            .await
            .active()
    );
    assert!(client.introspect(&holder.warm, &token).await.active());
    assert_eq!(client.revoke(&holder.cold, &token).await.status, 200);
    assert!(!client.introspect(&holder.warm, &token).await.active());
    println!("back after {} ms", healed.as_millis());
}

async fn eventually_introspected(server: &Server, holder: &Holder) -> bool {
    let mut active = None;
    eventually("introspection after the lock", async || {
        let reply = server
            .client()
            .introspect(&holder.warm, &holder.token)
            .await;
        active = (reply.status == 200).then(|| reply.active());
        active.is_some()
    })
    .await;
    active.unwrap()
}

#[test]
fn a_stopped_database_is_a_503_until_it_returns() {
    play(async {
        let cluster = Cluster::start().await;
        let site = Site::postgres(&cluster).await;
        let mut server = site.start();
        let holder = Holder::new(&site, &server).await;
        cluster.stop_at_once();
        expect_gone(&server, &holder).await;
        let (status, said) = site
            .start_or_refusal()
            .err()
            .expect("a server without a database");
        assert_eq!(status.code(), Some(1));
        assert!(said.contains("the database cannot be reached"), "{said}");
        cluster.start_again().await;
        expect_back(&server, &holder).await;
        cluster.kill_postmaster();
        // The sessions may still answer until they notice that the postmaster is dead.
        eventually("the sessions end", async || {
            server.client().issue(&holder.warm).await.status == 503
        })
        .await;
        expect_gone(&server, &holder).await;
        cluster.start_again().await;
        expect_back(&server, &holder).await;
        assert!(server.is_alive());
    });
}

#[test]
fn a_database_that_crashes_or_restarts_under_load_loses_nothing() {
    play(async {
        let cluster = Cluster::start().await;
        let site = Site::postgres(&cluster).await;
        let agents = site.agents(2);
        let server = site.start();
        let holder = Holder::new(&site, &server).await;
        let load = Load::on(server.address, &agents, 16).revoking(5).start();
        for _ in 0..3 {
            load.delivers(100).await;
            cluster.kill_a_session(&site.database).await;
            expect_back(&server, &holder).await;
        }
        load.delivers(100).await;
        cluster.restart();
        expect_back(&server, &holder).await;
        let ledger = load.stop().await;
        println!("4 crashes and restarts: {}", ledger.summary());
        assert_eq!(ledger.unanswered, 0);
        assert!(
            ledger
                .statuses
                .keys()
                .all(|(_, status)| [200, 503].contains(status)),
            "{}",
            ledger.summary()
        );
        expect_in_time(&ledger.times);
        crate::stage::audit::introspect_all(&server, &holder.warm, &ledger).await;
        site.audit(&ledger).await;
    });
}

#[test]
fn a_locked_table_is_a_503_and_never_a_verdict() {
    play(async {
        let cluster = Cluster::start().await;
        let site = Site::postgres(&cluster).await;
        let server = site.start();
        let holder = Holder::new(&site, &server).await;
        let locked = Locked::table(&site.database, "agent").await;
        let mut promised = false;
        for (what, reply) in ask_all(&server, holder.questions()).await {
            if what.starts_with("revocation with a secret") && reply.status == 200 {
                // The secret is known, so this revocation does not read the agent's row.
                promised = true;
                continue;
            }
            expect_unavailable(what, &reply);
        }
        expect_memory(&server).await;
        drop(locked);
        let active = eventually_introspected(&server, &holder).await;
        assert!(!(promised && active), "a false 200");
        let fresh = Holder {
            token: server.client().issue(&holder.warm).await.token(),
            ..holder
        };
        expect_back(&server, &fresh).await;

        let locked = Locked::table(&site.database, "quota").await;
        let reply = server.client().issue(&fresh.warm).await;
        expect_unavailable("token without its counter", &reply);
        assert!(
            server
                .client()
                .introspect(&fresh.warm, &fresh.token)
                .await
                .active()
        );
        eventually("readiness tells that no token can be counted", async || {
            server.client().get("/readyz").await.status == 503
        })
        .await;
        drop(locked);
        expect_back(&server, &fresh).await;
    });
}
