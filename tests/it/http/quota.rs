//! Monthly quotas (D5; known failures 42, 43).

use futures_util::future::join_all;
use sealwright::testing::domain::quota::PlanName;
use sealwright::testing::domain::time::Timestamp;
use sealwright::testing::service::manage::patch::ProfilePatch;

use super::on_both;
use super::token::{INVALID_CLIENT, QUOTA};
use crate::harness::answer::Answer;
use crate::harness::app::{AGENTS, Agent, OAUTH_TOKEN, TOKEN, TestApp, bearer};

on_both! {
    the_ten_thousandth_token_passes_and_the_next_is_refused,
    the_limit_holds_under_concurrency_and_across_a_restart,
    the_counter_is_what_was_recorded_and_delivered,
    the_month_turns_at_midnight_utc,
    an_unlimited_plan_never_refuses,
    a_refusal_names_its_plan_and_limit,
    a_plan_that_was_raised_elsewhere_holds_on_the_next_request,
    a_limit_below_what_is_used_refuses_and_leaves_the_counter,
    a_plan_that_is_not_configured_is_503_until_it_is_back,
    odd_counters_and_limits_have_a_verdict,
    refused_requests_are_not_counted,
    each_token_tells_what_is_left_of_the_month,
    tokens_at_once_tell_different_numbers,
    plans_without_limit_and_other_refusals_tell_no_quota,
}

async fn used(app: &TestApp<'_>, agent: &Agent) -> i64 {
    let month = app.clock.now().month().key();
    let sql = format!(
        "select used from quota where agent_id = '{}' and month = {month}",
        agent.id
    );
    app.database.number(&sql).await
}

async fn set_plan(app: &TestApp<'_>, agent: &Agent, plan: &str) {
    let patch = ProfilePatch {
        plan: Some(PlanName::parse(plan).unwrap()),
        ..ProfilePatch::default()
    };
    app.agents()
        .update(&agent.parsed_id(), &patch, &app.opened.operator())
        .await
        .unwrap();
}

async fn the_ten_thousandth_token_passes_and_the_next_is_refused(app: &TestApp<'_>) {
    let agent = app.agent("agents:read").await;
    app.token(&agent).await;
    app.set_used(&agent, 9_999).await;
    let last = bearer(&app.token(&agent).await);
    for _ in 0..2 {
        app.ask(&agent, "")
            .await
            .is(403, QUOTA)
            .is_error(403, "unauthorized_client");
    }
    app.ask(&agent.with_secret("wrong"), "")
        .await
        .is(401, INVALID_CLIENT);
    assert_eq!(used(app, &agent).await, 10_000);
    // Tokens that were issued before stay active.
    let shown = app
        .get_as(&last, &format!("{AGENTS}/{}", agent.id))
        .await
        .json();
    assert_eq!(
        (&shown["usage"]["issued"], &shown["usage"]["limit"]),
        (&10_000.into(), &10_000.into())
    );
}

async fn the_limit_holds_under_concurrency_and_across_a_restart(app: &TestApp<'_>) {
    let (agent, other) = (
        app.agent("agents:read").await,
        app.agent("agents:read").await,
    );
    app.token(&agent).await;
    app.set_used(&agent, 9_970).await;
    let replica = app.beside().await;
    let ask = async |i: usize| {
        let app = if i.is_multiple_of(2) { app } else { &replica };
        let answer = app.ask(&agent, "").await;
        if answer.status != 200 {
            answer.is(403, QUOTA);
        }
        answer.status
    };
    let answers = join_all((0..50).map(ask)).await;
    assert_eq!(answers.iter().filter(|status| **status == 200).count(), 30);
    assert_eq!(used(app, &agent).await, 10_000);
    drop(replica);
    let restarted = app.beside().await;
    restarted.ask(&agent, "").await.is(403, QUOTA);
    restarted.token(&other).await;
}

/// The counter equals the number of `token.issued` events and the number of tokens that clients
/// got.
async fn the_counter_is_what_was_recorded_and_delivered(app: &TestApp<'_>) {
    let replica = app.beside_with(&[("plans.free", "40")]).await;
    let other = app.beside_with(&[("plans.free", "40")]).await;
    let agents = [
        app.agent("agents:read").await,
        app.agent("agents:read").await,
    ];
    let (replica, other, agents) = (&replica, &other, &agents);
    let ask = async |i: usize| {
        let app = if i.is_multiple_of(3) { replica } else { other };
        app.ask(&agents[i % 2], "").await.status
    };
    let answers = join_all((0..120).map(ask)).await;
    assert_eq!(answers.iter().filter(|status| **status == 200).count(), 80);
    for agent in agents {
        assert_eq!(used(app, agent).await, 40);
        let events = "select count(*) from token_event where agent_id = ";
        assert_eq!(
            app.database
                .number(&format!("{events}'{}'", agent.id))
                .await,
            40
        );
    }
    let ids = "select count(distinct jti) from token_event";
    assert_eq!(app.database.number(ids).await, 80);
}

