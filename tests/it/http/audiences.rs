//! The audience of a token: what `audience` and `resource` may contain, and how an agent's list of
//! audiences limits it.

use sealwright::testing::api::agents::AgentJson;
use sealwright::testing::domain::agent::Audience;
use sealwright::testing::service::manage::import::{Imported, Row};
use sealwright::testing::service::manage::patch::ProfilePatch;
use serde_json::{Value, json};

use super::{airisk, on_both};
use crate::harness::app::{Agent, ISSUER, OAUTH_TOKEN, TestApp, claims, encode};

on_both! {
    several_audiences_are_asked_for_by_spaces_or_by_repeating,
    an_audience_or_resource_that_is_no_uri_text_is_invalid_target_on_every_path,
    a_list_binds_the_token_that_asked_for_nothing,
    a_list_binds_the_exchange_of_a_code,
    an_agents_list_is_held_to_the_same_when_it_is_made,
    a_list_of_an_older_release_is_kept_as_it_is,
}

async fn listed(app: &TestApp<'_>, list: &[&str]) -> Agent {
    let audiences: Vec<Audience> = list
        .iter()
        .map(|one| Audience::parse(one).unwrap())
        .collect();
    app.agent_like(None, "agents:read", |terms| terms.audiences = audiences)
        .await
}

/// The `aud` of a token asked for with these parameters. It must be the same on the canonical path
/// and on `/oauth/token`.
async fn aud(app: &TestApp<'_>, agent: &Agent, parameters: &str) -> Value {
    let canonical = claims(&app.token_with(agent, parameters).await)["aud"].clone();
    let merged = app
        .post(OAUTH_TOKEN, &format!("{}&{parameters}", agent.form()))
        .await;
    assert_eq!(merged.status, 200, "{parameters}: {merged:?}");
    assert_eq!(
        claims(&merged.text("access_token"))["aud"],
        canonical,
        "{parameters}"
    );
    canonical
}

/// Contract §2, fault Q3.
async fn several_audiences_are_asked_for_by_spaces_or_by_repeating(app: &TestApp<'_>) {
    let agent = app.agent("agents:read").await;
    let two = json!(["https://a", "https://b"]);
    for (parameters, expected) in [
        ("audience=https://a https://b", two.clone()),
        ("audience=https://a+https://b", two.clone()),
        ("audience=https%3A%2F%2Fa%20https%3A%2F%2Fb", two.clone()),
        ("audience=https://a&audience=https://b", two.clone()),
        ("audience=+https://a++https://b+", two.clone()),
        (
            "audience=https://a https://b&audience=https://a&resource=https://b",
            two.clone(),
        ),
        ("audience=https://a&audience=", json!("https://a")),
        ("audience=https://a https://a", json!("https://a")),
        ("audience=+", json!(ISSUER)),
        ("audience=orders api://x", json!(["orders", "api://x"])),
    ] {
        assert_eq!(aud(app, &agent, parameters).await, expected, "{parameters}");
    }
    for audience in [
        json!("https://a https://b"),
        json!(["https://a", "https://b"]),
        json!(["https://a https://b"]),
    ] {
        let body =
            json!({ "client_id": agent.id, "client_secret": agent.secret, "audience": audience });
        let answer = app.post_json(OAUTH_TOKEN, &body.to_string()).await;
        assert_eq!(claims(&answer.text("access_token"))["aud"], two, "{body}");
    }
    // Every audience in the request must be on the agent's list.
    let bound = listed(app, &["https://a", "https://b"]).await;
    assert_eq!(
        aud(app, &bound, "audience=https://b https://a").await,
        json!(["https://b", "https://a"])
    );
    for out in [
        "audience=https://a https://c",
        "audience=https://a&audience=https://c",
    ] {
        app.ask(&bound, out).await.is_error(400, "invalid_target");
    }
    // A gateway's demand names one audience and matches each audience of the token.
    let token = app.token_with(&agent, "audience=https://a https://b").await;
    for (demand, status) in [
        ("https://a", 200),
        ("https://b", 200),
        ("https://a+https://b", 200),
        ("https://c", 401),
    ] {
        let path = format!("/forward-auth?audience={demand}");
        assert_eq!(
            app.get_as(&format!("Bearer {token}"), &path).await.status,
            status,
            "{demand}"
        );
    }
    let many = vec!["x"; 33]
        .iter()
        .enumerate()
        .map(|(i, x)| format!("{x}{i}"))
        .collect::<Vec<_>>()
        .join("+");
    app.ask(&agent, &format!("audience={many}"))
        .await
        .is_error(400, "invalid_target");
}

