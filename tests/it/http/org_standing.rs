//! Organizations that are stopped: no token of their agents is issued or alive, on any replica.

use std::time::{Duration, Instant};

use sealwright::testing::domain::act::Act;
use sealwright::testing::domain::org::OrgId;
use sealwright::testing::domain::time::Moment;
use sealwright::testing::store::{Change, OrgChange, Outcome, Write};
use serde_json::{Value, json};

use super::on_both;
use crate::harness::agent::claims;
use crate::harness::answer::Answer;
use crate::harness::app::{AGENTS, Agent, TestApp, bearer, wait_until};
use crate::harness::database::Database;

on_both! {
    a_token_tells_its_organization_and_its_epoch,
    a_suspension_holds_on_the_next_request_of_every_replica,
    reactivation_revives_no_token,
    tokens_are_killed_and_the_organization_stays_active,
    a_suspension_does_not_touch_other_organizations,
    a_caller_of_a_suspended_organization_changes_nothing,
    the_first_organization_is_never_stopped,
    what_was_done_to_an_organization_is_read_in_the_audit_log,
    a_killed_organization_is_one_entry_of_the_feed_and_its_tokens_are_listed,
    suspending_an_organization_of_many_agents_changes_one_row,
    an_old_list_has_the_tokens_of_10000_agents_and_the_feed_the_whole_organization,
}

const SCOPES: &str = "tokens:read agents:read agents:write audit:read";

/// The actor and the other replica, and what every test begins with.
struct Stage<'a> {
    admin: String,
    /// An agent of the organization `acme`, and one of `default`.
    member: Agent,
    reader: Agent,
    other: TestApp<'a>,
}

impl<'a> Stage<'a> {
    async fn build(app: &TestApp<'a>) -> Self {
        let admin = app
            .agent_named("boss", &format!("{SCOPES} admin:orgs"))
            .await;
        let admin = bearer(&app.token(&admin).await);
        let reader = app.agent_named("reader", SCOPES).await;
        let made = send(
            app,
            &admin,
            "POST /api/v1/orgs",
            &json!({"orgId": "acme", "name": "Acme"}),
        )
        .await;
        assert_eq!(made.status, 201, "{made:?}");
        let member = member(app, &admin, "member").await;
        Self {
            admin,
            member,
            reader,
            other: app.beside().await,
        }
    }

    async fn act(&self, app: &TestApp<'_>, action: &str) -> Value {
        let line = format!("POST /api/v1/orgs/acme/{action}");
        let answer = send(app, &self.admin, &line, &json!({"reason": "unpaid"})).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }
}

async fn member(app: &TestApp<'_>, admin: &str, id: &str) -> Agent {
    let scopes: Vec<&str> = SCOPES.split(' ').collect();
    let body =
        json!({"agentId": id, "name": id, "orgId": "acme", "scopes": scopes, "plan": "unlimited"});
    let made = send(app, admin, &format!("POST {AGENTS}"), &body).await;
    assert_eq!(made.status, 201, "{made:?}");
    Agent {
        id: id.to_owned(),
        secret: made.text("clientSecret"),
    }
}

async fn send(app: &TestApp<'_>, token: &str, line: &str, body: &Value) -> Answer {
    let (method, path) = line.split_once(' ').unwrap();
    let headers = [
        ("authorization", token),
        ("content-type", "application/json"),
    ];
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    app.send(method, path, &headers, body.into()).await
}

/// Whether the token opens anything: introspection by another agent, a Bearer check, a gateway.
async fn opens(app: &TestApp<'_>, stage: &Stage<'_>, token: &str) -> bool {
    let by = bearer(token);
    let admin_says = {
        let form = format!("token={token}");
        let answer = app
            .post_as(&stage.admin, "/api/v1/token/introspect", &form)
            .await;
        answer.json()["active"] == true
    };
    let whoami = app.get_as(&by, "/api/v1/whoami").await.status == 200;
    let gateway = app.get_as(&by, "/forward-auth").await.status == 200;
    assert!(
        admin_says == whoami && whoami == gateway,
        "{admin_says} {whoami} {gateway}"
    );
    whoami
}

