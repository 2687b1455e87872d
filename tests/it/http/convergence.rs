//! Who already enforces a version of the revocation list: reports of verifiers, on two processes.

use serde_json::{Value, json};

use super::on_both;
use crate::harness::answer::Answer;
use crate::harness::app::{Agent, REVOKED, TestApp, bearer, wait_until};
use crate::harness::database::Database;

on_both! {
    it_is_complete_only_when_every_verifier_enforces_it_on_every_process,
    a_report_without_a_valid_token_never_counts,
    a_report_of_a_version_that_does_not_exist_is_none,
    one_that_is_silent_or_falls_behind_takes_complete_back,
    a_verifier_that_changes_the_process_at_each_poll_is_one,
    a_verifier_is_removed_with_an_event,
    more_verifiers_than_may_be_known_are_never_complete,
    what_is_asked_wrongly_is_refused,
    a_report_changes_no_response,
    old_reports_are_removed,
}

const CONVERGENCE: &str = "/api/v1/revocations/convergence";

/// An admin of the first organisation, and a service whose instances are verifiers.
struct Cast {
    admin: Agent,
    service: Agent,
    token: String,
}

async fn cast(app: &TestApp<'_>) -> Cast {
    let admin = app.agent("audit:read admin:orgs").await;
    let service = app.agent_named("orders", "tokens:read").await;
    let token = app.token(&service).await;
    Cast {
        admin,
        service,
        token,
    }
}

async fn poll(app: &TestApp<'_>, token: Option<&str>, said: &str, query: &str) -> Answer {
    let bearer = token.map(bearer);
    let mut headers = vec![("sealwright-verifier", said)];
    if let Some(bearer) = &bearer {
        headers.push(("authorization", bearer));
    }
    app.send("GET", &format!("{REVOKED}{query}"), &headers, vec![])
        .await
}

/// Reports, and waits until the process knows it.
async fn report(app: &TestApp<'_>, cast: &Cast, name: &str, version: &Value) {
    let before = app.state.verifiers.noted();
    let said = format!("{name}; version={version}");
    assert_eq!(poll(app, Some(&cast.token), &said, "").await.status, 200);
    wait_until("the report is noted", async || {
        app.state.verifiers.noted() > before
    })
    .await;
}

async fn kill(app: &TestApp<'_>) -> Value {
    let agent = app.agent("tokens:read").await;
    app.suspend(&agent).await;
    app.state.list.read_changes().await.unwrap();
    json!(app.state.list.version())
}

