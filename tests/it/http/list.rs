//! A long revocation list: which tokens it names when there are too many, in which encoding it is
//! sent, and that new revocations do not wait for slow look-ups.

use std::collections::BTreeSet;
use std::io::Read;

use sealwright::testing::app::loops;
use sealwright::testing::domain::ttl::Ttl;
use sealwright::testing::tasks::Loop;
use serde_json::Value;
use sqlx::{Connection, PgConnection};

use super::on_both;
use crate::harness::app::{NOW, REVOKED, TestApp, claims, wait_until};
use crate::harness::database::Database;

on_both! {
    a_token_that_lives_long_is_listed_however_many_came_after_it,
    of_more_tokens_than_are_listed_those_that_expire_last_are,
    many_agents_are_killed_and_all_their_tokens_listed,
    a_long_list_is_packed_for_those_who_ask,
    whoever_has_the_list_in_either_form_has_it,
}

fn jti(token: &str) -> Value {
    claims(token)["jti"].clone()
}

async fn listed(app: &TestApp<'_>) -> Vec<Value> {
    app.get(REVOKED).await.json()["revoked_jtis"]
        .as_array()
        .unwrap()
        .clone()
}

/// Writes events of this many tokens with a lifetime of five minutes, directly into the database.
async fn record_many(app: &TestApp<'_>, agent_id: &str, tokens: i64) {
    let (at, ends) = (NOW.0, NOW.0 + 300);
    let rows = match app.database {
        Database::Sqlite { .. } => format!(
            "select {at}, 'token.issued', 'agent:{agent_id}', '{agent_id}', randomblob(16), {ends}, 0, ''
             from (with recursive n (i) as (select 1 union all select i + 1 from n where i < {tokens}) select i from n)"
        ),
        Database::Postgres { .. } => format!(
            "select {at}, 'token.issued', 'agent:{agent_id}', '{agent_id}', gen_random_uuid(), {ends}, 0, ''
             from generate_series(1, {tokens})"
        ),
    };
    let into =
        "insert into audit_event (at, kind, actor, agent_id, jti, expires_at, epoch, detail)";
    app.database.execute(&format!("{into} {rows}")).await;
}

async fn a_token_that_lives_long_is_listed_however_many_came_after_it(app: &TestApp<'_>) {
    let agent = app
        .agent_like(Some("a"), "tokens:read", |terms| {
            terms.ttl = Ttl::new(86_400).ok();
        })
        .await;
    let long = app.token(&agent).await;
    record_many(app, "a", 10_240).await;
    app.suspend(&agent).await;
    app.state.list.refresh().await.unwrap();
    let listed = listed(app).await;
    assert_eq!(listed.len(), 10_241);
    assert_eq!(listed[0], jti(&long));
}

async fn of_more_tokens_than_are_listed_those_that_expire_last_are(app: &TestApp<'_>) {
    let app = &app.beside_with(&[("limits.listed_tokens", "10")]).await;
    let agent = app
        .agent_like(Some("a"), "tokens:read", |terms| {
            terms.ttl = Ttl::new(86_400).ok();
        })
        .await;
    let long = app.token(&agent).await;
    record_many(app, "a", 25).await;
    app.suspend(&agent).await;
    app.state.list.refresh().await.unwrap();
    assert_eq!(listed(app).await.len(), 10);
    assert_eq!(listed(app).await[0], jti(&long));
    let metrics = app
        .send_to(app.ops_address, "GET", "/metrics", &[], vec![])
        .await
        .body;
    assert!(
        metrics.contains("# TYPE sealwright_unlisted_tokens gauge"),
        "{metrics}"
    );
    app.clock.advance(300);
    assert_eq!(listed(app).await, [jti(&long)]);
    // Another process makes the same list, at whatever time it reads the database.
    let other = app.beside_with(&[("limits.listed_tokens", "10")]).await;
    assert_eq!(
        other.get(REVOKED).await.fingerprint(),
        app.get(REVOKED).await.fingerprint()
    );
}

async fn many_agents_are_killed_and_all_their_tokens_listed(app: &TestApp<'_>) {
    let mut tokens = BTreeSet::new();
    let mut agents = Vec::new();
    for n in 0..12 {
        let agent = app.agent_named(&format!("agent-{n}"), "tokens:read").await;
        tokens.insert(jti(&app.token(&agent).await).to_string());
        agents.push(agent);
    }
    for agent in &agents {
        app.suspend(agent).await;
    }
    let other = app.beside().await;
    app.state.list.refresh().await.unwrap();
    for process in [app, &other] {
        let list = process.get(REVOKED).await.json();
        let named = list["revoked_jtis"]
            .as_array()
            .unwrap()
            .iter()
            .map(Value::to_string)
            .collect();
        assert_eq!(tokens, named);
        assert_eq!(list["revoked_agents"].as_array().unwrap().len(), 12);
    }
    // Further refreshes find nothing new, so the list stays the same.
    let before = app.get(REVOKED).await.header("etag").to_owned();
    for _ in 0..20 {
        app.state.list.refresh().await.unwrap();
    }
    assert_eq!(app.get(REVOKED).await.header("etag"), before);
}

async fn revoke_many(app: &TestApp<'_>) {
    let agent = app.agent("tokens:read").await;
    for _ in 0..30 {
        let token = app.token(&agent).await;
        app.revoke(&agent, &token).await;
    }
}

