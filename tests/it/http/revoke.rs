//! `POST /api/v1/token/revoke`, and `/oauth/revoke`, which does the same (RFC 7009; items 30–34).

use super::introspect::INACTIVE;
use super::on_both;
use crate::harness::app::{INTROSPECT, REVOKE, TestApp, bearer, claims};

on_both! {
    both_paths_revoke_a_token_at_once,
    revoking_what_is_dead_or_never_lived_succeeds,
    a_hint_changes_nothing,
    an_agent_revokes_its_own_token_by_any_means,
    another_agents_token_stays_active_without_an_admin_scope,
    an_admin_scope_works_by_bearer_alone,
    an_admin_scope_that_an_operator_added_opens_nothing,
    a_token_that_revokes_itself_gets_its_answer_and_is_dead,
    the_credential_goes_on_working,
    a_token_stays_revoked_past_its_end,
    an_expired_token_of_another_agent_is_nobodys_business,
}

/// D7; item 35.
async fn both_paths_revoke_a_token_at_once(app: &TestApp<'_>) {
    let agent = app.agent("tokens:read").await;
    for path in [REVOKE, "/oauth/revoke"] {
        let (token, other) = (app.token(&agent).await, app.token(&agent).await);
        let answer = app
            .post_as(&agent.basic(), path, &format!("token={token}"))
            .await;
        answer.is(200, "{}");
        assert_eq!(answer.header("content-type"), "application/json");
        app.introspect(&agent, &token).await.is(200, INACTIVE);
        assert!(app.is_active(&agent, &other).await);
    }
}

/// Item 31; RFC 7009 §2.2.
async fn revoking_what_is_dead_or_never_lived_succeeds(app: &TestApp<'_>) {
    let (agent, other) = (
        app.agent("tokens:read").await,
        app.agent("tokens:read").await,
    );
    let token = app.token(&agent).await;
    let (head, _) = token.rsplit_once('.').unwrap();
    for garbage in [
        "garbage",
        "a.b.c",
        "%00",
        "..",
        &format!("{head}.AAAA"),
        &"x".repeat(60_000),
    ] {
        app.post_as(&agent.basic(), REVOKE, &format!("token={garbage}"))
            .await
            .is(200, "{}");
    }
    assert_eq!(
        app.database
            .number("select count(*) from revoked_token")
            .await,
        0
    );
    for _ in 0..2 {
        app.revoke(&agent, &token).await.is(200, "{}");
    }
    assert_eq!(
        app.database
            .number("select count(*) from revoked_token")
            .await,
        1
    );
    let killed = app.token(&other).await;
    app.suspend(&other).await;
    app.reactivate(&other).await;
    app.revoke(&other, &killed).await.is(200, "{}");
    let expiring = app.token(&agent).await;
    app.clock.advance(600);
    app.revoke(&agent, &expiring).await.is(200, "{}");
}

/// Item 32.
async fn a_hint_changes_nothing(app: &TestApp<'_>) {
    let agent = app.agent("tokens:read").await;
    for hint in ["refresh_token", "access_token", "xyz", "", "%C3%A9"] {
        let token = app.token(&agent).await;
        let body = format!("token={token}&token_type_hint={hint}");
        app.post_as(&agent.basic(), REVOKE, &body)
            .await
            .is(200, "{}");
        app.introspect(&agent, &token).await.is(200, INACTIVE);
    }
}

async fn an_agent_revokes_its_own_token_by_any_means(app: &TestApp<'_>) {
    let (reader, agent) = (
        app.agent("tokens:read").await,
        app.agent("audit:read").await,
    );
    let live = app.token(&agent).await;
    for authorization in [None, Some(agent.basic()), Some(bearer(&live))] {
        let token = app.token(&agent).await;
        let answer = match authorization {
            Some(authorization) => {
                app.post_as(&authorization, REVOKE, &format!("token={token}"))
                    .await
            }
            None => {
                app.post(REVOKE, &format!("token={token}&{}", agent.form()))
                    .await
            }
        };
        answer.is(200, "{}");
        app.introspect(&reader, &token).await.is(200, INACTIVE);
    }
    assert!(app.is_active(&reader, &live).await);
}

