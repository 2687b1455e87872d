//! The rows V1 to V7 of the wire contract.

use futures_util::future::join_all;
use sealwright::testing::domain::quota::PlanName;
use sealwright::testing::domain::time::Timestamp;
use sealwright::testing::service::manage::patch::ProfilePatch;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use url::Url;

use super::{
    AUTHORIZE, CALLBACK, CODE, EXCHANGE, REQUEST, USERS, WITH_QUERY, agent, authorize, code,
    code_about, code_of, exchange, exchange_at, on_both, token_of, update,
};
use crate::harness::app::{Agent, TestApp, claims, encode, wait_until};
use crate::harness::database::Database;

on_both! {
    v1_a_code_comes_by_redirect_and_is_exchanged_by_form_and_by_json,
    v2_a_token_about_a_user_says_so,
    v3_a_code_is_good_once,
    v3_a_hundred_exchanges_at_once_give_one_token,
    v3_a_code_dies_with_its_sixtieth_second,
    v3_a_code_is_good_only_for_what_it_was_made_for,
    v4_what_is_missing_or_no_text_is_named,
    v5_an_unknown_client_and_a_wrong_secret_are_told_the_same,
    v6_what_is_not_registered_gets_no_redirect,
    v7_a_refusal_has_its_own_title_and_spends_nothing,
    v7_a_rate_has_its_own_title_and_spends_nothing,
}

async fn v1_a_code_comes_by_redirect_and_is_exchanged_by_form_and_by_json(app: &TestApp<'_>) {
    let agent = agent(app).await;
    for (redirect_uri, state) in [
        (CALLBACK, None),
        (CALLBACK, Some("s t/ä&x=1#+")),
        (WITH_QUERY, Some("s")),
    ] {
        let more = state.map_or_else(String::new, |state| format!("&state={}", encode(state)));
        let answer = authorize(app, &agent.id, redirect_uri, &more).await;
        assert_eq!((answer.status, answer.body.as_str()), (302, ""));
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        answer.is_not_kept();
        let location = answer.header("location");
        assert!(location.starts_with(redirect_uri), "{location}");
        let mut pairs = Vec::new();
        if redirect_uri == WITH_QUERY {
            pairs.push(("tenant".to_owned(), "1".to_owned()));
        }
        let code = code_of(&answer);
        pairs.push(("code".to_owned(), code.clone()));
        pairs.extend(state.map(|state| ("state".to_owned(), state.to_owned())));
        let sent: Vec<_> = Url::parse(location)
            .unwrap()
            .query_pairs()
            .into_owned()
            .collect();
        assert_eq!(sent, pairs);

        let by_form = exchange_at(app, &agent, &code, redirect_uri, "").await;
        let code = code_of(&authorize(app, &agent.id, redirect_uri, &more).await);
        let body = json!({
            "client_id": agent.id, "client_secret": agent.secret, "redirect_uri": redirect_uri, "code": code,
        });
        let json = [("content-type", "application/json; charset=utf-8")];
        let by_json = app
            .send("POST", EXCHANGE, &json, body.to_string().into())
            .await;
        for answer in [by_form, by_json] {
            assert_eq!(
                answer.keys(),
                ["access_token", "expiration", "token_type", "expires_in"]
            );
            answer.is_not_kept();
            let claims = claims(&token_of(&answer));
            let exp = claims["exp"].as_i64().unwrap();
            assert_eq!(answer.text("expiration"), Timestamp(exp).to_rfc3339());
            assert_eq!(answer.text("expiration"), "2025-01-31T12:10:00Z");
            assert_eq!(
                answer.json()["expires_in"],
                exp - claims["iat"].as_i64().unwrap()
            );
            assert_eq!(answer.text("token_type"), "Bearer");
            assert_eq!(
                (&claims["sub"], &claims["client_id"]),
                (&json!(agent.id), &json!(agent.id))
            );
            assert_eq!(claims["scope"], "agents:read tokens:read");
        }
    }
}

async fn v2_a_token_about_a_user_says_so(app: &TestApp<'_>) {
    let agent = agent(app).await;
    for user in USERS {
        let code = code_about(app, &agent, user).await;
        let more = format!("&userid={}", encode(user));
        let token = token_of(&exchange_at(app, &agent, &code, CALLBACK, &more).await);
        assert_eq!(
            (&claims(&token)["sub"], &claims(&token)["client_id"]),
            (&json!(user), &json!(agent.id))
        );
        let seen = app.introspect(&agent, &token).await.json();
        assert_eq!(
            (&seen["active"], &seen["sub"]),
            (&json!(true), &json!(user))
        );
        assert_eq!(seen["client_id"], json!(agent.id));
    }
    let details = "select inline from token_event order by id";
    let details = app.database.texts(details).await;
    let users = details.iter().map(|detail| {
        let detail: serde_json::Value = serde_json::from_str(detail).unwrap();
        detail["user"].as_str().unwrap().to_owned()
    });
    assert_eq!(users.collect::<Vec<_>>(), USERS);
}