/// The response's status, `ETag`, `Content-Encoding`, `Vary` and body.
async fn get(app: &TestApp<'_>, headers: &[(&str, &str)]) -> (u16, [String; 3], Vec<u8>) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut request = client.get(format!("http://{}{REVOKED}", app.address));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.send().await.unwrap();
    let header = |name| {
        response
            .headers()
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
            .to_owned()
    };
    let (status, told) = (
        response.status().as_u16(),
        ["etag", "content-encoding", "vary"].map(header),
    );
    (status, told, response.bytes().await.unwrap().to_vec())
}

const GZIP: (&str, &str) = ("accept-encoding", "gzip, deflate");

/// RFC 9110 §8.8.3.3: a representation with another content coding needs another strong `ETag`.
async fn a_long_list_is_packed_for_those_who_ask(app: &TestApp<'_>) {
    let (_, short, _) = get(app, &[GZIP]).await;
    assert_eq!(
        short[1..],
        ["", "Accept-Encoding"],
        "an empty list is sent as it is"
    );
    revoke_many(app).await;
    let (status, plain, body) = get(app, &[]).await;
    assert_eq!(
        (status, plain[1].as_str(), plain[2].as_str()),
        (200, "", "Accept-Encoding")
    );
    let (status, packed, bytes) = get(app, &[GZIP]).await;
    assert_eq!(
        (status, packed[1].as_str(), packed[2].as_str()),
        (200, "gzip", "Accept-Encoding")
    );
    assert!(bytes.len() < body.len());
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(&*bytes)
        .read_to_end(&mut text)
        .unwrap();
    assert_eq!(text, body);
    assert_eq!(
        packed[0],
        format!("{}-gzip\"", plain[0].trim_end_matches('"'))
    );
    // The bytes are equal on every replica, as a strong `ETag` promises.
    let other = app.beside().await;
    assert_eq!(get(&other, &[GZIP]).await, (200, packed, bytes));
    assert_eq!(
        get(&other, &[("accept-encoding", "gzip;q=0")]).await,
        (200, plain, body)
    );
}

async fn whoever_has_the_list_in_either_form_has_it(app: &TestApp<'_>) {
    revoke_many(app).await;
    let ((_, [plain, ..], _), (_, [packed, ..], _)) =
        (get(app, &[]).await, get(app, &[GZIP]).await);
    let both = format!("{plain}, {packed}");
    for (held, accepts_gzip, told) in [
        (&plain, false, &plain),
        (&packed, true, &packed),
        // The client asks for another encoding than it holds: the `ETag` says which one it holds.
        (&plain, true, &plain),
        (&packed, false, &packed),
        (&both, true, &packed),
        (&both, false, &plain),
    ] {
        let mut headers = vec![("if-none-match", held.as_str())];
        headers.extend(accepts_gzip.then_some(GZIP));
        let (status, [tag, encoding, vary], body) = get(app, &headers).await;
        assert_eq!(
            (status, &tag, body.len()),
            (304, told, 0),
            "{held} {accepts_gzip}"
        );
        assert_eq!((encoding.as_str(), vary.as_str()), ("", "Accept-Encoding"));
    }
    let other = format!("{}x\"", packed.trim_end_matches('"'));
    assert_eq!(get(app, &[GZIP, ("if-none-match", &other)]).await.0, 200);
}

fn named(loops: &mut Vec<Loop>, name: &str) -> Loop {
    let place = loops.iter().position(|one| one.name == name);
    loops.swap_remove(place.unwrap_or_else(|| panic!("no loop is named {name}")))
}

/// The look-ups wait for a lock. A revocation by another process must be listed nevertheless.
#[tokio::test]
async fn news_do_not_wait_for_the_tokens_of_killed_agents() {
    let database = Database::postgres().await;
    let app = TestApp::start(&database).await;
    let agent = app.agent("tokens:read").await;
    app.token(&agent).await;
    app.suspend(&agent).await;
    app.state.list.read_changes().await.unwrap();
    let mut loops = loops::loops(&app.config, &app.opened, &app.state).unwrap();
    let (mut news, mut kills) = (
        named(&mut loops, "revocation list"),
        named(&mut loops, "killed tokens"),
    );

    let revoked = uuid::Uuid::from_u128(7);
    let ends = NOW.0 + 600;
    let sql = format!(
        "insert into revoked_token (jti, expires_at, version) select '{revoked}', {ends}, version + 1 from revision
         where name = 'revocation';
         update revision set version = version + 1 where name = 'revocation'"
    );
    database.execute(&sql).await;
    let mut lock = PgConnection::connect(database.url()).await.unwrap();
    sqlx::raw_sql("begin; lock table audit_event in access exclusive mode")
        .execute(&mut lock)
        .await
        .unwrap();
    // A look-up times out after a while. On a busy machine it may do so before the other loop's
    // step ends, so try several times.
    let mut came_first = false;
    for _ in 0..20 {
        tokio::select! {
            biased;
            () = (kills.step)() => {}
            () = (news.step)() => {
                came_first = true;
                break;
            }
        }
    }
    assert!(came_first);
    assert_eq!(listed(&app).await, [Value::from(revoked.to_string())]);
    sqlx::raw_sql("rollback").execute(&mut lock).await.unwrap();
    wait_until("the killed token is listed", async || {
        (kills.step)().await;
        listed(&app).await.len() == 2
    })
    .await;
    lock.close().await.unwrap();
    drop(app);
    database.remove().await;
}
