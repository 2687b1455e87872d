//! Other requests to AIRisk's two paths: other methods, other letter case, other bodies, repeated
//! parameters.

use super::{
    AUTHORIZE, CALLBACK, CODE, EXCHANGE, REQUEST, agent, authorize, code, code_of, exchange_at,
    on_both, token_of,
};
use crate::harness::app::{TestApp, encode};

on_both! {
    both_paths_are_read_in_any_letter_case,
    other_methods_and_bodies_are_refused_in_the_words_of_the_path,
    a_repeated_parameter_is_refused_and_an_unknown_one_ignored,
    a_state_is_handed_back_up_to_its_longest,
    an_exchange_may_name_its_grant_and_no_other,
    basic_proves_the_client_as_well,
    a_bearer_beside_the_body_s_credentials_changes_nothing,
    a_broken_body_is_refused_before_anybody_is_asked,
}

async fn both_paths_are_read_in_any_letter_case(app: &TestApp<'_>) {
    let agent = agent(app).await;
    let query = format!("client_id={}&redirect_uri={}", agent.id, encode(CALLBACK));
    for path in ["/API/oauth2", "/api/OAuth2", "/Api/Oauth2"] {
        code_of(&app.get(&format!("{path}?{query}")).await);
        app.post(path, &query)
            .await
            .is_problem(405, "Method Not Allowed");
    }
    for path in [
        EXCHANGE,
        "/api/oauth2/token",
        "/API/OAUTH2/TOKEN",
        "/Api/OAuth2/tOkEn",
    ] {
        let form = format!(
            "code={}&redirect_uri={}",
            code(app, &agent).await,
            encode(CALLBACK)
        );
        token_of(&app.post(path, &format!("{form}&{}", agent.form())).await);
        let answer = app.get(path).await;
        answer.is_problem(405, "Method Not Allowed");
        assert_eq!(answer.header("allow"), "POST");
    }
    for path in [
        "/api/oauth2/Token/",
        "/api/oauth2/Tokens",
        "/api/v1/TOKEN",
        "/api//oauth2/Token",
        "/api/oauth2/T%6Fken",
    ] {
        app.post(path, "x=y")
            .await
            .is_management_error(404, "NOT_FOUND");
    }
    // The same holds below the issuer's path. The letter case of the issuer's path itself must
    // match.
    let below = app
        .beside_with(&[("token.issuer", "https://issuer.example/Auth")])
        .await;
    for path in ["/Auth/API/oauth2", "/Auth/api/oauth2", "/API/oauth2"] {
        code_of(&below.get(&format!("{path}?{query}")).await);
    }
    for path in [
        "/Auth/API/oauth2/token",
        "/Auth/api/oauth2/Token",
        "/api/oauth2/token",
    ] {
        let form = format!(
            "code={}&redirect_uri={}",
            code(app, &agent).await,
            encode(CALLBACK)
        );
        token_of(&below.post(path, &format!("{form}&{}", agent.form())).await);
    }
    below
        .post("/auth/api/oauth2/Token", "x=y")
        .await
        .is_management_error(404, "NOT_FOUND");
    let ops = app
        .send_to(app.ops_address, "POST", "/api/oauth2/token", &[], vec![])
        .await;
    ops.is_management_error(404, "NOT_FOUND");
    // The metrics count all spellings under one name.
    let metrics = app
        .send_to(app.ops_address, "GET", "/metrics", &[], vec![])
        .await
        .body;
    assert!(
        metrics.contains("/api/oauth2/Token") && !metrics.contains("/API/OAUTH2"),
        "{metrics}"
    );
}

