//! `GET /api/v1/audit`: the events in pages, their filters, and what is refused.

use serde_json::{Value, json};

use super::on_both;
use crate::harness::answer::Answer;
use crate::harness::app::{REVOKE, TestApp, bearer, claims, encode};
use crate::harness::database::Database;

const AUDIT: &str = "/api/v1/audit";

on_both! {
    events_are_listed_newest_first_as_they_are_hashed,
    the_request_id_of_a_reply_finds_its_event,
    filters_find_what_they_say,
    an_empty_filter_or_an_id_that_cannot_be_one_finds_nothing,
    every_fault_of_a_query_is_told_at_once,
    each_event_comes_once_whatever_is_written_meanwhile,
    a_cursor_belongs_to_its_filters,
    a_search_that_finds_little_comes_in_short_pages,
    tokens_of_a_time_are_found_without_reading_all_others,
    only_audit_read_opens_the_events,
}

/// A token that may read events.
async fn reader(app: &TestApp<'_>) -> String {
    let agent = app.agent_named("auditor", "audit:read").await;
    bearer(&app.token(&agent).await)
}

async fn page(app: &TestApp<'_>, reader: &str, query: &str) -> Value {
    let answer = app.get_as(reader, &format!("{AUDIT}?{query}")).await;
    assert_eq!(answer.status, 200, "{query}: {answer:?}");
    answer.json()
}

/// The events of a page.
fn events(page: &Value) -> Vec<&Value> {
    let rows = page["data"].as_array().unwrap();
    rows.iter().map(|row| &row["event"]).collect()
}

fn ids(page: &Value) -> Vec<i64> {
    let ids = events(page).into_iter().map(|event| &event["id"]);
    ids.map(|id| id.as_i64().unwrap()).collect()
}

fn faults(answer: &Answer) -> Vec<(String, String)> {
    answer.is_management_error(400, "VALIDATION_ERROR");
    let errors = answer.json()["details"]["errors"].clone();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let pair = |error: &Value| (text(&error["field"]), text(&error["reason"]));
    errors.as_array().unwrap().iter().map(pair).collect()
}

async fn events_are_listed_newest_first_as_they_are_hashed(app: &TestApp<'_>) {
    let reader = reader(app).await;
    let agent = app.agent_named("a", "agents:read").await;
    app.suspend(&agent).await;
    let answer = app.get_as(&reader, &format!("{AUDIT}?limit=2")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.is_not_kept();
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.keys(), ["data", "limit", "nextCursor"]);
    let rows = app.opened.records.events(0, i64::MAX, 1_000).await.unwrap();
    let newest = rows.last().unwrap().logged().unwrap();
    assert_eq!(newest.kind.as_str(), "agent.suspended");
    // The event's own bytes stand in the list.
    let bytes = String::from_utf8(newest.bytes()).unwrap();
    let begins = format!("{{\"data\":[{{\"event\":{bytes},\"entry\":null}},");
    assert!(answer.body.starts_with(&begins), "{}", answer.body);
    let listed = answer.json();
    assert_eq!(listed["limit"], 2);
    assert_eq!(ids(&listed), [newest.id.get(), newest.id.get() - 1]);
    let oldest = page(app, &reader, "order=asc&limit=1").await;
    assert_eq!(ids(&oldest), [1]);
    let all = page(app, &reader, "limit=200").await;
    assert_eq!(
        (all["data"].as_array().unwrap().len(), &all["nextCursor"]),
        (rows.len(), &Value::Null)
    );
}