async fn what_was_done_to_an_organization_is_read_in_the_audit_log(app: &TestApp<'_>) {
    let stage = Stage::build(app).await;
    for action in ["revoke-tokens", "suspend", "reactivate"] {
        stage.act(app, action).await;
    }
    let line = "GET /api/v1/audit?kind=org.*&order=asc";
    let answer = send(app, &stage.admin, line, &Value::Null).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let events = answer.json()["data"].clone();
    let told: Vec<_> = events
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["event"])
        .map(|one| [&one["kind"], &one["orgId"], &one["reason"]])
        .collect();
    let acme = json!("acme");
    let expected = [
        [&json!("org.created"), &acme, &Value::Null],
        [&json!("org.tokens_revoked"), &acme, &json!("unpaid")],
        [&json!("org.suspended"), &acme, &json!("unpaid")],
        [&json!("org.reactivated"), &acme, &json!("unpaid")],
    ];
    assert_eq!(told, expected);
}

async fn a_token_tells_its_organization_and_its_epoch(app: &TestApp<'_>) {
    let stage = Stage::build(app).await;
    let told = claims(&app.token(&stage.member).await);
    assert_eq!(
        (&told["org_id"], &told["org_epoch"]),
        (&json!("acme"), &json!(0))
    );
    let of_default = claims(&app.token(&stage.reader).await);
    assert!(of_default.get("org_id").is_none() && of_default.get("org_epoch").is_none());
    stage.act(app, "revoke-tokens").await;
    let later = claims(&app.token(&stage.member).await);
    assert!(
        later["org_epoch"].as_i64().unwrap() > 1_000_000_000_000,
        "{later}"
    );
    assert_eq!(later["epoch"], told["epoch"], "the agent's own epoch stays");
}

async fn a_suspension_holds_on_the_next_request_of_every_replica(app: &TestApp<'_>) {
    let stage = Stage::build(app).await;
    let sibling = member(app, &stage.admin, "sibling").await;
    let mut tokens = vec![];
    // Every replica has cached the agents and the catalogue.
    for replica in [app, &stage.other] {
        for agent in [&stage.member, &sibling] {
            let token = replica.token(agent).await;
            assert!(opens(replica, &stage, &token).await);
            tokens.push(token);
        }
    }
    let suspended = stage.act(app, "suspend").await;
    assert_eq!(suspended["status"], "suspended");
    assert!(suspended["revocationVersion"].as_i64().unwrap() > 0);
    for replica in [&stage.other, app] {
        for token in &tokens {
            assert!(!opens(replica, &stage, token).await);
        }
        for agent in [&stage.member, &sibling] {
            let form = format!("grant_type=client_credentials&{}", agent.form());
            let refused = replica.post("/api/v1/token", &form).await;
            refused.is_error(403, "unauthorized_client");
            assert_eq!(replica.post("/oauth/token", &form).await.status, 403);
            let wrong = replica.post("/api/v1/token", &format!("{form}x")).await;
            wrong.is_error(401, "invalid_client");
            // Introspection and revocation take no credentials of the agent either.
            for path in ["introspect", "revoke"] {
                let form = format!("token=x&{}", agent.form());
                let refused = replica.post(&format!("/api/v1/token/{path}"), &form).await;
                assert_eq!(refused.status, 403, "{path} {refused:?}");
            }
        }
    }
    // Asking for the state that it is in succeeds, and changes nothing.
    let again = stage.act(&stage.other, "suspend").await;
    assert_eq!(again["version"], suspended["version"]);
    assert!(again.get("revocationVersion").is_none());
    let events = "select count(*) from audit_event where kind = 'org.suspended' and org_id = 'acme' and reason = 'unpaid'";
    assert_eq!(app.database.number(events).await, 1);
}

async fn reactivation_revives_no_token(app: &TestApp<'_>) {
    let stage = Stage::build(app).await;
    let old = app.token(&stage.member).await;
    for _ in 0..2 {
        stage.act(&stage.other, "suspend").await;
        let back = stage.act(app, "reactivate").await;
        assert_eq!(back["status"], "active");
        for replica in [app, &stage.other] {
            assert!(!opens(replica, &stage, &old).await);
            // A token that is issued now is alive from its first use, everywhere.
            let token = replica.token(&stage.member).await;
            for replica in [app, &stage.other] {
                assert!(opens(replica, &stage, &token).await);
            }
        }
    }
}