async fn other_methods_and_bodies_are_refused_in_the_words_of_the_path(app: &TestApp<'_>) {
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        let answer = app.send(method, AUTHORIZE, &[], vec![]).await;
        answer.is_problem(405, "Method Not Allowed");
        assert_eq!(answer.header("allow"), "GET, HEAD");
    }
    let agent = agent(app).await;
    let query = format!("client_id={}&redirect_uri={}", agent.id, encode(CALLBACK));
    let head = app
        .send("HEAD", &format!("{AUTHORIZE}?{query}"), &[], vec![])
        .await;
    assert_eq!((head.status, head.body.as_str()), (302, ""));
    for media_type in [
        "text/plain",
        "multipart/form-data; boundary=x",
        "application/xml",
    ] {
        let answer = app
            .send(
                "POST",
                EXCHANGE,
                &[("content-type", media_type)],
                b"x".to_vec(),
            )
            .await;
        answer.is_line(REQUEST);
    }
    app.send("POST", EXCHANGE, &[], b"x=y".to_vec())
        .await
        .is_line(REQUEST);
    let long = format!("client_id={}", "x".repeat(70_000));
    app.post(EXCHANGE, &long)
        .await
        .is_problem(413, "Payload Too Large");
}

async fn a_repeated_parameter_is_refused_and_an_unknown_one_ignored(app: &TestApp<'_>) {
    let agent = agent(app).await;
    for name in ["client_id", "redirect_uri", "state", "userid"] {
        let value = if name == "client_id" {
            agent.id.clone()
        } else {
            encode(CALLBACK)
        };
        let twice = format!("&{name}={value}&{name}={value}");
        authorize(app, &agent.id, CALLBACK, &twice)
            .await
            .is_line(&format!("Invalid {name}"));
    }
    let unknown = "&response_type=code&x=1&x=2&scope=a++b";
    let code = code_of(&authorize(app, &agent.id, CALLBACK, unknown).await);
    for name in [
        "client_id",
        "client_secret",
        "redirect_uri",
        "code",
        "userid",
    ] {
        let value = match name {
            "client_id" => agent.id.clone(),
            "client_secret" => encode(&agent.secret),
            "redirect_uri" => encode(CALLBACK),
            _ => code.clone(),
        };
        let twice = format!("&{name}={value}&{name}={value}");
        exchange_at(app, &agent, &code, CALLBACK, &twice)
            .await
            .is_line(&format!("Invalid {name}"));
    }
    for name in ["client_id", "client_secret", "code"] {
        let path = format!("{EXCHANGE}?{name}=x");
        app.post(&path, &agent.form())
            .await
            .is_line(&format!("Invalid {name}"));
    }
    let form = format!(
        "{}&code={code}&redirect_uri={}",
        agent.form(),
        encode(CALLBACK)
    );
    for (name, more) in [
        ("redirect_uri", ""),
        ("userid", "&userid=user_42"),
        ("scope", "&scope=agents:read"),
        ("grant_type", "&grant_type=authorization_code"),
    ] {
        let answer = app
            .post(&format!("{EXCHANGE}?{name}=x"), &format!("{form}{more}"))
            .await;
        answer.is_line(&format!("Invalid {name}"));
    }
    token_of(&exchange_at(app, &agent, &code, CALLBACK, "&x=1&x=2").await);
}

async fn a_state_is_handed_back_up_to_its_longest(app: &TestApp<'_>) {
    let agent = agent(app).await;
    for state in [
        "é".repeat(512),
        "x".repeat(1_024),
        "%&= +#\"<>\r\n\0".to_owned(),
    ] {
        let answer = authorize(
            app,
            &agent.id,
            CALLBACK,
            &format!("&state={}", encode(&state)),
        )
        .await;
        let location = url::Url::parse(answer.header("location")).unwrap();
        let last = location.query_pairs().last().unwrap();
        assert_eq!((&*last.0, &*last.1), ("state", state.as_str()));
    }
    for long in ["é".repeat(513), "x".repeat(1_025)] {
        authorize(
            app,
            &agent.id,
            CALLBACK,
            &format!("&state={}", encode(&long)),
        )
        .await
        .is_line(REQUEST);
    }
    let without = authorize(app, &agent.id, CALLBACK, "&state=").await;
    assert!(!without.header("location").contains("state"), "{without:?}");
}

async fn an_exchange_may_name_its_grant_and_no_other(app: &TestApp<'_>) {
    let agent = agent(app).await;
    let code = code(app, &agent).await;
    for grant in ["client_credentials", "password", "Authorization_Code"] {
        let more = format!("&grant_type={grant}");
        exchange_at(app, &agent, &code, CALLBACK, &more)
            .await
            .is_line("Invalid grant_type");
    }
    token_of(
        &exchange_at(
            app,
            &agent,
            &code,
            CALLBACK,
            "&grant_type=authorization_code",
        )
        .await,
    );
}

