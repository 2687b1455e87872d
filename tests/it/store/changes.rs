//! The event of each change: the row in the change's commit, read back as the bytes that are listed,
//! exported and hashed.

use std::sync::Arc;

use sealwright::testing::domain::act::{Act, ChangeReason};
use sealwright::testing::domain::agent::{AgentName, LiveTokens, Profile};
use sealwright::testing::domain::catalogue::CatalogueEntry;
use sealwright::testing::domain::context::{RequestContext, RequestId};
use sealwright::testing::domain::credential::{Credential, SecretHash};
use sealwright::testing::domain::event::source::SourcePrecision;
use sealwright::testing::domain::id::{CredentialId, Jti, Kid};
use sealwright::testing::domain::scope::Scope;
use sealwright::testing::domain::ttl::Ttl;
use sealwright::testing::store::{
    AgentChange, Backend, Change, CredentialChange, KeyChange, KeyRecord, KeyState, Outcome,
    Retires, ScopeChange, Sealed, StoreKey, TokenChange, Write,
};
use uuid::Uuid;

use super::kit::{MILLIS, NOW, agent, credential, id, operator_at, suspension, write};
use super::on_both;
use crate::harness::database::Database;

on_both! {
    a_change_tells_its_actor_request_source_and_credential,
    a_change_of_an_agent_tells_what_is_fixed_for_its_kind,
    a_change_of_a_credential_tells_what_ends,
    a_change_of_the_catalogue_tells_old_and_new,
    a_change_of_a_key_tells_which,
    a_row_of_an_earlier_release_is_read_as_before,
}

/// Where the requests of these tests come from.
const CLIENT: [u8; 4] = [192, 0, 2, 77];

/// The bytes of all events, as text.
async fn events(store: &dyn Backend) -> Vec<String> {
    let rows = store.events(0, i64::MAX, 100).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    rows.iter()
        .map(|row| text(row.logged().unwrap().bytes()))
        .collect()
}

async fn commit_as(store: &dyn Backend, act: Act, change: Change) {
    let outcomes = store.commit(vec![Write::new(act, change)]).await.unwrap();
    assert_eq!(outcomes, [Outcome::Applied]);
}

fn credential_id(number: u128) -> CredentialId {
    CredentialId(Uuid::from_u128(number))
}

/// The creation of this agent with the credential 1.
fn creation(agent_id: &str) -> Change {
    let mut first = credential(agent_id, "first");
    first.credential_id = credential_id(1);
    Change::Agent(AgentChange::Create {
        agent: Box::new(agent(agent_id)),
        credential: Box::new(first),
    })
}

fn revocation(number: u128) -> Change {
    Change::Token(TokenChange::Revoke {
        jti: Jti(Uuid::from_u128(number)),
        agent_id: Some(id("a")),
        expires_at: NOW.saturating_add(600),
    })
}

async fn a_change_tells_its_actor_request_source_and_credential(db: &Database) {
    let store = db.open().await;
    let request = |precision, request_id| {
        let context = RequestContext::new(Some(CLIENT.into()), precision, request_id);
        Act::of_request(&context, id("a"), Some(credential_id(9)), NOW.into())
    };
    for (number, act) in [
        request(SourcePrecision::Prefix, RequestId::made(0xab, 7)),
        request(SourcePrecision::Full, RequestId::sent("abc")),
        request(SourcePrecision::None, RequestId::made(0xab, 8)),
        operator_at(NOW),
        operator_at(NOW).because(ChangeReason::parse("lost: \"INC-7\"").ok()),
        Act::system(NOW.into()),
    ]
    .into_iter()
    .enumerate()
    {
        commit_as(&*store, act, revocation(number as u128)).await;
    }
    let expected = |number: u8, actor: &str, credential: &str, of_request: &str| {
        format!(
            "{{\"actor\":\"{actor}\",\"agentId\":\"a\",\"at\":\"2023-11-14T22:13:20Z\",{credential}\
             \"exp\":\"2023-11-14T22:23:20Z\",\"id\":{},\"jti\":\"00000000-0000-0000-0000-00000000000{number}\",\
             \"kind\":\"token.revoked\",{of_request}\"v\":1}}",
            number + 1
        )
    };
    let proven = "\"credentialId\":\"00000000-0000-0000-0000-000000000009\",";
    assert_eq!(
        events(&*store).await,
        [
            expected(
                0,
                "agent:a",
                proven,
                "\"requestId\":\"00000000000000ab-7\",\"source\":\"192.0.2.0/24\","
            ),
            // The hash of "abc" is in FIPS 180.
            expected(
                1,
                "agent:a",
                proven,
                "\"requestId\":\"sha256:ba7816bf8f01cfea414140de5dae2223\",\"source\":\"192.0.2.77\","
            ),
            expected(
                2,
                "agent:a",
                proven,
                "\"requestId\":\"00000000000000ab-8\","
            ),
            expected(3, "operator:op@host", "", ""),
            expected(
                4,
                "operator:op@host",
                "",
                "\"reason\":\"lost: \\\"INC-7\\\"\","
            ),
            expected(5, "system", "", ""),
        ]
    );
}