/// Item 30.
async fn another_agents_token_stays_active_without_an_admin_scope(app: &TestApp<'_>) {
    let (reader, owner) = (
        app.agent("tokens:read").await,
        app.agent("audit:read").await,
    );
    let thief = app.agent("agents:write webhooks:write tokens:read").await;
    let (token, of_thief) = (app.token(&owner).await, app.token(&thief).await);
    for authorization in [thief.basic(), bearer(&of_thief)] {
        let answer = app
            .post_as(&authorization, REVOKE, &format!("token={token}"))
            .await;
        answer.is_bearer_error(403, "insufficient_scope", "FORBIDDEN");
        assert!(app.is_active(&reader, &token).await);
    }
    assert_eq!(
        app.database
            .number("select count(*) from revoked_token")
            .await,
        0
    );
}

/// Contract §3: another agent's token needs a Bearer with an admin scope.
async fn an_admin_scope_works_by_bearer_alone(app: &TestApp<'_>) {
    let (reader, owner) = (
        app.agent("tokens:read").await,
        app.agent("audit:read").await,
    );
    let admin = app.agent("admin:orgs audit:read").await;
    let token = app.token(&owner).await;
    let narrow = app.token_with(&admin, "scope=audit:read").await;
    for authorization in [admin.basic(), bearer(&narrow)] {
        let answer = app
            .post_as(&authorization, REVOKE, &format!("token={token}"))
            .await;
        answer.is_bearer_error(403, "insufficient_scope", "FORBIDDEN");
    }
    let wide = app.token(&admin).await;
    app.post_as(&bearer(&wide), REVOKE, &format!("token={token}"))
        .await
        .is(200, "{}");
    app.introspect(&reader, &token).await.is(200, INACTIVE);
}

async fn an_admin_scope_that_an_operator_added_opens_nothing(app: &TestApp<'_>) {
    for name in ["admin:everything", "admin", "Admin:orgs", "x:admin"] {
        app.add_scope(name).await;
    }
    let (reader, owner) = (
        app.agent("tokens:read").await,
        app.agent("audit:read").await,
    );
    let false_admin = app.agent("admin:everything admin Admin:orgs x:admin").await;
    let (token, own) = (app.token(&owner).await, app.token(&false_admin).await);
    let answer = app
        .post_as(&bearer(&own), REVOKE, &format!("token={token}"))
        .await;
    answer.is_bearer_error(403, "insufficient_scope", "FORBIDDEN");
    assert!(app.is_active(&reader, &token).await);
}

async fn a_token_that_revokes_itself_gets_its_answer_and_is_dead(app: &TestApp<'_>) {
    let agent = app.agent("tokens:read").await;
    let token = app.token(&agent).await;
    let body = format!("token={token}");
    app.post_as(&bearer(&token), REVOKE, &body)
        .await
        .is(200, "{}");
    for path in [REVOKE, INTROSPECT] {
        let again = app.post_as(&bearer(&token), path, &body).await;
        again.is_bearer_error(401, "invalid_token", "UNAUTHORIZED");
    }
}

async fn the_credential_goes_on_working(app: &TestApp<'_>) {
    let agent = app.agent("tokens:read").await;
    let token = app.token(&agent).await;
    app.revoke(&agent, &token).await;
    let next = app.token(&agent).await;
    assert!(app.is_active(&agent, &next).await);
    assert_ne!(claims(&token)["jti"], claims(&next)["jti"]);
}

/// D7: the revocation stays recorded until 120 s past `exp`. A clean-up does not delete it sooner.
async fn a_token_stays_revoked_past_its_end(app: &TestApp<'_>) {
    let agent = app.agent("tokens:read").await;
    let token = app.token(&agent).await;
    app.revoke(&agent, &token).await;
    let kept = async || {
        let now = app.clock.now();
        app.opened.records.prune(now, 0, 1_000).await.unwrap();
        app.database
            .number("select count(*) from revoked_token")
            .await
    };
    app.clock.advance(600 + 119);
    assert_eq!(kept().await, 1);
    app.introspect(&agent, &token).await.is(200, INACTIVE);
    app.clock.advance(2);
    assert_eq!(kept().await, 0);
    app.introspect(&agent, &token).await.is(200, INACTIVE);
}

async fn an_expired_token_of_another_agent_is_nobodys_business(app: &TestApp<'_>) {
    let (owner, other) = (app.agent("audit:read").await, app.agent("audit:read").await);
    let token = app.token(&owner).await;
    app.clock.advance(600);
    app.revoke(&other, &token).await.is(200, "{}");
    // The token's owner may still have the revocation recorded, for processes whose clocks are
    // behind.
    app.revoke(&owner, &token).await.is(200, "{}");
    assert_eq!(
        app.database
            .number("select count(*) from revoked_token")
            .await,
        1
    );
}
