//! Who may make and change which agent over HTTP: without an admin scope only what has nothing that
//! the caller's own agent lacks, before and after the change.

use futures_util::future::join_all;
use sealwright::testing::domain::agent::Audience;
use sealwright::testing::domain::time::Timestamp;
use serde_json::{Value, json};

use super::on_both;
use crate::harness::answer::Answer;
use crate::harness::app::{AGENTS, Agent, ISSUER, TestApp, bearer};

on_both! {
    a_caller_makes_only_agents_that_its_own_dominates,
    what_is_left_out_counts_as_what_the_server_makes_of_it,
    only_an_admin_of_the_first_organization_chooses_an_id,
    a_change_is_judged_before_and_after,
    an_end_that_is_brought_forward_is_a_kill,
    an_agent_is_made_in_an_organization_in_reach_and_stays_there,
    of_changes_by_a_caller_that_is_narrowed_meanwhile_none_exceeds_it,
}

const CALLER: &str = "agents:read agents:write tokens:read";

async fn token(app: &TestApp<'_>, agent: &Agent) -> String {
    bearer(&app.token(agent).await)
}

/// Sends a line such as `PATCH /a`.
async fn send(app: &TestApp<'_>, token: &str, line: &str, body: &Value) -> Answer {
    let (method, path) = line.split_once(' ').unwrap();
    let headers = [
        ("authorization", token),
        ("content-type", "application/json"),
    ];
    app.send(
        method,
        &format!("{AGENTS}{path}"),
        &headers,
        body.to_string().into(),
    )
    .await
}

/// The fields that a refusal names.
fn fields(answer: &Answer, status: u16, code: &str) -> Vec<String> {
    answer.is_management_error(status, code);
    let details = answer.json()["details"]["errors"].clone();
    let errors = details.as_array().unwrap().clone();
    errors
        .iter()
        .map(|error| error["field"].as_str().unwrap().to_owned())
        .collect()
}

fn forbidden(answer: &Answer) -> Vec<String> {
    fields(answer, 403, "FORBIDDEN")
}

/// Writes the organization `other` and moves these agents there.
async fn move_to_other(app: &TestApp<'_>, agents: &[&Agent]) {
    let org = "insert into org (org_id, name, created_at) values ('other', 'other', 0)";
    app.database.execute(org).await;
    for agent in agents {
        let sql = format!(
            "update agent set org_id = 'other', version = version + 1 where agent_id = '{}'",
            agent.id
        );
        app.database.execute(&sql).await;
    }
}

async fn a_caller_makes_only_agents_that_its_own_dominates(app: &TestApp<'_>) {
    let by = token(app, &app.agent(CALLER).await).await;
    let less = json!({"name": "less", "scopes": ["tokens:read"]});
    let made = send(app, &by, "POST ", &less).await;
    assert_eq!(made.status, 201, "{made:?}");
    let secret = made.text("clientSecret");
    let agent = Agent {
        id: made.text("agentId"),
        secret,
    };
    app.token(&agent).await;
    let more = json!({
        "name": "more", "scopes": ["tokens:read", "audit:read", "admin:orgs"], "ttl": 86_400, "plan": "unlimited",
        "redirectUris": ["https://a.example/cb"], "userIds": ["u"],
    });
    let expected = [
        "/scopes/1",
        "/scopes/2",
        "/userIds/0",
        "/redirectUris/0",
        "/plan",
        "/ttl",
        "/scopes/2",
    ];
    let refused = send(app, &by, "POST ?dryRun=true", &more).await;
    assert_eq!(forbidden(&refused), expected);
    assert_eq!(forbidden(&send(app, &by, "POST ", &more).await), expected);
}

