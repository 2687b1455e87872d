//! Who may change which agent over HTTP: a caller without an admin scope only those that its own
//! agent dominates, and each caller only those that it reaches.

use futures_util::future::join_all;
use sealwright::testing::domain::ttl::Ttl;

use super::on_both;
use crate::harness::answer::Answer;
use crate::harness::app::{AGENTS, Agent, TestApp, bearer};

on_both! {
    a_caller_changes_only_what_its_own_agent_dominates,
    every_member_that_is_too_much_is_named,
    what_an_operator_suspended_only_an_operator_reactivates,
    an_agent_of_another_organization_does_not_exist_for_a_caller,
    a_caller_that_was_narrowed_is_judged_by_what_it_is_now,
    of_two_changes_of_one_version_one_is_refused,
}

async fn token(app: &TestApp<'_>, agent: &Agent) -> String {
    bearer(&app.token(agent).await)
}

async fn act(app: &TestApp<'_>, token: &str, agent_id: &str, action: &str) -> Answer {
    let path = format!("{AGENTS}/{agent_id}/{action}");
    let headers = [("authorization", token)];
    app.send("POST", &path, &headers, vec![]).await
}

/// The fields that a refusal names.
fn fields(answer: &Answer) -> Vec<String> {
    answer.is_management_error(403, "FORBIDDEN");
    let details = answer.json()["details"]["errors"].clone();
    let errors = details.as_array().unwrap().clone();
    errors
        .iter()
        .map(|error| error["field"].as_str().unwrap().to_owned())
        .collect()
}

async fn a_caller_changes_only_what_its_own_agent_dominates(app: &TestApp<'_>) {
    let caller = app.agent("agents:write tokens:read").await;
    let by = token(app, &caller).await;
    let less = app.agent("tokens:read").await;
    let equal = app.agent("agents:write tokens:read").await;
    for target in [&less, &equal] {
        for (action, status) in [
            ("suspend", "suspended"),
            ("reactivate", "active"),
            ("decommission", "decommissioned"),
        ] {
            let answer = act(app, &by, &target.id, action).await;
            assert_eq!(
                (answer.status, answer.text("status").as_str()),
                (200, status)
            );
        }
    }
    let more = app.agent("agents:read").await;
    assert_eq!(act(app, &by, &more.id, "suspend").await.status, 200);
    for action in ["reactivate", "decommission"] {
        assert_eq!(fields(&act(app, &by, &more.id, action).await), ["/scopes"]);
    }
    // Its own record it may only stop.
    assert_eq!(
        fields(&act(app, &by, &caller.id, "decommission").await),
        [""]
    );
    assert_eq!(act(app, &by, &caller.id, "suspend").await.status, 200);
    act(app, &by, &less.id, "suspend")
        .await
        .is_management_error(401, "UNAUTHORIZED");
}

async fn every_member_that_is_too_much_is_named(app: &TestApp<'_>) {
    let caller = app.agent("agents:write").await;
    let by = token(app, &caller).await;
    let more = app
        .agent_like(None, "agents:read tokens:read", |terms| {
            terms.ttl = Some(Ttl::new(86_400).unwrap());
        })
        .await;
    let answer = act(app, &by, &more.id, "reactivate").await;
    assert_eq!(fields(&answer), ["/scopes", "/ttl"]);
}

async fn what_an_operator_suspended_only_an_operator_reactivates(app: &TestApp<'_>) {
    let by = token(app, &app.agent("agents:write").await).await;
    let admin = token(app, &app.agent("agents:write admin:orgs").await).await;
    let target = app.agent("agents:write").await;
    app.suspend(&target).await;
    assert_eq!(
        fields(&act(app, &by, &target.id, "reactivate").await),
        ["/status"]
    );
    assert_eq!(act(app, &admin, &target.id, "reactivate").await.status, 200);
    assert_eq!(act(app, &by, &target.id, "suspend").await.status, 200);
    // An operator's suspension outlasts one by an agent.
    assert_eq!(act(app, &admin, &target.id, "suspend").await.status, 200);
    assert_eq!(
        fields(&act(app, &by, &target.id, "reactivate").await),
        ["/status"]
    );
}

async fn an_agent_of_another_organization_does_not_exist_for_a_caller(app: &TestApp<'_>) {
    let admin = app.agent("agents:write admin:orgs").await;
    let (theirs, ours) = (
        app.agent("agents:read").await,
        app.agent("agents:read").await,
    );
    let boss = app.agent("agents:write admin:orgs").await;
    let org = "insert into org (org_id, name, created_at) values ('other', 'other', 0)";
    app.database.execute(org).await;
    let move_them = format!(
        "update agent set org_id = 'other', version = version + 1 where agent_id in ('{}', '{}')",
        theirs.id, boss.id
    );
    app.database.execute(&move_them).await;
    let by = token(app, &app.agent("agents:write agents:read").await).await;
    let boss = token(app, &boss).await;
    for action in ["suspend", "reactivate", "revoke-tokens", "decommission"] {
        let hidden = act(app, &by, &theirs.id, action).await;
        hidden.is_management_error(404, "AGENT_NOT_FOUND");
        act(app, &boss, &ours.id, action)
            .await
            .is_management_error(404, "AGENT_NOT_FOUND");
    }
    // An admin scope lifts dominance in its own organization, and that of the first one everywhere.
    assert_eq!(act(app, &boss, &theirs.id, "suspend").await.status, 200);
    let admin = token(app, &admin).await;
    assert_eq!(act(app, &admin, &theirs.id, "reactivate").await.status, 200);
}

async fn a_caller_that_was_narrowed_is_judged_by_what_it_is_now(app: &TestApp<'_>) {
    let caller = app.agent("agents:write tokens:read").await;
    let by = token(app, &caller).await;
    let target = app.agent("tokens:read").await;
    assert_eq!(act(app, &by, &target.id, "reactivate").await.status, 200);
    let narrow = format!(
        "update agent set scopes = '[\"agents:write\"]', version = version + 1 where agent_id = '{}'",
        caller.id
    );
    app.database.execute(&narrow).await;
    // Its token still has both scopes.
    assert_eq!(
        fields(&act(app, &by, &target.id, "reactivate").await),
        ["/scopes"]
    );
}

async fn of_two_changes_of_one_version_one_is_refused(app: &TestApp<'_>) {
    let other = app.beside().await;
    let by = token(app, &app.agent("agents:write admin:orgs").await).await;
    let target = app.agent("agents:read").await;
    let version = act(app, &by, &target.id, "revoke-tokens").await;
    let version = version.header("etag").to_owned();
    let path = format!("{AGENTS}/{}/revoke-tokens", target.id);
    let headers = [("authorization", by.as_str()), ("if-match", &version)];
    let sent = [app, &other].map(|app| app.send("POST", &path, &headers, vec![]));
    let mut statuses: Vec<u16> = join_all(sent).await.iter().map(|a| a.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412]);
}