async fn v3_a_code_is_good_once(app: &TestApp<'_>) {
    let other = app.beside().await;
    let agent = agent(app).await;
    let code = code(app, &agent).await;
    token_of(&exchange(app, &agent, &code).await);
    for app in [app, &other, app] {
        exchange(app, &agent, &code).await.is_line(CODE);
    }
    // A client with a wrong secret does not learn whether the code was spent.
    let wrong = agent.with_secret(&agent.forged_secret());
    exchange(app, &wrong, &code)
        .await
        .is_problem(401, "Unauthorized");
}

async fn v3_a_hundred_exchanges_at_once_give_one_token(app: &TestApp<'_>) {
    let other = app.beside().await;
    let agent = agent(app).await;
    for user in [None, Some(USERS[0])] {
        let more = user.map_or_else(String::new, |user| format!("&userid={}", encode(user)));
        let code = code_of(&authorize(app, &agent.id, CALLBACK, &more).await);
        let (code, more, agent, other) = (&code, &more, &agent, &other);
        let asks = (0..100).map(|n| async move {
            let app = if n % 2 == 0 { app } else { other };
            exchange_at(app, agent, code, CALLBACK, more).await
        });
        let answers = join_all(asks).await;
        let (granted, refused): (Vec<_>, Vec<_>) =
            answers.iter().partition(|answer| answer.status == 200);
        assert_eq!(granted.len(), 1);
        for answer in refused {
            answer.is_line(CODE);
        }
        // RFC 6749 §4.1.2: the code was presented again, so its token is revoked.
        assert!(!app.is_active(agent, &token_of(granted[0])).await);
    }
    assert_eq!(app.database.number("select sum(used) from quota").await, 2);
    assert_eq!(
        app.database.number("select count(*) from spent_code").await,
        2
    );
}

async fn v3_a_code_dies_with_its_sixtieth_second(app: &TestApp<'_>) {
    let agent = agent(app).await;
    let (early, late) = (code(app, &agent).await, code(app, &agent).await);
    app.clock.advance(59);
    token_of(&exchange(app, &agent, &early).await);
    app.clock.advance(1);
    exchange(app, &agent, &late).await.is_line(CODE);
    app.clock.advance(100_000);
    exchange(app, &agent, &late).await.is_line(CODE);
}

async fn v3_a_code_is_good_only_for_what_it_was_made_for(app: &TestApp<'_>) {
    let (mine, other) = (agent(app).await, agent(app).await);
    let (plain, about) = (
        code(app, &mine).await,
        code_about(app, &mine, USERS[0]).await,
    );
    let (user, another) = (
        format!("&userid={}", encode(USERS[0])),
        format!("&userid={}", encode(USERS[1])),
    );
    for (agent, code, redirect_uri, more) in [
        (&other, &plain, CALLBACK, ""),
        (&other, &about, CALLBACK, user.as_str()),
        (&mine, &plain, WITH_QUERY, ""),
        (&mine, &plain, "https://app.example/cb/", ""),
        (&mine, &plain, "https://elsewhere.example/", ""),
        (&mine, &plain, CALLBACK, &user),
        (&mine, &about, CALLBACK, ""),
        (&mine, &about, CALLBACK, "&userid="),
        (&mine, &about, CALLBACK, &another),
        (&mine, &about, CALLBACK, "&userid=USER_42"),
        (&mine, &about, CALLBACK, "&userid=nobody"),
    ] {
        exchange_at(app, agent, code, redirect_uri, more)
            .await
            .is_line(CODE);
    }
    // None of these requests spent a code.
    token_of(&exchange(app, &mine, &plain).await);
    token_of(&exchange_at(app, &mine, &about, CALLBACK, &user).await);
}