async fn what_is_left_out_counts_as_what_the_server_makes_of_it(app: &TestApp<'_>) {
    let agent = app
        .agent_like(None, CALLER, |terms| {
            let audiences = [ISSUER, "https://a.example"];
            terms.audiences = audiences.map(|one| Audience::parse(one).unwrap()).into();
        })
        .await;
    let end = app.clock.now().saturating_add(86_400);
    let sql = format!(
        "update agent set ttl = 300, expires_at = {}, version = version + 1 where agent_id = '{}'",
        end.0, agent.id
    );
    app.database.execute(&sql).await;
    let by = token(app, &agent).await;
    let open = json!({"name": "open", "scopes": []});
    let refused = send(app, &by, "POST ", &open).await;
    assert_eq!(forbidden(&refused), ["/audiences", "/ttl", "/expiresAt"]);
    let body = |audience: &str, end: Timestamp| {
        json!({
            "name": "x", "scopes": [], "ttl": 300, "audiences": [audience], "expiresAt": end.to_rfc3339(),
        })
    };
    let made = send(app, &by, "POST ", &body("https://a.example", end)).await;
    assert_eq!(made.status, 201, "{made:?}");
    let later = body("https://b.example", end.saturating_add(1));
    let refused = send(app, &by, "POST ", &later).await;
    assert_eq!(forbidden(&refused), ["/audiences/0", "/expiresAt"]);
    let line = format!("PATCH /{}", made.text("agentId"));
    let open = json!({"audiences": null, "ttl": null, "expiresAt": null});
    let refused = send(app, &by, &line, &open).await;
    assert_eq!(forbidden(&refused), ["/audiences", "/ttl", "/expiresAt"]);
}

async fn only_an_admin_of_the_first_organization_chooses_an_id(app: &TestApp<'_>) {
    let by = app.agent(CALLER).await;
    let boss = app.agent("agents:write admin:orgs").await;
    let admin = app.agent("agents:write admin:orgs").await;
    let hidden = app.agent_named("hidden", "tokens:read").await;
    move_to_other(app, &[&boss, &hidden]).await;
    let body = json!({"name": "x", "scopes": []});
    let named = json!({"name": "x", "scopes": [], "agentId": "n"});
    for caller in [&by, &boss] {
        let by = token(app, caller).await;
        let refused = send(app, &by, "POST ", &named).await;
        assert_eq!(forbidden(&refused), ["/agentId"]);
        let refused = send(app, &by, "PUT /n", &body).await;
        assert_eq!(forbidden(&refused), ["/agentId"]);
    }
    // An agent out of reach is answered as one that does not exist.
    let by = token(app, &by).await;
    let refused = send(app, &by, "PUT /hidden", &body).await;
    assert_eq!(forbidden(&refused), ["/agentId"]);
    let admin = token(app, &admin).await;
    for (line, body, status) in [("POST ", &named, 201), ("PUT /n", &body, 200)] {
        let answer = send(app, &admin, line, body).await;
        assert_eq!(answer.status, status, "{answer:?}");
    }
}

async fn a_change_is_judged_before_and_after(app: &TestApp<'_>) {
    let own = app.agent(CALLER).await;
    let by = token(app, &own).await;
    app.agent_named("less", "tokens:read").await;
    app.agent_named("more", "audit:read").await;
    let narrow = json!({"scopes": []});
    let refused = send(app, &by, "PATCH /more", &narrow).await;
    assert_eq!(forbidden(&refused), ["/scopes"]);
    let wide = json!({"scopes": ["tokens:read", "audit:read"]});
    let refused = send(app, &by, "PATCH /less", &wide).await;
    assert_eq!(forbidden(&refused), ["/scopes/1"]);
    let put = json!({"name": "x", "scopes": ["agents:read"]});
    for (line, body) in [
        ("PATCH /less", json!({"scopes": ["agents:read"]})),
        ("PUT /less", put.clone()),
    ] {
        let changed = send(app, &by, line, &body).await;
        assert_eq!(changed.status, 200, "{changed:?}");
    }
    for (line, body) in [("PATCH", narrow), ("PUT", put)] {
        let refused = send(app, &by, &format!("{line} /{}", own.id), &body).await;
        assert_eq!(forbidden(&refused), [""]);
    }
}

