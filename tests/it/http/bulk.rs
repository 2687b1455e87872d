//! Stopping many agents at once, over HTTP.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::on_both;
use crate::harness::answer::Answer;
use crate::harness::app::{AGENTS, Agent, TestApp, bearer};

on_both! {
    all_agents_that_meet_a_filter_are_stopped_on_every_replica,
    a_dry_run_tells_what_would_be_and_changes_nothing,
    whom_a_caller_may_not_stop_is_told_and_left_alone,
    a_bulk_change_stays_within_reach,
    many_agents_come_in_pieces_bound_to_their_filter,
    every_fault_of_a_bulk_change_is_told_at_once,
    a_fault_half_way_leaves_whole_commits_and_the_rest_is_done_by_asking_again,
}

const WRITER: &str = "agents:read agents:write tokens:read";

async fn bulk(app: &TestApp<'_>, caller: &str, query: &str, body: &Value) -> Answer {
    let headers = [
        ("authorization", caller),
        ("content-type", "application/json"),
    ];
    let path = format!("{AGENTS}/bulk{query}");
    app.send("POST", &path, &headers, body.to_string().into())
        .await
}

async fn labelled(app: &TestApp<'_>, id: &str, scopes: &str) -> Agent {
    let agent = app.agent_named(id, scopes).await;
    let sql = format!("update agent set labels = '{{\"team\":\"pay\"}}' where agent_id = '{id}'");
    app.database.execute(&sql).await;
    agent
}

fn by_label(action: &str) -> Value {
    json!({"action": action, "filter": {"labels": {"team": "pay"}}, "reason": "leak"})
}

/// The agents of all events of this kind with this reason.
async fn told(app: &TestApp<'_>, kind: &str) -> Vec<String> {
    let rows = app
        .opened
        .records
        .events(0, i64::MAX, 99_999)
        .await
        .unwrap();
    rows.iter()
        .map(|row| serde_json::from_slice(&row.logged().unwrap().bytes()).unwrap())
        .filter(|event: &Value| event["kind"] == kind && event["reason"] == "leak")
        .map(|event| event["agentId"].as_str().unwrap().to_owned())
        .collect()
}

async fn all_agents_that_meet_a_filter_are_stopped_on_every_replica(app: &TestApp<'_>) {
    let writer = app.agent_named("writer", WRITER).await;
    let caller = bearer(&app.token(&writer).await);
    let [a, b] = [
        labelled(app, "a", "tokens:read").await,
        labelled(app, "b", "").await,
    ];
    let gone = labelled(app, "gone", "").await;
    app.decommission(&gone).await;
    let bystander = app.agent_named("c", "tokens:read").await;
    let other = app.beside().await;
    let tokens = [app.token(&a).await, app.token(&bystander).await];
    let killed = bulk(app, &caller, "", &by_label("revoke-tokens")).await;
    let reply = killed.json();
    assert!(reply["revocationVersion"].is_i64(), "{killed:?}");
    assert_eq!(
        (
            &reply["matched"],
            &reply["changed"],
            &reply["agents"],
            &reply["refused"],
            &reply["next"]
        ),
        (
            &json!(2),
            &json!(2),
            &json!(["a", "b"]),
            &json!([]),
            &Value::Null
        )
    );
    for process in [app, &other] {
        assert!(!process.is_active(&writer, &tokens[0]).await);
        assert!(process.is_active(&writer, &tokens[1]).await);
    }
    let token = other.token(&a).await;
    let stopped = bulk(app, &caller, "", &by_label("suspend")).await.json();
    assert_eq!(
        (&stopped["changed"], &stopped["agents"]),
        (&json!(2), &json!(["a", "b"]))
    );
    for process in [&other, app] {
        assert!(!process.is_active(&writer, &token).await);
        for (agent, status) in [(&a, 403), (&b, 403), (&bystander, 200)] {
            assert_eq!(process.ask(agent, "").await.status, status, "{agent:?}");
        }
    }
    // What is so already is matched, and not changed.
    let again = bulk(app, &caller, "", &by_label("suspend")).await.json();
    assert_eq!(
        (
            &again["matched"],
            &again["changed"],
            &again["revocationVersion"]
        ),
        (&json!(2), &json!(0), &Value::Null)
    );
    for kind in ["agent.suspended", "agent.tokens_revoked"] {
        assert_eq!(told(app, kind).await, ["a", "b"], "{kind}");
    }
}

