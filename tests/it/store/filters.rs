//! Lists of agents that meet a filter.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use sealwright::testing::domain::about::{About, Labels, Owner, parse_label};
use sealwright::testing::domain::agent::{Agent, AgentName, AgentStatus};
use sealwright::testing::domain::agent_filter::{AgentFilter, NamePrefix};
use sealwright::testing::domain::id::AgentId;
use sealwright::testing::domain::org::OrgId;
use sealwright::testing::domain::quota::PlanName;
use sealwright::testing::domain::scope::{Scope, parse_scope_list};
use sealwright::testing::domain::time::Timestamp;
use sealwright::testing::store::{AgentChange, Backend, Change, Outcome};

use super::kit::{agent, commit, create, credential, id};
use super::on_both;
use crate::harness::database::Database;

on_both! {
    a_filter_finds_the_agents_that_meet_all_its_parts,
    a_list_goes_on_where_a_window_ended,
}

const NAMES: [&str; 4] = ["Pay", "Payments", "pay", "Ünïcode"];
const SCOPES: [&str; 3] = ["agents:read", "agents:read tokens:read", "a agents:reader"];
const LABELS: [&[&str]; 4] = [&[], &["k=v"], &["k=v", "l=w"], &["kk=v", "l=v"]];
const OWNERS: [Option<&str>; 3] = [None, Some("Payments"), Some("payments")];
const STATUSES: [AgentStatus; 3] = [
    AgentStatus::Active,
    AgentStatus::Suspended,
    AgentStatus::Decommissioned,
];

fn label_list(labels: &[&str]) -> Labels {
    Labels::new(labels.iter().map(|label| parse_label(label).unwrap())).unwrap()
}

/// An agent that differs from the others, and when it was last used.
fn made(number: usize) -> (Agent, Option<i64>) {
    let mut made = agent(&format!("agent-{number:02}"));
    let profile = &mut made.profile;
    profile.name = AgentName::parse(NAMES[number % 4]).unwrap();
    profile.about = About {
        description: None,
        owner: OWNERS[number / 2 % 3].map(|owner| Owner::parse(owner).unwrap()),
        labels: label_list(LABELS[number / 3 % 4]),
    };
    profile.expires_at = [None, Some(Timestamp(100)), Some(Timestamp(200))][number / 5 % 3];
    let terms = Arc::make_mut(&mut profile.terms);
    terms.user_ids = vec![];
    terms.scopes = parse_scope_list(SCOPES[number / 7 % 3]).unwrap();
    terms.plan = PlanName::parse(["free", "unlimited"][number / 11 % 2]).unwrap();
    made.status = STATUSES[number / 13 % 3];
    (made, [None, Some(50), Some(100)][number % 3])
}

fn meets(filter: &AgentFilter, (agent, last_use): &(Agent, Option<i64>)) -> bool {
    let profile = &agent.profile;
    let is = |wanted: &Option<AgentStatus>| wanted.is_none_or(|status| status == agent.status);
    let labels: BTreeSet<(&str, &str)> = profile.about.labels.iter().collect();
    let used_before = |before: Timestamp| last_use.is_some_and(|last| last < before.0);
    let use_fits = match (filter.used_before, filter.never_used) {
        (None, None) => true,
        (Some(before), Some(true)) => last_use.is_none() || used_before(before),
        (Some(before), _) => used_before(before),
        (None, Some(never)) => last_use.is_none() == never,
    };
    is(&filter.status)
        && filter
            .scope
            .as_ref()
            .is_none_or(|scope| profile.terms.scopes.contains(scope))
        && filter
            .plan
            .as_ref()
            .is_none_or(|plan| profile.terms.plan == *plan)
        && filter
            .owner
            .as_ref()
            .is_none_or(|owner| profile.about.owner.as_ref() == Some(owner))
        && filter
            .labels
            .iter()
            .all(|(key, value)| labels.contains(&(key.as_str(), value.as_str())))
        && filter
            .name_prefix
            .as_ref()
            .is_none_or(|name| profile.name.as_str().starts_with(name.as_str()))
        && filter
            .org_id
            .as_ref()
            .is_none_or(|org_id| agent.org_id == *org_id)
        && (filter.ids.is_empty() || filter.ids.contains(&agent.agent_id))
        && filter
            .expires_before
            .is_none_or(|before| profile.expires_at.is_some_and(|end| end < before))
        && use_fits
}