async fn tokens_are_killed_and_the_organization_stays_active(app: &TestApp<'_>) {
    let stage = Stage::build(app).await;
    let old = app.token(&stage.member).await;
    let killed = stage.act(app, "revoke-tokens").await;
    assert_eq!(killed["status"], "active");
    assert!(killed["revocationVersion"].is_i64());
    for replica in [&stage.other, app] {
        assert!(!opens(replica, &stage, &old).await);
        let token = replica.token(&stage.member).await;
        assert!(opens(replica, &stage, &token).await);
    }
}

async fn a_suspension_does_not_touch_other_organizations(app: &TestApp<'_>) {
    let stage = Stage::build(app).await;
    let token = app.token(&stage.reader).await;
    stage.act(app, "suspend").await;
    for replica in [app, &stage.other] {
        assert!(opens(replica, &stage, &token).await);
        let new = replica.token(&stage.reader).await;
        assert!(opens(replica, &stage, &new).await);
    }
    let shown = send(
        app,
        &stage.admin,
        &format!("GET {AGENTS}/member"),
        &Value::Null,
    )
    .await;
    assert_eq!(
        shown.json()["status"],
        "active",
        "the agent's own state stays"
    );
    let warning = shown.json()["warnings"][0].clone();
    assert!(warning.as_str().unwrap().contains("acme is suspended"));
}

async fn a_caller_of_a_suspended_organization_changes_nothing(app: &TestApp<'_>) {
    let stage = Stage::build(app).await;
    let by = bearer(&app.token(&stage.member).await);
    let body = json!({"name": "n", "scopes": []});
    let line = format!("POST {AGENTS}");
    assert_eq!(send(app, &by, &line, &body).await.status, 201);
    stage.act(&stage.other, "suspend").await;
    for replica in [app, &stage.other] {
        assert_eq!(send(replica, &by, &line, &body).await.status, 401);
    }
    stage.act(app, "reactivate").await;
    assert_eq!(send(app, &by, &line, &body).await.status, 401);
}

async fn the_first_organization_is_never_stopped(app: &TestApp<'_>) {
    let stage = Stage::build(app).await;
    for action in ["suspend", "reactivate", "revoke-tokens"] {
        for dry_run in ["", "?dryRun=true"] {
            let line = format!("POST /api/v1/orgs/default/{action}{dry_run}");
            let refused = send(app, &stage.admin, &line, &Value::Null).await;
            refused.is_management_error(409, "ORG_BUILT_IN");
        }
        let line = format!("POST /api/v1/orgs/nobody/{action}");
        let refused = send(app, &stage.admin, &line, &Value::Null).await;
        refused.is_management_error(404, "ORG_NOT_FOUND");
    }
    let line = "POST /api/v1/orgs/acme/suspend?dryRun=true";
    let tried = send(app, &stage.admin, line, &Value::Null).await;
    assert_eq!(tried.json()["status"], "suspended");
    assert!(opens(app, &stage, &app.token(&stage.member).await).await);
}

async fn a_killed_organization_is_one_entry_of_the_feed_and_its_tokens_are_listed(
    app: &TestApp<'_>,
) {
    let stage = Stage::build(app).await;
    let sibling = member(app, &stage.admin, "sibling").await;
    let dead = [
        claims(&app.token(&stage.member).await),
        claims(&app.token(&sibling).await),
    ];
    let of_default = claims(&app.token(&stage.reader).await);
    let before = app.get("/api/v1/token/revoked?since=0").await.json();
    assert_eq!(before["revoked_orgs"], json!([]));
    let version = stage.act(app, "suspend").await["revocationVersion"].clone();
    stage.act(app, "reactivate").await;
    let alive = claims(&app.token(&stage.member).await);
    let news = app.get("/api/v1/token/revoked?since=0").await.json();
    assert_eq!(news["version"], version);
    let entries = news["revoked_orgs"].as_array().unwrap();
    let [entry] = &entries[..] else {
        panic!("{news}")
    };
    assert_eq!(entry["orgId"], "acme");
    assert_eq!(entry["epoch"], alive["org_epoch"]);
    assert!(entry["exp"].as_i64() > dead[0]["exp"].as_i64());
    for member in ["revoked_tokens", "revoked_agents"] {
        assert_eq!(news[member], json!([]), "{member}");
    }
    for replica in [app, &stage.other] {
        wait_until("the dead tokens are listed", async || {
            replica.state.list.read_changes().await.unwrap();
            replica.state.list.find_killed_tokens().await.unwrap();
            let list = replica.get("/oauth/revoked-tokens").await.json();
            let jtis = list["revoked_jtis"].as_array().unwrap().clone();
            dead.iter().all(|token| jtis.contains(&token["jti"]))
        })
        .await;
        let list = replica.get("/oauth/revoked-tokens").await.json();
        let jtis = list["revoked_jtis"].as_array().unwrap();
        assert_eq!(jtis.len(), 2, "{list}");
        for token in [&alive, &of_default] {
            assert!(!jtis.contains(&token["jti"]));
        }
        assert_eq!(list["revoked_agents"], json!([]));
    }
    // A later kill replaces the entry.
    stage.act(app, "suspend").await;
    let all = app.get("/api/v1/token/revoked?since=0").await.json();
    assert_eq!(all["revoked_orgs"].as_array().unwrap().len(), 1);
    assert!(all["revoked_orgs"][0]["epoch"].as_i64() > alive["org_epoch"].as_i64());
}