async fn v4_what_is_missing_or_no_text_is_named(app: &TestApp<'_>) {
    let agent = agent(app).await;
    for (query, name) in [
        (String::new(), "client_id"),
        (format!("redirect_uri={}", encode(CALLBACK)), "client_id"),
        (
            format!("client_id=&redirect_uri={}", encode(CALLBACK)),
            "client_id",
        ),
        (format!("client_id={}", agent.id), "redirect_uri"),
        (
            format!("client_id={}&redirect_uri=&state=x", agent.id),
            "redirect_uri",
        ),
    ] {
        app.get(&format!("{AUTHORIZE}?{query}"))
            .await
            .is_line(&format!("Invalid {name}"));
    }
    app.get(AUTHORIZE).await.is_line("Invalid client_id");

    let code = code(app, &agent).await;
    let all = [
        ("client_id", agent.id.as_str()),
        ("client_secret", &agent.secret),
        ("redirect_uri", CALLBACK),
        ("code", &code),
    ];
    let json = [("content-type", "application/json")];
    let post = async |body: serde_json::Value| {
        app.send("POST", EXCHANGE, &json, body.to_string().into())
            .await
    };
    for (name, _) in all {
        let rest: Vec<_> = all.iter().filter(|(other, _)| *other != name).collect();
        let pairs = rest
            .iter()
            .map(|(name, value)| format!("{name}={}", encode(value)));
        let form = pairs.collect::<Vec<_>>().join("&");
        app.post(EXCHANGE, &form)
            .await
            .is_line(&format!("Invalid {name}"));
        app.post(EXCHANGE, &format!("{form}&{name}="))
            .await
            .is_line(&format!("Invalid {name}"));
        let object = |value: Option<serde_json::Value>| {
            let rest = rest
                .iter()
                .map(|(name, value)| ((*name).to_owned(), json!(value)));
            rest.chain(value.map(|value| (name.to_owned(), value)))
                .collect::<serde_json::Value>()
        };
        post(object(None)).await.is_line(&format!("Invalid {name}"));
        for wrong in [
            json!(7),
            json!(null),
            json!(true),
            json!([]),
            json!(["x"]),
            json!({}),
            json!(""),
        ] {
            post(object(Some(wrong)))
                .await
                .is_line(&format!("Invalid {name}"));
        }
    }
    let mut object: serde_json::Value = all
        .iter()
        .map(|(n, v)| ((*n).to_owned(), json!(v)))
        .collect();
    object["userid"] = json!(42);
    post(object.clone()).await.is_line("Invalid userid");
    // Serializers write an absent user as null.
    object["userid"] = json!(null);
    token_of(&post(object).await);
}

async fn v5_an_unknown_client_and_a_wrong_secret_are_told_the_same(app: &TestApp<'_>) {
    let agent = agent(app).await;
    let code = code(app, &agent).await;
    let suspended = super::agent(app).await;
    app.suspend(&suspended).await;
    let wrong = agent.with_secret(&agent.forged_secret());
    let nobody = Agent {
        id: "nobody".to_owned(),
        secret: agent.secret.clone(),
    };
    let strange = Agent {
        id: "no id \u{e9}".to_owned(),
        secret: "x".to_owned(),
    };
    let first = exchange(app, &wrong, &code).await;
    let shape = |answer: &crate::harness::answer::Answer| {
        let mut body = answer.json();
        body["traceId"] = json!("");
        (
            answer.status,
            body,
            answer.header("content-type").to_owned(),
            answer.headers.len(),
        )
    };
    for agent in [
        &wrong,
        &nobody,
        &strange,
        &suspended.with_secret(&suspended.forged_secret()),
    ] {
        let answer = exchange(app, agent, &code).await;
        answer.is_problem(401, "Unauthorized");
        assert_eq!(
            answer.keys().len(),
            4,
            "type, title, status, traceId: {answer:?}"
        );
        assert_eq!(shape(&answer), shape(&first));
        // These responses are the same when the code is not a code at all.
        assert_eq!(shape(&exchange(app, agent, "junk").await), shape(&first));
    }
    let form = format!("code={code}&redirect_uri={}", encode(CALLBACK));
    let by_header = app.post_as(&wrong.basic(), EXCHANGE, &form).await;
    by_header.is_problem(401, "Unauthorized");
    assert!(by_header.header("www-authenticate").starts_with("Basic "));
    token_of(&exchange(app, &agent, &code).await);
}

async fn v6_what_is_not_registered_gets_no_redirect(app: &TestApp<'_>) {
    let (agent, suspended, gone) = (
        agent(app).await,
        super::agent(app).await,
        super::agent(app).await,
    );
    let bare = app.agent("agents:read").await;
    app.suspend(&suspended).await;
    app.decommission(&gone).await;
    let other = app.beside().await;
    for app in [app, &other] {
        let mut refusals = Vec::new();
        for (id, redirect_uri, more) in [
            ("nobody", CALLBACK, ""),
            ("no id \u{e9}", CALLBACK, ""),
            (suspended.id.as_str(), CALLBACK, ""),
            (&gone.id, CALLBACK, ""),
            (&bare.id, CALLBACK, ""),
            (&agent.id, "https://app.example/", ""),
            (&agent.id, "https://app.example/cb/", ""),
            (&agent.id, "https://app.example/cb?tenant=2", ""),
            (&agent.id, "https://app.example/cb%2F..", ""),
            (&agent.id, "HTTPS://app.example/cb", ""),
            (&agent.id, "https://app.example/cb#x", ""),
            (&agent.id, "javascript:alert(1)", ""),
            (&agent.id, "https://app.example/cb\r\nSet-Cookie: x=1", ""),
            (&agent.id, CALLBACK, "&userid=user_43"),
            (&agent.id, CALLBACK, "&userid=User_42"),
            (&agent.id, CALLBACK, "&userid=%00"),
            (&bare.id, CALLBACK, "&userid=user_42"),
        ] {
            let answer = authorize(app, id, redirect_uri, &format!("&state=s{more}")).await;
            answer.is_line(REQUEST);
            refusals.push(answer);
        }
        assert!(
            refusals
                .iter()
                .all(|answer| answer.fingerprint() == refusals[0].fingerprint())
        );
    }
}

