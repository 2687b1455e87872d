//! Agents, grants and batches for the store's tests. `domain::grant::decide` makes every grant, as
//! in the program.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sealwright::testing::clock::FakeClock;
use sealwright::testing::domain::about::About;
use sealwright::testing::domain::act::{Act, Operator};
use sealwright::testing::domain::agent::{
    Agent, AgentName, AgentStatus, Audience, Epoch, Profile, RedirectUri, SuspendedBy, Terms,
    UserId,
};
use sealwright::testing::domain::catalogue::{Catalogue, CatalogueEntry};
use sealwright::testing::domain::code::{self, Code, CodeRef};
use sealwright::testing::domain::credential::{Credential, SecretHash, Tag};
use sealwright::testing::domain::grant::{Applicant, Basis, Grant, Policy, TokenRequest, decide};
use sealwright::testing::domain::id::{AgentId, BatchId, CodeId, CredentialId, Jti};
use sealwright::testing::domain::org::OrgId;
use sealwright::testing::domain::proof::{OwnProof, ProvenBy};
use sealwright::testing::domain::quota::{Limit, PlanName};
use sealwright::testing::domain::risk::RiskRules;
use sealwright::testing::domain::scope::{Scope, parse_scope_list};
use sealwright::testing::domain::time::{Moment, Timestamp};
use sealwright::testing::domain::ttl::Ttl;
use sealwright::testing::entropy::{SystemEntropy, uuid_v7};
use sealwright::testing::store::{
    AgentChange, AgentRecord, Batch, Change, Freshness, Outcome, Recorded, Records, ScopeChange,
    Store, StoreError, TokenRef, Verdict, Write,
};
use uuid::Uuid;

use crate::harness::database::Database;
pub use crate::harness::time::NOW;

/// A first kill at `NOW` raises an epoch to this number, and any change at `NOW` raises a version
/// to it.
pub const MILLIS: i64 = NOW.0 * 1_000;

/// The redirect URI of every agent, and the user that every agent may act for.
pub const REDIRECT_URI: &str = "https://app.example/callback";
pub const USER: &str = "user 42";

/// A UUID of version 7, made at `at`.
pub fn uuid(at: Timestamp) -> Uuid {
    uuid_v7(&FakeClock::at(at), &SystemEntropy::default()).unwrap()
}

pub fn jti() -> Jti {
    Jti(uuid(NOW))
}

pub fn id(text: &str) -> AgentId {
    AgentId::parse(text).unwrap()
}

pub fn agent(agent_id: &str) -> Agent {
    Agent {
        agent_id: id(agent_id),
        org_id: OrgId::default(),
        profile: Profile {
            name: AgentName::parse("An agent").unwrap(),
            about: About::default(),
            terms: Arc::new(Terms {
                scopes: parse_scope_list("agents:read tokens:read").unwrap(),
                ttl: None,
                plan: PlanName::free(),
                audiences: vec![],
                redirect_uris: vec![RedirectUri::parse(REDIRECT_URI).unwrap()],
                user_ids: vec![UserId::parse(USER).unwrap()],
            }),
            expires_at: None,
        },
        status: AgentStatus::Active,
        suspended_by: None,
        epoch: Epoch(0),
        version: 1,
        created_at: NOW,
        updated_at: NOW,
    }
}

/// A generated credential. `prefix` distinguishes it from others.
pub fn credential(agent_id: &str, prefix: &str) -> Credential {
    Credential {
        credential_id: CredentialId(uuid(NOW)),
        agent_id: id(agent_id),
        hash: SecretHash(format!("$argon2id$of-{prefix}").into()),
        tag: Some(Tag(format!("tag-of-{prefix}").into())),
        prefix: prefix.into(),
        created_at: NOW,
        expires_at: None,
        raw_basic: false,
        keys: None,
        federation: None,
    }
}