/// RFC 3986 §2, RFC 8707 §2; fault Q4.
async fn an_audience_or_resource_that_is_no_uri_text_is_invalid_target_on_every_path(
    app: &TestApp<'_>,
) {
    let agent = airisk::agent_for(app, "agents:read", &[]).await;
    let both = [
        "https://a.example/<x>",
        "https://a.example/%zz",
        "https://a.example/%",
        "https://a.example/%2",
        "https://é.example/",
        "urn:é",
        "urn:x\ty",
        "urn:x\ny",
        "https://a.example/{x}",
        "https://a.example/a|b",
        "https://a.example/a^b",
        "https://a.example/`",
        "https://a.example/\"",
        "https://a.example\\b",
        "urn:\u{a0}x",
        "urn:\u{0}",
    ];
    let no_resource = [
        "x:y z",
        "relative",
        "/x",
        "//a.example/x",
        "https://a.example/#f",
        "urn:x#",
        "1a:b",
        ":b",
        "https://",
    ];
    let names = |text| {
        both.contains(text)
            .then_some("audience")
            .into_iter()
            .chain(["resource"])
    };
    for text in both.iter().chain(&no_resource) {
        for name in names(text) {
            let pair = format!("{name}={}", encode(text));
            app.ask(&agent, &pair).await.is_error(400, "invalid_target");
            let merged = app
                .post(OAUTH_TOKEN, &format!("{}&{pair}", agent.form()))
                .await;
            merged.is_merged_error(400, "VALIDATION_ERROR", "bad_request");
            assert!(
                merged
                    .text("error_description")
                    .contains(&format!("The {name} parameter")),
                "{merged:?}"
            );
            let mut body = json!({ "client_id": agent.id, "client_secret": agent.secret });
            body[name] = json!(text);
            let answer = app.post_json(OAUTH_TOKEN, &body.to_string()).await;
            answer.is_merged_error(400, "VALIDATION_ERROR", "bad_request");
            body[name] = json!(["https://a.example", text]);
            let answer = app.post_json(OAUTH_TOKEN, &body.to_string()).await;
            answer.is_merged_error(400, "VALIDATION_ERROR", "bad_request");
            airisk::exchange_at(app, &agent, "x", airisk::CALLBACK, &format!("&{pair}"))
                .await
                .is_line("Invalid target");
        }
    }
    for good in [
        "https://a.example/%C3%A9?x=(1)&y=[2]",
        "urn:x:y",
        "HTTPS://[::1]:9/a;b,c'd!$*@",
        "api://x",
        "x:~",
    ] {
        for name in ["audience", "resource"] {
            let token = app
                .token_with(&agent, &format!("{name}={}", encode(good)))
                .await;
            assert_eq!(claims(&token)["aud"], good);
        }
    }
}

/// Contract §2, fault Q7.
async fn a_list_binds_the_token_that_asked_for_nothing(app: &TestApp<'_>) {
    for (list, expected) in [
        (&[][..], ISSUER),
        (&["https://orders.example"][..], "https://orders.example"),
        (&["https://b", "https://a"][..], "https://b"),
        (&["https://a", ISSUER][..], ISSUER),
    ] {
        let agent = listed(app, list).await;
        for nothing in [
            "",
            "audience=",
            "audience=+",
            "resource=",
            "audience=&resource=",
        ] {
            assert_eq!(
                aud(app, &agent, nothing).await,
                expected,
                "{list:?} {nothing}"
            );
        }
        if !list.is_empty() && expected != ISSUER {
            app.ask(&agent, &format!("audience={ISSUER}"))
                .await
                .is_error(400, "invalid_target");
        }
    }
    // The configured default audience counts, not the issuer.
    let other = app
        .beside_with(&[("token.default_audience", "https://default.example")])
        .await;
    for (list, expected) in [
        (&[][..], "https://default.example"),
        (
            &["https://a", "https://default.example"][..],
            "https://default.example",
        ),
        (&["https://a", ISSUER][..], "https://a"),
    ] {
        let agent = listed(app, list).await;
        assert_eq!(aud(&other, &agent, "").await, expected, "{list:?}");
    }
    // A new list holds from the next request on.
    let agent = app.agent("agents:read").await;
    assert_eq!(aud(app, &agent, "").await, ISSUER);
    let audiences = Some(vec![Audience::parse("https://new.example").unwrap()]);
    let patch = ProfilePatch {
        audiences,
        ..ProfilePatch::default()
    };
    app.agents()
        .update(&agent.parsed_id(), &patch, &app.opened.operator())
        .await
        .unwrap();
    assert_eq!(aud(app, &agent, "").await, "https://new.example");
}

