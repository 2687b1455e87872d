//! Credentials one by one: one more, ended, shown to operators, and forgotten.

use sealwright::testing::domain::agent::LiveTokens;
use sealwright::testing::domain::credential::{Credential, CredentialKind, CredentialLabel};
use sealwright::testing::domain::id::CredentialId;
use sealwright::testing::domain::time::Timestamp;
use sealwright::testing::store::{
    AgentChange, Backend, Change, CredentialChange, CredentialQuery, CredentialRecord, Outcome,
};
use uuid::Uuid;

use super::kit::{
    MILLIS, NOW, commit, commit_at, counted, create, credential, grants, id, issue, read, send,
    uuid,
};
use super::on_both;
use crate::harness::database::Database;

on_both! {
    a_credential_is_added_until_there_are_as_many_live_ones_as_allowed,
    credentials_made_at_once_are_never_more_than_allowed,
    an_agent_that_is_decommissioned_or_unknown_gets_no_further_credential,
    a_credential_that_is_ended_opens_nothing_from_that_moment_on,
    ending_a_credential_kills_the_tokens_only_if_that_is_asked,
    a_credential_ends_only_once_and_only_for_its_own_agent,
    operators_see_who_made_and_who_ended_a_credential,
    credentials_are_read_in_pieces_with_the_newest_first,
    an_ended_credential_holds_no_hash_and_goes_after_ninety_days,
    an_older_release_writes_credentials_beside_this_one,
}

const DAY: i64 = 86_400;

fn numbered(number: u128) -> Credential {
    Credential {
        credential_id: CredentialId(Uuid::from_u128(number)),
        ..credential("a", &number.to_string())
    }
}

fn creation_of(credential: Credential, max_live: i64) -> Change {
    Change::Credential(CredentialChange::Create {
        credential: Box::new(credential),
        label: Some(CredentialLabel::parse("CI").unwrap()),
        max_live,
    })
}

fn rotation_of(credential: Credential, overlap: i64) -> Change {
    Change::Credential(CredentialChange::Rotate {
        credential: Box::new(credential),
        label: None,
        overlap,
        max_live: 10,
    })
}

fn end_of(agent_id: &str, credential_id: CredentialId, tokens: LiveTokens) -> Change {
    Change::Credential(CredentialChange::End {
        agent_id: id(agent_id),
        credential_id,
        tokens,
    })
}

fn end_of_number(number: u128) -> Change {
    end_of("a", CredentialId(Uuid::from_u128(number)), LiveTokens::Keep)
}

/// The prefixes of the credentials that clients can authenticate with, newest first.
async fn held(store: &dyn Backend) -> Vec<String> {
    let record = read(store, "a").await;
    let prefixes = record.credentials.iter().map(|c| c.prefix.to_string());
    prefixes.collect()
}

async fn shown(store: &dyn Backend, query: CredentialQuery) -> Vec<CredentialRecord> {
    store.credentials(&id("a"), query).await.unwrap()
}

/// All credentials that are live, or ended in the last 90 days.
fn all_at(now: i64) -> CredentialQuery {
    CredentialQuery {
        now: Timestamp(now),
        ended_after: Some(Timestamp(now - 90 * DAY)),
        before: None,
        limit: 100,
    }
}

fn live_at(now: i64) -> CredentialQuery {
    CredentialQuery {
        ended_after: None,
        ..all_at(now)
    }
}