async fn an_end_that_is_brought_forward_is_a_kill(app: &TestApp<'_>) {
    let own = app.agent("agents:write admin:orgs").await;
    let by = bearer(&app.token_with(&own, "scope=agents:write").await);
    let chief = app.agent_named("chief", "admin:orgs").await;
    let end = json!({"expiresAt": "2100-01-01T00:00:00Z"});
    for (line, body) in [
        ("PATCH /chief", end),
        ("PATCH /chief?revokeTokens=true", json!({"name": "x"})),
    ] {
        let refused = send(app, &by, line, &body).await;
        assert_eq!(forbidden(&refused), [""], "{line}");
    }
    let renamed = send(app, &by, "PATCH /chief", &json!({"name": "y"})).await;
    assert_eq!(renamed.status, 200, "{renamed:?}");
    app.token(&chief).await;
}

async fn an_agent_is_made_in_an_organization_in_reach_and_stays_there(app: &TestApp<'_>) {
    let admin = app.agent("agents:read agents:write admin:orgs").await;
    let there = app.agent(CALLER).await;
    move_to_other(app, &[&there]).await;
    let (admin, there) = (token(app, &admin).await, token(app, &there).await);
    let body = |org_id: Option<&str>| {
        let mut body = json!({"name": "x", "scopes": []});
        if let Some(org_id) = org_id {
            body["orgId"] = json!(org_id);
        }
        body
    };
    for (by, given, is) in [
        (&admin, None, "default"),
        (&admin, Some("other"), "other"),
        (&there, None, "other"),
        (&there, Some("other"), "other"),
    ] {
        let made = send(app, by, "POST ", &body(given)).await;
        assert_eq!(made.status, 201, "{made:?}");
        assert_eq!(made.text("orgId"), is);
    }
    for (by, given) in [
        (&admin, "nowhere"),
        (&there, "default"),
        (&there, "nowhere"),
    ] {
        let refused = send(app, by, "POST ", &body(Some(given))).await;
        assert_eq!(fields(&refused, 400, "VALIDATION_ERROR"), ["/orgId"]);
    }
    let made = send(app, &admin, "PUT /o", &body(Some("other"))).await;
    assert_eq!((made.status, made.text("orgId").as_str()), (201, "other"));
    let moved = send(app, &admin, "PUT /o", &body(Some("default"))).await;
    assert_eq!(fields(&moved, 400, "VALIDATION_ERROR"), ["/orgId"]);
    for given in [None, Some("other")] {
        let put = send(app, &admin, "PUT /o", &body(given)).await;
        assert_eq!((put.status, put.text("orgId").as_str()), (200, "other"));
    }
}

async fn of_changes_by_a_caller_that_is_narrowed_meanwhile_none_exceeds_it(app: &TestApp<'_>) {
    let other = app.beside().await;
    let admin = token(app, &app.agent("agents:write admin:orgs").await).await;
    let own = app.agent(CALLER).await;
    let by = token(app, &own).await;
    let body = json!({"name": "x", "scopes": ["tokens:read"]});
    let line = format!("PATCH /{}", own.id);
    let narrow = json!({"scopes": ["agents:write"]});
    let makes = (0..8).map(|_| send(app, &by, "POST ", &body));
    let (narrowed, made) =
        futures_util::future::join(send(&other, &admin, &line, &narrow), join_all(makes)).await;
    assert_eq!(narrowed.status, 200, "{narrowed:?}");
    let narrowed = narrowed.json()["version"].as_i64().unwrap();
    for made in made {
        // A busy machine may have no time to hash a secret.
        assert!([201, 403, 503].contains(&made.status), "{made:?}");
    }
    // What was committed after the caller was narrowed has no more than the caller.
    let events = "select count(*) from audit_event where kind = 'agent.created' and id >
                  (select max(id) from audit_event where kind = 'agent.updated')";
    assert_eq!(app.database.number(events).await, 0, "{narrowed}");
    let refused = send(app, &by, "POST ", &body).await;
    assert_eq!(forbidden(&refused), ["/scopes/0"]);
}
