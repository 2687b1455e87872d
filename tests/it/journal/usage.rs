//! What the ledger adds up about usage, and the warnings about quotas and expiries.

use sealwright::testing::domain::time::Timestamp;
use sealwright::testing::domain::usage::Day;
use sealwright::testing::service::journal::expiry::warn_of_expiry;
use sealwright::testing::service::manage::patch::ProfilePatch;
use sealwright::testing::store::AgentUsage;
use serde_json::{Value, json};

use super::kit::{ledger, log_all};
use super::on_both;
use crate::harness::app::{Agent, TestApp};

on_both! {
    tokens_and_refusals_are_added_up_by_day,
    usage_is_counted_once_whatever_the_commit_does,
    a_quota_is_told_at_80_and_at_100_percent_once_a_month,
    both_thresholds_are_told_when_they_are_passed_at_once,
    an_expiring_credential_is_told_seven_days_and_one_day_before,
    an_agents_end_is_told_seven_days_and_one_day_before_and_when_it_comes,
}

const DAY: i64 = 86_400;

async fn usage(app: &TestApp<'_>, agent: &Agent) -> AgentUsage {
    let (from, to) = (Day(0), Day::of(app.clock.now()).plus(1));
    let records = &app.opened.records;
    // More days than are kept are never asked for in one piece by the server.
    records
        .agent_usage(&agent.parsed_id(), from.max(to.plus(-400)), to)
        .await
        .unwrap()
}

async fn events(app: &TestApp<'_>, kind: &str) -> Vec<Value> {
    super::kit::events(app)
        .await
        .iter()
        .map(|row| serde_json::from_slice(&super::kit::bytes(row)).unwrap())
        .filter(|event: &Value| event["kind"] == kind)
        .collect()
}

async fn tokens_and_refusals_are_added_up_by_day(app: &TestApp<'_>) {
    let mut ledger = ledger(app);
    let agent = app.agent_named("agt_1", "tokens:read agents:read").await;
    let other = app.agent_named("agt_2", "tokens:read").await;
    let first = Day::of(app.clock.now());
    let minute = app.clock.now().0 / 60 * 60;
    for _ in 0..3 {
        app.token(&agent).await;
    }
    app.token(&other).await;
    app.ask(&agent.with_secret("none of its secrets"), "").await;
    app.state.refusals.write().await.unwrap();
    log_all(app, &mut ledger).await;
    let told = usage(app, &agent).await;
    assert_eq!(told.issued, [(first, 3)]);
    assert_eq!(told.refused, [(first, "wrong_secret".to_owned(), 1)]);
    let scopes: Vec<(&str, i64)> = told
        .scopes
        .iter()
        .map(|(s, at)| (s.as_str(), at.0))
        .collect();
    assert_eq!(scopes, [("agents:read", minute), ("tokens:read", minute)]);

    let credentials: Vec<i64> = told.credentials.iter().map(|(_, at)| at.0).collect();
    assert_eq!(credentials, [minute]);

    app.clock.advance(DAY);
    app.token_with(&agent, "scope=tokens:read").await;
    log_all(app, &mut ledger).await;
    let told = usage(app, &agent).await;
    assert_eq!(told.issued, [(first, 3), (first.plus(1), 1)]);
    let scopes: Vec<i64> = told.scopes.iter().map(|(_, at)| at.0).collect();
    assert_eq!(scopes[0], minute);
    assert!(scopes[1] >= minute + DAY);
    assert_eq!(usage(app, &other).await.issued, [(first, 1)]);
}

async fn usage_is_counted_once_whatever_the_commit_does(app: &TestApp<'_>) {
    let mut first = ledger(app);
    let agent = app.agent("tokens:read").await;
    log_all(app, &mut first).await;
    for _ in 0..5 {
        app.token(&agent).await;
    }
    first.step().await.unwrap();
    app.clock.advance(11);
    // The commit of the pass fails as a whole.
    app.database
        .execute("alter table scope_use rename to away")
        .await;
    first.step().await.unwrap_err();
    assert_eq!(usage_issued(app, &agent).await, 0);
    app.database
        .execute("alter table away rename to scope_use")
        .await;
    let mut second = ledger(app);
    for _ in 0..4 {
        app.clock.advance(11);
        first.step().await.unwrap();
        second.step().await.unwrap();
    }
    assert_eq!(usage_issued(app, &agent).await, 5);
}

async fn usage_issued(app: &TestApp<'_>, agent: &Agent) -> i64 {
    let sql = format!(
        "select cast(coalesce(sum(issued), 0) as bigint) from usage_day where agent_id = '{}'",
        agent.id
    );
    app.database.number(&sql).await
}