async fn a_credential_is_added_until_there_are_as_many_live_ones_as_allowed(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    let ends = Credential {
        expires_at: Some(Timestamp(NOW.0 + 10)),
        ..numbered(2)
    };
    let made = commit(&*store, creation_of(ends, 2)).await;
    assert_eq!(
        (made, read(&*store, "a").await.agent.version),
        (Outcome::Applied, MILLIS)
    );
    assert_eq!(held(&*store).await, ["2", "first"]);
    assert_eq!(
        commit(&*store, creation_of(numbered(3), 2)).await,
        Outcome::TooMany
    );
    assert_eq!(held(&*store).await, ["2", "first"]);
    // A credential that has ended counts no more, and is moved away.
    let later = Timestamp(NOW.0 + 10);
    db.set_clock(later);
    let made = commit_at(&*store, later, creation_of(numbered(3), 2)).await;
    assert_eq!(made, Outcome::Applied);
    assert_eq!(held(&*store).await, ["3", "first"]);
    let events = "select count(*) from audit_event where kind = 'credential.created'";
    assert_eq!(db.number(events).await, 2);
}

async fn credentials_made_at_once_are_never_more_than_allowed(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    let creations = (2..10).map(|number| async move {
        let store = db.open().await;
        commit(&*store, creation_of(numbered(number), 4)).await
    });
    let outcomes = futures_util::future::join_all(creations).await;
    let count = |outcome| outcomes.iter().filter(|found| **found == outcome).count();
    assert_eq!(
        (count(Outcome::Applied), count(Outcome::TooMany)),
        (3, 5),
        "{outcomes:?}"
    );
    assert_eq!(held(&*store).await.len(), 4);
}

async fn an_agent_that_is_decommissioned_or_unknown_gets_no_further_credential(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    commit(&*store, Change::Agent(AgentChange::Decommission(id("a")))).await;
    let refused = commit(&*store, creation_of(numbered(2), 2)).await;
    assert_eq!(refused, Outcome::Conflict);
    let nobody = Credential {
        agent_id: id("nobody"),
        ..numbered(2)
    };
    let refused = commit(&*store, creation_of(nobody, 2)).await;
    assert_eq!(refused, Outcome::NotFound);
    assert_eq!(held(&*store).await, ["first"]);
}

async fn a_credential_that_is_ended_opens_nothing_from_that_moment_on(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    commit(&*store, creation_of(numbered(2), 2)).await;
    let decided = grants(&*store, "a", 1, None).await;
    assert_eq!(commit(&*store, end_of_number(2)).await, Outcome::Applied);
    assert_eq!(held(&*store).await, ["first"]);
    // What was decided on the agent as it was before is not counted.
    let seen = send(&*store, &super::kit::batch(decided)).await;
    assert_eq!(seen, [super::kit::Seen::Stale]);
    assert_eq!(issue(&*store, "a", 1, None).await, [counted(0)]);
}

async fn ending_a_credential_kills_the_tokens_only_if_that_is_asked(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    for number in 2..4 {
        commit(&*store, creation_of(numbered(number), 3)).await;
    }
    let epoch = async || read(&*store, "a").await.agent.epoch.0;
    assert_eq!(commit(&*store, end_of_number(2)).await, Outcome::Applied);
    assert_eq!(epoch().await, 0);
    let third = CredentialId(Uuid::from_u128(3));
    let kill = || end_of("a", third, LiveTokens::Kill);
    assert_eq!(commit(&*store, kill()).await, Outcome::Applied);
    assert_eq!(epoch().await, MILLIS);
    // The credential has ended, but the tokens that were issued since are killed all the same.
    assert_eq!(commit(&*store, kill()).await, Outcome::Applied);
    assert_eq!(epoch().await, MILLIS + 1);
    let kinds = "select kind from audit_event where kind <> 'credential.created' order by id";
    assert_eq!(
        db.texts(kinds).await,
        [
            "agent.created",
            "credential.ended",
            "credential.ended",
            "agent.tokens_revoked",
            "agent.tokens_revoked"
        ]
    );
    let listed = "select count(*) from agent where killed_version is not null";
    assert_eq!(db.number(listed).await, 1);
}

