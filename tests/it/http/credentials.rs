//! Single secrets of an agent: what an operator changes about one holds on the next request to any
//! process (D7).

use sealwright::testing::domain::agent::LiveTokens;
use sealwright::testing::domain::credential::CredentialLabel;
use sealwright::testing::domain::id::CredentialId;
use sealwright::testing::domain::time::Timestamp;
use sealwright::testing::service::manage::credentials::{
    CredentialTerms, ListedCredentials, Rotation,
};
use sealwright::testing::service::manage::keeping::Keep;

use super::on_both;
use super::token::INVALID_CLIENT;
use crate::harness::app::{Agent, INTROSPECT, NOW, TestApp};

on_both! {
    one_more_secret_opens_on_the_next_request_of_every_process,
    an_ended_secret_is_refused_on_the_next_request_of_every_process,
    the_tokens_of_an_ended_secret_die_if_that_is_asked,
    a_secret_opens_until_the_second_of_its_end,
    a_secret_too_many_is_refused_with_what_would_have_to_end,
    every_fault_of_a_rotation_is_told_at_once,
    a_list_tells_of_each_secret_and_shows_none,
}

/// One more secret of an agent, and its credential.
async fn one_more(app: &TestApp<'_>, agent: &Agent) -> (Agent, CredentialId) {
    let (id, act) = (agent.parsed_id(), app.opened.operator());
    let made = app
        .agents()
        .create_credential(&id, CredentialTerms::default(), &act, Keep::nothing())
        .await
        .unwrap();
    let agent = agent.with_secret(made.secret.as_ref().unwrap().expose());
    (agent, made.credential.credential_id)
}

async fn end(app: &TestApp<'_>, agent: &Agent, credential: CredentialId, tokens: LiveTokens) {
    let (id, act) = (agent.parsed_id(), app.opened.operator());
    app.agents()
        .end_credential(&id, credential, tokens, &act)
        .await
        .unwrap();
}

async fn one_more_secret_opens_on_the_next_request_of_every_process(app: &TestApp<'_>) {
    let other = app.beside().await;
    let first = app.agent("agents:read").await;
    app.token(&first).await;
    let (second, _) = one_more(&other, &first).await;
    for app in [app, &other] {
        app.token(&second).await;
        app.token(&first).await;
    }
}

async fn an_ended_secret_is_refused_on_the_next_request_of_every_process(app: &TestApp<'_>) {
    let other = app.beside().await;
    let first = app.agent("tokens:read").await;
    let (second, credential) = one_more(app, &first).await;
    let token = app.token(&second).await;
    for app in [app, &other] {
        app.token(&first).await;
        app.token(&second).await;
    }
    end(&other, &first, credential, LiveTokens::Keep).await;
    for app in [app, &other] {
        app.ask(&second, "").await.is(401, INVALID_CLIENT);
        app.post_as(&second.basic(), INTROSPECT, "token=x")
            .await
            .is(401, INVALID_CLIENT);
        app.token(&first).await;
        assert!(app.is_active(&first, &token).await);
    }
}

async fn the_tokens_of_an_ended_secret_die_if_that_is_asked(app: &TestApp<'_>) {
    let other = app.beside().await;
    let caller = app.agent("tokens:read").await;
    let first = app.agent("agents:read").await;
    let (second, credential) = one_more(app, &first).await;
    let tokens = [app.token(&first).await, other.token(&second).await];
    end(app, &first, credential, LiveTokens::Kill).await;
    for app in [app, &other] {
        for token in &tokens {
            assert!(!app.is_active(&caller, token).await);
        }
        app.ask(&second, "").await.is(401, INVALID_CLIENT);
        let token = app.token(&first).await;
        assert!(app.is_active(&caller, &token).await);
    }
}