/// The event of [`creation`].
const CREATED: &str = concat!(
    r#"{"actor":"operator:op@host","agentId":"a","at":"NOW","#,
    r#""credentialId":"00000000-0000-0000-0000-000000000001","detail":{"changed":{"#,
    r#""name":{"from":null,"to":"An agent"},"plan":{"from":null,"to":"free"},"#,
    r#""redirectUris":{"from":null,"to":["https://app.example/callback"]},"#,
    r#""scopes":{"from":null,"to":["agents:read","tokens:read"]},"#,
    r#""status":{"from":null,"to":"active"},"userIds":{"from":null,"to":["user 42"]}}},"#,
    r#""id":N,"kind":"agent.created","v":1}"#,
);

/// Commits each change as an operator, and demands the bytes of its event: `"at"` and `"id"` come
/// from the order of the changes, everything else is written out.
async fn demand(store: &dyn Backend, rows: Vec<(Change, &str)>) {
    let mut expected = vec![];
    for (change, told) in rows {
        let outcomes = store.commit(vec![write(change)]).await.unwrap();
        assert_eq!(outcomes, [Outcome::Applied], "{told}");
        let id = expected.len() + 1;
        let told = told.replace("\"id\":N", &format!("\"id\":{id}"));
        expected.push(told.replace("NOW", "2023-11-14T22:13:20Z"));
    }
    let (events, mut expected) = (events(store).await, expected.iter());
    for event in events {
        assert_eq!(Some(&event), expected.next());
    }
    assert_eq!(expected.next(), None);
}

async fn a_change_of_an_agent_tells_what_is_fixed_for_its_kind(db: &Database) {
    let store = db.open().await;
    let (before, mut after) = (agent("a").profile, agent("a").profile);
    after.name = AgentName::parse("Another \u{1f600}").unwrap();
    let terms = Arc::make_mut(&mut after.terms);
    terms.ttl = Some(Ttl::new(900).unwrap());
    terms.user_ids = vec![];
    let update = |expected_version, profile: &Profile, tokens| {
        Change::Agent(AgentChange::Update {
            agent_id: id("a"),
            expected_version,
            before: Box::new(before.clone()),
            profile: Box::new(profile.clone()),
            tokens,
        })
    };
    let rows = vec![
        (creation("a"), CREATED),
        (
            update(1, &before, LiveTokens::Keep),
            concat!(
                r#"{"actor":"operator:op@host","agentId":"a","at":"NOW","detail":{"changed":{}},"#,
                r#""id":N,"kind":"agent.updated","v":1}"#,
            ),
        ),
        (
            update(MILLIS, &after, LiveTokens::Kill),
            concat!(
                r#"{"actor":"operator:op@host","agentId":"a","at":"NOW","detail":{"changed":{"#,
                r#""name":{"from":"An agent","to":"Another 😀"},"tokens":{"from":"live","to":"revoked"},"#,
                r#""ttl":{"from":null,"to":900},"userIds":{"from":["user 42"],"to":[]}}},"#,
                r#""id":N,"kind":"agent.updated","v":1}"#,
            ),
        ),
        (
            suspension(id("a")),
            concat!(
                r#"{"actor":"operator:op@host","agentId":"a","at":"NOW","#,
                r#""detail":{"revocationVersion":1700000000001},"id":N,"kind":"agent.suspended","v":1}"#,
            ),
        ),
        (
            Change::Agent(AgentChange::Reactivate(id("a"))),
            r#"{"actor":"operator:op@host","agentId":"a","at":"NOW","id":N,"kind":"agent.reactivated","v":1}"#,
        ),
        (
            Change::Agent(AgentChange::RevokeTokens(id("a"))),
            concat!(
                r#"{"actor":"operator:op@host","agentId":"a","at":"NOW","#,
                r#""detail":{"revocationVersion":1700000000002},"id":N,"kind":"agent.tokens_revoked","v":1}"#,
            ),
        ),
        (
            Change::Agent(AgentChange::Decommission(id("a"))),
            concat!(
                r#"{"actor":"operator:op@host","agentId":"a","at":"NOW","#,
                r#""detail":{"revocationVersion":1700000000003},"id":N,"kind":"agent.decommissioned","v":1}"#,
            ),
        ),
    ];
    demand(&*store, rows).await;
}