async fn a_credential_ends_only_once_and_only_for_its_own_agent(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    create(&*store, "b").await;
    let of_b = read(&*store, "b").await.credentials[0].credential_id;
    for (agent_id, credential_id) in [
        ("a", of_b),
        ("a", CredentialId(uuid(NOW))),
        ("nobody", of_b),
    ] {
        for tokens in [LiveTokens::Keep, LiveTokens::Kill] {
            let ended = commit(&*store, end_of(agent_id, credential_id, tokens)).await;
            assert_eq!(ended, Outcome::NotFound, "{agent_id}");
        }
    }
    assert_eq!(read(&*store, "a").await.agent.epoch.0, 0);
    let end = || end_of("b", of_b, LiveTokens::Keep);
    assert_eq!(commit(&*store, end()).await, Outcome::Applied);
    let version = read(&*store, "b").await.agent.version;
    assert_eq!(commit(&*store, end()).await, Outcome::Unchanged);
    assert_eq!(read(&*store, "b").await.agent.version, version);
    // One that expired by itself is not ended again.
    let expired = Credential {
        expires_at: Some(Timestamp(NOW.0 - 1)),
        ..numbered(2)
    };
    commit_at(&*store, Timestamp(NOW.0 - 2), creation_of(expired, 9)).await;
    assert_eq!(commit(&*store, end_of_number(2)).await, Outcome::Unchanged);
    let ended = "select count(*) from audit_event where kind = 'credential.ended'";
    assert_eq!(db.number(ended).await, 1);
}

async fn operators_see_who_made_and_who_ended_a_credential(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    let expires = Credential {
        expires_at: Some(Timestamp(NOW.0 + 5)),
        ..numbered(2)
    };
    commit(&*store, creation_of(expires, 9)).await;
    commit(&*store, creation_of(numbered(3), 9)).await;
    commit(&*store, rotation_of(numbered(4), 60)).await;
    commit(&*store, end_of_number(3)).await;
    let used = "insert into credential_use (agent_id, credential_id, last_used_at)
                select 'a', credential_id, 7 from credential where prefix = '4'";
    db.execute(used).await;
    let op = || Some("operator:op@host".into());
    let fourth = CredentialRecord {
        credential_id: CredentialId(Uuid::from_u128(4)),
        position: 4,
        kind: CredentialKind::Secret,
        federation: None,
        label: None,
        prefix: "4".into(),
        created_at: NOW,
        created_by: op(),
        expires_at: None,
        ended_at: None,
        ended_by: None,
        last_used_at: Some(Timestamp(7)),
    };
    let third = CredentialRecord {
        credential_id: CredentialId(Uuid::from_u128(3)),
        position: 3,
        label: Some(CredentialLabel::parse("CI").unwrap()),
        prefix: "3".into(),
        expires_at: Some(NOW),
        ended_at: Some(NOW),
        ended_by: op(),
        last_used_at: None,
        ..fourth.clone()
    };
    // Its end was set when it was made, and the rotation did not bring it forward.
    let second = CredentialRecord {
        credential_id: CredentialId(Uuid::from_u128(2)),
        position: 2,
        prefix: "2".into(),
        expires_at: Some(Timestamp(NOW.0 + 5)),
        ended_at: None,
        ended_by: None,
        ..third.clone()
    };
    let found = shown(&*store, all_at(NOW.0)).await;
    assert_eq!(found[..3], [fourth.clone(), third.clone(), second.clone()]);
    assert_eq!(
        (&*found[3].prefix, found[3].expires_at, found[3].ended_at),
        ("first", Some(Timestamp(NOW.0 + 60)), None)
    );
    let live = shown(&*store, live_at(NOW.0)).await;
    assert_eq!(live[..2], [fourth.clone(), second.clone()]);
    assert_eq!(live.len(), 3);
    // Time alone ends both, but only one of these ends was set by somebody else.
    let found = shown(&*store, all_at(NOW.0 + 60)).await;
    let ended =
        |record: &CredentialRecord| (record.ended_at.map(|at| at.0), record.ended_by.clone());
    assert_eq!(
        found.iter().map(ended).collect::<Vec<_>>(),
        [
            (None, None),
            (Some(NOW.0), op()),
            (Some(NOW.0 + 5), None),
            (Some(NOW.0 + 60), op())
        ]
    );
    // Another change moves the rows, and shows the same.
    let later = Timestamp(NOW.0 + 60);
    db.set_clock(later);
    commit_at(&*store, later, rotation_of(numbered(5), 0)).await;
    assert_eq!(shown(&*store, all_at(later.0)).await[2..], found[1..]);
    assert_eq!(shown(&*store, live_at(later.0)).await.len(), 1);
}