async fn the_request_id_of_a_reply_finds_its_event(app: &TestApp<'_>) {
    let reader = reader(app).await;
    let agent = app.agent_named("a", "tokens:read").await;
    let form = "application/x-www-form-urlencoded";
    let basic = agent.basic();
    for sent in [None, Some("order-66"), Some("00000000000000ab-7")] {
        let token = app.token(&agent).await;
        let mut headers = vec![("authorization", basic.as_str()), ("content-type", form)];
        headers.extend(sent.map(|id| ("x-request-id", id)));
        let body = format!("token={token}");
        let answer = app.send("POST", REVOKE, &headers, body.into()).await;
        answer.is(200, "{}");
        let id = answer.header("x-request-id");
        let found = page(app, &reader, &format!("requestId={id}")).await;
        let [event] = events(&found)[..] else {
            panic!("{id}: {found}");
        };
        assert_eq!(
            (&event["kind"], &event["jti"]),
            (&json!("token.revoked"), &claims(&token)["jti"])
        );
        // What stands in the event finds it too.
        let told = encode(event["requestId"].as_str().unwrap());
        assert_eq!(
            page(app, &reader, &format!("requestId={told}")).await,
            found
        );
    }
}

async fn filters_find_what_they_say(app: &TestApp<'_>) {
    let reader = reader(app).await;
    let (one, two) = (
        app.agent_named("one", "tokens:read").await,
        app.agent_named("two", "tokens:read").await,
    );
    app.clock.advance(100);
    app.suspend(&one).await;
    app.reactivate(&one).await;
    app.clock.advance(100);
    app.suspend(&two).await;
    let token = app.token(&one).await;
    app.revoke(&one, &token).await.is(200, "{}");
    let jti = claims(&token)["jti"].as_str().unwrap().to_owned();
    for (query, kinds) in [
        (
            "agentId=one&order=asc".to_owned(),
            &[
                "agent.created",
                "agent.suspended",
                "agent.reactivated",
                "token.issued",
                "token.revoked",
            ][..],
        ),
        (
            "agentId=one&kind=agent.suspended".to_owned(),
            &["agent.suspended"],
        ),
        (
            "agentId=one&kind=agent.suspended&kind=token.*&order=asc".to_owned(),
            &["agent.suspended", "token.issued", "token.revoked"],
        ),
        (
            "actor=agent:one&order=asc".to_owned(),
            &["token.issued", "token.revoked"],
        ),
        (format!("jti={jti}"), &["token.revoked", "token.issued"]),
        (
            "kind=agent.*&from=2025-01-31T12:01:40Z&to=2025-01-31T12:03:20Z&order=asc".to_owned(),
            &["agent.suspended", "agent.reactivated"],
        ),
        (
            "from=2025-01-31T12:03:20Z&kind=agent.*".to_owned(),
            &["agent.suspended"],
        ),
        ("to=2025-01-31T11:00:00Z".to_owned(), &[]),
    ] {
        let found = page(app, &reader, &query).await;
        let found: Vec<&str> = events(&found)
            .into_iter()
            .map(|event| event["kind"].as_str().unwrap())
            .collect();
        assert_eq!(found, kinds, "{query}");
    }
}

async fn an_empty_filter_or_an_id_that_cannot_be_one_finds_nothing(app: &TestApp<'_>) {
    let reader = reader(app).await;
    for query in [
        "agentId=",
        "agentId=a%20b",
        "agentId=%00",
        "actor=",
        "actor=a%00",
        "actor=%27",
        "jti=",
        "jti=x",
        "jti=00000000-0000-0000-0000-000000000000",
        "requestId=",
        "requestId=%00",
        "agentId=nobody&kind=agent.*",
    ] {
        for order in ["asc", "desc"] {
            let found = page(app, &reader, &format!("{query}&order={order}")).await;
            assert_eq!(
                found,
                json!({ "data": [], "limit": 50, "nextCursor": null }),
                "{query}"
            );
        }
    }
}