async fn a_list_binds_the_exchange_of_a_code(app: &TestApp<'_>) {
    let agent = airisk::agent_for(app, "agents:read", &["user_42"]).await;
    let audiences = Some(vec![Audience::parse("https://orders.example").unwrap()]);
    let patch = ProfilePatch {
        audiences,
        ..ProfilePatch::default()
    };
    app.agents()
        .update(&agent.parsed_id(), &patch, &app.opened.operator())
        .await
        .unwrap();
    let token = airisk::user_token(app, &agent, "user_42").await;
    assert_eq!(claims(&token)["aud"], "https://orders.example");
}

async fn an_agents_list_is_held_to_the_same_when_it_is_made(app: &TestApp<'_>) {
    for bad in [
        "https://a https://b",
        "x:y z",
        "https://é.example/",
        "urn:é",
        "a%zz",
        "<x>",
        "a|b",
        "",
    ] {
        assert!(Audience::parse(bad).is_err(), "{bad}");
        let row = Row {
            client_id: "imported".to_owned(),
            secret: Some("hunter2 hunter2 hunter2".to_owned()),
            audiences: vec![bad.to_owned()],
            ..Row::default()
        };
        let verdicts = app
            .agents()
            .import(&[row], &app.opened.operator())
            .await
            .unwrap();
        assert!(
            matches!(&verdicts[..], [Err(fault)] if fault.to_string().contains("audiences")),
            "{bad}"
        );
    }
    let row = Row {
        client_id: "imported".to_owned(),
        secret: Some("hunter2 hunter2 hunter2".to_owned()),
        audiences: vec!["https://a".to_owned(), "orders".to_owned()],
        ..Row::default()
    };
    assert_eq!(
        app.agents()
            .import(&[row], &app.opened.operator())
            .await
            .unwrap(),
        [Ok(Imported::Made)]
    );
}

/// An upgrade keeps every agent, and the audiences that its operator listed.
async fn a_list_of_an_older_release_is_kept_as_it_is(app: &TestApp<'_>) {
    let agent = listed(app, &["https://a"]).await;
    let older = r#"["urn:é","x:y z","https://a"]"#;
    let change = format!(
        "update agent set audiences = '{older}', version = version + 1 where agent_id = '{}'",
        agent.id
    );
    app.database.execute(&change).await;
    let later = app.beside().await;
    let shown = AgentJson::from(later.agents().show(&agent.parsed_id()).await.unwrap());
    assert_eq!(
        serde_json::to_value(&shown).unwrap()["audiences"].to_string(),
        older
    );
    assert_eq!(claims(&later.token(&agent).await)["aud"], "urn:é");
    assert_eq!(
        claims(&later.token_with(&agent, "audience=https://a").await)["aud"],
        "https://a"
    );
    for outside in ["audience=urn:é", "audience=x:y+z", "resource=x:y+z"] {
        later
            .ask(&agent, outside)
            .await
            .is_error(400, "invalid_target");
    }
    // A change of something else leaves the list as it is.
    let patch = ProfilePatch {
        scopes: Some(vec![]),
        ..ProfilePatch::default()
    };
    let shown = later
        .agents()
        .update(&agent.parsed_id(), &patch, &app.opened.operator())
        .await
        .unwrap();
    let shown = AgentJson::from(shown);
    assert_eq!(
        serde_json::to_value(&shown).unwrap()["audiences"].to_string(),
        older
    );
}