async fn v7_a_refusal_has_its_own_title_and_spends_nothing(app: &TestApp<'_>) {
    let agent = agent(app).await;
    let code = code(app, &agent).await;
    app.token(&agent).await;
    app.suspend(&agent).await;
    let answer = exchange(app, &agent, &code).await;
    answer.is_problem(403, "Forbidden");
    assert_eq!(
        answer.text("detail"),
        "Agent is currently suspended and cannot obtain tokens."
    );
    app.reactivate(&agent).await;
    app.set_used(&agent, 10_000).await;
    let answer = exchange(app, &agent, &code).await;
    answer.is_problem(403, "Forbidden");
    assert!(answer.text("detail").contains("10,000"), "{answer:?}");
    update(
        app,
        &agent,
        ProfilePatch {
            scopes: Some(vec![]),
            ..ProfilePatch::default()
        },
    )
    .await;
    let answer = exchange(app, &agent, &code).await;
    answer.is_problem(403, "Forbidden");
    assert_eq!(
        answer.text("detail"),
        "This client is not allowed any scope."
    );
    let patch = ProfilePatch {
        scopes: Some(
            sealwright::testing::domain::scope::parse_scope_list("agents:read tokens:read")
                .unwrap(),
        ),
        plan: Some(PlanName::parse("unlimited").unwrap()),
        ..ProfilePatch::default()
    };
    update(app, &agent, patch).await;
    assert_eq!(
        app.database.number("select count(*) from spent_code").await,
        0
    );
    token_of(&exchange(app, &agent, &code).await);
    let last = super::code(app, &agent).await;
    app.decommission(&agent).await;
    let answer = exchange(app, &agent, &last).await;
    answer.is_problem(403, "Forbidden");
    assert_eq!(
        answer.text("detail"),
        "Agent is decommissioned and cannot obtain tokens."
    );
}

async fn v7_a_rate_has_its_own_title_and_spends_nothing(app: &TestApp<'_>) {
    let limited = app
        .beside_with(&[("limits.requests_per_minute", "1")])
        .await;
    let agent = agent(app).await;
    let (first, second) = (code(app, &agent).await, code(app, &agent).await);
    token_of(&exchange(&limited, &agent, &first).await);
    let answer = exchange(&limited, &agent, &second).await;
    answer.is_problem(429, "Too Many Requests");
    assert!(answer.header("retry-after").parse::<u64>().unwrap() > 0);
    token_of(&exchange(app, &agent, &second).await);
}

#[tokio::test]
async fn v7_a_lost_postgres_is_503_and_spends_nothing() {
    let database = Database::postgres().await;
    let app = TestApp::start(&database).await;
    let agent = agent(&app).await;
    let code = code(&app, &agent).await;
    app.token(&agent).await;
    let Database::Postgres { server, name, .. } = &database else {
        unreachable!()
    };
    let mut conn = PgConnection::connect(server).await.unwrap();
    let mut run = async |sql: String| {
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&mut conn)
            .await
            .unwrap();
    };
    run(format!(
        "alter database {name} with allow_connections false"
    ))
    .await;
    run(format!(
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'"
    ))
    .await;
    let (exchanged, authorized) = tokio::join!(
        exchange(&app, &agent, &code),
        authorize(&app, &agent.id, CALLBACK, "&state=s")
    );
    for answer in [exchanged, authorized] {
        answer.is_problem(503, "Service Unavailable");
        assert_eq!(answer.header("retry-after"), "1");
    }
    run(format!("alter database {name} with allow_connections true")).await;
    wait_until("the server is ready again", async || {
        app.get("/readyz").await.status == 200
    })
    .await;
    token_of(&exchange(&app, &agent, &code).await);
    exchange(&app, &agent, &code).await.is_line(CODE);
    drop(app);
    database.remove().await;
}
