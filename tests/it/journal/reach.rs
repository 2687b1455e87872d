//! Which events a caller sees: those of its organisation, by every way of reading. There is no
//! operation on organisations yet: the test writes the second one into the store.

use std::collections::BTreeSet;

use serde_json::Value;

use super::kit::{bytes, check, events, ledger, log_all};
use super::on_both;
use crate::harness::app::{Agent, TestApp, bearer};

on_both! {
    a_caller_sees_the_events_of_its_organisation_by_every_way_of_reading,
    only_an_admin_of_the_first_organisation_reads_the_log,
}

const AUDIT: &str = "/api/v1/audit";

/// A caller and what it reaches.
struct Reader {
    caller: String,
    reaches: fn(&Value) -> bool,
}

/// Whether an event is about the second organisation, by the names of its agents alone.
fn is_foreign(event: &Value) -> bool {
    let text = event.to_string();
    let of = |first: char| {
        text.contains(&format!("\"{first}-")) || text.contains(&format!("agent:{first}-"))
    };
    // An admin of the first one may change an agent of the second one.
    let about = event["agentId"].as_str().map(|id| id.starts_with("o-"));
    about.unwrap_or_else(|| of('o') && !of('d'))
}

/// Agents in two organisations and events of every kind of door. Returns the readers, and the
/// first id of these events.
async fn stage(app: &TestApp<'_>) -> (Vec<Reader>, i64) {
    let scopes = "audit:read agents:read agents:write tokens:read";
    let [d, o, d_admin, o_admin] = [
        app.agent_named("d-agent", scopes).await,
        app.agent_named("o-agent", scopes).await,
        app.agent_named("d-admin", &format!("{scopes} admin:orgs"))
            .await,
        app.agent_named("o-admin", &format!("{scopes} admin:orgs"))
            .await,
    ];
    let [d_target, o_target] = [
        app.agent_named("d-target", scopes).await,
        app.agent_named("o-target", scopes).await,
    ];
    for sql in [
        "insert into org (org_id, name, created_at) values ('other', 'other', 0)",
        "update agent set org_id = 'other', version = version + 1 where agent_id like 'o-%'",
    ] {
        app.database.execute(sql).await;
    }
    let before = app.opened.records.newest_event().await.unwrap();
    app.add_scope("new:read").await;
    let callers = [
        bearer(&app.token(&d).await),
        bearer(&app.token(&o).await),
        bearer(&app.token(&d_admin).await),
        bearer(&app.token(&o_admin).await),
    ];
    for (caller, target) in [
        (&callers[0], &d_target),
        (&callers[2], &o_target),
        (&callers[1], &o_target),
    ] {
        app.token(target).await;
        for action in ["suspend", "reactivate", "revoke-tokens"] {
            let path = format!("/api/v1/agents/{}/{action}", target.id);
            app.send("POST", &path, &[("authorization", caller)], vec![])
                .await;
        }
        app.ask(&target.with_secret("wrong"), "").await;
    }
    app.reactivate(&o_target).await;
    let token = app.token(&o_target).await;
    app.revoke(&o_target, &token).await;
    app.rotate(&o_target, 0).await;
    let nobody = d.with_secret("wrong");
    let nobody = Agent {
        id: "nobody".to_owned(),
        ..nobody
    };
    app.ask(&nobody, "").await;
    for caller in &callers {
        let headers = [
            ("authorization", caller.as_str()),
            ("accept", "application/x-ndjson"),
        ];
        app.send("GET", AUDIT, &headers, vec![]).await;
    }
    app.state.refusals.write().await.unwrap();
    let [d, o, d_admin, o_admin] = callers;
    let own: fn(&Value) -> bool = |event| !is_foreign(event);
    let readers = [
        (d, own),
        (o, is_foreign),
        (d_admin, |_| true),
        (o_admin, is_foreign),
    ];
    let readers = readers.map(|(caller, reaches)| Reader { caller, reaches });
    (readers.into(), before)
}

fn id(event: &Value) -> i64 {
    event["id"].as_i64().unwrap()
}