async fn credentials_are_read_in_pieces_with_the_newest_first(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    create(&*store, "b").await;
    for number in 2..6 {
        commit(&*store, rotation_of(numbered(number), 0)).await;
    }
    let (mut before, mut found) = (None, Vec::new());
    loop {
        let query = CredentialQuery {
            before,
            limit: 2,
            ..all_at(NOW.0)
        };
        let piece = shown(&*store, query).await;
        let Some(last) = piece.last() else { break };
        before = Some(last.position);
        found.extend(piece.into_iter().map(|record| record.prefix.to_string()));
    }
    assert_eq!(found, ["5", "4", "3", "2", "first"]);
}

async fn an_ended_credential_holds_no_hash_and_goes_after_ninety_days(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    let expires = Credential {
        expires_at: Some(NOW.saturating_add(DAY)),
        ..numbered(2)
    };
    commit(&*store, creation_of(expires, 9)).await;
    commit(&*store, creation_of(numbered(3), 9)).await;
    commit(&*store, end_of_number(3)).await;
    for table in ["credential", "ended_credential"] {
        let used = format!(
            "insert into credential_use (agent_id, credential_id, last_used_at)
             select 'a', credential_id, 7 from {table}"
        );
        db.execute(&used).await;
        let noted = format!(
            "insert into expiry_notice (credential_id, days, expires_at)
             select credential_id, 1, 7 from {table}"
        );
        db.execute(&noted).await;
    }
    let mut counts = Vec::new();
    for days in [90, 91, 92] {
        // The row goes in the second after the term.
        for second in [0, 1] {
            let at = Timestamp(NOW.0 + days * DAY + second);
            db.set_clock(at);
            while store.prune(at, 1 << 40, 1).await.unwrap() > 0 {}
            let mut count = Vec::new();
            for table in [
                "credential",
                "ended_credential",
                "credential_use",
                "expiry_notice",
            ] {
                count.push(db.number(&format!("select count(*) from {table}")).await);
            }
            counts.push(count);
        }
    }
    assert_eq!(
        counts,
        [
            [2, 1, 3, 3],
            [2, 0, 2, 2],
            [2, 0, 2, 2],
            [1, 0, 1, 1],
            [1, 0, 1, 1],
            [1, 0, 1, 1]
        ]
    );
    assert_eq!(held(&*store).await, ["first"]);
}

/// The release before this one knows neither the new columns nor the table of ended credentials.
async fn an_older_release_writes_credentials_beside_this_one(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    let sql = "insert into credential (credential_id, agent_id, hash, tag, prefix, created_at, expires_at, raw_basic)
               select ID, agent_id, hash, tag, 'old', created_at, null, raw_basic from credential";
    let (uuid, blob) = (
        "'00000000-0000-0000-0000-000000000009'",
        "x'00000000000000000000000000000009'",
    );
    let is_sqlite = matches!(db, Database::Sqlite { .. });
    let sql = sql.replace("ID", if is_sqlite { blob } else { uuid });
    db.execute(&sql).await;
    assert_eq!(held(&*store).await, ["old", "first"]);
    assert_eq!(commit(&*store, end_of_number(9)).await, Outcome::Applied);
    assert_eq!(held(&*store).await, ["first"]);
    let found = shown(&*store, all_at(NOW.0)).await;
    assert_eq!((&*found[0].prefix, &found[0].created_by), ("old", &None));
}
