//! Requests that are sent again under an idempotency key: the change is made once, and each request
//! gets the same reply. The operation of these tests makes an agent in the commit that keeps the
//! reply.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sealwright::testing::clock::Clock;
use sealwright::testing::domain::act::Act;
use sealwright::testing::domain::catalogue::CatalogueEntry;
use sealwright::testing::domain::id::AgentId;
use sealwright::testing::domain::idempotency::IdempotencyKey;
use sealwright::testing::domain::rejection::RejectionCode;
use sealwright::testing::domain::scope::Scope;
use sealwright::testing::service::manage::ManageError;
use sealwright::testing::service::manage::idempotency::{
    Answered, BodyHash, KeptReply, KeyedRequest, Recorder,
};
use sealwright::testing::store::{Change, Outcome, REPLY_TTL, ScopeChange, Write};
use tokio::sync::Notify;

use super::on_both;
use crate::harness::app::TestApp;
use crate::harness::database::Database;

on_both! {
    the_same_request_gets_the_same_reply_from_every_process,
    another_request_is_another_one,
    a_key_with_another_body_is_refused,
    a_failed_request_is_made_anew,
    of_a_hundred_equal_requests_over_two_processes_one_is_done,
    a_request_that_waits_too_long_is_told_so_and_holds_up_nobody,
    a_kept_reply_is_opaque_and_over_after_a_day,
}

const PATH: &str = "/api/v1/scopes";

fn request(key: &str, body: &str) -> KeyedRequest {
    KeyedRequest {
        agent_id: AgentId::parse("caller").unwrap(),
        method: "POST",
        path: PATH.to_owned(),
        key: IdempotencyKey::parse(key).unwrap(),
        body: BodyHash::of(body.as_bytes()),
    }
}

fn act(app: &TestApp<'_>) -> Act {
    let agent_id = AgentId::parse("caller").unwrap();
    Act::agent(agent_id, app.own_clock.moment())
}

/// Adds a scope to the catalogue in the commit that keeps the reply. Each try has another name, and
/// another secret in its reply.
async fn add_scope(app: &TestApp<'_>, recorder: &Recorder<'_>) -> Result<KeptReply, ManageError> {
    static TRIES: AtomicU32 = AtomicU32::new(0);
    let name = format!("made:{}", TRIES.fetch_add(1, Ordering::Relaxed));
    let reply = KeptReply {
        status: 201,
        location: Some(format!("{PATH}/{name}")),
        etag: Some("\"1\"".to_owned()),
        body: format!("{{\"secret\":\"secret of {name}\"}}"),
    };
    let change = Change::Scope(ScopeChange::Add(CatalogueEntry {
        scope: Scope::parse(&name).unwrap(),
        description: String::new(),
        high_risk: false,
    }));
    let record = recorder.record(&reply)?;
    let write = Write::new(act(app), change).keeping(record);
    match app.opened.store.commit(vec![write]).await.unwrap()[0] {
        Outcome::Applied => Ok(reply),
        Outcome::Answered => Err(RejectionCode::IdempotencyInProgress.into()),
        outcome => panic!("{outcome:?}"),
    }
}

async fn send(app: &TestApp<'_>, request: &KeyedRequest) -> Result<Answered, ManageError> {
    let operation = async |recorder: Recorder<'_>| add_scope(app, &recorder).await;
    app.opened
        .idempotency
        .once(request, &act(app), operation)
        .await
}

fn reply(answered: &Answered) -> &KeptReply {
    match answered {
        Answered::Now(reply) | Answered::Earlier(reply) => reply,
    }
}

fn code(answered: Result<Answered, ManageError>) -> &'static str {
    match answered {
        Err(ManageError::Rejected(rejection)) => rejection.code.as_str(),
        other => panic!("{other:?}"),
    }
}

const MADE: &str = "select count(*) from scope where name like 'made:%'";
const REPLAYS: &str = "select count(*) from audit_event where kind = 'idempotency.replayed'
                       and actor = 'agent:caller'";

async fn the_same_request_gets_the_same_reply_from_every_process(here: &TestApp<'_>) {
    let db = here.database;
    let there = here.beside().await;
    let first = send(here, &request("k", "body")).await.unwrap();
    assert!(matches!(first, Answered::Now(_)));
    for (app, key) in [(here, "k"), (&there, "k"), (&there, "\"k\"")] {
        let again = send(app, &request(key, "body")).await.unwrap();
        assert_eq!(again, Answered::Earlier(reply(&first).clone()));
    }
    assert_eq!((db.number(MADE).await, db.number(REPLAYS).await), (1, 3));
}

async fn another_request_is_another_one(app: &TestApp<'_>) {
    let db = app.database;
    let one = request("k", "body");
    let others = [
        KeyedRequest {
            agent_id: AgentId::parse("other").unwrap(),
            ..one.clone()
        },
        KeyedRequest {
            method: "PUT",
            ..one.clone()
        },
        KeyedRequest {
            path: format!("{PATH}?dryRun=false"),
            ..one.clone()
        },
        request("l", "body"),
    ];
    send(app, &one).await.unwrap();
    for other in &others {
        let answered = send(app, other).await.unwrap();
        assert!(matches!(answered, Answered::Now(_)), "{other:?}");
    }
    assert_eq!(db.number(MADE).await, 5);
}