async fn a_dry_run_tells_what_would_be_and_changes_nothing(app: &TestApp<'_>) {
    let writer = app.agent_named("writer", WRITER).await;
    let admin = app
        .agent_named("admin", &format!("{WRITER} admin:orgs"))
        .await;
    let callers = [
        bearer(&app.token(&writer).await),
        bearer(&app.token(&admin).await),
    ];
    for id in ["a", "b"] {
        labelled(app, id, "tokens:read").await;
    }
    let operators = labelled(app, "c", "tokens:read").await;
    labelled(app, "boss", "admin:orgs").await;
    let stop = |id: &str| {
        let path = format!("{AGENTS}/{id}/suspend");
        let headers = [("authorization", callers[0].clone())];
        async move {
            let headers = headers
                .each_ref()
                .map(|(name, value)| (*name, value.as_str()));
            app.send("POST", &path, &headers, vec![]).await
        }
    };
    // One was stopped by an agent, one by an operator: an admin's suspension outlasts the first.
    assert_eq!(stop("b").await.status, 200);
    app.suspend(&operators).await;
    let newest = app.opened.records.newest_event().await.unwrap();
    for action in ["suspend", "revoke-tokens"] {
        for caller in &callers {
            let tried = bulk(app, caller, "?dryRun=true", &by_label(action)).await;
            assert_eq!(tried.header("dry-run"), "true");
            assert_eq!(tried.json()["revocationVersion"], Value::Null);
            assert_eq!(app.opened.records.newest_event().await.unwrap(), newest);
            let again = bulk(app, caller, "?dryRun=true", &by_label(action)).await;
            assert_eq!(again.body, tried.body);
        }
    }
    for (caller, action) in [
        (0, "revoke-tokens"),
        (0, "suspend"),
        (1, "suspend"),
        (1, "revoke-tokens"),
    ] {
        let body = by_label(action);
        let tried = bulk(app, &callers[caller], "?dryRun=true", &body).await;
        let mut done = bulk(app, &callers[caller], "", &body).await.json();
        done.as_object_mut().unwrap().remove("revocationVersion");
        assert_eq!(tried.json(), done, "{action}");
    }
}

async fn whom_a_caller_may_not_stop_is_told_and_left_alone(app: &TestApp<'_>) {
    let writer = labelled(app, "writer", WRITER).await;
    let caller = bearer(&app.token(&writer).await);
    let boss = labelled(app, "boss", "admin:orgs").await;
    let more = labelled(app, "more", "audit:read").await;
    let reply = bulk(app, &caller, "", &by_label("suspend")).await.json();
    assert_eq!(
        (&reply["matched"], &reply["agents"], &reply["refused"]),
        (&json!(3), &json!(["more"]), &json!(["boss", "writer"]))
    );
    for (agent, status) in [(&writer, 200), (&boss, 200), (&more, 403)] {
        assert_eq!(app.ask(agent, "").await.status, status, "{agent:?}");
    }
    let admin = app
        .agent_named("admin", &format!("{WRITER} admin:orgs"))
        .await;
    let admin = bearer(&app.token(&admin).await);
    let reply = bulk(app, &admin, "", &by_label("suspend")).await.json();
    assert_eq!(
        (&reply["agents"], &reply["refused"]),
        (&json!(["boss", "more", "writer"]), &json!([]))
    );
    // The caller is suspended by now.
    let answer = bulk(app, &caller, "", &by_label("suspend")).await;
    assert_eq!(answer.status, 401);
}