async fn suspending_an_organization_of_many_agents_changes_one_row(app: &TestApp<'_>) {
    Stage::build(app).await;
    let columns = "name, status, scopes, audiences, redirect_uris, user_ids, plan, epoch, version, longest_ttl, created_at, updated_at";
    let numbers =
        "with recursive n (i) as (select 1 union all select i + 1 from n where i < 50000)";
    let copy = format!(
        "{numbers}
         insert into agent (agent_id, org_id, {columns})
         select 'm-' || n.i, 'acme', {columns} from n, agent where agent_id = 'member'"
    );
    app.database.execute(&copy).await;
    let versions = "select cast(sum(version) as text) from agent";
    let before = app.database.texts(versions).await;
    let store = app.database.open().await;
    let one_commit = async |change| {
        let write = Write::new(Act::system(Moment(0)), Change::Org(change));
        let began = Instant::now();
        let outcome = store.commit(vec![write]).await.unwrap();
        assert_eq!(outcome, [Outcome::Applied]);
        began.elapsed()
    };
    let acme = || OrgId::parse("acme").unwrap();
    let mut times = vec![];
    for _ in 0..5 {
        times.push(one_commit(OrgChange::Suspend(acme())).await);
        one_commit(OrgChange::Reactivate(acme())).await;
    }
    times.sort();
    println!("suspending 50,000 agents: {times:?}");
    // The bound is that of a slow machine; the figure is in docs/organizations.md.
    assert!(times[2] < Duration::from_secs(2), "{times:?}");
    assert_eq!(app.database.texts(versions).await, before);
}

async fn an_old_list_has_the_tokens_of_10000_agents_and_the_feed_the_whole_organization(
    app: &TestApp<'_>,
) {
    let stage = Stage::build(app).await;
    let jti = match app.database {
        Database::Sqlite { .. } => "randomblob(16)",
        Database::Postgres { .. } => "gen_random_uuid()",
    };
    let numbers =
        "with recursive n (i) as (select 1 union all select i + 1 from n where i < 10012)";
    let columns = "name, status, scopes, audiences, redirect_uris, user_ids, plan, epoch, version, longest_ttl, created_at, updated_at";
    let now = app.clock.now().0;
    let (expires_at, kind) = (now + 600, "token.issued");
    for sql in [
        format!(
            "{numbers} insert into agent (agent_id, org_id, {columns})
             select 'm-' || n.i, 'acme', {columns} from n, agent where agent_id = 'member'"
        ),
        format!(
            "{numbers} insert into audit_event (at, kind, actor, agent_id, jti, expires_at, epoch, detail)
             select {now}, '{kind}', 'system', 'm-' || n.i, {jti}, {expires_at}, 0, '' from n"
        ),
    ] {
        app.database.execute(&sql).await;
    }
    stage.act(app, "suspend").await;
    app.state.list.read_changes().await.unwrap();
    app.state.list.find_killed_tokens().await.unwrap();
    let list = app.get("/oauth/revoked-tokens").await.json();
    assert_eq!(list["revoked_jtis"].as_array().unwrap().len(), 10_000);
    let news = app.get("/api/v1/token/revoked?since=0").await.json();
    assert_eq!(news["revoked_orgs"].as_array().unwrap().len(), 1);
    assert_eq!(news["revoked_orgs"][0]["orgId"], "acme");
}