async fn basic_proves_the_client_as_well(app: &TestApp<'_>) {
    let agent = agent(app).await;
    let form = format!(
        "code={}&redirect_uri={}",
        code(app, &agent).await,
        encode(CALLBACK)
    );
    app.post_as(
        &agent.basic(),
        EXCHANGE,
        &format!("{form}&{}", agent.form()),
    )
    .await
    .is_line(REQUEST);
    app.post_as(&agent.basic(), EXCHANGE, &format!("{form}&client_id=other"))
        .await
        .is_line(REQUEST);
    app.post_as("Basic ***", EXCHANGE, &form)
        .await
        .is_problem(401, "Unauthorized");
    app.post_as("Digest x", EXCHANGE, &form)
        .await
        .is_problem(401, "Unauthorized");
    app.post_as("Bearer x", EXCHANGE, &form)
        .await
        .is_line("Invalid client_id");
    app.post_as(&agent.basic(), EXCHANGE, "code=x")
        .await
        .is_line("Invalid redirect_uri");
    token_of(
        &app.post_as(
            &agent.basic(),
            EXCHANGE,
            &format!("{form}&client_id={}", agent.id),
        )
        .await,
    );
    let form = format!(
        "code={}&redirect_uri={}",
        code(app, &agent).await,
        encode(CALLBACK)
    );
    token_of(&app.post_as(&agent.basic(), EXCHANGE, &form).await);
    // With Basic credentials these members may be null, as serializers write an absent value.
    let code = code(app, &agent).await;
    let body = serde_json::json!({
        "client_id": null, "client_secret": null, "redirect_uri": CALLBACK, "code": code,
    });
    let (json, by_basic) = (("content-type", "application/json"), agent.basic());
    let headers = [json, ("authorization", by_basic.as_str())];
    app.send("POST", EXCHANGE, &[json], body.to_string().into())
        .await
        .is_line("Invalid client_id");
    token_of(
        &app.send("POST", EXCHANGE, &headers, body.to_string().into())
            .await,
    );
}

/// Bearer is not a method of client authentication: a program may send such a header with every
/// request.
async fn a_bearer_beside_the_body_s_credentials_changes_nothing(app: &TestApp<'_>) {
    let agent = agent(app).await;
    for authorization in ["Bearer x", "bearer", "Bearer \u{e9}"] {
        let form = format!(
            "code={}&redirect_uri={}",
            code(app, &agent).await,
            encode(CALLBACK)
        );
        token_of(
            &app.post_as(authorization, EXCHANGE, &format!("{form}&{}", agent.form()))
                .await,
        );
    }
}

async fn a_broken_body_is_refused_before_anybody_is_asked(app: &TestApp<'_>) {
    let json = [("content-type", "application/json")];
    for body in [
        "",
        "{",
        "[]",
        "null",
        "\"x\"",
        "{\"client_id\":\"a\"}x",
        "{\"client_id\":\"\\ud800\"}",
        "{\"a\":1,}",
        "\u{feff}{}",
    ] {
        app.send("POST", EXCHANGE, &json, body.into())
            .await
            .is_line(REQUEST);
    }
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(100), "]".repeat(100));
    app.send("POST", EXCHANGE, &json, deep.into())
        .await
        .is_line(REQUEST);
    let twice = r#"{"client_id":"a","client_id":"a"}"#;
    app.send("POST", EXCHANGE, &json, twice.into())
        .await
        .is_line("Invalid client_id");
    for body in ["client_id=%zz", "x=%ff", "client_id=a&x=%"] {
        app.post(EXCHANGE, body).await.is_line(REQUEST);
        app.get(&format!("{AUTHORIZE}?{body}"))
            .await
            .is_line(REQUEST);
    }
    let agent = agent(app).await;
    exchange_at(app, &agent, "x", CALLBACK, "")
        .await
        .is_line(CODE);
}
