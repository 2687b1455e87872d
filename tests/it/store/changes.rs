//! The event of each change: the row in the change's commit, read back as the bytes that are listed,
//! exported and hashed.

use sealwright::testing::domain::act::{Act, ChangeReason};
use sealwright::testing::domain::context::{RequestContext, RequestId};
use sealwright::testing::domain::event::source::SourcePrecision;
use sealwright::testing::domain::id::CredentialId;
use sealwright::testing::store::{AgentChange, Backend, Change, Outcome, TokenChange, Write};
use uuid::Uuid;

use super::kit::{NOW, agent, credential, id, operator_at};
use super::on_both;
use crate::harness::database::Database;

on_both! {
    a_change_tells_its_actor_request_source_and_credential,
    a_change_tells_what_is_fixed_for_its_kind,
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
    let outcomes = store.commit(vec![Write { act, change }]).await.unwrap();
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
        jti: sealwright::testing::domain::id::Jti(Uuid::from_u128(number)),
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

async fn a_change_tells_what_is_fixed_for_its_kind(db: &Database) {
    let store = db.open().await;
    let operator = || operator_at(NOW);
    for change in [
        creation("a"),
        Change::Agent(AgentChange::Suspend(id("a"))),
        Change::Agent(AgentChange::Reactivate(id("a"))),
        Change::Agent(AgentChange::RevokeTokens(id("a"))),
        Change::Agent(AgentChange::Decommission(id("a"))),
    ] {
        commit_as(&*store, operator(), change).await;
    }
    assert_eq!(
        events(&*store).await,
        [
            "{\"actor\":\"operator:op@host\",\"agentId\":\"a\",\"at\":\"2023-11-14T22:13:20Z\",\
             \"credentialId\":\"00000000-0000-0000-0000-000000000001\",\"detail\":{\"changed\":{\
             \"name\":{\"from\":null,\"to\":\"An agent\"},\"plan\":{\"from\":null,\"to\":\"free\"},\
             \"redirectUris\":{\"from\":null,\"to\":[\"https://app.example/callback\"]},\
             \"scopes\":{\"from\":null,\"to\":[\"agents:read\",\"tokens:read\"]},\
             \"status\":{\"from\":null,\"to\":\"active\"},\"userIds\":{\"from\":null,\"to\":[\"user 42\"]}}},\
             \"id\":1,\"kind\":\"agent.created\",\"v\":1}",
            "{\"actor\":\"operator:op@host\",\"agentId\":\"a\",\"at\":\"2023-11-14T22:13:20Z\",\
             \"detail\":{\"revocationVersion\":1700000000000},\"id\":2,\"kind\":\"agent.suspended\",\"v\":1}",
            "{\"actor\":\"operator:op@host\",\"agentId\":\"a\",\"at\":\"2023-11-14T22:13:20Z\",\
             \"id\":3,\"kind\":\"agent.reactivated\",\"v\":1}",
            "{\"actor\":\"operator:op@host\",\"agentId\":\"a\",\"at\":\"2023-11-14T22:13:20Z\",\
             \"detail\":{\"revocationVersion\":1700000000001},\"id\":4,\"kind\":\"agent.tokens_revoked\",\"v\":1}",
            "{\"actor\":\"operator:op@host\",\"agentId\":\"a\",\"at\":\"2023-11-14T22:13:20Z\",\
             \"detail\":{\"revocationVersion\":1700000000002},\"id\":5,\"kind\":\"agent.decommissioned\",\"v\":1}",
        ]
    );
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