async fn every_fault_of_a_query_is_told_at_once(app: &TestApp<'_>) {
    const KIND: &str = "a kind of event is unknown";
    const TIME: &str = "a time is RFC 3339 with whole seconds, such as 2026-03-31T13:12:17Z";
    let reader = reader(app).await;
    let query = "agentId=a&agentId=b&kind=agent.*&kind=nonsense&kind=agents.*&from=yesterday&to=&order=up&limit=0&\
                 cursor=!&agentID=a";
    let told = faults(&app.get_as(&reader, &format!("{AUDIT}?{query}")).await);
    let expected = [
        ("agentId", "is given more than once"),
        ("kind", KIND),
        ("kind", KIND),
        ("from", TIME),
        ("to", TIME),
        ("order", "an order is asc or desc"),
        ("limit", "must be a number from 1 to 200"),
        ("cursor", "is no cursor of this list"),
        ("agentID", "is not known here"),
    ];
    assert_eq!(
        told,
        expected.map(|(field, reason)| (field.to_owned(), reason.to_owned()))
    );
    for (query, field) in [
        ("from=2025-01-31T12:00:01Z&to=2025-01-31T12:00:00Z", "to"),
        ("from=2025-01-31T12:00:00.5Z", "from"),
        ("from=2025-01-31", "from"),
        ("kind=", "kind"),
        ("kind=*", "kind"),
        ("order=", "order"),
        ("order=asc&order=asc", "order"),
        ("limit=9223372036854775808", "limit"),
        ("limit=", "limit"),
        ("cursor=", "cursor"),
        ("orgId=default", "orgId"),
        ("dryRun=true", "dryRun"),
    ] {
        let told = faults(&app.get_as(&reader, &format!("{AUDIT}?{query}")).await);
        let fields: Vec<&str> = told.iter().map(|(field, _)| field.as_str()).collect();
        assert_eq!(fields, [field], "{query}");
    }
}

async fn each_event_comes_once_whatever_is_written_meanwhile(app: &TestApp<'_>) {
    let reader = reader(app).await;
    let agent = app.agent_named("a", "tokens:read").await;
    for _ in 0..4 {
        app.suspend(&agent).await;
        app.reactivate(&agent).await;
    }
    for order in ["asc", "desc"] {
        let query = format!("agentId=a&order={order}");
        let before = ids(&page(app, &reader, &query).await);
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let query = format!("{query}&limit=2{cursor}");
            let page = page(app, &reader, &query).await;
            seen.extend(ids(&page));
            assert!(ids(&page).len() <= 2);
            let Some(next) = page["nextCursor"].as_str() else {
                break;
            };
            cursor = format!("&cursor={next}");
            if seen.len() < 12 {
                app.suspend(&agent).await;
                app.reactivate(&agent).await;
            }
        }
        let kept: Vec<i64> = seen
            .iter()
            .copied()
            .filter(|id| before.contains(id))
            .collect();
        assert_eq!(kept, before, "{order}");
        let mut distinct = seen.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), seen.len(), "{order}: {seen:?}");
    }
}

async fn a_cursor_belongs_to_its_filters(app: &TestApp<'_>) {
    let reader = reader(app).await;
    let admin = app.agent_named("admin", "audit:read admin:orgs").await;
    let admin = bearer(&app.token(&admin).await);
    let first = page(app, &reader, "kind=agent.*&kind=token.*&limit=1").await;
    let cursor = first["nextCursor"].as_str().unwrap();
    // The limit is no filter, and the order of kinds makes no other filter.
    let next = page(
        app,
        &reader,
        &format!("kind=token.*&kind=agent.*&limit=3&cursor={cursor}"),
    )
    .await;
    assert!(!ids(&next).contains(&ids(&first)[0]));
    for (caller, query) in [
        (&reader, "kind=agent.*"),
        (&reader, ""),
        (&reader, "kind=agent.*&kind=token.*&order=asc"),
        (&reader, "kind=agent.*&kind=token.*&agentId=a"),
        (&admin, "kind=agent.*&kind=token.*"),
    ] {
        let answer = app
            .get_as(caller, &format!("{AUDIT}?{query}&cursor={cursor}"))
            .await;
        let told = faults(&answer);
        assert_eq!(
            told,
            [("cursor".to_owned(), "is no cursor of this list".to_owned())],
            "{query}"
        );
    }
    // A cursor of another list is none of this one.
    let agents = app.agent("agents:read").await;
    let agents = bearer(&app.token(&agents).await);
    let listed = app.get_as(&agents, "/api/v1/agents?limit=1").await;
    let foreign = listed.text("nextCursor");
    let answer = app
        .get_as(&reader, &format!("{AUDIT}?cursor={foreign}"))
        .await;
    assert_eq!(faults(&answer).len(), 1);
}