/// An act of an operator named `op` on a host named `host`.
pub fn operator_at(at: impl Into<Moment>) -> Act {
    Act::operator(Operator::new("op", "host"), at.into())
}

pub fn write_at(at: impl Into<Moment>, change: Change) -> Write {
    Write::new(operator_at(at), change)
}

pub fn write(change: Change) -> Write {
    write_at(NOW, change)
}

pub fn creation(agent_id: &str) -> Change {
    Change::Agent(AgentChange::Create {
        agent: Box::new(agent(agent_id)),
        credential: Box::new(credential(agent_id, "first")),
    })
}

/// A suspension by an operator.
pub fn suspension(agent_id: AgentId) -> Change {
    Change::Agent(AgentChange::Suspend(agent_id, SuspendedBy::Operator))
}

pub async fn commit(store: &dyn Store, change: Change) -> Outcome {
    commit_at(store, NOW, change).await
}

pub async fn commit_at(store: &dyn Store, at: impl Into<Moment>, change: Change) -> Outcome {
    store.commit(vec![write_at(at, change)]).await.unwrap()[0]
}

pub async fn create(store: &dyn Store, agent_id: &str) {
    assert_eq!(commit(store, creation(agent_id)).await, Outcome::Applied);
}

pub async fn read(store: &dyn Store, agent_id: &str) -> Arc<AgentRecord> {
    store
        .agent(&id(agent_id), Freshness::Fresh)
        .await
        .unwrap()
        .expect("the agent exists")
}

pub fn policy() -> Policy {
    Policy {
        default_ttl: Ttl::DEFAULT,
        default_audience: Audience::parse("https://issuer.example").unwrap(),
        risk: RiskRules::default(),
        secretless: vec![],
    }
}

/// An agent that asks at `NOW`.
pub fn applicant(agent: &Agent, limit: Limit) -> Applicant<'_> {
    Applicant {
        agent,
        limit,
        now: NOW,
        proof: ProvenBy::Own(OwnProof::Secret),
    }
}

/// Decides about one token, from this agent in memory and not from the store.
pub fn grant_for(agent: &Agent, catalogue: &Catalogue, limit: Limit) -> Arc<Grant> {
    let request = TokenRequest::default();
    Arc::new(
        decide(
            &applicant(agent, limit),
            catalogue,
            &policy(),
            &Basis::Own,
            &request,
            jti(),
        )
        .unwrap(),
    )
}

/// Decides about `n` tokens, from the agent as the store has it.
pub async fn grants(store: &dyn Store, agent_id: &str, n: usize, limit: Limit) -> Vec<Arc<Grant>> {
    let record = read(store, agent_id).await;
    let catalogue = store.catalogue(Freshness::Fresh).await.unwrap();
    (0..n)
        .map(|_| grant_for(&record.agent, &catalogue, limit))
        .collect()
}

/// A new authorization code that expires a minute after `NOW`.
pub fn code() -> CodeRef {
    CodeRef {
        id: CodeId(uuid(NOW)),
        expires_at: Timestamp(NOW.0 + code::CODE_TTL),
    }
}

/// Decides about a token for this authorization code, with [`USER`] as its subject, from the agent
/// as the store has it.
pub async fn exchange(
    store: &dyn Store,
    agent_id: &str,
    code: CodeRef,
    limit: Limit,
) -> Arc<Grant> {
    let record = read(store, agent_id).await;
    let catalogue = store.catalogue(Freshness::Fresh).await.unwrap();
    let code = Code {
        reference: code,
        redirect_uri: REDIRECT_URI.to_owned(),
        user: Some(USER.to_owned()),
    };
    let (basis, request) = (Basis::Code(code), TokenRequest::default());
    Arc::new(
        decide(
            &applicant(&record.agent, limit),
            &catalogue,
            &policy(),
            &basis,
            &request,
            jti(),
        )
        .unwrap(),
    )
}

pub fn batch(grants: Vec<Arc<Grant>>) -> Batch {
    batch_at(NOW, grants)
}

