//! Finding agents over HTTP: filters, and pages that are complete whatever is written meanwhile.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::on_both;
use crate::harness::app::{AGENTS, TestApp, bearer};

on_both! {
    each_filter_of_a_list_finds_its_agents,
    every_fault_of_the_filters_is_told_at_once,
    a_filter_by_organization_finds_nothing_out_of_reach,
    a_cursor_goes_on_only_under_its_filters,
    each_agent_comes_once_whatever_another_process_writes,
}

async fn admin(app: &TestApp<'_>) -> String {
    let scopes = "agents:read agents:write admin:orgs tokens:read";
    bearer(&app.token(&app.agent_named("z-boss", scopes).await).await)
}

async fn make(app: &TestApp<'_>, token: &str, body: &Value) {
    let headers = [
        ("authorization", token),
        ("content-type", "application/json"),
    ];
    let made = app
        .send("POST", AGENTS, &headers, body.to_string().into())
        .await;
    assert_eq!(made.status, 201, "{made:?}");
}

/// The ids of a page without those of the callers, which begin with `z-`.
fn ids(page: &Value) -> Vec<&str> {
    let rows = page["data"].as_array().unwrap();
    rows.iter()
        .map(|row| row["agentId"].as_str().unwrap())
        .filter(|id| !id.starts_with("z-"))
        .collect()
}

async fn each_filter_of_a_list_finds_its_agents(app: &TestApp<'_>) {
    let token = admin(app).await;
    for body in [
        json!({"agentId": "a", "name": "Pay in", "scopes": ["tokens:read"], "owner": "Team <pay@acme.example>",
               "labels": {"team": "pay", "env": "prod"}, "expiresAt": "2026-01-01T00:00:00Z"}),
        json!({"agentId": "b", "name": "Pay out", "scopes": ["agents:read", "tokens:read"], "plan": "unlimited",
               "labels": {"team": "pay", "env": "test"}}),
        json!({"agentId": "c", "name": "100% pay", "scopes": ["agents:read"], "labels": {"team": "payments"}}),
    ] {
        make(app, &token, &body).await;
    }
    let suspend = format!("{AGENTS}/c/suspend");
    let headers = [("authorization", token.as_str())];
    assert_eq!(
        app.send("POST", &suspend, &headers, vec![]).await.status,
        200
    );
    app.database
        .execute("insert into scope_use (agent_id, scope, last_used_at) values ('b', 'agents:read', 1700000000)")
        .await;
    let rows: [(&str, &[&str]); 23] = [
        ("", &["a", "b", "c"]),
        ("status=suspended", &["c"]),
        ("status=active", &["a", "b"]),
        ("scope=tokens:read", &["a", "b"]),
        ("scope=tokens%3Aread&owner=nobody", &[]),
        ("plan=unlimited", &["b"]),
        ("plan=never-heard-of", &[]),
        ("owner=Team+%3Cpay%40acme.example%3E", &["a"]),
        ("owner=team", &[]),
        ("label=team:pay", &["a", "b"]),
        ("label=team:pay&label=env:prod", &["a"]),
        ("label=env:prod&label=env:test", &[]),
        ("namePrefix=Pay", &["a", "b"]),
        ("namePrefix=100%25", &["c"]),
        ("namePrefix=%25", &[]),
        ("orgId=default", &["a", "b", "c"]),
        ("orgId=other", &[]),
        ("id=c&id=a&id=nobody", &["a", "c"]),
        ("id=nobody", &[]),
        ("usedBefore=2024-01-01T00:00:00Z", &["b"]),
        ("neverUsed=false", &["b"]),
        (
            "usedBefore=2023-11-14T22:13:20Z&neverUsed=true",
            &["a", "c"],
        ),
        ("expiresBefore=2026-01-01T00:00:01Z", &["a"]),
    ];
    for (query, expected) in rows {
        let page = app.get_as(&token, &format!("{AGENTS}?{query}")).await;
        assert_eq!(ids(&page.json()), expected, "{query}: {page:?}");
        assert_eq!(page.json()["nextCursor"], Value::Null, "{query}");
    }
}

