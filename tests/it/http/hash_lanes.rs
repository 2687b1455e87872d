//! Which logins wait for which when secrets are hashed, and which hashes the limit on failed logins
//! saves (security: credentials under attack). The tests count hashes and measure no time.

use futures_util::future::join_all;
use sealwright::testing::service::manage::import::{Imported, Row};

use super::on_both;
use super::secrets::{Counts, demand_shed};
use super::token::INVALID_CLIENT;
use crate::harness::app::{Agent, INTROSPECT, REVOKE, TOKEN, TestApp, wait_until};

on_both! {
    a_first_login_with_a_generated_secret_waits_behind_no_imported_one,
    junk_of_a_source_that_failed_before_keeps_no_imported_agent_waiting,
    a_full_queue_of_imported_logins_is_503_and_never_401,
    a_proof_that_is_in_use_is_not_dropped,
    a_proof_outlives_the_replacement_of_its_hash,
    a_source_over_its_failures_costs_no_hash_and_locks_no_proven_secret_out,
    a_source_over_its_failures_learns_nothing_about_ids,
}

const ONE_THREAD: [(&str, &str); 2] = [("limits.hash_threads", "1"), ("limits.hash_queue", "1")];

/// Agents with imported hashes, which their first successful login replaces. The new hash needs a
/// salt, so a test can hold the thread that makes it.
async fn to_be_replaced<const N: usize>(app: &TestApp<'_>, ids: [&str; N]) -> [Agent; N] {
    let agents = ids.map(|id| Agent {
        id: id.to_owned(),
        secret: format!("the secret of {id}"),
    });
    let rows = agents.iter().map(|agent| Row {
        client_id: agent.id.clone(),
        secret_hash: Some(bcrypt::hash(&agent.secret, 4).unwrap()),
        scopes: vec!["tokens:read".to_owned()],
        ..Row::default()
    });
    let rows: Vec<Row> = rows.collect();
    let verdicts = app
        .agents()
        .import(&rows, &app.opened.operator())
        .await
        .unwrap();
    assert_eq!(verdicts, vec![Ok(Imported::Made); N]);
    agents
}

/// Runs `then` while logins of imported agents hold every thread that may serve them and fill their
/// queue.
async fn beside_held_logins(app: &TestApp<'_>, agents: &[Agent], then: impl AsyncFnOnce()) {
    app.entropy.close();
    // These logins may end with a 503 when `then` takes long.
    let logins = join_all(agents.iter().map(|agent| app.ask(agent, "")));
    let then = async {
        wait_until("a thread is held", async || app.entropy.held() > 0).await;
        let full = async || app.ask(&agents[0].with_secret("junk"), "").await.status == 503;
        wait_until("the queue is full", full).await;
        then().await;
        app.entropy.open();
    };
    tokio::join!(logins, then);
}

async fn a_first_login_with_a_generated_secret_waits_behind_no_imported_one(app: &TestApp<'_>) {
    let settings = [
        ONE_THREAD[0],
        ONE_THREAD[1],
        ("limits.failures_per_minute", "0"),
    ];
    let app = &app.beside_with(&settings).await;
    let slow = to_be_replaced(app, ["slow-1", "slow-2", "slow-3"]).await;
    let cold = [
        app.agent("tokens:read").await,
        app.agent("tokens:read").await,
    ];
    beside_held_logins(app, &slow, async || {
        assert_eq!(app.ask(&cold[0], "").await.status, 200);
        assert_eq!(
            app.post_as(&cold[1].basic(), INTROSPECT, "token=x")
                .await
                .status,
            200
        );
        // A secret that fails by its tag needs no hash, so it is refused at once.
        app.ask(&cold[0].with_secret(&cold[1].secret), "")
            .await
            .is(401, INVALID_CLIENT);
    })
    .await;
}

async fn a_full_queue_of_imported_logins_is_503_and_never_401(app: &TestApp<'_>) {
    let settings = [
        ONE_THREAD[0],
        ONE_THREAD[1],
        ("limits.failures_per_minute", "0"),
    ];
    let app = &app.beside_with(&settings).await;
    let agents = to_be_replaced(app, ["slow-1", "slow-2", "slow-3", "cold", "proven"]).await;
    let generated = app.agent("tokens:read").await;
    let nobody = Agent {
        id: "nobody".to_owned(),
        secret: "junk".to_owned(),
    };
    app.token(&agents[4]).await;
    beside_held_logins(app, &agents[..3], async || {
        let [.., cold, proven] = &agents;
        for agent in [
            cold,
            &cold.with_secret("wrong"),
            &nobody,
            &generated.with_secret("junk"),
        ] {
            demand_shed(app, agent).await;
        }
        app.token(proven).await;
    })
    .await;
    wait_until("the queue is empty", async || {
        app.ask(&agents[3], "").await.status == 200
    })
    .await;
    app.ask(&nobody, "").await.is(401, INVALID_CLIENT);
}

