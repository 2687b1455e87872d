//! The log over HTTP: files in the formats of C2SP, proofs, and who may read them.

use sealwright::testing::domain::tree::block::{BlockProof, TokenBlock};
use sealwright::testing::domain::tree::hash::leaf_hash;
use sealwright::testing::domain::tree::note::SignedNote;
use sealwright::testing::domain::tree::tile::{Tile, TileLevel};
use sealwright::testing::domain::tree::tlog_proof::TlogProof;
use sealwright::testing::keys::log::verify_checkpoint;

use super::kit::{bytes, entries, events, is_token, ledger, log_all, log_key};
use super::on_both;
use crate::harness::app::{TestApp, bearer};

on_both! {
    every_file_of_the_log_is_served_in_every_width,
    what_is_no_file_of_the_log_is_not_found,
    a_caller_needs_the_scope,
    every_event_is_proven_to_be_in_the_log,
    an_event_that_was_changed_has_no_proof,
}

const LOG: &str = "/api/v1/audit/log";

/// The log has a few passes. Returns the `Authorization` of a caller who may read it.
async fn stage(app: &TestApp<'_>) -> String {
    let mut ledger = ledger(app);
    let agent = app.agent("audit:read agents:read admin:orgs").await;
    for round in 0..4 {
        app.add_scope(&format!("scope{round}:read")).await;
        app.token(&agent).await;
        app.token(&agent).await;
        log_all(app, &mut ledger).await;
    }
    let token = app.token(&agent).await;
    log_all(app, &mut ledger).await;
    bearer(&token)
}

/// The bytes of a file, its media type and its caching.
async fn file(app: &TestApp<'_>, caller: &str, path: &str) -> (Vec<u8>, String, String) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("http://{}{LOG}/{path}", app.address);
    let request = client.get(url).header("authorization", caller);
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200, "{path}");
    let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
    let (media_type, caching) = (header("content-type"), header("cache-control"));
    (
        response.bytes().await.unwrap().to_vec(),
        media_type,
        caching,
    )
}

async fn every_file_of_the_log_is_served_in_every_width(app: &TestApp<'_>) {
    let caller = stage(app).await;
    let (note, media_type, caching) = file(app, &caller, "checkpoint").await;
    assert_eq!((&*media_type, &*caching), ("text/plain", "no-cache"));
    let signed = SignedNote::parse(&note).unwrap();
    let checkpoint = verify_checkpoint(&signed, log_key(app).await.verifier_key()).unwrap();
    let below = file(app, &caller, "1/checkpoint").await;
    assert_eq!(below, (note, media_type, caching));

    let entries = entries(app).await;
    assert_eq!(checkpoint.head().size, entries.len() as u64);
    let (mut hashes, mut bundle) = (Vec::new(), Vec::new());
    for (entry, width) in entries.iter().zip(1..) {
        hashes.extend_from_slice(leaf_hash(&entry.bytes).as_bytes());
        bundle.extend_from_slice(&u16::try_from(entry.bytes.len()).unwrap().to_be_bytes());
        bundle.extend_from_slice(&entry.bytes);
        for (level, expected) in [
            (TileLevel::Hashes(0), &hashes),
            (TileLevel::Entries, &bundle),
        ] {
            let tile = Tile::new(level, 0, width).unwrap();
            let (bytes, media_type, caching) = file(app, &caller, &tile.to_string()).await;
            assert_eq!(&bytes, expected);
            assert_eq!(media_type, "application/octet-stream");
            assert_eq!(caching, "no-cache");
            let (below, _, caching) = file(app, &caller, &format!("1/{tile}")).await;
            assert_eq!(&below, expected);
            assert!(caching.starts_with("private, immutable"), "{caching}");
        }
    }
}