async fn a_search_that_finds_little_comes_in_short_pages(app: &TestApp<'_>) {
    let reader = reader(app).await;
    app.agent_named("rare", "").await;
    app.database
        .execute(
            "with recursive n (i) as (select 1 union all select i + 1 from n where i < 205000)
             insert into audit_event (at, kind, actor, agent_id, detail)
             select 1, 'agent.suspended', 'operator', 'other', '' from n",
        )
        .await;
    let (mut found, mut pages, mut cursor) = (0, 0, String::new());
    loop {
        let page = page(app, &reader, &format!("agentId=rare{cursor}")).await;
        found += ids(&page).len();
        pages += 1;
        assert!(pages < 9, "no page comes further");
        let Some(next) = page["nextCursor"].as_str() else {
            break;
        };
        cursor = format!("&cursor={next}");
    }
    // 100,000 rows for each page.
    assert_eq!((found, pages), (1, 3));
}

/// One token a second for four days, each with the second in its id.
async fn tokens_of_a_time_are_found_without_reading_all_others(app: &TestApp<'_>) {
    const JTI: &str = "018bcfe5-6800-7000-8000-000000000000";
    let reader = reader(app).await;
    let first = 1_700_000_000 - 200_000;
    let (random, jti) = match app.database {
        Database::Sqlite { .. } => ("randomblob(16)", format!("x'{}'", JTI.replace('-', ""))),
        Database::Postgres { .. } => ("gen_random_uuid()", format!("'{JTI}'::uuid")),
    };
    app.database
        .execute(&format!(
            "with recursive n (i) as (select 0 union all select i + 1 from n where i < 345600)
             insert into token_event (id, jti, at, epoch, agent_id, inline)
             select 1000 + i, case when i = 200000 then {jti} else {random} end, {first} + i, 0,
                    'other', '{{\"aud\":[\"x\"],\"scope\":\"s\",\"ttl\":600}}'
             from n"
        ))
        .await;
    for order in ["asc", "desc"] {
        let found = page(app, &reader, &format!("jti={JTI}&order={order}")).await;
        assert_eq!(
            (ids(&found), &found["nextCursor"]),
            (vec![201_000], &Value::Null)
        );
        let query = format!(
            "kind=token.issued&from=2023-11-14T22:13:20Z&to=2023-11-14T22:13:22Z&order={order}"
        );
        let mut found = ids(&page(app, &reader, &query).await);
        found.sort_unstable();
        assert_eq!(found, [201_000, 201_001], "{order}");
        for query in ["from=2024-01-01T00:00:00Z", "to=2023-01-01T00:00:00Z"] {
            let query = format!("kind=token.issued&agentId=other&{query}&order={order}");
            let found = page(app, &reader, &query).await;
            assert_eq!(found["nextCursor"], Value::Null, "{query}");
            assert_eq!(ids(&found), Vec::<i64>::new(), "{query}");
        }
    }
}

async fn only_audit_read_opens_the_events(app: &TestApp<'_>) {
    let scopes = "agents:read agents:write tokens:read webhooks:read webhooks:write admin:orgs";
    let agent = app.agent_named("everything-else", scopes).await;
    let token = bearer(&app.token(&agent).await);
    for query in ["", "?agentId=everything-else", "?nonsense=1"] {
        let path = format!("{AUDIT}{query}");
        app.get_as(&token, &path)
            .await
            .is_management_error(403, "FORBIDDEN");
        app.get(&path)
            .await
            .is_management_error(401, "UNAUTHORIZED");
        app.get_as("Bearer x", &path)
            .await
            .is_management_error(401, "UNAUTHORIZED");
    }
    app.send("POST", AUDIT, &[("authorization", &token)], vec![])
        .await
        .is_management_error(405, "METHOD_NOT_ALLOWED");
}
