//! Known failure 2: after any steps in any order, a token is inactive exactly when it has expired,
//! was revoked, or its agent was stopped after the token was counted. The tests compare the server
//! with a model of three lines.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::introspect::INACTIVE;
use super::on_both;
use super::token::SUSPENDED;
use crate::harness::app::{Agent, TestApp, claims};

on_both! {
    a_token_is_inactive_exactly_when_anything_hit_it,
}

#[derive(Debug, Clone)]
enum Step {
    Issue,
    Revoke(prop::sample::Index),
    Suspend,
    Reactivate,
    KillTokens,
    Wait(i64),
}

fn steps() -> impl Strategy<Value = Vec<(usize, Step)>> {
    let step = prop_oneof![
        4 => Just(Step::Issue),
        2 => any::<prop::sample::Index>().prop_map(Step::Revoke),
        1 => Just(Step::Suspend),
        2 => Just(Step::Reactivate),
        1 => Just(Step::KillTokens),
        2 => (1i64..250).prop_map(Step::Wait),
    ];
    prop::collection::vec((0usize..2, step), 8..25)
}

/// A token in the model.
struct Token {
    text: String,
    epoch: i64,
    expires_at: i64,
    revoked: bool,
}

async fn a_token_is_inactive_exactly_when_anything_hit_it(app: &TestApp<'_>) {
    let other = app.beside().await;
    let caller = app.agent("tokens:read").await;
    let mut runner = TestRunner::default();
    for _ in 0..12 {
        let steps = steps().new_tree(&mut runner).unwrap().current();
        let agent = app.agent("agents:read").await;
        run([app, &other], &caller, &agent, &steps).await;
    }
}

/// Sends each step to one process. After each step, asks both processes about every token.
async fn run(apps: [&TestApp<'_>; 2], caller: &Agent, agent: &Agent, steps: &[(usize, Step)]) {
    let (mut now, mut active) = (apps[0].clock.now().0, true);
    let mut epoch = now * 1_000;
    let mut tokens: Vec<Token> = Vec::new();
    for (which, step) in steps {
        let app = apps[*which];
        match step {
            Step::Issue => {
                let answer = app.ask(agent, "").await;
                if active {
                    let text = answer.text("access_token");
                    assert_eq!(claims(&text)["epoch"], epoch, "{steps:?}");
                    tokens.push(Token {
                        text,
                        epoch,
                        expires_at: now + 600,
                        revoked: false,
                    });
                } else {
                    answer.is(403, SUSPENDED);
                }
            }
            Step::Revoke(which) if !tokens.is_empty() && active => {
                let token = which.get_mut(&mut tokens);
                app.revoke(agent, &token.text).await.is(200, "{}");
                token.revoked = true;
            }
            Step::Revoke(_) => {}
            Step::Suspend => {
                app.suspend(agent).await;
                if active {
                    epoch = (now * 1_000).max(epoch + 1);
                }
                active = false;
            }
            Step::Reactivate => {
                app.reactivate(agent).await;
                active = true;
            }
            Step::KillTokens => {
                app.revoke_tokens(agent).await;
                epoch = (now * 1_000).max(epoch + 1);
            }
            Step::Wait(seconds) => {
                app.clock.advance(*seconds);
                now += seconds;
            }
        }
        for token in &tokens {
            let lives = active && token.epoch == epoch && !token.revoked && now < token.expires_at;
            for app in apps {
                let answer = app.introspect(caller, &token.text).await;
                assert_eq!(
                    answer.body != INACTIVE,
                    lives,
                    "after {step:?} of {steps:?}: {answer:?}"
                );
            }
        }
    }
}
