//! An upgraded store: what servers of an earlier release would not enforce is refused until
//! `migrate --finish` has found that none runs.

use sealwright::testing::service::upgrade::{Finished, finish_upgrade};
use serde_json::{Value, json};

use super::on_both;
use crate::harness::app::{TestApp, bearer};

on_both! {
    a_new_store_needs_no_end_of_an_upgrade,
    keys_of_an_upgraded_store_are_revoked_once_its_upgrade_is_finished,
    a_process_that_knows_an_earlier_schema_is_in_the_way,
}

const ROTATE: &str = "/api/v1/keys/rotate";

/// What an upgrade leaves: a store that is not new.
async fn upgraded(app: &TestApp<'_>) {
    app.database
        .execute("delete from store_default where name = 'key_revocation'")
        .await;
}

async fn finish(app: &TestApp<'_>) -> Finished {
    let opened = &app.opened;
    finish_upgrade(&*opened.records, &opened.clock)
        .await
        .unwrap()
}

async fn a_new_store_needs_no_end_of_an_upgrade(app: &TestApp<'_>) {
    assert!(app.opened.records.may_revoke().await.unwrap());
    assert_eq!(finish(app).await, Finished::Done);
}

/// Asks as an admin for a rotation. Revoked keys end the tokens of the admin too.
async fn rotate(app: &TestApp<'_>, body: &Value) -> (u16, Value) {
    let admin = app.agent("admin:orgs").await;
    let authorization = bearer(&app.token(&admin).await);
    let headers = [
        ("content-type", "application/json"),
        ("authorization", authorization.as_str()),
    ];
    let body = body.to_string().into();
    let answer = app.send("POST", ROTATE, &headers, body).await;
    (answer.status, answer.json())
}

async fn keys_of_an_upgraded_store_are_revoked_once_its_upgrade_is_finished(app: &TestApp<'_>) {
    upgraded(app).await;
    let revoke = json!({ "now": true, "revoke": true });
    let (status, refused) = rotate(app, &revoke).await;
    assert_eq!(
        (status, &refused["code"]),
        (409, &json!("UPGRADE_UNFINISHED"))
    );
    // What an earlier release understands is done.
    assert_eq!(rotate(app, &json!({ "now": true })).await.0, 200);
    assert_eq!(finish(app).await, Finished::Done);
    assert_eq!(finish(app).await, Finished::Done);
    assert_eq!(rotate(app, &revoke).await.0, 200);
}

async fn a_process_that_knows_an_earlier_schema_is_in_the_way(app: &TestApp<'_>) {
    upgraded(app).await;
    app.database
        .execute("update process set schema = schema - 1")
        .await;
    let Finished::InTheWay(who) = finish(app).await else {
        panic!("an older process serves")
    };
    let pid = format!("pid {} on ", std::process::id());
    assert!(who.len() == 1 && who[0].starts_with(&pid), "{who:?}");
    assert!(!app.opened.records.may_revoke().await.unwrap());
    app.clock.advance(60);
    assert_eq!(finish(app).await, Finished::Done);
    assert!(app.opened.records.may_revoke().await.unwrap());
}