async fn a_secret_opens_until_the_second_of_its_end(app: &TestApp<'_>) {
    let other = app.beside().await;
    let first = app.agent("agents:read").await;
    let terms = CredentialTerms {
        keys: None,
        federation: None,
        label: None,
        expires_at: Some(Timestamp(NOW.0 + 60)),
    };
    let (id, act) = (first.parsed_id(), app.opened.operator());
    let made = app
        .agents()
        .create_credential(&id, terms, &act, Keep::nothing())
        .await;
    let second = first.with_secret(made.unwrap().secret.unwrap().expose());
    // The overlap is longer than what is left of the second secret.
    let rotation = Rotation {
        overlap: 600,
        ..Rotation::default()
    };
    let wide = app
        .beside_with(&[("limits.credentials_per_agent", "3")])
        .await;
    let made = wide
        .agents()
        .rotate_credential(&id, rotation, &act, Keep::nothing())
        .await;
    let third = first.with_secret(made.unwrap().secret.unwrap().expose());
    let opens = async |agents: [(&Agent, bool); 3]| {
        for app in [app, &other] {
            for (agent, opens) in agents {
                if opens {
                    app.token(agent).await;
                } else {
                    app.ask(agent, "").await.is(401, INVALID_CLIENT);
                }
            }
        }
    };
    app.clock.advance(59);
    opens([(&first, true), (&second, true), (&third, true)]).await;
    app.clock.advance(1);
    opens([(&first, true), (&second, false), (&third, true)]).await;
    app.clock.advance(540);
    opens([(&first, false), (&second, false), (&third, true)]).await;
}

async fn a_secret_too_many_is_refused_with_what_would_have_to_end(app: &TestApp<'_>) {
    let first = app.agent("agents:read").await;
    let (second, credential) = one_more(app, &first).await;
    let (id, act) = (first.parsed_id(), app.opened.operator());
    let agents = app.agents();
    let live = agents
        .credentials(&id, ListedCredentials::Live, None, 10)
        .await
        .unwrap();
    let oldest = live.credentials[1].credential_id.to_string();
    let refused = agents
        .create_credential(&id, CredentialTerms::default(), &act, Keep::nothing())
        .await
        .unwrap_err()
        .to_string();
    for part in [
        "limits.credentials_per_agent",
        &oldest,
        "would have to end first",
    ] {
        assert!(refused.contains(part), "{refused}");
    }
    assert!(!refused.contains(&credential.to_string()), "{refused}");
    app.token(&first).await;
    app.token(&second).await;
    end(app, &first, credential, LiveTokens::Keep).await;
    one_more(app, &first).await;
}

async fn every_fault_of_a_rotation_is_told_at_once(app: &TestApp<'_>) {
    let agent = app.agent("agents:read").await;
    let (id, act) = (agent.parsed_id(), app.opened.operator());
    for overlap in [-1, 2_592_001] {
        let rotation = Rotation {
            chosen: None,
            overlap,
            terms: CredentialTerms {
                keys: None,
                federation: None,
                label: None,
                expires_at: Some(NOW),
            },
        };
        let refused = app
            .agents()
            .rotate_credential(&id, rotation, &act, Keep::nothing())
            .await;
        let refused = refused.unwrap_err().to_string();
        assert!(
            refused.contains("later than now") && refused.contains("2592000"),
            "{refused}"
        );
    }
    app.token(&agent).await;
}

async fn a_list_tells_of_each_secret_and_shows_none(app: &TestApp<'_>) {
    let first = app.agent("agents:read").await;
    let (id, act) = (first.parsed_id(), app.opened.operator());
    let terms = CredentialTerms {
        keys: None,
        federation: None,
        label: CredentialLabel::parse("CI").ok(),
        expires_at: Some(Timestamp(NOW.0 + 60)),
    };
    let made = app
        .agents()
        .create_credential(&id, terms, &act, Keep::nothing())
        .await
        .unwrap();
    end(app, &first, made.credential.credential_id, LiveTokens::Keep).await;
    let listed = async |listed| {
        let page = app.agents().credentials(&id, listed, None, 1).await;
        page.unwrap()
    };
    let live = listed(ListedCredentials::Live).await;
    assert_eq!(*live.credentials[0].hint, first.secret[..8]);
    let all = listed(ListedCredentials::All).await;
    let view = &all.credentials[0];
    assert_eq!(view.credential_id, made.credential.credential_id);
    assert_eq!((view.expires_at, view.ended_at), (Some(NOW), Some(NOW)));
    let by = act.who.to_string();
    assert_eq!(view.created_by.as_deref(), Some(&*by));
    assert_eq!(view.ended_by.as_deref(), Some(&*by));
    assert_eq!(view.label.as_ref().unwrap().as_str(), "CI");
    assert!(!format!("{made:?} {all:?}").contains(made.secret.as_ref().unwrap().expose()));
    // The second part has the first secret.
    let rest = app
        .agents()
        .credentials(&id, ListedCredentials::All, all.next, 2)
        .await
        .unwrap();
    assert_eq!((rest.credentials.len(), rest.next), (1, None));
    app.clock.advance(90 * 86_400);
    assert_eq!(
        listed(ListedCredentials::All).await.credentials,
        live.credentials
    );
}
