//! Batches of every size on SQLite: what a batch of any tokens stores is what was sent. The
//! statements are prepared for some numbers of rows, so the sizes are those around such numbers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use sealwright::testing::domain::agent::Audience;
use sealwright::testing::domain::catalogue::Catalogue;
use sealwright::testing::domain::event::request::RequestRef;
use sealwright::testing::domain::event::row::EventRow;
use sealwright::testing::domain::event::source::{EventSource, SourcePrecision};
use sealwright::testing::domain::grant::{Basis, Grant, TokenRequest, decide};
use sealwright::testing::domain::id::CredentialId;
use sealwright::testing::store::{
    AgentRecord, Backend, Change, CredentialChange, Freshness, Outcome, TermsBounds,
};

use super::kit::{
    NOW, Seen, applicant, batch, counted, creation, credential, jti, policy, read, send, uuid,
    write,
};
use crate::harness::database::Database;

/// The sizes of the statements, and more rows than the largest takes.
const SIZES: [usize; 16] = [
    1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 512, 640,
];

/// How many agents there are.
const AGENTS: usize = 40;

/// How a token is asked for.
#[derive(Debug, Clone)]
struct Shape {
    agent: usize,
    /// Which of the agent's two credentials proves it; 2 names one that does not exist.
    credential: Option<usize>,
    /// The place in [`AUDIENCES`].
    audience: usize,
    request: u8,
    source: u8,
    is_outdated: bool,
}

/// Only tokens for the first one get a row of terms.
const AUDIENCES: [&str; 3] = ["https://a.example", "https://b.example", "https://\"c\".é"];

fn shapes(size: usize) -> impl Strategy<Value = Vec<Shape>> {
    let credential = prop_oneof![
        20 => Just(Some(0)),
        4 => Just(Some(1)),
        2 => Just(None),
        1 => Just(Some(2)),
    ];
    let audience = prop_oneof![4 => Just(0), 1 => Just(1), 1 => Just(2)];
    let shape = (
        0..AGENTS,
        credential,
        audience,
        0..3u8,
        0..3u8,
        prop::bool::weighted(0.1),
    );
    let shape = shape.prop_map(
        |(agent, credential, audience, request, source, is_outdated)| Shape {
            agent,
            credential,
            audience,
            request,
            source,
            is_outdated,
        },
    );
    prop::collection::vec(shape, size)
}

struct World {
    store: Arc<dyn Backend>,
    catalogue: Arc<Catalogue>,
    agents: Vec<Arc<AgentRecord>>,
}

impl World {
    /// Agents with two credentials each.
    async fn on(db: &Database) -> Self {
        let store = db.open().await;
        let names: Vec<String> = (0..AGENTS).map(|n| format!("agent-{n}")).collect();
        let second = |name: &String| {
            write(Change::Credential(CredentialChange::Rotate {
                credential: Box::new(credential(name, "second")),
                overlap: 86_400,
                label: None,
                max_live: 10,
            }))
        };
        let made = names.iter().map(|name| write(creation(name)));
        let writes = made.chain(names.iter().map(second)).collect();
        let outcomes = store.commit(writes).await.unwrap();
        assert!(outcomes.iter().all(|one| *one == Outcome::Applied));
        let mut agents = Vec::new();
        for name in &names {
            agents.push(read(&*store, name).await);
        }
        let catalogue = store.catalogue(Freshness::Fresh).await.unwrap();
        Self {
            store,
            catalogue,
            agents,
        }
    }