/// The ids of all pages.
async fn listed(app: &TestApp<'_>, reader: &Reader, query: &str) -> BTreeSet<i64> {
    let (mut ids, mut cursor) = (BTreeSet::new(), String::new());
    loop {
        let page = app
            .get_as(&reader.caller, &format!("{AUDIT}?limit=7&{query}{cursor}"))
            .await;
        for row in page.json()["data"].as_array().unwrap() {
            assert!(ids.insert(id(&row["event"])));
        }
        let Some(next) = page.json()["nextCursor"].as_str().map(str::to_owned) else {
            return ids;
        };
        cursor = format!("&cursor={next}");
    }
}

async fn a_caller_sees_the_events_of_its_organisation_by_every_way_of_reading(app: &TestApp<'_>) {
    let (readers, before) = stage(app).await;
    log_all(app, &mut ledger(app)).await;
    check(app).await;
    let rows = events(app).await;
    let all: Vec<Value> = rows
        .iter()
        .filter(|row| row.id > before)
        .map(|row| serde_json::from_slice(&bytes(row)).unwrap())
        .collect();
    // Each kind of event that both organisations have.
    for kind in [
        "token.issued",
        "agent.suspended",
        "auth.refused",
        "audit.exported",
    ] {
        let of_kind = |foreign| {
            all.iter()
                .any(|e| e["kind"] == kind && is_foreign(e) == foreign)
        };
        assert!(of_kind(true) && of_kind(false), "{kind}");
    }
    for event in &all {
        let told = &event["orgId"];
        let is_told = is_foreign(event) && event["kind"] != "token.issued";
        assert_eq!(*told == "other", is_told, "{event}");
    }
    let newest = id(all.last().unwrap());
    let known = |ids: BTreeSet<i64>| -> BTreeSet<i64> {
        ids.into_iter()
            .filter(|id| (before + 1..=newest).contains(id))
            .collect()
    };
    for reader in &readers {
        let seen = |event: &&Value| (reader.reaches)(event);
        let expected: BTreeSet<i64> = all.iter().filter(seen).map(id).collect();
        for order in ["order=asc", "order=desc"] {
            assert_eq!(known(listed(app, reader, order).await), expected, "{order}");
        }
        let about = |agent: &str| -> BTreeSet<i64> {
            let seen = all.iter().filter(seen);
            seen.filter(|event| event["agentId"] == agent)
                .map(id)
                .collect()
        };
        for agent in ["d-target", "o-target", "nobody"] {
            let found = listed(app, reader, &format!("agentId={agent}")).await;
            assert_eq!(known(found), about(agent), "{agent}");
        }
        let headers = [
            ("authorization", reader.caller.as_str()),
            ("accept", "application/x-ndjson"),
        ];
        let export = app.send("GET", AUDIT, &headers, vec![]).await.body;
        let lines = export
            .lines()
            .map(|line| serde_json::from_str(line).unwrap());
        let lines: Vec<Value> = lines.collect();
        let (last, lines) = lines.split_last().unwrap();
        assert_eq!(last["events"], lines.len());
        assert_eq!(known(lines.iter().map(id).collect()), expected);
        for event in &all {
            let path = format!("{AUDIT}/{}/proof", id(event));
            let proof = app.get_as(&reader.caller, &path).await;
            if expected.contains(&id(event)) {
                assert_eq!(proof.status, 200, "{event}");
            } else {
                proof.is_management_error(404, "EVENT_NOT_FOUND");
            }
        }
    }
}

async fn only_an_admin_of_the_first_organisation_reads_the_log(app: &TestApp<'_>) {
    let (readers, _) = stage(app).await;
    log_all(app, &mut ledger(app)).await;
    for (reader, status) in readers.iter().zip([403, 403, 200, 403]) {
        for path in ["checkpoint", "tile/0/000.p/1", "1/checkpoint"] {
            let path = format!("{AUDIT}/log/{path}");
            let answer = app.get_as(&reader.caller, &path).await;
            assert_eq!(answer.status, status, "{path}");
        }
        // What is no file is not told to those who may not read the log.
        let path = format!("{AUDIT}/log/none");
        let expected = if status == 200 { 404 } else { 403 };
        assert_eq!(app.get_as(&reader.caller, &path).await.status, expected);
    }
}