async fn the_month_turns_at_midnight_utc(app: &TestApp<'_>) {
    let agent = app.agent("agents:read").await;
    app.token(&agent).await;
    app.set_used(&agent, 10_000).await;
    // 2025-01-31T23:59:59Z
    app.clock.set(Timestamp(1_738_367_999));
    app.ask(&agent, "").await.is(403, QUOTA);
    app.clock.advance(1);
    let token = bearer(&app.token(&agent).await);
    let shown = app
        .get_as(&token, &format!("{AGENTS}/{}", agent.id))
        .await
        .json();
    assert_eq!(shown["usage"]["month"], "2025-02");
    assert_eq!(shown["usage"]["issued"], 1);
    assert_eq!(shown["usage"]["resetsAt"], "2025-03-01T00:00:00Z");
    // The counter of January stays as it was.
    assert_eq!(
        app.database
            .number("select used from quota where month = 202501")
            .await,
        10_000
    );
}

async fn an_unlimited_plan_never_refuses(app: &TestApp<'_>) {
    let unlimited = PlanName::parse("unlimited").unwrap();
    let agent = app
        .agent_like(None, "agents:read", |p| p.plan = unlimited)
        .await;
    app.token(&agent).await;
    app.set_used(&agent, 4_000_000_000).await;
    app.token(&agent).await;
    assert_eq!(used(app, &agent).await, 4_000_000_001);
}

async fn a_refusal_names_its_plan_and_limit(app: &TestApp<'_>) {
    let settings = [("plans.gold-1", "1234567"), ("plans.none", "0")];
    let app = &app.beside_with(&settings).await;
    for (plan, limit, sentence) in [
        (
            "gold-1",
            1_234_567,
            "Gold-1 tier monthly token limit of 1,234,567 requests has been reached.",
        ),
        (
            "none",
            0,
            "None tier monthly token limit of 0 requests has been reached.",
        ),
    ] {
        let agent = app.agent("agents:read").await;
        app.token(&agent).await;
        set_plan(app, &agent, plan).await;
        app.set_used(&agent, limit).await;
        let answer = app.ask(&agent, "").await;
        answer.is_error(403, "unauthorized_client");
        assert_eq!(answer.text("error_description"), sentence);
    }
}

async fn a_plan_that_was_raised_elsewhere_holds_on_the_next_request(app: &TestApp<'_>) {
    let elsewhere = app.beside().await;
    let agent = app.agent("agents:read").await;
    app.token(&agent).await;
    app.set_used(&agent, 10_000).await;
    app.ask(&agent, "").await.is(403, QUOTA);
    set_plan(&elsewhere, &agent, "unlimited").await;
    app.token(&agent).await;
    set_plan(&elsewhere, &agent, "free").await;
    app.ask(&agent, "").await.is(403, QUOTA);
    assert_eq!(used(app, &agent).await, 10_001);
}

async fn a_limit_below_what_is_used_refuses_and_leaves_the_counter(app: &TestApp<'_>) {
    let agent = app.agent("agents:read").await;
    for _ in 0..5 {
        app.token(&agent).await;
    }
    let lowered = app.beside_with(&[("plans.free", "3")]).await;
    for _ in 0..3 {
        lowered
            .ask(&agent, "")
            .await
            .is_error(403, "unauthorized_client");
    }
    assert_eq!(used(app, &agent).await, 5);
    app.token(&agent).await;
    assert_eq!(used(app, &agent).await, 6);
}

/// Known failure 42: an operator's mistake must not cause a verdict (D9). A client without the
/// secret does not learn of it, and the remembered row must not outlive it.
async fn a_plan_that_is_not_configured_is_503_until_it_is_back(app: &TestApp<'_>) {
    let configured = app.beside_with(&[("plans.gold", "5")]).await;
    let agent = app.agent("agents:read").await;
    app.token(&agent).await;
    set_plan(&configured, &agent, "gold").await;
    for _ in 0..2 {
        let answer = app.ask(&agent, "").await;
        answer.is_error(503, "temporarily_unavailable");
        assert_eq!(answer.header("retry-after"), "1");
    }
    app.ask(&agent.with_secret("wrong"), "")
        .await
        .is(401, INVALID_CLIENT);
    assert_eq!(used(app, &agent).await, 1);
    configured.token(&agent).await;
    set_plan(&configured, &agent, "free").await;
    app.token(&agent).await;
}