async fn every_fault_of_the_filters_is_told_at_once(app: &TestApp<'_>) {
    let token = admin(app).await;
    let query = "status=stopped&scope=a%20b&plan=A&owner=&label=team&label=a:&label=a:b:c&namePrefix=%0A&orgId=*\
                 &id=a%2Fb&id=ok&usedBefore=yesterday&neverUsed=1&expiresBefore=2026-01-01&ids=a&plan=b";
    let answer = app.get_as(&token, &format!("{AGENTS}?{query}")).await;
    answer.is_management_error(400, "VALIDATION_ERROR");
    let answer = answer.json();
    let errors = answer["details"]["errors"].as_array().unwrap();
    let fields: Vec<&str> = errors
        .iter()
        .map(|e| e["field"].as_str().unwrap())
        .collect();
    let expected = [
        "status",
        "scope",
        "plan",
        "owner",
        "label",
        "label",
        "label",
        "namePrefix",
        "orgId",
        "id",
        "usedBefore",
        "neverUsed",
        "expiresBefore",
        "ids",
    ];
    assert_eq!(fields, expected);
    // An empty filter must not list everything.
    for name in [
        "status",
        "scope",
        "plan",
        "owner",
        "label",
        "namePrefix",
        "orgId",
        "id",
        "usedBefore",
        "neverUsed",
        "expiresBefore",
    ] {
        let answer = app.get_as(&token, &format!("{AGENTS}?{name}=")).await;
        answer.is_management_error(400, "VALIDATION_ERROR");
        assert_eq!(answer.json()["details"]["errors"][0]["field"], name);
    }
    let many: Vec<String> = (0..101).map(|n| format!("id=a{n}")).collect();
    let list = async |ids: &[String]| {
        app.get_as(&token, &format!("{AGENTS}?{}", ids.join("&")))
            .await
    };
    assert_eq!(list(&many[..100]).await.status, 200);
    let answer = list(&many).await;
    answer.is_management_error(400, "VALIDATION_ERROR");
    let told = &answer.json()["details"]["errors"];
    assert_eq!(
        told,
        &json!([{"field": "id", "reason": "has more than 100 values"}])
    );
}

async fn a_filter_by_organization_finds_nothing_out_of_reach(app: &TestApp<'_>) {
    let all = admin(app).await;
    let reader = app.agent_named("z-reader", "agents:read").await;
    let own = bearer(&app.token(&reader).await);
    for id in ["a", "o-b"] {
        app.agent_named(id, "tokens:read").await;
    }
    for sql in [
        "insert into org (org_id, name, created_at) values ('other', 'other', 0)",
        "update agent set org_id = 'other' where agent_id like 'o-%'",
    ] {
        app.database.execute(sql).await;
    }
    for (caller, query, expected) in [
        (&all, "orgId=other", &["o-b"][..]),
        (&all, "orgId=default", &["a"]),
        (&own, "orgId=other", &[]),
        (&own, "orgId=default", &["a"]),
        (&own, "id=a&id=o-b", &["a"]),
        (&own, "orgId=nowhere", &[]),
    ] {
        let page = app
            .get_as(caller, &format!("{AGENTS}?{query}"))
            .await
            .json();
        assert_eq!(ids(&page), expected, "{query}");
    }
}

async fn a_cursor_goes_on_only_under_its_filters(app: &TestApp<'_>) {
    let token = admin(app).await;
    for id in ["a", "b", "c"] {
        make(
            app,
            &token,
            &json!({"agentId": id, "name": id, "scopes": ["tokens:read"], "labels": {"k": "v", "l": "w"}}),
        )
        .await;
    }
    let first = app
        .get_as(&token, &format!("{AGENTS}?limit=1&label=k:v&label=l:w"))
        .await;
    let cursor = first.text("nextCursor");
    for (query, status) in [
        ("label=l:w&label=k:v&limit=2", 200),
        ("label=k:v", 400),
        ("label=k:v&label=l:w&scope=tokens:read", 400),
        ("", 400),
    ] {
        let page = app
            .get_as(&token, &format!("{AGENTS}?{query}&cursor={cursor}"))
            .await;
        assert_eq!(page.status, status, "{query}");
        if status == 200 {
            assert_eq!(ids(&page.json()), ["b", "c"]);
        }
    }
}