async fn a_quota_is_told_at_80_and_at_100_percent_once_a_month(app: &TestApp<'_>) {
    let mut ledger = ledger(app);
    let agent = app.agent_named("agt_1", "tokens:read").await;
    app.token(&agent).await;
    log_all(app, &mut ledger).await;
    app.set_used(&agent, 7_998).await;
    app.token(&agent).await;
    log_all(app, &mut ledger).await;
    assert_eq!(events(app, "quota.threshold").await.len(), 0);
    app.token(&agent).await;
    log_all(app, &mut ledger).await;
    let told = events(app, "quota.threshold").await;
    assert_eq!(told.len(), 1);
    let month = app.clock.now().month().to_string();
    assert_eq!(
        told[0]["detail"],
        json!({ "month": month, "percent": 80, "issued": 8_000, "limit": 10_000 })
    );
    assert_eq!(
        (&told[0]["agentId"], &told[0]["actor"]),
        (&json!("agt_1"), &json!("system"))
    );
    app.token(&agent).await;
    let mut beside = super::kit::ledger(app);
    log_all(app, &mut beside).await;
    log_all(app, &mut ledger).await;
    assert_eq!(events(app, "quota.threshold").await.len(), 1);
    app.set_used(&agent, 9_999).await;
    app.token(&agent).await;
    app.ask(&agent, "").await;
    log_all(app, &mut ledger).await;
    app.clock.advance(11);
    log_all(app, &mut beside).await;
    let told = events(app, "quota.threshold").await;
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(told[1]["detail"]["percent"], 100);
}

async fn both_thresholds_are_told_when_they_are_passed_at_once(app: &TestApp<'_>) {
    let mut ledger = ledger(app);
    let agent = app.agent("tokens:read").await;
    app.token(&agent).await;
    app.set_used(&agent, 9_999).await;
    app.token(&agent).await;
    log_all(app, &mut ledger).await;
    let percents: Vec<i64> = events(app, "quota.threshold")
        .await
        .iter()
        .map(|event| event["detail"]["percent"].as_i64().unwrap())
        .collect();
    assert_eq!(percents, [80, 100]);
}

async fn an_expiring_credential_is_told_seven_days_and_one_day_before(app: &TestApp<'_>) {
    let agent = app.agent_named("agt_1", "tokens:read").await;
    app.rotate(&agent, 8 * DAY).await;
    let told = async || {
        for _ in 0..2 {
            let opened = &app.opened;
            warn_of_expiry(&*opened.store, &*opened.records, &opened.clock)
                .await
                .unwrap();
        }
        events(app, "credential.expiring").await
    };
    assert_eq!(told().await.len(), 0);
    app.clock.advance(DAY + 1);
    let warned = told().await;
    assert_eq!(warned.len(), 1);
    assert_eq!(warned[0]["agentId"], "agt_1");
    assert!(warned[0]["credentialId"].is_string());
    assert!(
        warned[0]["detail"]["expiresAt"].is_string(),
        "{}",
        warned[0]
    );
    app.clock.advance(6 * DAY);
    assert_eq!(told().await.len(), 2);
    app.clock.advance(DAY);
    assert_eq!(told().await.len(), 2, "an ended credential is no news");
}

async fn an_agents_end_is_told_seven_days_and_one_day_before_and_when_it_comes(app: &TestApp<'_>) {
    let agent = app.agent_named("agt_1", "tokens:read").await;
    let other = app.beside().await;
    let end_in = async |seconds: i64| {
        let end = Timestamp(app.clock.now().0 + seconds);
        let patch = ProfilePatch {
            expires_at: Some(Some(end)),
            ..ProfilePatch::default()
        };
        let act = app.opened.operator();
        let agents = app.agents();
        agents
            .update(&agent.parsed_id(), &patch, &act)
            .await
            .unwrap();
        end.to_rfc3339()
    };
    let told = async || {
        for replica in [app, &other, app] {
            let opened = &replica.opened;
            warn_of_expiry(&*opened.store, &*opened.records, &opened.clock)
                .await
                .unwrap();
        }
        let count = async |kind| events(app, kind).await.len();
        (count("agent.expiring").await, count("agent.expired").await)
    };
    let end = end_in(8 * DAY).await;
    assert_eq!(told().await, (0, 0));
    app.clock.advance(DAY);
    assert_eq!(told().await, (1, 0));
    app.clock.advance(6 * DAY);
    assert_eq!(told().await, (2, 0));
    app.clock.advance(DAY - 1);
    assert_eq!(told().await, (2, 0));
    app.clock.advance(1);
    assert_eq!(told().await, (2, 1));
    app.clock.advance(40 * DAY);
    assert_eq!(told().await, (2, 1));
    for event in events(app, "agent.expiring")
        .await
        .iter()
        .chain(&events(app, "agent.expired").await)
    {
        let told = (
            &event["agentId"],
            &event["actor"],
            &event["detail"]["expiresAt"],
        );
        assert_eq!(
            told,
            (&json!("agt_1"), &json!("system"), &json!(end)),
            "{event}"
        );
    }
    // Another end is other news. One that lies months back is none.
    end_in(3_600).await;
    assert_eq!(told().await, (3, 1));
    end_in(0).await;
    assert_eq!(told().await, (3, 2));
    end_in(-90 * DAY).await;
    assert_eq!(told().await, (3, 2));
    end_in(DAY).await;
    app.decommission(&agent).await;
    assert_eq!(told().await, (3, 2));
}