/// Known failure 42.
async fn odd_counters_and_limits_have_a_verdict(app: &TestApp<'_>) {
    let vast = [("plans.vast", "9223372036854775807"), ("plans.nil", "0")];
    let app = &app.beside_with(&vast).await;
    for (plan, used, status) in [
        ("free", 0, 200),
        ("free", i64::MAX, 403),
        ("nil", 0, 403),
        ("nil", i64::MAX, 403),
        ("vast", i64::MAX - 1, 200),
        ("vast", i64::MAX, 403),
    ] {
        let agent = app.agent("agents:read").await;
        app.token(&agent).await;
        set_plan(app, &agent, plan).await;
        app.set_used(&agent, used).await;
        assert_eq!(app.ask(&agent, "").await.status, status, "{plan} {used}");
    }
}

async fn refused_requests_are_not_counted(app: &TestApp<'_>) {
    let agent = app.agent("agents:read").await;
    app.token(&agent).await;
    for parameters in [
        "scope=tokens:read",
        "scope=a++b",
        "resource=x",
        "client_assertion=x",
    ] {
        assert_eq!(app.ask(&agent, parameters).await.status, 400);
    }
    app.ask(&agent.with_secret("wrong"), "")
        .await
        .is(401, INVALID_CLIENT);
    app.suspend(&agent).await;
    assert_eq!(app.ask(&agent, "").await.status, 403);
    assert_eq!(used(app, &agent).await, 1);
    let events = "select count(*) from token_event";
    assert_eq!(app.database.number(events).await, 1);
}

/// `RateLimit-Policy` and `RateLimit`, or empty texts.
fn told(answer: &Answer) -> [&str; 2] {
    ["ratelimit-policy", "ratelimit"].map(|name| answer.header(name))
}

/// 2026-02-28T23:59:50Z.
const END_OF_FEBRUARY: i64 = 1_772_323_190;

async fn each_token_tells_what_is_left_of_the_month(app: &TestApp<'_>) {
    app.clock.set(Timestamp(END_OF_FEBRUARY));
    let replica = app.beside_with(&[("plans.free", "3")]).await;
    let policy = "\"month\";q=3;w=2419200";
    for path in [TOKEN, OAUTH_TOKEN] {
        let agent = app.agent("agents:read").await;
        let form = format!("grant_type=client_credentials&{}", agent.form());
        for left in [2, 1, 0] {
            let answer = replica.post(path, &form).await;
            let left = format!("\"month\";r={left};t=10");
            assert_eq!((answer.status, told(&answer)), (200, [policy, &left]));
        }
        for _ in 0..2 {
            let refused = replica.post(path, &form).await;
            assert_eq!((refused.status, refused.header("retry-after")), (403, ""));
            assert_eq!(told(&refused), [policy, "\"month\";r=0;t=10"]);
        }
    }
    let agent = app.agent("agents:read").await;
    app.clock.advance(10);
    let march = replica.ask(&agent, "").await;
    assert_eq!(
        told(&march),
        ["\"month\";q=3;w=2678400", "\"month\";r=2;t=2678400"]
    );
}

async fn tokens_at_once_tell_different_numbers(app: &TestApp<'_>) {
    let replica = app.beside_with(&[("plans.free", "40")]).await;
    let agent = app.agent("agents:read").await;
    let answers = join_all((0..50).map(|_| replica.ask(&agent, ""))).await;
    let left = |answer: &Answer| {
        let text = answer.header("ratelimit").strip_prefix("\"month\";r=");
        let (left, _) = text.unwrap().split_once(';').unwrap();
        left.parse::<i64>().unwrap()
    };
    let granted = answers.iter().filter(|answer| answer.status == 200);
    let mut left: Vec<i64> = granted.map(left).collect();
    left.sort_unstable();
    assert_eq!(left, (0..40).collect::<Vec<_>>());
}

async fn plans_without_limit_and_other_refusals_tell_no_quota(app: &TestApp<'_>) {
    let agent = app.agent("agents:read").await;
    let wrong = app.ask(&agent.with_secret("wrong"), "").await;
    assert_eq!((wrong.status, told(&wrong)), (401, ["", ""]));
    set_plan(app, &agent, "unlimited").await;
    let free = app.ask(&agent, "").await;
    assert_eq!((free.status, told(&free)), (200, ["", ""]));
}