/// How many agents there are from the beginning to the end.
const THERE: usize = 50_000;

/// Writes agents directly into the database, each like the one that is there.
async fn fill(app: &TestApp<'_>, like: &str) {
    app.database
        .execute(&format!(
            "insert into agent (agent_id, org_id, name, status, scopes, audiences, redirect_uris, user_ids, plan, epoch,
                                version, longest_ttl, created_at, updated_at)
             with recursive n (i) as (select 100001 union all select i + 1 from n where i < {})
             select 'm-' || i, org_id, name, status, scopes, audiences, redirect_uris, '[]', plan, epoch, version,
                    longest_ttl, created_at, updated_at
             from n, agent where agent_id = '{like}'",
            100_000 + THERE
        ))
        .await;
}

async fn each_agent_comes_once_whatever_another_process_writes(app: &TestApp<'_>) {
    let token = admin(app).await;
    app.agent_named("a", "tokens:read").await;
    fill(app, "a").await;
    let other = app.beside().await;
    let (done, written) = (AtomicBool::new(false), AtomicUsize::new(0));
    let write = async {
        let json = ("content-type", "application/json");
        let headers = [("authorization", token.as_str()), json];
        // The numbers are spread over all ids.
        for n in (0usize..).map(|n| n * 7_919 % THERE) {
            if done.load(Ordering::Relaxed) {
                break;
            }
            let body =
                json!({"agentId": format!("m-{}-{n}", 100_001 + n), "name": "new", "scopes": []});
            let made = other
                .send("POST", AGENTS, &headers, body.to_string().into())
                .await;
            // A busy machine may have no time to hash a secret, or to write.
            assert!([201, 409, 503].contains(&made.status), "{made:?}");
            let path = |n: usize| format!("{AGENTS}/m-{}", 100_001 + n);
            let body = json!({"name": format!("renamed {n}")}).to_string();
            let renamed = other.send("PATCH", &path(n), &headers, body.into()).await;
            assert!([200, 409, 503].contains(&renamed.status), "{renamed:?}");
            let gone = other
                .send("DELETE", &path((n + 1) % THERE), &headers, vec![])
                .await;
            assert!([200, 503].contains(&gone.status), "{gone:?}");
            written.fetch_add(3, Ordering::Relaxed);
        }
    };
    let read = async {
        let (mut seen, mut cursor, mut pages) = (BTreeMap::new(), String::new(), 0);
        loop {
            let path = format!("{AGENTS}?limit=200{cursor}");
            let page = app.get_as(&token, &path).await;
            if page.status == 503 {
                continue;
            }
            let page = page.json();
            for row in page["data"].as_array().unwrap() {
                let id = row["agentId"].as_str().unwrap().to_owned();
                *seen.entry(id).or_insert(0) += 1;
            }
            pages += 1;
            let Some(next) = page["nextCursor"].as_str() else {
                break;
            };
            cursor = format!("&cursor={next}");
        }
        done.store(true, Ordering::Relaxed);
        (seen, pages)
    };
    let ((seen, pages), ()) = tokio::join!(read, write);
    assert!(seen.values().all(|times| *times == 1));
    for n in 100_001..=100_000 + THERE {
        assert!(seen.contains_key(&format!("m-{n}")), "m-{n}");
    }
    assert!(pages >= THERE / 200, "{pages}");
    let written = written.into_inner();
    assert!(written >= 30, "{written} writes during {pages} pages");
}