async fn a_bulk_change_stays_within_reach(app: &TestApp<'_>) {
    let [here, there] = [
        app.agent_named("d-writer", WRITER).await,
        app.agent_named("o-writer", WRITER).await,
    ];
    let admin = app
        .agent_named("d-admin", &format!("{WRITER} admin:orgs"))
        .await;
    for id in ["d-a", "o-a"] {
        labelled(app, id, "").await;
    }
    for sql in [
        "insert into org (org_id, name, created_at) values ('other', 'other', 0)",
        "update agent set org_id = 'other', version = version + 1 where agent_id like 'o-%'",
    ] {
        app.database.execute(sql).await;
    }
    let other_org =
        json!({"action": "revoke-tokens", "filter": {"orgId": "other", "labels": {"team": "pay"}}});
    let by_id = json!({"action": "revoke-tokens", "filter": {"ids": ["d-a", "o-a"]}});
    for (agent, in_all, in_other) in [
        (&here, json!(["d-a"]), json!([])),
        (&there, json!(["o-a"]), json!(["o-a"])),
        (&admin, json!(["d-a", "o-a"]), json!(["o-a"])),
    ] {
        let caller = bearer(&app.token(agent).await);
        for (body, expected) in [
            (&by_label("revoke-tokens"), &in_all),
            (&by_id, &in_all),
            (&other_org, &in_other),
        ] {
            let reply = bulk(app, &caller, "", body).await.json();
            assert_eq!(&reply["agents"], expected, "{agent:?} {body}");
            assert_eq!(reply["matched"], expected.as_array().unwrap().len());
        }
    }
}

/// Writes agents directly into the database, each like the one that is there.
async fn fill(app: &TestApp<'_>, like: &str, count: usize) {
    app.database
        .execute(&format!(
            "insert into agent (agent_id, org_id, name, status, scopes, audiences, redirect_uris, user_ids, plan, epoch,
                                version, longest_ttl, created_at, updated_at, labels)
             with recursive n (i) as (select 10001 union all select i + 1 from n where i < {})
             select 'm-' || i, org_id, name, status, scopes, audiences, redirect_uris, '[]', plan, epoch, version,
                    longest_ttl, created_at, updated_at, labels
             from n, agent where agent_id = '{like}'",
            10_000 + count
        ))
        .await;
}

/// All pieces: the ids that were changed.
async fn every_piece(app: &TestApp<'_>, caller: &str, body: &Value) -> (Vec<String>, usize) {
    let (mut body, mut changed, mut pieces) = (body.clone(), Vec::new(), 0);
    loop {
        let piece = bulk(app, caller, "", &body).await;
        assert_eq!(piece.status, 200, "{piece:?}");
        let agents = piece.json()["agents"].as_array().unwrap().clone();
        assert!(agents.len() <= 1_000);
        changed.extend(agents.iter().map(|id| id.as_str().unwrap().to_owned()));
        pieces += 1;
        let Some(next) = piece.json()["next"].as_str().map(str::to_owned) else {
            return (changed, pieces);
        };
        body["cursor"] = next.into();
    }
}

async fn many_agents_come_in_pieces_bound_to_their_filter(app: &TestApp<'_>) {
    let writer = app.agent_named("writer", WRITER).await;
    let caller = bearer(&app.token(&writer).await);
    labelled(app, "a", "").await;
    fill(app, "a", 1_150).await;
    let first = bulk(app, &caller, "", &by_label("suspend")).await.json();
    let next = first["next"].as_str().unwrap().to_owned();
    let changed = first["changed"].as_u64().unwrap();
    assert!((100..=1_000).contains(&changed), "{changed}");
    for (action, filter) in [
        ("revoke-tokens", json!({"labels": {"team": "pay"}})),
        (
            "suspend",
            json!({"labels": {"team": "pay"}, "plan": "free"}),
        ),
    ] {
        let body = json!({"action": action, "filter": filter, "cursor": next});
        let answer = bulk(app, &caller, "", &body).await;
        answer.is_management_error(400, "VALIDATION_ERROR");
        assert_eq!(answer.json()["details"]["errors"][0]["field"], "/cursor");
    }
    let mut rest = by_label("suspend");
    rest["cursor"] = next.into();
    let (changed_later, _) = every_piece(app, &caller, &rest).await;
    assert_eq!(changed + changed_later.len() as u64, 1_151);
    let stopped = "select count(*) from agent where status = 'suspended'";
    assert_eq!(app.database.number(stopped).await, 1_151);
}