async fn what_is_no_file_of_the_log_is_not_found(app: &TestApp<'_>) {
    let agent = app.agent("audit:read admin:orgs").await;
    let caller = bearer(&app.token(&agent).await);
    // Before the first pass there is nothing.
    let early = app.get_as(&caller, &format!("{LOG}/checkpoint")).await;
    assert_eq!(early.status, 404);
    assert_eq!(early.json()["code"], "NOT_LOGGED_YET");
    assert_eq!(early.headers["retry-after"], "10");
    let caller = stage(app).await;
    let beyond = format!("tile/0/000.p/{}", entries(app).await.len() + 1);
    for path in [
        "",
        "check",
        "checkpoint/",
        "2/checkpoint",
        "01/checkpoint",
        "+1/checkpoint",
        "-1/checkpoint",
        "1/1/checkpoint",
        "tile/0/000",
        "tile/0/001.p/1",
        "tile/0/000.p/0",
        "tile/0/0.p/1",
        "tile/1/000.p/1",
        "tile/64/000.p/1",
        "tile/entries/000",
        "tile/data/000.p/1",
        "2/tile/0/000.p/1",
        "tile/0/x018/x446/x744/x073/x709/x551/615",
        "1%2Fcheckpoint%00",
        &beyond,
    ] {
        let answer = app.get_as(&caller, &format!("{LOG}/{path}")).await;
        assert_eq!(answer.status, 404, "{path}: {answer:?}");
    }
    let unknown = app
        .get_as(&caller, &format!("{LOG}/checkpoint?size=1"))
        .await;
    assert_eq!(unknown.status, 400);
    let posted = app
        .send("POST", &format!("{LOG}/checkpoint"), &[], vec![])
        .await;
    assert_eq!(posted.status, 405);
}

async fn a_caller_needs_the_scope(app: &TestApp<'_>) {
    stage(app).await;
    let other = app
        .agent("agents:read agents:write tokens:read admin:orgs")
        .await;
    let other = bearer(&app.token(&other).await);
    for path in [
        "log/checkpoint",
        "log/1/tile/0/000.p/1",
        "1/proof",
        "x/proof",
    ] {
        let path = format!("/api/v1/audit/{path}");
        assert_eq!(app.get_as(&other, &path).await.status, 403, "{path}");
        assert_eq!(app.get(&path).await.status, 401, "{path}");
    }
}

async fn every_event_is_proven_to_be_in_the_log(app: &TestApp<'_>) {
    let caller = stage(app).await;
    let key = log_key(app).await;
    for event in events(app).await {
        let path = format!("/api/v1/audit/{}/proof", event.id);
        let answer = app.get_as(&caller, &path).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.headers["content-type"], "text/plain");
        let proof = TlogProof::parse(answer.body.as_bytes()).unwrap();
        let entry = &entries(app).await[usize::try_from(proof.index).unwrap()];
        let checkpoint = proof.verify(leaf_hash(&entry.bytes)).unwrap();
        let signed = verify_checkpoint(&proof.checkpoint, key.verifier_key());
        assert_eq!(signed.unwrap(), checkpoint);
        if is_token(&event) {
            let in_block = BlockProof::parse(&proof.extra).unwrap();
            assert_eq!(in_block.event().as_bytes(), bytes(&event));
            let block = TokenBlock::parse(&entry.bytes).unwrap();
            in_block.verify(&block).unwrap();
        } else {
            assert_eq!(entry.bytes, bytes(&event));
            assert_eq!(proof.extra, b"");
        }
    }
    // An event that is not in the log yet.
    app.add_scope("late:read").await;
    let late = app.opened.records.newest_event().await.unwrap();
    let answer = app
        .get_as(&caller, &format!("/api/v1/audit/{late}/proof"))
        .await;
    assert_eq!(
        (answer.status, &answer.json()["code"]),
        (404, &"NOT_LOGGED_YET".into())
    );
    assert_eq!(answer.headers["retry-after"], "10");
    for id in ["0", "-1", "999999", "9223372036854775807", "x", "1.0", ""] {
        let answer = app
            .get_as(&caller, &format!("/api/v1/audit/{id}/proof"))
            .await;
        assert_eq!(answer.status, 404, "{id}");
        let code = &answer.json()["code"];
        assert!(code == "EVENT_NOT_FOUND" || id.is_empty(), "{id}: {code}");
    }
}

async fn an_event_that_was_changed_has_no_proof(app: &TestApp<'_>) {
    let caller = stage(app).await;
    let tokens: Vec<i64> = events(app)
        .await
        .iter()
        .filter(|e| is_token(e))
        .map(|e| e.id)
        .collect();
    let sql = format!(
        "update token_event set epoch = epoch + 1 where id = {}",
        tokens[0]
    );
    app.database.execute(&sql).await;
    // Nor have the other tokens of its block.
    for id in &tokens[..2] {
        let answer = app
            .get_as(&caller, &format!("/api/v1/audit/{id}/proof"))
            .await;
        assert_eq!(answer.status, 500, "{answer:?}");
    }
    let answer = app
        .get_as(&caller, &format!("/api/v1/audit/{}/proof", tokens[2]))
        .await;
    assert_eq!(answer.status, 200);
}
