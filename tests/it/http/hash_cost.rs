//! The cost of a wrong secret that does not have the form of a generated one: it is the same for
//! every id. The tests count the work of the hash functions, not time.

use sealwright::testing::service::manage::import::{Imported, Row};

use super::on_both;
use super::secrets::Counts;
use super::token::INVALID_CLIENT;
use crate::harness::app::{Agent, INTROSPECT, TestApp, encode};

on_both! {
    a_wrong_secret_costs_the_same_for_every_id_and_length,
    a_right_secret_costs_its_own_hash,
}

const ARGON2I: &str = "$argon2i$v=19$m=4096,t=3,p=1$c29tZXNhbHRzb21lc2FsdA$MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI";

async fn import(app: &TestApp<'_>, rows: &[Row]) {
    let verdicts = app
        .agents()
        .import(rows, &app.opened.operator())
        .await
        .unwrap();
    assert_eq!(verdicts, vec![Ok(Imported::Made); rows.len()]);
}

fn hashed(id: &str, hash: &str) -> Row {
    Row {
        client_id: id.to_owned(),
        secret_hash: Some(hash.to_owned()),
        scopes: vec!["tokens:read".to_owned()],
        ..Row::default()
    }
}

async fn a_wrong_secret_costs_the_same_for_every_id_and_length(app: &TestApp<'_>) {
    let app = &app
        .beside_with(&[("limits.failures_per_minute", "0")])
        .await;
    let generated = app.agent("tokens:read").await;
    let imported = |cost| bcrypt::hash("right", cost).unwrap();
    import(
        app,
        &[
            hashed("bcrypt-4", &imported(4)),
            hashed("bcrypt-7", &imported(7)),
            hashed("long", &bcrypt::hash("z".repeat(80), 5).unwrap()),
            hashed("argon2i", ARGON2I),
            Row {
                secret: Some("plain".to_owned()),
                secret_hash: None,
                ..hashed("argon2id", "")
            },
            hashed("suspended", &imported(4)),
            hashed("decommissioned", &imported(4)),
        ],
    )
    .await;
    let agent = |id: &str| Agent {
        id: id.to_owned(),
        secret: "right".to_owned(),
    };
    app.suspend(&agent("suspended")).await;
    app.decommission(&agent("decommissioned")).await;
    let whole = (128.0, 4_096.0 * 3.0 + 19_456.0 * 2.0);
    let ids = [
        "bcrypt-4",
        "bcrypt-7",
        "long",
        "argon2i",
        "argon2id",
        "suspended",
        "decommissioned",
        &generated.id,
        "nobody",
        "not an id",
    ];
    for length in [1, 71, 72, 73, 80, 2_000] {
        let secret = "x".repeat(length);
        for id in ids {
            let counts = Counts::here();
            app.ask(&agent(id).with_secret(&secret), "")
                .await
                .is(401, INVALID_CLIENT);
            let cost = (counts.work("bcrypt"), counts.work("argon2"));
            assert_eq!((cost, counts.hashes()), (whole, 1), "{id}, {length} bytes");
            drop(counts);
        }
    }
    // The cost is the same where no remembered row is used (introspection), and with Basic.
    for id in ids {
        let counts = Counts::here();
        let agent = agent(id).with_secret(&"y".repeat(73));
        app.post_as(&agent.basic(), INTROSPECT, "token=x")
            .await
            .is(401, INVALID_CLIENT);
        let form = format!("client_id={}&client_secret=z&token=x", encode(id));
        app.post(INTROSPECT, &form).await.is(401, INVALID_CLIENT);
        let cost = (counts.work("bcrypt"), counts.work("argon2"));
        assert_eq!(cost, (2.0 * whole.0, 2.0 * whole.1), "{id}");
    }
}

async fn a_right_secret_costs_its_own_hash(app: &TestApp<'_>) {
    import(
        app,
        &[
            hashed("bcrypt", &bcrypt::hash("right", 4).unwrap()),
            hashed("argon2i", ARGON2I),
        ],
    )
    .await;
    let generated = app.agent("tokens:read").await;
    let counts = Counts::here();
    app.token(&generated).await;
    assert_eq!(
        (counts.work("bcrypt"), counts.work("argon2")),
        (0.0, 19_456.0 * 2.0)
    );
    drop(counts);
    // The imported hash is computed, and then the hash that replaces it.
    let counts = Counts::here();
    app.token(&Agent {
        id: "bcrypt".to_owned(),
        secret: "right".to_owned(),
    })
    .await;
    assert_eq!(
        (counts.work("bcrypt"), counts.work("argon2")),
        (16.0, 19_456.0 * 2.0)
    );
}