async fn every_fault_of_a_bulk_change_is_told_at_once(app: &TestApp<'_>) {
    let writer = app.agent_named("writer", WRITER).await;
    let caller = bearer(&app.token(&writer).await);
    let many: Vec<String> = (0..101).map(|n| format!("a{n}")).collect();
    for (body, expected) in [
        (json!({}), &["/action", "/filter"][..]),
        (json!({"action": "suspend", "filter": {}}), &["/filter"]),
        (
            json!({"action": "suspend", "filter": {"owner": null}}),
            &["/filter"],
        ),
        (
            json!({"action": "suspend", "filter": {"ids": []}}),
            &["/filter/ids"],
        ),
        (
            json!({"action": "suspend", "filter": {"labels": {}}}),
            &["/filter/labels"],
        ),
        (
            json!({"action": "suspend", "filter": {"ids": many}}),
            &["/filter/ids"],
        ),
        (
            json!({"action": "delete", "filter": {"scope": "a b", "plan": "A", "ids": ["a/b"], "status": "active"},
                   "reason": "", "limit": 7}),
            &[
                "/action",
                "/filter/scope",
                "/filter/plan",
                "/filter/ids/0",
                "/filter/status",
                "/reason",
                "/limit",
            ],
        ),
        (
            json!({"action": "suspend", "filter": {"owner": "x"}, "cursor": "x"}),
            &["/cursor"],
        ),
    ] {
        let answer = bulk(app, &caller, "", &body).await;
        answer.is_management_error(400, "VALIDATION_ERROR");
        let errors = answer.json()["details"]["errors"]
            .as_array()
            .unwrap()
            .clone();
        let fields: BTreeSet<&str> = errors
            .iter()
            .map(|e| e["field"].as_str().unwrap())
            .collect();
        assert_eq!(fields, expected.iter().copied().collect(), "{body}");
    }
    // There is no version that it could name.
    let headers = [
        ("authorization", caller.as_str()),
        ("content-type", "application/json"),
        ("if-match", "\"1\""),
    ];
    let body = by_label("suspend").to_string();
    let answer = app
        .send("POST", &format!("{AGENTS}/bulk"), &headers, body.into())
        .await;
    answer.is_management_error(412, "VERSION_MISMATCH");
}

async fn a_fault_half_way_leaves_whole_commits_and_the_rest_is_done_by_asking_again(
    app: &TestApp<'_>,
) {
    let writer = app.agent_named("writer", WRITER).await;
    let caller = bearer(&app.token(&writer).await);
    labelled(app, "a", "").await;
    fill(app, "a", 250).await;
    // No event of this agent can be written: it is in the middle of the third commit.
    let broken = "m-10220";
    let (make, end) = match app.database {
        crate::harness::database::Database::Sqlite { .. } => (
            format!(
                "create trigger broken before insert on audit_event when new.agent_id = '{broken}'
                 begin select raise(abort, 'broken'); end"
            ),
            "drop trigger broken".to_owned(),
        ),
        crate::harness::database::Database::Postgres { .. } => (
            format!(
                "alter table audit_event add constraint broken check (agent_id is distinct from '{broken}') not valid"
            ),
            "alter table audit_event drop constraint broken".to_owned(),
        ),
    };
    app.database.execute(&make).await;
    let answer = bulk(app, &caller, "", &by_label("suspend")).await;
    assert!([500, 503].contains(&answer.status), "{answer:?}");
    let stopped = "select count(*) from agent where status = 'suspended'";
    assert_eq!(app.database.number(stopped).await, 200);
    assert_eq!(told(app, "agent.suspended").await.len(), 200);
    app.database.execute(&end).await;
    let (changed, _) = every_piece(app, &caller, &by_label("suspend")).await;
    assert_eq!(changed.len(), 51);
    assert_eq!(told(app, "agent.suspended").await.len(), 251);
}