fn filters() -> impl Strategy<Value = AgentFilter> {
    let maybe = |n: usize| proptest::option::weighted(0.25, 0..n);
    let times =
        || proptest::option::weighted(0.25, proptest::sample::select(vec![50, 51, 101, 201]));
    let ids = prop_oneof![3 => Just(vec![]), 1 => proptest::collection::vec(0..99usize, 1..20)];
    let first = (maybe(3), maybe(4), maybe(2), maybe(3), maybe(4), maybe(5));
    let rest = (
        maybe(2),
        ids,
        times(),
        proptest::option::weighted(0.25, any::<bool>()),
        times(),
    );
    (first, rest).prop_map(
        |((status, scope, plan, owner, labels, prefix), (org, ids, used, never_used, end))| {
            AgentFilter {
                status: status.map(|n| STATUSES[n]),
                scope: scope.map(|n| {
                    Scope::parse(["agents:read", "tokens:read", "a", "gents:read"][n]).unwrap()
                }),
                plan: plan.map(|n| PlanName::parse(["free", "unlimited"][n]).unwrap()),
                owner: owner.map(|n| Owner::parse(["Payments", "payments", "Pay"][n]).unwrap()),
                labels: labels.map_or(vec![], |n| {
                    LABELS[n].iter().map(|l| parse_label(l).unwrap()).collect()
                }),
                name_prefix: prefix
                    .map(|n| NamePrefix::parse(["P", "Pay", "Payments", "Ün", "%"][n]).unwrap()),
                org_id: org.map(|n| OrgId::parse(["default", "acme"][n]).unwrap()),
                ids: ids
                    .into_iter()
                    .map(|n| id(&format!("agent-{n:02}")))
                    .collect(),
                used_before: used.map(Timestamp),
                never_used,
                expires_before: end.map(Timestamp),
            }
        },
    )
}

/// All ids that a list has, in pages of `limit`.
async fn listed(
    store: &dyn Backend,
    filter: &AgentFilter,
    org_id: Option<&OrgId>,
    limit: i64,
) -> (Vec<AgentId>, usize) {
    let (mut all, mut after, mut calls) = (Vec::new(), None, 0);
    loop {
        calls += 1;
        let rows = store
            .agents_where(filter, org_id, after.as_ref(), limit)
            .await
            .unwrap();
        let found = i64::try_from(rows.agents.len()).unwrap();
        assert!(found <= limit);
        all.extend(rows.agents.into_iter().map(|agent| agent.agent_id));
        after = if found == limit {
            all.last().cloned()
        } else {
            rows.through
        };
        if after.is_none() {
            return (all, calls);
        }
    }
}

async fn a_filter_finds_the_agents_that_meet_all_its_parts(db: &Database) {
    let store = db.open().await;
    let mut there: Vec<_> = (0..60).map(made).collect();
    for (agent, last_use) in &there {
        let change = Change::Agent(AgentChange::Create {
            agent: Box::new(agent.clone()),
            credential: Box::new(credential(agent.agent_id.as_str(), "first")),
        });
        assert_eq!(commit(&*store, change).await, Outcome::Applied);
        if let Some(at) = last_use {
            // The latest use of any scope counts.
            let agent_id = &agent.agent_id;
            db.execute(&format!(
                "insert into scope_use (agent_id, scope, last_used_at) values ('{agent_id}', 'a', {at}), ('{agent_id}', 'b', 1)"
            ))
            .await;
        }
    }
    db.execute("insert into org (org_id, name, created_at) values ('acme', 'acme', 0)")
        .await;
    db.execute("update agent set org_id = 'acme' where agent_id like 'agent-1%'")
        .await;
    let acme = OrgId::parse("acme").unwrap();
    for (agent, _) in there
        .iter_mut()
        .filter(|(agent, _)| agent.agent_id.as_str().starts_with("agent-1"))
    {
        agent.org_id = acme.clone();
    }
    let mut runner = TestRunner::default();
    for number in 0..200usize {
        let filter = filters().new_tree(&mut runner).unwrap().current();
        let org_id = [None, Some(acme.clone()), Some(OrgId::default())][number % 3].clone();
        let expected: Vec<AgentId> = there
            .iter()
            .filter(|one| meets(&filter, one))
            .filter(|(agent, _)| org_id.as_ref().is_none_or(|own| agent.org_id == *own))
            .map(|(agent, _)| agent.agent_id.clone())
            .collect();
        let limit = [1, 7, 100][number % 3];
        let (found, _) = listed(&*store, &filter, org_id.as_ref(), limit).await;
        assert_eq!(found, expected, "{filter:?} {org_id:?}");
    }
}

/// A call reads 2,000 rows at most.
async fn a_list_goes_on_where_a_window_ended(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    db.execute(
        "insert into agent (agent_id, org_id, name, status, scopes, audiences, redirect_uris, user_ids, plan, epoch,
                            version, longest_ttl, created_at, updated_at)
         with recursive n (i) as (select 10001 union all select i + 1 from n where i < 14500)
         select 'b-' || i, org_id, case when i % 2250 = 0 then 'rare' else name end, status, scopes, audiences,
                redirect_uris, '[]', plan, epoch, version, longest_ttl, created_at, updated_at
         from n, agent",
    )
    .await;
    let rare = AgentFilter {
        name_prefix: NamePrefix::parse("rare").ok(),
        ..AgentFilter::default()
    };
    let (found, calls) = listed(&*store, &rare, None, 50).await;
    assert_eq!(found, [id("b-11250"), id("b-13500")]);
    assert_eq!(calls, 3);
    let by_id = AgentFilter {
        ids: vec![id("b-14500"), id("b-10001"), id("nobody")],
        ..AgentFilter::default()
    };
    let (found, calls) = listed(&*store, &by_id, None, 50).await;
    assert_eq!(found, [id("b-10001"), id("b-14500")]);
    assert_eq!(calls, 1);
    let (all, _) = listed(&*store, &AgentFilter::default(), None, 1_000).await;
    assert_eq!(all.len(), 4_501);
}