async fn junk_of_a_source_that_failed_before_keeps_no_imported_agent_waiting(app: &TestApp<'_>) {
    let app = &app.beside_with(&ONE_THREAD).await;
    let agents = to_be_replaced(app, ["slow-1", "slow-2", "slow-3", "proven"]).await;
    let proven = &agents[3];
    app.token(proven).await;
    // From here on, unproven secrets from this source are hashed last.
    app.ask(&proven.with_secret("junk"), "")
        .await
        .is(401, INVALID_CLIENT);
    beside_held_logins(app, &agents[..3], async || {
        // The stored hash has changed since this process read it, as after a restore. The secret
        // was proven here once, and it is now compared with the new hash.
        let hash = bcrypt::hash(&proven.secret, 4).unwrap();
        let sql = format!("update credential set hash = '{hash}' where agent_id = 'proven'");
        app.database.execute(&sql).await;
        let counts = Counts::here();
        let basic = proven.basic();
        let answer = app.post_as(&basic, INTROSPECT, "token=x");
        let opened = async {
            wait_until("both are held", async || app.entropy.held() > 1).await;
            app.entropy.open();
        };
        let (answer, ()) = tokio::join!(answer, opened);
        assert_eq!((answer.status, counts.hashes()), (200, 1));
    })
    .await;
}

async fn a_proof_that_is_in_use_is_not_dropped(app: &TestApp<'_>) {
    let agent = app.agent("tokens:read").await;
    let [imported] = to_be_replaced(app, ["imported"]).await;
    let counts = Counts::here();
    // The memory keeps a proof for an hour. The test takes longer in all, in steps of less than an
    // hour.
    for _ in 0..12 {
        for one in [&agent, &imported] {
            app.token(one).await;
            assert_eq!(
                app.post_as(&one.basic(), INTROSPECT, "token=x")
                    .await
                    .status,
                200
            );
        }
        app.clock.advance(20 * 60);
    }
    assert_eq!(
        counts.hashes(),
        2,
        "a proof was dropped while it was in use"
    );
    // A proof that is not used is forgotten.
    app.clock.advance(2 * 3_600);
    for one in [&agent, &imported] {
        app.token(one).await;
    }
    assert_eq!(counts.hashes(), 4);
}

async fn a_proof_outlives_the_replacement_of_its_hash(app: &TestApp<'_>) {
    let [imported] = to_be_replaced(app, ["imported"]).await;
    let counts = Counts::here();
    app.token(&imported).await;
    // These requests read the row anew. It now holds the hash that replaced the imported one.
    for path in [INTROSPECT, REVOKE] {
        assert_eq!(
            app.post_as(&imported.basic(), path, "token=x").await.status,
            200
        );
    }
    app.token(&imported).await;
    assert_eq!(counts.hashes(), 1);
}

async fn a_source_over_its_failures_costs_no_hash_and_locks_no_proven_secret_out(
    app: &TestApp<'_>,
) {
    let app = &app
        .beside_with(&[("limits.failures_per_minute", "1")])
        .await;
    let agents = to_be_replaced(app, ["proven", "unproven"]).await;
    let [proven, unproven] = &agents;
    let cold = app.agent("tokens:read").await;
    app.token(proven).await;
    let counts = Counts::here();
    let mut refused = 0;
    for i in 0..200 {
        let guess = if i % 2 == 0 { unproven } else { proven }.with_secret(&format!("guess {i}"));
        let answer = if i % 3 == 0 {
            app.post_as(&guess.basic(), INTROSPECT, "token=x").await
        } else {
            app.ask(&guess, "").await
        };
        refused += u64::from(answer.status == 429);
    }
    assert_eq!(
        (counts.hashes(), refused),
        (20, 180),
        "the limit saves the hash"
    );
    // A correct secret that was not proven here counts as a guess too, and the response does not
    // tell that it is correct.
    let answer = app.ask(unproven, "").await;
    answer.is_error(429, "slow_down");
    assert_ne!(answer.header("retry-after"), "");
    assert_eq!(counts.hashes(), 20);
    // A proven secret and a secret with a correct tag pass at every endpoint.
    for agent in [proven, &cold] {
        app.token(agent).await;
        for path in [INTROSPECT, REVOKE] {
            assert_eq!(
                app.post_as(&agent.basic(), path, "token=x").await.status,
                200
            );
        }
    }
    assert_eq!(
        counts.hashes(),
        21,
        "a generated secret costs its first hash"
    );
    // Only this process refuses. Another process has seen no failure.
    app.beside().await.token(unproven).await;
}

async fn a_source_over_its_failures_learns_nothing_about_ids(app: &TestApp<'_>) {
    let app = &app
        .beside_with(&[("limits.failures_per_minute", "1")])
        .await;
    let agent = app.agent("tokens:read").await;
    let agents = to_be_replaced(app, ["imported", "suspended"]).await;
    app.suspend(&agents[1]).await;
    let long = "x".repeat(2_000);
    for id in [
        &agents[0].id,
        &agents[1].id,
        &agent.id,
        "nobody",
        "not an id",
    ] {
        for secret in ["junk", &long, &"x".repeat(73)] {
            let guess = Agent {
                id: id.to_owned(),
                secret: secret.to_owned(),
            };
            app.ask(&guess, "").await;
            app.post_as(&guess.basic(), TOKEN, "grant_type=client_credentials")
                .await;
        }
    }
    let counts = Counts::here();
    let answer = |answer: crate::harness::answer::Answer| (answer.status, answer.body);
    let nobody = Agent {
        id: "nobody".to_owned(),
        secret: "junk".to_owned(),
    };
    let unknown = answer(app.ask(&nobody, "").await);
    assert_eq!(unknown.0, 429);
    for id in [&agents[0].id, &agents[1].id, &agent.id, "not an id"] {
        for secret in ["junk", &long, &"x".repeat(73)] {
            let guess = Agent {
                id: id.to_owned(),
                secret: secret.to_owned(),
            };
            assert_eq!(answer(app.ask(&guess, "").await), unknown, "{id}");
        }
    }
    assert_eq!(counts.hashes(), 0);
}
