//! High-risk scopes (contract D2) and their effect on tokens: by name, by the catalogue's mark, by
//! configuration.

use sealwright::testing::domain::scope::Scope;
use sealwright::testing::domain::ttl::Ttl;
use sealwright::testing::service::manage::scopes::ScopePatch;
use serde_json::json;

use super::on_both;
use crate::harness::app::{Agent, OAUTH_TOKEN, TOKEN, TestApp, claims};

/// Names of scopes that change something, without the suffix `write`, `delete` or `admin`.
const WRITING: [&str; 6] = [
    "write:db",
    "delete:users",
    "Mail.ReadWrite",
    "db:*",
    "delete_repo",
    "WRITE:DB:all",
];

on_both! {
    a_name_whose_words_change_something_caps_a_days_token_at_fifteen_minutes,
    the_suffix_rule_keeps_the_floor_and_lets_other_names_live,
    a_name_without_a_verb_is_high_risk_only_where_the_configuration_says_so,
    a_token_says_that_it_is_high_risk_at_every_token_endpoint,
    a_mark_that_is_set_or_taken_back_holds_on_the_next_token_of_every_replica,
}

async fn agent_with(app: &TestApp<'_>, scopes: &[&str]) -> Agent {
    for scope in scopes {
        app.add_scope(scope).await;
    }
    app.agent_like(None, &scopes.join(" "), |terms| {
        terms.ttl = Some(Ttl::new(86_400).unwrap());
    })
    .await
}

async fn lifetime(app: &TestApp<'_>, agent: &Agent, scope: &str) -> i64 {
    let form = format!(
        "grant_type=client_credentials&{}&scope={scope}",
        agent.form()
    );
    app.post(TOKEN, &form).await.json()["expires_in"]
        .as_i64()
        .unwrap()
}

async fn a_name_whose_words_change_something_caps_a_days_token_at_fifteen_minutes(
    app: &TestApp<'_>,
) {
    let agent = agent_with(
        app,
        &[&WRITING[..], &["db:read", "openid", "read:users"]].concat(),
    )
    .await;
    for scope in WRITING {
        assert_eq!(lifetime(app, &agent, scope).await, 900, "{scope}");
    }
    for scope in ["db:read", "openid", "read:users"] {
        assert_eq!(lifetime(app, &agent, scope).await, 86_400, "{scope}");
    }
}

async fn the_suffix_rule_keeps_the_floor_and_lets_other_names_live(app: &TestApp<'_>) {
    let floor = ["db:write", "x.DELETE", "Admin:read"];
    let agent = agent_with(app, &[&WRITING[..], &floor].concat()).await;
    let settings = [
        ("scopes.rule", "suffix"),
        ("scopes.unclassified", "high"),
        ("scopes.high_risk", "DB:*"),
    ];
    let other = app.beside_with(&settings).await;
    for scope in WRITING {
        let expected = if scope == "db:*" { 900 } else { 86_400 };
        assert_eq!(lifetime(&other, &agent, scope).await, expected, "{scope}");
    }
    for scope in floor {
        assert_eq!(lifetime(&other, &agent, scope).await, 900, "{scope}");
    }
}

async fn a_name_without_a_verb_is_high_risk_only_where_the_configuration_says_so(
    app: &TestApp<'_>,
) {
    let agent = agent_with(app, &["workflow", "db:read"]).await;
    let strict = app.beside_with(&[("scopes.unclassified", "high")]).await;
    assert_eq!(lifetime(app, &agent, "workflow").await, 86_400);
    assert_eq!(lifetime(&strict, &agent, "workflow").await, 900);
    assert_eq!(lifetime(&strict, &agent, "db:read").await, 86_400);
}

async fn a_token_says_that_it_is_high_risk_at_every_token_endpoint(app: &TestApp<'_>) {
    let agent = agent_with(app, &["write:db", "db:write", "db:read", "workflow"]).await;
    for path in [TOKEN, OAUTH_TOKEN] {
        for (scope, risk) in [
            ("write:db", json!("high")),
            ("db:write", json!("high")),
            ("db:read%20write:db", json!("high")),
            ("", json!("high")),
            ("db:read", json!(null)),
            ("workflow", json!(null)),
        ] {
            let form = format!(
                "grant_type=client_credentials&{}&scope={scope}",
                agent.form()
            );
            let token = app.post(path, &form).await.text("access_token");
            assert_eq!(claims(&token)["risk"], risk, "{path} {scope}");
        }
    }
}

async fn a_mark_that_is_set_or_taken_back_holds_on_the_next_token_of_every_replica(
    app: &TestApp<'_>,
) {
    let agent = agent_with(app, &["workflow"]).await;
    let other = app.beside().await;
    let scopes = app.opened.scopes(&app.config);
    for (mark, expected) in [(None, 86_400), (Some(true), 900), (Some(false), 86_400)] {
        let patch = ScopePatch {
            description: Some("For a test".to_owned()),
            high_risk: mark,
        };
        scopes
            .update(
                &Scope::parse("workflow").unwrap(),
                patch,
                &app.opened.operator(),
            )
            .await
            .unwrap();
        for replica in [app, &other] {
            assert_eq!(
                lifetime(replica, &agent, "workflow").await,
                expected,
                "{mark:?}"
            );
        }
    }
}