/// The credential `number` of the agent `a`, which expires after so many seconds, if at all.
fn numbered(number: u128, expires_after: Option<i64>) -> Credential {
    Credential {
        credential_id: credential_id(number),
        expires_at: expires_after.map(|seconds| NOW.saturating_add(seconds)),
        ..credential("a", &number.to_string())
    }
}

fn rotation(credential: Credential, overlap: i64) -> Change {
    Change::Credential(CredentialChange::Rotate {
        credential: Box::new(credential),
        overlap,
        label: None,
        max_live: 10,
    })
}

fn rehash(credential: &Credential) -> Change {
    Change::Credential(CredentialChange::Rehash {
        agent_id: id("a"),
        credential_id: credential.credential_id,
        from: credential.hash.clone(),
        to: SecretHash("$argon2id$of-the-same".into()),
    })
}

async fn a_change_of_a_credential_tells_what_ends(db: &Database) {
    let store = db.open().await;
    let (second, third) = (numbered(2, Some(60)), numbered(3, None));
    let told = [
        CREATED,
        concat!(
            r#"{"actor":"operator:op@host","agentId":"a","at":"NOW","#,
            r#""credentialId":"00000000-0000-0000-0000-000000000002","detail":{"#,
            r#""ends":[{"credentialId":"00000000-0000-0000-0000-000000000001","endsAt":"2023-11-14T23:13:20Z"}],"#,
            r#""expiresAt":"2023-11-14T22:14:20Z","kind":"secret"},"id":N,"kind":"credential.rotated","v":1}"#,
        ),
        // The second credential has an earlier end of its own.
        concat!(
            r#"{"actor":"operator:op@host","agentId":"a","at":"NOW","#,
            r#""credentialId":"00000000-0000-0000-0000-000000000003","detail":{"#,
            r#""ends":[{"credentialId":"00000000-0000-0000-0000-000000000001","endsAt":"2023-11-14T22:18:20Z"},"#,
            r#"{"credentialId":"00000000-0000-0000-0000-000000000002","endsAt":"2023-11-14T22:14:20Z"}],"#,
            r#""kind":"secret"},"id":N,"kind":"credential.rotated","v":1}"#,
        ),
        concat!(
            r#"{"actor":"operator:op@host","agentId":"a","at":"NOW","#,
            r#""credentialId":"00000000-0000-0000-0000-000000000002","#,
            r#""detail":{"expiresAt":"2023-11-14T22:14:20Z","kind":"secret"},"#,
            r#""id":N,"kind":"credential.rehashed","v":1}"#,
        ),
        concat!(
            r#"{"actor":"operator:op@host","agentId":"a","at":"NOW","#,
            r#""credentialId":"00000000-0000-0000-0000-000000000003","detail":{"kind":"secret"},"#,
            r#""id":N,"kind":"credential.rehashed","v":1}"#,
        ),
        concat!(
            r#"{"actor":"operator:op@host","agentId":"a","at":"NOW","#,
            r#""credentialId":"00000000-0000-0000-0000-000000000004","detail":{"#,
            r#""ends":[{"credentialId":"00000000-0000-0000-0000-000000000001","endsAt":"NOW"},"#,
            r#"{"credentialId":"00000000-0000-0000-0000-000000000002","endsAt":"NOW"},"#,
            r#"{"credentialId":"00000000-0000-0000-0000-000000000003","endsAt":"NOW"}],"#,
            r#""kind":"secret"},"id":N,"kind":"credential.rotated","v":1}"#,
        ),
    ];
    let changes = [
        creation("a"),
        rotation(second.clone(), 3_600),
        rotation(third.clone(), 300),
        rehash(&second),
        rehash(&third),
        rotation(numbered(4, None), 0),
    ];
    demand(&*store, changes.into_iter().zip(told).collect()).await;
}