async fn a_key_with_another_body_is_refused(app: &TestApp<'_>) {
    let db = app.database;
    send(app, &request("k", "body")).await.unwrap();
    let other = send(app, &request("k", "another body")).await;
    assert_eq!(code(other), "IDEMPOTENCY_KEY_REUSED");
    assert_eq!((db.number(MADE).await, db.number(REPLAYS).await), (1, 0));
}

async fn a_failed_request_is_made_anew(app: &TestApp<'_>) {
    let fail = async |_: Recorder<'_>| Err(RejectionCode::AgentExists.into());
    let failed = app
        .opened
        .idempotency
        .once(&request("k", "body"), &act(app), fail)
        .await;
    assert_eq!(code(failed), "AGENT_EXISTS");
    let answered = send(app, &request("k", "another body")).await.unwrap();
    assert!(matches!(answered, Answered::Now(_)));
}

async fn of_a_hundred_equal_requests_over_two_processes_one_is_done(here: &TestApp<'_>) {
    let db = here.database;
    let there = here.beside().await;
    let one = request("k", "body");
    let sent = (0..50).flat_map(|_| [send(here, &one), send(&there, &one)]);
    let answered = futures_util::future::join_all(sent).await;
    let mut first = None;
    for answered in answered {
        match answered {
            Ok(answered) => {
                let reply = reply(&answered).clone();
                assert_eq!(*first.get_or_insert(reply.clone()), reply);
            }
            // On a slow machine.
            refused => assert_eq!(code(refused), "IDEMPOTENCY_IN_PROGRESS"),
        }
    }
    let again = send(here, &one).await.unwrap();
    assert_eq!(Some(reply(&again)), first.as_ref());
    assert_eq!(db.number(MADE).await, 1);
}

async fn a_request_that_waits_too_long_is_told_so_and_holds_up_nobody(app: &TestApp<'_>) {
    let (begun, end) = (Notify::new(), Notify::new());
    let one = request("k", "body");
    let slow = async |recorder: Recorder<'_>| {
        begun.notify_one();
        end.notified().await;
        add_scope(app, &recorder).await
    };
    let by = act(app);
    let first = app.opened.idempotency.once(&one, &by, slow);
    let rest = async {
        begun.notified().await;
        // Far more requests wait than there are connections to the database.
        let waiting = futures_util::future::join_all((0..20).map(|_| send(app, &one)));
        let others = async {
            for key in ["l", "m"] {
                let other = send(app, &request(key, "body")).await.unwrap();
                assert!(matches!(other, Answered::Now(_)));
            }
        };
        let (waited, ()) = tokio::join!(waiting, others);
        for answered in waited {
            assert_eq!(code(answered), "IDEMPOTENCY_IN_PROGRESS");
        }
        end.notify_one();
    };
    let (answered, ()) = tokio::join!(first, rest);
    let again = send(app, &one).await.unwrap();
    assert_eq!(reply(&again), reply(&answered.unwrap()));
    // A request that was given up leaves the turn to the next one.
    let two = request("two", "body");
    let never = async |_: Recorder<'_>| std::future::pending().await;
    let given_up = app.opened.idempotency.once(&two, &by, never);
    assert!(
        tokio::time::timeout(Duration::from_millis(50), given_up)
            .await
            .is_err()
    );
    assert!(matches!(send(app, &two).await.unwrap(), Answered::Now(_)));
}

async fn a_kept_reply_is_opaque_and_over_after_a_day(app: &TestApp<'_>) {
    let db = app.database;
    let one = request("my-key", "body");
    let first = send(app, &one).await.unwrap();
    let shown = match db {
        Database::Sqlite { .. } => "lower(hex(sealed) || hex(place))",
        Database::Postgres { .. } => "encode(sealed, 'hex') || encode(place, 'hex')",
    };
    let rows = db.texts(&format!("select {shown} from kept_reply")).await;
    let [row] = &rows[..] else {
        panic!("{rows:?}");
    };
    for clear in ["secret", "made:", "caller", "my-key", "POST"] {
        let hex: Vec<String> = clear.bytes().map(|byte| format!("{byte:02x}")).collect();
        let hex = hex.concat();
        assert!(!row.contains(&hex), "{clear}: {row}");
    }
    app.clock.advance(REPLY_TTL - 1);
    let again = send(app, &one).await.unwrap();
    assert_eq!(again, Answered::Earlier(reply(&first).clone()));
    app.clock.advance(1);
    let anew = send(app, &one).await.unwrap();
    assert!(matches!(anew, Answered::Now(_)));
    assert_ne!(reply(&anew), reply(&first));
}