async fn convergence(app: &TestApp<'_>, cast: &Cast, version: &Value) -> Value {
    let token = app.token(&cast.admin).await;
    let path = format!("{CONVERGENCE}?version={version}");
    let answer = app.get_as(&bearer(&token), &path).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

/// The state and how many converged, are behind and silent.
async fn state(app: &TestApp<'_>, cast: &Cast, version: &Value) -> (String, [i64; 3]) {
    let found = convergence(app, cast, version).await;
    let count = |name: &str| found["verifiers"][name].as_i64().unwrap();
    let counts = [count("converged"), count("behind"), count("silent")];
    assert_eq!(count("total"), counts.iter().sum::<i64>());
    (found["state"].as_str().unwrap().to_owned(), counts)
}

fn is(state: &str, counts: [i64; 3]) -> (String, [i64; 3]) {
    (state.to_owned(), counts)
}

async fn write(app: &TestApp<'_>) {
    app.state.list.read_changes().await.unwrap();
    let version = app.state.list.version();
    app.state.verifiers.write(version).await.unwrap();
    app.state.verifiers.measure(version).await.unwrap();
}

async fn it_is_complete_only_when_every_verifier_enforces_it_on_every_process(app: &TestApp<'_>) {
    let (cast, other) = (cast(app).await, app.beside().await);
    let v0 = kill(app).await;
    assert_eq!(state(app, &cast, &v0).await, is("unknown", [0, 0, 0]));
    other.state.list.read_changes().await.unwrap();
    report(app, &cast, "api/1", &v0).await;
    report(&other, &cast, "api/2", &v0).await;
    assert_eq!(
        state(app, &cast, &v0).await,
        is("complete", [1, 0, 0]),
        "it knows one"
    );
    write(app).await;
    write(&other).await;
    for process in [app, &other] {
        assert_eq!(state(process, &cast, &v0).await, is("complete", [2, 0, 0]));
    }
    app.clock.advance(10);
    let v1 = kill(app).await;
    write(&other).await;
    for process in [app, &other] {
        assert_eq!(state(process, &cast, &v1).await, is("pending", [0, 2, 0]));
        assert_eq!(state(process, &cast, &v0).await, is("complete", [2, 0, 0]));
    }
    report(app, &cast, "api/1", &v1).await;
    app.clock.advance(2);
    let found = convergence(app, &cast, &v1).await;
    assert_eq!(found["state"], "pending");
    assert_eq!(found["slowest"][0]["verifier"], "orders/api/2");
    assert_eq!(
        (&found["slowest"][0]["version"], found.get("p100Ms")),
        (&v0, None)
    );
    report(&other, &cast, "api/2", &v1).await;
    assert_eq!(
        state(app, &cast, &v1).await,
        is("pending", [1, 1, 0]),
        "not said yet"
    );
    write(app).await;
    write(&other).await;
    for process in [app, &other] {
        let found = convergence(process, &cast, &v1).await;
        assert_eq!(
            (&found["state"], &found["slowest"]),
            (&json!("complete"), &json!([]))
        );
        let times = (&found["p50Ms"], &found["p100Ms"]);
        assert_eq!(times, (&json!(0), &json!(2_000)), "{found}");
        let second = |name: &str| found[name].as_str().unwrap().to_owned();
        assert!(second("committedAt") < second("convergedAt"), "{found}");
    }
    // Without a version, the present one is meant.
    let token = app.token(&cast.admin).await;
    let present = app.get_as(&bearer(&token), CONVERGENCE).await.json();
    assert_eq!(present, convergence(app, &cast, &v1).await);
    // A command reads the same from the store alone.
    let told = app.opened.verifiers();
    assert_eq!(json!(told.newest_version().await.unwrap()), v1);
    assert_eq!(
        told.convergence(v1.as_i64().unwrap())
            .await
            .unwrap()
            .total(),
        2
    );
    let metrics = app
        .send_to(app.ops_address, "GET", "/metrics", &[], vec![])
        .await
        .body;
    assert!(
        metrics.contains("sealwright_revocation_convergence_seconds_count"),
        "{metrics}"
    );
}

async fn a_report_without_a_valid_token_never_counts(app: &TestApp<'_>) {
    let cast = cast(app).await;
    let v0 = kill(app).await;
    let said = |name: &str| format!("api/{name}; version={v0}");
    let elsewhere = app
        .token_with(&cast.service, "audience=https%3A%2F%2Felsewhere.example")
        .await;
    let dead = {
        let agent = app.agent("tokens:read").await;
        let token = app.token(&agent).await;
        app.revoke_tokens(&agent).await;
        token
    };
    let tokens = [None, Some("x"), Some(&*elsewhere), Some(&*dead)];
    for (number, token) in tokens.into_iter().enumerate() {
        assert_eq!(
            poll(app, token, &said(&number.to_string()), "")
                .await
                .status,
            200
        );
    }
    let headers = [
        ("sealwright-verifier", &*said("4")),
        ("authorization", &cast.service.basic()),
    ];
    assert_eq!(app.send("GET", REVOKED, &headers, vec![]).await.status, 200);
    wait_until("all are noted", async || app.state.verifiers.noted() == 5).await;
    for _ in 0..2 {
        let found = convergence(app, &cast, &v0).await;
        assert_eq!(
            (&found["state"], &found["verifiers"]["unauthenticated"]),
            (&json!("unknown"), &json!(5))
        );
        write(app).await;
    }
    // A forged name is not the verifier of that name.
    report(app, &cast, "api/0", &json!(v0.as_i64().unwrap() - 1)).await;
    let found = convergence(app, &cast, &v0).await;
    assert_eq!(
        (&found["state"], &found["verifiers"]["behind"]),
        (&json!("pending"), &json!(1))
    );
    // A name that is none is no report.
    for bad in [
        "x",
        "a/b",
        "a b/c; version=1",
        "a/b; version=x",
        "../../etc; version=1",
        "a/b/c; version=1",
    ] {
        assert_eq!(poll(app, None, bad, "").await.status, 200);
    }
    assert_eq!(
        convergence(app, &cast, &v0).await["verifiers"]["unauthenticated"],
        5
    );
}

async fn a_report_of_a_version_that_does_not_exist_is_none(app: &TestApp<'_>) {
    let (cast, other) = (cast(app).await, app.beside().await);
    let v0 = kill(app).await;
    report(app, &cast, "api/1", &v0).await;
    let future = json!(v0.as_i64().unwrap() + 1_000);
    let said = format!("api/1; version={future}");
    poll(app, Some(&cast.token), &said, "").await;
    wait_until("it is kept apart", async || {
        app.state.verifiers.ahead() == 1
    })
    .await;
    app.clock.advance(4);
    write(app).await;
    assert_eq!(app.state.verifiers.ahead(), 0);
    assert_eq!(state(app, &cast, &v0).await, is("complete", [1, 0, 0]));
    // One that another process has given is a report as soon as this process has read it.
    let said = format!("api/2; version={v0}");
    poll(&other, Some(&cast.token), &said, "").await;
    wait_until("it is kept apart", async || {
        other.state.verifiers.ahead() == 1
    })
    .await;
    write(&other).await;
    assert_eq!(state(&other, &cast, &v0).await.1[0], 2);
}

async fn one_that_is_silent_or_falls_behind_takes_complete_back(app: &TestApp<'_>) {
    let cast = cast(app).await;
    let v0 = kill(app).await;
    report(app, &cast, "api/1", &v0).await;
    report(app, &cast, "api/2", &v0).await;
    // Reports without a wait are taken to come every 15 s until there are two.
    app.clock.advance(45);
    assert_eq!(state(app, &cast, &v0).await, is("complete", [2, 0, 0]));
    report(app, &cast, "api/1", &v0).await;
    app.clock.advance(1);
    assert_eq!(state(app, &cast, &v0).await, is("partial", [1, 0, 1]));
    report(app, &cast, "api/2", &json!(v0.as_i64().unwrap() - 7)).await;
    for _ in 0..2 {
        assert_eq!(state(app, &cast, &v0).await, is("pending", [1, 1, 0]));
        write(app).await;
    }
    report(app, &cast, "api/2", &v0).await;
    assert_eq!(state(app, &cast, &v0).await, is("complete", [2, 0, 0]));
    app.clock.advance(86_400);
    assert_eq!(state(app, &cast, &v0).await, is("unknown", [0, 0, 0]));
}

async fn a_verifier_that_changes_the_process_at_each_poll_is_one(app: &TestApp<'_>) {
    let (cast, other) = (cast(app).await, app.beside().await);
    let mut last = kill(app).await;
    for turn in 0..6 {
        let process = if turn % 2 == 0 { app } else { &other };
        process.state.list.read_changes().await.unwrap();
        report(process, &cast, "api/1", &last).await;
        write(app).await;
        write(&other).await;
        app.clock.advance(1);
        for process in [app, &other] {
            assert_eq!(
                state(process, &cast, &last).await,
                is("complete", [1, 0, 0]),
                "{turn}"
            );
        }
        let next = kill(app).await;
        other.state.list.read_changes().await.unwrap();
        for process in [app, &other] {
            assert_eq!(
                state(process, &cast, &next).await,
                is("pending", [0, 1, 0]),
                "{turn}"
            );
        }
        last = next;
    }
}

async fn a_verifier_is_removed_with_an_event(app: &TestApp<'_>) {
    let (cast, other) = (cast(app).await, app.beside().await);
    let v0 = kill(app).await;
    report(app, &cast, "api/1", &v0).await;
    let token = app.token(&cast.admin).await;
    let delete = async |process: &TestApp<'_>, path: &str, body: &str| {
        let path = format!("/api/v1/revocations/verifiers/{path}");
        let authorization = bearer(&token);
        let mut headers = vec![("authorization", &*authorization)];
        if !body.is_empty() {
            headers.push(("content-type", "application/json"));
        }
        process.send("DELETE", &path, &headers, body.into()).await
    };
    let tried = delete(app, "orders%2Fapi%2F1?dryRun=true", "").await;
    assert_eq!(
        (tried.status, &tried.json()["verifier"]),
        (200, &json!("orders/api/1"))
    );
    write(app).await;
    other.state.list.read_changes().await.unwrap();
    assert_eq!(state(&other, &cast, &v0).await, is("complete", [1, 0, 0]));
    let gone = delete(&other, "orders%2Fapi%2F1", r#"{"reason":"scaled down"}"#).await;
    assert_eq!((gone.status, &gone.json()["version"]), (200, &v0));
    write(app).await;
    assert_eq!(state(app, &cast, &v0).await, is("unknown", [0, 0, 0]));
    for unknown in ["orders%2Fapi%2F1", "api%2F1", "x", "orders%2Fapi%2F1%2F2"] {
        let answer = delete(app, unknown, "").await;
        answer.is_management_error(404, "VERIFIER_NOT_FOUND");
    }
    let events = app
        .get_as(&bearer(&token), "/api/v1/audit?kind=verifier.removed")
        .await
        .json();
    let events = events["data"].as_array().unwrap();
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(events[0]["event"]["detail"]["verifier"], "orders/api/1");
    // One that only this process knows is removed with an event too.
    report(app, &cast, "api/3", &v0).await;
    assert_eq!(delete(app, "orders%2Fapi%2F3", "").await.status, 200);
    assert_eq!(state(app, &cast, &v0).await, is("unknown", [0, 0, 0]));
}

async fn more_verifiers_than_may_be_known_are_never_complete(app: &TestApp<'_>) {
    let cast = cast(app).await;
    let v0 = kill(app).await;
    let now = app.clock.now().0 * 1_000;
    let fill = async |from: i64, to: i64| {
        let numbers = match app.database {
            Database::Sqlite { .. } => format!(
                "(with recursive n (i) as (select {from} union all select i + 1 from n where i < {to}) select i from n)"
            ),
            Database::Postgres { .. } => format!("generate_series({from}, {to}) as n (i)"),
        };
        let sql = format!(
            "insert into verifier (agent_id, name, version, previous, version_at, seen_at, every)
             select 'orders', 'api/' || i, {v0}, {v0}, {now}, {now}, 15000 from {numbers}"
        );
        app.database.execute(&sql).await;
    };
    fill(1, 10_000).await;
    assert_eq!(state(app, &cast, &v0).await, is("complete", [10_000, 0, 0]));
    report(app, &cast, "more/1", &v0).await;
    write(app).await;
    assert_eq!(state(app, &cast, &v0).await, is("partial", [10_001, 0, 0]));
    // No more are kept, but those that are known stay up to date.
    report(app, &cast, "more/2", &v0).await;
    report(app, &cast, "api/7", &json!(v0.as_i64().unwrap() - 1)).await;
    write(app).await;
    assert_eq!(state(app, &cast, &v0).await, is("pending", [10_000, 1, 0]));
    assert_eq!(
        app.database.number("select count(*) from verifier").await,
        10_001
    );
    // Forged names do not push a verifier out.
    for number in 0..1_010 {
        poll(app, None, &format!("forged/{number}; version={v0}"), "").await;
    }
    write(app).await;
    let found = convergence(app, &cast, &v0).await;
    assert_eq!(found["verifiers"]["total"], 10_001);
    assert_eq!(found["verifiers"]["unauthenticated"], 1_000);
}

async fn what_is_asked_wrongly_is_refused(app: &TestApp<'_>) {
    let cast = cast(app).await;
    let v0 = kill(app).await;
    let token = app.token(&cast.admin).await;
    for query in [
        "version=x",
        "version=-1",
        "version=",
        "version=1&version=1",
        "v=1",
    ] {
        let answer = app
            .get_as(&bearer(&token), &format!("{CONVERGENCE}?{query}"))
            .await;
        answer.is_management_error(400, "VALIDATION_ERROR");
    }
    // A version that another process may have given: this one looks first.
    let path = format!("{CONVERGENCE}?version={}", v0.as_i64().unwrap() + 1_000);
    let looking = async {
        wait_until("it waits for a look", async || app.state.list.held() == 1).await;
        app.state.list.read_changes().await.unwrap();
    };
    let authorization = bearer(&token);
    let (answer, ()) = tokio::join!(app.get_as(&authorization, &path), looking);
    answer.is_management_error(400, "VALIDATION_ERROR");
}

async fn a_report_changes_no_response(app: &TestApp<'_>) {
    let cast = cast(app).await;
    let v0 = kill(app).await;
    let plain = app.get(REVOKED).await;
    let said = format!("api/1; version={v0}");
    for (token, said) in [
        (Some(&*cast.token), &*said),
        (None, &said),
        (Some("x"), "\"; version=;"),
    ] {
        let answer = poll(app, token, said, "").await;
        assert_eq!(answer.fingerprint(), plain.fingerprint());
    }
}

async fn old_reports_are_removed(app: &TestApp<'_>) {
    let cast = cast(app).await;
    let v0 = kill(app).await;
    report(app, &cast, "api/1", &v0).await;
    write(app).await;
    app.clock.advance(86_402);
    let now = app.clock.now();
    app.opened
        .records
        .prune(now, 86_400 * 90, 1_000)
        .await
        .unwrap();
    assert_eq!(
        app.database.number("select count(*) from verifier").await,
        0
    );
}