async fn a_change_of_the_catalogue_tells_old_and_new(db: &Database) {
    let store = db.open().await;
    let scope = |name: &str| Scope::parse(name).unwrap();
    let added = CatalogueEntry {
        scope: scope("x:read"),
        description: "One".to_owned(),
        high_risk: false,
    };
    let update = |description: Option<&str>, high_risk| {
        Change::Scope(ScopeChange::Update {
            scope: scope("x:read"),
            description: description.map(str::to_owned),
            high_risk,
        })
    };
    let rows = vec![
        (
            Change::Scope(ScopeChange::Add(added)),
            concat!(
                r#"{"actor":"operator:op@host","at":"NOW","detail":{"highRisk":false,"scope":"x:read"},"#,
                r#""id":N,"kind":"scope.added","v":1}"#,
            ),
        ),
        (
            update(None, Some(true)),
            concat!(
                r#"{"actor":"operator:op@host","at":"NOW","#,
                r#""detail":{"changed":{"highRisk":{"from":false,"to":true}},"highRisk":true,"scope":"x:read"},"#,
                r#""id":N,"kind":"scope.changed","v":1}"#,
            ),
        ),
        (
            update(Some("Two"), None),
            concat!(
                r#"{"actor":"operator:op@host","at":"NOW","#,
                r#""detail":{"changed":{"description":{"from":"One","to":"Two"}},"highRisk":true,"scope":"x:read"},"#,
                r#""id":N,"kind":"scope.changed","v":1}"#,
            ),
        ),
    ];
    demand(&*store, rows).await;
}

fn key(kid: &str, state: KeyState) -> Change {
    Change::Key(KeyChange::Insert(Box::new(KeyRecord {
        kid: Kid(kid.to_owned()),
        public_jwk: "{}".to_owned(),
        private_key: Sealed(b"sealed".to_vec()),
        state,
        announced_at: NOW,
        signs_from: NOW,
        signs_until: None,
        published_until: None,
        seal: None,
    })))
}

async fn a_change_of_a_key_tells_which(db: &Database) {
    let store = db.open().await;
    let activation = KeyChange::Activate {
        kid: Kid("two".to_owned()),
        seal: vec![],
        retires: Some(Retires {
            kid: Kid("one".to_owned()),
            seal: vec![],
        }),
        published_until: NOW,
    };
    let store_key = KeyChange::InsertStoreKey(StoreKey {
        purpose: "code".to_owned(),
        key_id: "0".to_owned(),
        sealed: Sealed(b"sealed".to_vec()),
    });
    let rows = vec![
        (
            key("one", KeyState::Signing),
            r#"{"actor":"operator:op@host","at":"NOW","detail":{"kid":"one"},"id":N,"kind":"key.announced","v":1}"#,
        ),
        (
            key("two", KeyState::Announced),
            r#"{"actor":"operator:op@host","at":"NOW","detail":{"kid":"two"},"id":N,"kind":"key.announced","v":1}"#,
        ),
        (
            Change::Key(activation),
            r#"{"actor":"operator:op@host","at":"NOW","detail":{"kid":"two"},"id":N,"kind":"key.activated","v":1}"#,
        ),
        (
            Change::Key(KeyChange::Remove(Kid("one".to_owned()))),
            r#"{"actor":"operator:op@host","at":"NOW","detail":{"kid":"one"},"id":N,"kind":"key.removed","v":1}"#,
        ),
        (
            Change::Key(store_key),
            r#"{"actor":"operator:op@host","at":"NOW","detail":{"kid":"code:0"},"id":N,"kind":"store_key.created","v":1}"#,
        ),
    ];
    demand(&*store, rows).await;
}

/// The release before this one inserts no other columns, and may run beside this one.
async fn a_row_of_an_earlier_release_is_read_as_before(db: &Database) {
    db.execute(
        "insert into audit_event (at, kind, actor, agent_id, detail) values
             (1700000000, 'agent.created', 'operator', 'a', ''),
             (1700000000, 'agent.suspended', 'operator', 'a', ''),
             (1700000000, 'scope.updated', 'operator', null, 'db:read'),
             (1700000000, 'credential.rotated', 'operator', 'a', '00000000-0000-0000-0000-0000000000ff')",
    )
    .await;
    let store = db.open().await;
    assert_eq!(
        events(&*store).await,
        [
            "{\"actor\":\"operator\",\"agentId\":\"a\",\"at\":\"2023-11-14T22:13:20Z\",\
             \"detail\":{\"changed\":{}},\"id\":1,\"kind\":\"agent.created\",\"v\":1}",
            "{\"actor\":\"operator\",\"agentId\":\"a\",\"at\":\"2023-11-14T22:13:20Z\",\
             \"id\":2,\"kind\":\"agent.suspended\",\"v\":1}",
            "{\"actor\":\"operator\",\"at\":\"2023-11-14T22:13:20Z\",\"detail\":{\"scope\":\"db:read\"},\
             \"id\":3,\"kind\":\"scope.changed\",\"v\":1}",
            "{\"actor\":\"operator\",\"agentId\":\"a\",\"at\":\"2023-11-14T22:13:20Z\",\
             \"credentialId\":\"00000000-0000-0000-0000-0000000000ff\",\"detail\":{\"kind\":\"secret\"},\
             \"id\":4,\"kind\":\"credential.rotated\",\"v\":1}",
        ]
    );
}