pub fn batch_at(now: impl Into<Moment>, grants: Vec<Arc<Grant>>) -> Batch {
    Batch {
        id: BatchId(uuid(NOW)),
        now: now.into(),
        keys_version: 0,
        grants,
    }
}

/// The parts of a verdict that tests compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    Counted { epoch: i64, iat: Timestamp },
    Stale,
    QuotaReached,
    Spent,
    Locked,
}

/// Sends a batch as servers do: again while another transaction holds all that it needs. Then it is
/// certain that nothing was done.
pub async fn issue_patiently(store: &dyn Store, batch: &Batch) -> Vec<Verdict> {
    let began = Instant::now();
    loop {
        match store.issue(batch).await {
            Err(StoreError::Unavailable(cause))
                if cause.to_string() == "another transaction holds what is needed"
                    && began.elapsed() < Duration::from_secs(20) => {}
            answer => return answer.unwrap(),
        }
    }
}

/// Sends a batch and returns its verdicts. Each receipt must belong to its grant.
pub async fn send(store: &dyn Store, batch: &Batch) -> Vec<Seen> {
    let verdicts = issue_patiently(store, batch).await;
    assert_eq!(verdicts.len(), batch.grants.len());
    let see = |(grant, verdict): (&Arc<Grant>, &Verdict)| match verdict {
        Verdict::Counted(receipt) => {
            let recorded =
                Recorded::new(grant.clone(), *receipt).expect("the receipt is this grant's");
            Seen::Counted {
                epoch: recorded.epoch().0,
                iat: recorded.issued_at(),
            }
        }
        Verdict::Stale => Seen::Stale,
        Verdict::QuotaReached => Seen::QuotaReached,
        Verdict::Spent => Seen::Spent,
        Verdict::Locked => Seen::Locked,
    };
    batch.grants.iter().zip(&verdicts).map(see).collect()
}

/// Decides about `n` tokens and sends them as one batch.
pub async fn issue(store: &dyn Store, agent_id: &str, n: usize, limit: Limit) -> Vec<Seen> {
    send(store, &batch(grants(store, agent_id, n, limit).await)).await
}

pub fn counted(epoch: i64) -> Seen {
    Seen::Counted { epoch, iat: NOW }
}

pub fn count(seen: &[Seen]) -> usize {
    seen.iter()
        .filter(|s| matches!(s, Seen::Counted { .. }))
        .count()
}

/// How many tokens the agent got in the month of `NOW`, as the store counts.
pub async fn used(store: &dyn Records, agent_id: &str) -> Option<i64> {
    store
        .used(&[id(agent_id)], NOW.month())
        .await
        .unwrap()
        .get(&id(agent_id))
        .copied()
}

pub fn token(jti: Jti, agent_id: &str) -> TokenRef {
    TokenRef {
        jti,
        agent_id: id(agent_id),
    }
}

/// SQL that counts the `token.issued` events.
pub const EVENTS: &str = "select count(*) from token_event";

/// What a reader of events writes, in these tests: a scope. It can be written only once, since the
/// second write is a `Conflict`.
pub fn result(name: &str) -> Write {
    write(Change::Scope(ScopeChange::Add(CatalogueEntry {
        scope: Scope::parse(&format!("seen:{name}")).unwrap(),
        description: String::new(),
        high_risk: false,
    })))
}

/// The names of these writes, in the order in which they were committed.
pub async fn results(db: &Database) -> Vec<String> {
    let sql = "select substr(name, 6) from scope where name like 'seen:%' order by position";
    db.texts(sql).await
}

/// SQL after which the database names this run of its server. Another number is another run, as
/// after a failover. The store finds this function before the one of the system.
pub fn server_run(number: u32) -> String {
    format!(
        "create or replace function public.pg_postmaster_start_time() returns timestamptz
         stable language sql as $$ select to_timestamp({number}) $$"
    )
}
