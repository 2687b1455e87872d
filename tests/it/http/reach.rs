//! Which organisations' agents a caller sees. There is no operation on organisations yet: the test
//! writes the second one into the store.

use serde_json::{Value, json};

use super::on_both;
use crate::harness::app::{AGENTS, Agent, INTROSPECT, REVOKE, TestApp, bearer, encode};

on_both! {
    a_token_out_of_reach_is_as_unknown_as_a_forged_one,
    scopes_and_plans_count_the_agents_in_reach,
    a_cursor_goes_on_only_for_callers_with_the_same_reach,
    a_caller_sees_its_own_organisation_and_an_admin_of_the_first_one_sees_all,
    an_admin_revokes_tokens_of_the_organisations_that_it_reaches,
}

/// Moves the agents whose ids begin with `o-`.
async fn move_to_other(app: &TestApp<'_>) {
    for sql in [
        "insert into org (org_id, name, created_at) values ('other', 'other', 0)",
        "update agent set org_id = 'other' where agent_id like 'o-%'",
    ] {
        app.database.execute(sql).await;
    }
}

async fn a_caller_sees_its_own_organisation_and_an_admin_of_the_first_one_sees_all(
    app: &TestApp<'_>,
) {
    let scopes = "agents:read admin:orgs";
    let [reader, admin, there, admin_there] = [
        app.agent_named("d-reader", "agents:read").await,
        app.agent_named("d-admin", scopes).await,
        app.agent_named("o-reader", "agents:read").await,
        app.agent_named("o-admin", scopes).await,
    ];
    move_to_other(app).await;
    let all = ["d-admin", "d-reader", "o-admin", "o-reader"];
    let rows: [(&Agent, &str, &[&str]); 4] = [
        (&reader, "default", &all[..2]),
        (&admin, "default", &all),
        (&there, "other", &all[2..]),
        (&admin_there, "other", &all[2..]),
    ];
    for (agent, org_id, seen) in rows {
        let bearer = bearer(&app.token(agent).await);
        let page = app.get_as(&bearer, AGENTS).await.json();
        let ids: Vec<&Value> = page["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| &row["agentId"])
            .collect();
        assert_eq!(ids, seen, "{agent:?}");
        for id in all {
            for path in [format!("{AGENTS}/{id}"), format!("{AGENTS}/{id}/usage")] {
                let answer = app.get_as(&bearer, &path).await;
                if seen.contains(&id) {
                    assert_eq!(answer.status, 200, "{agent:?} {path}");
                } else {
                    answer.is_management_error(404, "AGENT_NOT_FOUND");
                }
            }
        }
        let whoami = app.get_as(&bearer, "/api/v1/whoami").await.json();
        assert_eq!(whoami["orgId"], json!(org_id));
    }
}

async fn an_admin_revokes_tokens_of_the_organisations_that_it_reaches(app: &TestApp<'_>) {
    let [admin, admin_there, here, there] = [
        app.agent_named("d-admin", "admin:orgs").await,
        app.agent_named("o-admin", "admin:orgs").await,
        app.agent_named("d-agent", "tokens:read").await,
        app.agent_named("o-agent", "tokens:read").await,
    ];
    move_to_other(app).await;
    for (caller, owner, status) in [
        (&admin, &here, 200),
        (&admin, &there, 200),
        (&admin_there, &there, 200),
        (&admin_there, &here, 403),
    ] {
        let bearer = bearer(&app.token(caller).await);
        let token = app.token(owner).await;
        let body = format!("token={}", encode(&token));
        let answer = app.post_as(&bearer, REVOKE, &body).await;
        assert_eq!(answer.status, status, "{caller:?} {owner:?}: {answer:?}");
        assert_eq!(app.is_active(&here, &token).await, status == 403);
    }
}

async fn a_cursor_goes_on_only_for_callers_with_the_same_reach(app: &TestApp<'_>) {
    let scopes = "agents:read audit:read admin:orgs";
    let mut callers = Vec::new();
    for (id, scopes, reach) in [
        ("d-1", "agents:read audit:read", "default"),
        ("d-2", "agents:read audit:read", "default"),
        ("d-admin", scopes, "all"),
        ("o-1", "agents:read audit:read", "other"),
        ("o-2", scopes, "other"),
    ] {
        let agent = app.agent_named(id, scopes).await;
        callers.push((reach, bearer(&app.token(&agent).await)));
    }
    move_to_other(app).await;
    for (reach, caller) in &callers {
        let page = app.get_as(caller, &format!("{AGENTS}?limit=1")).await;
        let cursor = page.text("nextCursor");
        for (other, caller) in &callers {
            let path = format!("{AGENTS}?limit=1&cursor={cursor}");
            let page = app.get_as(caller, &path).await;
            if reach == other {
                assert_eq!(page.status, 200, "{reach} {other}");
            } else {
                page.is_management_error(400, "VALIDATION_ERROR");
            }
        }
    }
}

async fn scopes_and_plans_count_the_agents_in_reach(app: &TestApp<'_>) {
    let app = &app.beside_with(&[("plans.rare", "7")]).await;
    let reader = app.agent_named("d-reader", "agents:read").await;
    let admin = app.agent_named("d-admin", "agents:read admin:orgs").await;
    let there = app.agent_named("o-reader", "agents:read").await;
    let gone = app.agent_named("o-gone", "agents:read").await;
    app.decommission(&gone).await;
    move_to_other(app).await;
    let lost = "update agent set plan = 'lost' where agent_id = 'o-reader'";
    let there_token = app.token(&there).await;
    app.database.execute(lost).await;
    let (own, all) = (app.token(&reader).await, app.token(&admin).await);
    for (token, held, free, lost) in [(own, 2, 2, 0), (all, 3, 2, 1), (there_token, 1, 0, 1)] {
        let bearer = bearer(&token);
        let scope = app.get_as(&bearer, "/api/v1/scopes/agents:read").await;
        assert_eq!(scope.json()["agents"], held);
        let scopes = app.get_as(&bearer, "/api/v1/scopes").await.json();
        let rows = scopes["data"].as_array().unwrap();
        let row = rows.iter().find(|row| row["scope"] == "agents:read");
        assert_eq!(row.unwrap()["agents"], held);
        let page = app.get_as(&bearer, "/api/v1/plans").await;
        assert_eq!(page.keys(), ["data", "limit", "nextCursor"]);
        let rows = page.json()["data"].as_array().unwrap().clone();
        let count = |plan: &str| rows.iter().find(|row| row["plan"] == plan).cloned();
        assert_eq!(
            count("free").unwrap(),
            json!({"plan": "free", "limit": 10_000, "agents": free})
        );
        assert_eq!(
            count("rare").unwrap(),
            json!({"plan": "rare", "limit": 7, "agents": 0})
        );
        assert_eq!(count("unlimited").unwrap()["limit"], Value::Null);
        match (count("lost"), lost) {
            (None, 0) => {}
            (Some(row), 1) => {
                assert_eq!((&row["limit"], &row["agents"]), (&json!(0), &json!(1)));
                assert!(row["warnings"][0].as_str().unwrap().contains("lost"));
            }
            other => panic!("{other:?}"),
        }
    }
}

async fn a_token_out_of_reach_is_as_unknown_as_a_forged_one(app: &TestApp<'_>) {
    let scopes = "tokens:read admin:orgs";
    let [here, admin, there, admin_there] = [
        app.agent_named("d-reader", "tokens:read").await,
        app.agent_named("d-admin", scopes).await,
        app.agent_named("o-reader", "tokens:read").await,
        app.agent_named("o-admin", scopes).await,
    ];
    move_to_other(app).await;
    let tokens = [app.token(&here).await, app.token(&there).await];
    for (caller, seen) in [
        (&here, [true, false]),
        (&admin, [true, true]),
        (&there, [false, true]),
        (&admin_there, [false, true]),
    ] {
        let bearer = bearer(&app.token(caller).await);
        for (token, seen) in tokens.iter().zip(seen) {
            let form = format!("token={}", encode(token));
            let by_bearer = app.post_as(&bearer, INTROSPECT, &form).await;
            let by_secret = app.introspect(caller, token).await;
            for answer in [by_bearer, by_secret] {
                assert_eq!(answer.json()["active"], seen, "{caller:?}");
                assert_eq!(answer.keys().len() == 1, !seen, "{answer:?}");
            }
        }
    }
}