    fn grant(&self, shape: &Shape) -> Arc<Grant> {
        let record = &self.agents[shape.agent];
        let mut agent = record.agent.clone();
        agent.version -= i64::from(shape.is_outdated);
        let audience = AUDIENCES[shape.audience];
        let request = TokenRequest {
            audience: Audience::parse(audience).into_iter().collect(),
            ..TokenRequest::default()
        };
        let grant = decide(
            &applicant(&agent, None),
            &self.catalogue,
            &policy(),
            &Basis::Own,
            &request,
            jti(),
        )
        .unwrap();
        let grant = match shape.credential {
            None => grant,
            Some(2) => grant.proven_by(CredentialId(uuid(NOW))),
            Some(n) => grant.proven_by(record.credentials[n].credential_id),
        };
        let request = match shape.request {
            0 => None,
            1 => Some(RequestRef::of_client(&format!("{:?}", grant.jti()))),
            n => Some(RequestRef::Ours {
                process: u64::from(n),
                count: u64::MAX,
            }),
        };
        let source = match shape.source {
            0 => None,
            1 => SourcePrecision::Prefix.cut([192, 0, 2, 7].into()),
            _ => SourcePrecision::Full.cut([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into()),
        };
        Arc::new(grant.asked_by(source, request))
    }

    /// Gives rows to the terms of the tokens for the first audience.
    async fn intern(&self) {
        self.store.refresh_terms().await.unwrap();
        for agent in 0..AGENTS {
            let shape = Shape {
                agent,
                credential: Some(0),
                audience: 0,
                request: 0,
                source: 0,
                is_outdated: false,
            };
            let four = (0..4).map(|_| self.grant(&shape)).collect();
            assert_eq!(send(&*self.store, &batch(four)).await, [counted(0); 4]);
        }
        let bounds = TermsBounds::DEFAULT;
        self.store.intern_terms(NOW, bounds).await.unwrap();
    }

    async fn events(&self, after: i64) -> Vec<EventRow> {
        self.store.events(after, i64::MAX, 10_000).await.unwrap()
    }
}

/// What is expected of each token: an agent's tokens of one version share one check of all their
/// credentials.
fn expected(shapes: &[Shape]) -> Vec<Seen> {
    let unproven: BTreeSet<usize> = shapes
        .iter()
        .filter(|shape| shape.credential == Some(2) && !shape.is_outdated)
        .map(|shape| shape.agent)
        .collect();
    let verdict = |shape: &Shape| {
        if shape.is_outdated || unproven.contains(&shape.agent) {
            Seen::Stale
        } else {
            counted(0)
        }
    };
    shapes.iter().map(verdict).collect()
}

/// What an event must tell of a token.
fn told(grant: &Grant) -> EventRow {
    let audience: Vec<&str> = grant.audience().iter().map(Audience::as_str).collect();
    EventRow {
        id: 0,
        at: NOW.0,
        kind: "token.issued".into(),
        actor: format!("agent:{}", grant.agent_id()).into(),
        agent_id: Some(grant.agent_id().as_str().into()),
        jti: Some(grant.jti().0),
        expires_at: Some(NOW.0 + grant.ttl()),
        epoch: Some(0),
        detail: grant.scope().into(),
        credential_id: grant.credential().map(|one| one.0),
        org_id: None,
        source: grant.source().map(EventSource::to_bytes),
        request: grant.request().map(RequestRef::to_bytes),
        reason: None,
        data: Some(
            serde_json::json!({"aud": audience, "ttl": grant.ttl()})
                .to_string()
                .into(),
        ),
        decoded: None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_of_any_size_records_the_tokens_that_were_sent() {
    let db = Database::sqlite().await;
    let world = World::on(&db).await;
    world.intern().await;
    let mut runner = TestRunner::default();
    let mut newest = world.events(0).await.last().unwrap().id;
    let mut used = db.number("select sum(used) from quota").await;
    for size in SIZES.into_iter().flat_map(|size| [size, size + 1]) {
        // A batch of which nothing was counted leaves the rows of terms unused until they are read
        // again, and a batch of one outdated token is such a batch.
        world.store.refresh_terms().await.unwrap();
        let shapes = shapes(size).new_tree(&mut runner).unwrap().current();
        let grants: Vec<_> = shapes.iter().map(|shape| world.grant(shape)).collect();
        let seen = send(&*world.store, &batch(grants.clone())).await;
        assert_eq!(seen, expected(&shapes), "{shapes:?}");

        let events = world.events(newest).await;
        // The tokens of one agent have their ids in the order in which they were sent, and no id is
        // left out.
        let ids: Vec<i64> = events.iter().map(|event| event.id).collect();
        let count = i64::try_from(ids.len()).unwrap();
        assert!(ids.iter().copied().eq(newest + 1..=newest + count));
        newest += count;
        let mut sent: Vec<_> = grants
            .iter()
            .zip(&seen)
            .filter(|(_, seen)| **seen != Seen::Stale)
            .map(|(grant, _)| told(grant))
            .collect();
        sent.sort_by(|a, b| a.agent_id.cmp(&b.agent_id));
        // What was decoded already is told by the other members too.
        let stored = events.into_iter().map(|event| EventRow {
            id: 0,
            decoded: None,
            ..event
        });
        assert_eq!(stored.collect::<Vec<_>>(), sent);
        used += count;
        assert_eq!(db.number("select sum(used) from quota").await, used);
    }
    let interned = "select count(*) from token_event where terms is not null";
    let inline = "select count(*) from token_event where terms is null";
    assert!(db.number(interned).await > 0 && db.number(inline).await > 0);
    db.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_of_many_agents_of_any_size_counts_each() {
    let db = Database::sqlite().await;
    let store = db.open().await;
    let most = SIZES[SIZES.len() - 1];
    let names: Vec<String> = (0..most).map(|n| format!("agent-{n:03}")).collect();
    let made = names.iter().map(|name| write(creation(name))).collect();
    store.commit(made).await.unwrap();
    let catalogue = store.catalogue(Freshness::Fresh).await.unwrap();
    let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
    for size in SIZES {
        let chosen = names.iter().map(String::as_str).rev().take(size);
        let grants = chosen.clone().map(|name| {
            let agent = super::kit::agent(name);
            super::kit::grant_for(&agent, &catalogue, Some(3))
        });
        let seen = send(&*store, &batch(grants.collect())).await;
        for (name, seen) in chosen.zip(seen) {
            let count = counts.entry(name).or_default();
            let verdict = if *count < 3 {
                *count += 1;
                counted(0)
            } else {
                Seen::QuotaReached
            };
            assert_eq!(seen, verdict, "{name} in a batch of {size}");
        }
        let sum: i64 = counts.values().sum();
        assert_eq!(db.number("select sum(used) from quota").await, sum);
        assert_eq!(db.number("select count(*) from token_event").await, sum);
    }
    db.remove().await;
}
