//! Agents: creation, changes, lists, suspension.

use std::sync::Arc;

use sealwright::testing::domain::about::{About, Description, Labels, Owner, parse_label};
use sealwright::testing::domain::agent::{
    Agent, AgentName, AgentStatus, Audience, Epoch, LiveTokens, Profile, RedirectUri, SuspendedBy,
    UserId,
};
use sealwright::testing::domain::credential::Credential;
use sealwright::testing::domain::quota::PlanName;
use sealwright::testing::domain::scope::parse_scope_list;
use sealwright::testing::domain::time::Timestamp;
use sealwright::testing::domain::ttl::Ttl;
use sealwright::testing::store::{AgentChange, Change, CredentialChange, Freshness, Outcome};

use super::kit::{
    MILLIS, NOW, agent, commit, commit_at, create, creation, credential, id, read, suspension,
    write,
};
use super::on_both;
use crate::harness::database::Database;

on_both! {
    an_update_that_kills_raises_the_epoch_in_its_commit_or_does_neither,
    an_agent_is_read_back_as_it_was_made,
    strings_survive_unchanged,
    an_earlier_releases_row_says_nothing_about_its_agent,
    a_suspended_agent_tells_with_whose_authority_it_was_suspended,
    an_unknown_agent_is_none,
    a_taken_id_conflicts_and_changes_nothing,
    an_update_needs_the_version_it_was_made_from,
    agents_are_paged_in_the_byte_order_of_their_ids,
    suspension_raises_epoch_and_version_and_reactivation_only_the_version,
    decommission_is_for_ever,
    killing_the_tokens_leaves_the_status,
    an_unknown_agent_is_not_found_by_any_change,
    one_conflict_leaves_its_neighbours_alone,
    no_writes_are_no_outcomes,
    a_code_is_for_an_active_agent_and_what_is_on_its_lists,
}

async fn an_agent_is_read_back_as_it_was_made(db: &Database) {
    let store = db.open().await;
    let (made, secret) = (
        agent("a"),
        Credential {
            raw_basic: true,
            keys: None,
            ..credential("a", "one")
        },
    );
    let change = Change::Agent(AgentChange::Create {
        agent: Box::new(made.clone()),
        credential: Box::new(secret.clone()),
    });
    assert_eq!(commit(&*store, change).await, Outcome::Applied);
    let record = read(&*store, "a").await;
    assert_eq!(record.agent, made);
    assert_eq!(*record.credentials, [secret]);
    let event = "select kind || ' ' || actor || ' ' || agent_id || ' ' || at from audit_event";
    assert_eq!(
        db.texts(event).await,
        [format!("agent.created operator:op@host a {}", NOW.0)]
    );
}

async fn strings_survive_unchanged(db: &Database) {
    let store = db.open().await;
    create(&*store, "A.b_c~d:e-f").await;
    let mut profile = agent("A.b_c~d:e-f").profile;
    profile.name = AgentName::parse("Ünï \"quoted\" 'single' \\ {} 🦀 $1 ?1 --").unwrap();
    profile.about = About {
        description: Some(Description::parse("\"Ünï\"\n\\ {} ?1 $1 🦀").unwrap()),
        owner: Some(Owner::parse("'NULL' <a@b.example> --").unwrap()),
        labels: Labels::new(["a/b=NULL", "A.1=-", "a=b"].map(|l| parse_label(l).unwrap())).unwrap(),
    };
    profile.expires_at = Some(Timestamp(253_402_300_799));
    let terms = Arc::make_mut(&mut profile.terms);
    terms.scopes = parse_scope_list("!#$%&'()*+,-./ [x]^_`{|}~ ,").unwrap();
    terms.audiences = ["https://a,b", "{'}", "a/b", "\u{1F980}"]
        .map(|a| Audience::parse_stored(a).unwrap())
        .into();
    terms.redirect_uris = vec![RedirectUri::parse("https://a.example/cb?x=%22&y='").unwrap()];
    terms.user_ids = ["user 42", "NULL", "", "ß"]
        .into_iter()
        .filter(|u| !u.is_empty())
        .map(|u| UserId::parse(u).unwrap())
        .collect();
    terms.ttl = Some(Ttl::new(86_400).unwrap());
    terms.plan = PlanName::parse("gold_1-x").unwrap();
    let change = Change::Agent(AgentChange::Update {
        agent_id: id("A.b_c~d:e-f"),
        expected_version: 1,
        before: Box::new(agent("A.b_c~d:e-f").profile),
        profile: Box::new(profile.clone()),
        tokens: LiveTokens::Keep,
    });
    assert_eq!(commit(&*store, change).await, Outcome::Applied);
    assert_eq!(read(&*store, "A.b_c~d:e-f").await.agent.profile, profile);
    let made = Change::Agent(AgentChange::Create {
        agent: Box::new(Agent {
            agent_id: id("b"),
            profile: profile_without_users(profile.clone()),
            ..agent("b")
        }),
        credential: Box::new(credential("b", "first")),
    });
    assert_eq!(commit(&*store, made).await, Outcome::Applied);
    let expected = profile_without_users(profile);
    assert_eq!(read(&*store, "b").await.agent.profile, expected);
    let all = store.agents(None, 10).await.unwrap();
    assert_eq!(all[1].profile, expected);
}

fn profile_without_users(mut profile: Profile) -> Profile {
    Arc::make_mut(&mut profile.terms).user_ids = vec![];
    profile
}

async fn an_earlier_releases_row_says_nothing_about_its_agent(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    db.execute(
        "insert into agent (agent_id, org_id, name, status, scopes, audiences, redirect_uris, user_ids, plan, epoch,
                            version, longest_ttl, created_at, updated_at)
         select 'b', org_id, name, 'suspended', scopes, audiences, redirect_uris, user_ids, plan, epoch, version,
                longest_ttl, created_at, updated_at
         from agent",
    )
    .await;
    let expected = Agent {
        status: AgentStatus::Suspended,
        suspended_by: Some(SuspendedBy::Operator),
        ..agent("b")
    };
    assert_eq!(read(&*store, "b").await.agent, expected);
}

async fn a_suspended_agent_tells_with_whose_authority_it_was_suspended(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    let apply = async |change| commit(&*store, Change::Agent(change)).await;
    let suspend = async |by| apply(AgentChange::Suspend(id("a"), by)).await;
    let by = async || read(&*store, "a").await.agent.suspended_by;
    let (operator, agent) = (SuspendedBy::Operator, SuspendedBy::Agent);
    assert_eq!(
        (suspend(agent).await, by().await),
        (Outcome::Applied, Some(agent))
    );
    assert_eq!(
        (suspend(agent).await, by().await),
        (Outcome::Unchanged, Some(agent))
    );
    // Another kill leaves it as it is.
    assert_eq!(
        apply(AgentChange::RevokeTokens(id("a"))).await,
        Outcome::Applied
    );
    assert_eq!(by().await, Some(agent));
    // An operator takes it over, and no agent takes it back.
    assert_eq!(
        (suspend(operator).await, by().await),
        (Outcome::Applied, Some(operator))
    );
    assert_eq!(
        (suspend(agent).await, by().await),
        (Outcome::Unchanged, Some(operator))
    );
    assert_eq!(
        (suspend(operator).await, by().await),
        (Outcome::Unchanged, Some(operator))
    );
    assert_eq!(
        apply(AgentChange::Reactivate(id("a"))).await,
        Outcome::Applied
    );
    assert_eq!(by().await, None);
    assert_eq!(suspend(agent).await, Outcome::Applied);
    assert_eq!(
        apply(AgentChange::Reactivate(id("a"))).await,
        Outcome::Applied
    );
    assert_eq!(by().await, None);
    // A command of an earlier release knows nothing of this. What it suspends is an operator's.
    db.execute("update agent set status = 'suspended', epoch = epoch + 1")
        .await;
    assert_eq!(by().await, Some(operator));
    assert_eq!(
        apply(AgentChange::Decommission(id("a"))).await,
        Outcome::Applied
    );
    assert_eq!(
        (suspend(operator).await, by().await),
        (Outcome::Conflict, None)
    );
}

async fn an_unknown_agent_is_none(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    for other in ["A", "a.", "nobody"] {
        assert_eq!(
            store.agent(&id(other), Freshness::Fresh).await.unwrap(),
            None
        );
    }
}

async fn a_taken_id_conflicts_and_changes_nothing(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    let before = read(&*store, "a").await;
    assert_eq!(commit(&*store, creation("a")).await, Outcome::Conflict);
    assert_eq!(read(&*store, "a").await, before);
    assert_eq!(db.number("select count(*) from credential").await, 1);
    assert_eq!(db.number("select count(*) from audit_event").await, 1);
    create(&*store, "A").await;
}

async fn an_update_needs_the_version_it_was_made_from(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    let mut profile = agent("a").profile;
    profile.name = AgentName::parse("Another name").unwrap();
    let update = |agent_id: &str, expected_version| {
        Change::Agent(AgentChange::Update {
            agent_id: id(agent_id),
            expected_version,
            before: Box::new(agent("a").profile),
            profile: Box::new(profile.clone()),
            tokens: LiveTokens::Keep,
        })
    };
    let later = Timestamp(NOW.0 + 5);
    db.set_clock(later);
    assert_eq!(
        commit_at(&*store, later, update("a", 1)).await,
        Outcome::Applied
    );
    assert_eq!(
        commit_at(&*store, later, update("a", 1)).await,
        Outcome::Conflict
    );
    assert_eq!(
        commit_at(&*store, later, update("b", 1)).await,
        Outcome::NotFound
    );
    let changed = read(&*store, "a").await.agent.clone();
    assert_eq!(
        (changed.version, changed.epoch, changed.updated_at),
        (later.0 * 1_000, Epoch(0), later)
    );
    assert_eq!(
        (changed.created_at, changed.profile.name.as_str()),
        (NOW, "Another name")
    );
    assert_eq!(
        db.number("select count(*) from audit_event where kind = 'agent.updated'")
            .await,
        1
    );
}

async fn agents_are_paged_in_the_byte_order_of_their_ids(db: &Database) {
    let store = db.open().await;
    let mut ids = [
        "b", "a", "B", "_", "~", "A:1", "A-1", "A.1", "10", "9", "ab",
    ]
    .to_vec();
    for agent_id in &ids {
        create(&*store, agent_id).await;
    }
    ids.sort_unstable();
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = store.agents(after.as_ref(), 3).await.unwrap();
        assert!(page.len() <= 3);
        let Some(last) = page.last() else { break };
        after = Some(last.agent_id.clone());
        seen.extend(page.into_iter().map(|a| a.agent_id.to_string()));
    }
    assert_eq!(seen, ids);
}

async fn suspension_raises_epoch_and_version_and_reactivation_only_the_version(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    let stands = async || {
        let record = read(&*store, "a").await;
        (
            record.agent.status,
            record.agent.epoch.0,
            record.agent.version,
        )
    };
    assert_eq!(
        commit(&*store, Change::Agent(AgentChange::Reactivate(id("a")))).await,
        Outcome::Unchanged
    );
    assert_eq!(commit(&*store, suspension(id("a"))).await, Outcome::Applied);
    assert_eq!(stands().await, (AgentStatus::Suspended, MILLIS, MILLIS));
    assert_eq!(
        commit(&*store, suspension(id("a"))).await,
        Outcome::Unchanged
    );
    assert_eq!(stands().await, (AgentStatus::Suspended, MILLIS, MILLIS));
    assert_eq!(
        commit(&*store, Change::Agent(AgentChange::Reactivate(id("a")))).await,
        Outcome::Applied
    );
    assert_eq!(stands().await, (AgentStatus::Active, MILLIS, MILLIS + 1));
    let kinds = db.texts("select kind from audit_event order by id").await;
    assert_eq!(
        kinds,
        ["agent.created", "agent.suspended", "agent.reactivated"]
    );
}

async fn decommission_is_for_ever(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    create(&*store, "b").await;
    assert_eq!(commit(&*store, suspension(id("b"))).await, Outcome::Applied);
    for (agent_id, epoch) in [("a", MILLIS), ("b", MILLIS + 1)] {
        assert_eq!(
            commit(
                &*store,
                Change::Agent(AgentChange::Decommission(id(agent_id)))
            )
            .await,
            Outcome::Applied
        );
        assert_eq!(
            commit(
                &*store,
                Change::Agent(AgentChange::Decommission(id(agent_id)))
            )
            .await,
            Outcome::Unchanged
        );
        assert_eq!(
            commit(&*store, suspension(id(agent_id))).await,
            Outcome::Conflict
        );
        assert_eq!(
            commit(
                &*store,
                Change::Agent(AgentChange::Reactivate(id(agent_id)))
            )
            .await,
            Outcome::Conflict
        );
        let agent = read(&*store, agent_id).await.agent.clone();
        assert_eq!(
            (agent.status, agent.epoch),
            (AgentStatus::Decommissioned, Epoch(epoch))
        );
    }
}

async fn killing_the_tokens_leaves_the_status(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    for _ in 0..2 {
        assert_eq!(
            commit(&*store, Change::Agent(AgentChange::RevokeTokens(id("a")))).await,
            Outcome::Applied
        );
    }
    let agent = read(&*store, "a").await.agent.clone();
    assert_eq!(
        (agent.status, agent.epoch, agent.version),
        (AgentStatus::Active, Epoch(MILLIS + 1), MILLIS + 1)
    );
}

async fn an_unknown_agent_is_not_found_by_any_change(db: &Database) {
    let store = db.open().await;
    let rotation = || {
        Change::Credential(CredentialChange::Rotate {
            credential: Box::new(credential("nobody", "new")),
            overlap: 0,
            label: None,
            max_live: 2,
        })
    };
    for change in [
        suspension(id("nobody")),
        Change::Agent(AgentChange::Reactivate(id("nobody"))),
        Change::Agent(AgentChange::Decommission(id("nobody"))),
        Change::Agent(AgentChange::RevokeTokens(id("nobody"))),
        rotation(),
    ] {
        assert_eq!(commit(&*store, change).await, Outcome::NotFound);
    }
    assert_eq!(db.number("select count(*) from audit_event").await, 0);
    assert_eq!(
        db.number("select version from revision where name = 'revocation'")
            .await,
        0
    );
}

async fn one_conflict_leaves_its_neighbours_alone(db: &Database) {
    use Outcome::{Applied, Conflict, NotFound};
    let store = db.open().await;
    create(&*store, "taken").await;
    let writes = [
        creation("x"),
        creation("taken"),
        suspension(id("nobody")),
        suspension(id("x")),
        creation("y"),
    ];
    let outcomes = store
        .commit(writes.into_iter().map(write).collect())
        .await
        .unwrap();
    assert_eq!(outcomes, [Applied, Conflict, NotFound, Applied, Applied]);
    assert_eq!(
        read(&*store, "x").await.agent.status,
        AgentStatus::Suspended
    );
    assert_eq!(read(&*store, "y").await.agent.status, AgentStatus::Active);
    assert_eq!(db.number("select count(*) from audit_event").await, 4);
}

async fn no_writes_are_no_outcomes(db: &Database) {
    assert_eq!(db.open().await.commit(vec![]).await.unwrap(), []);
}

async fn a_code_is_for_an_active_agent_and_what_is_on_its_lists(db: &Database) {
    let store = db.open().await;
    let mut made = agent("a");
    let terms = Arc::make_mut(&mut made.profile.terms);
    let uris = ["https://a.example/cb?x='%22", "https://a.example/CB"];
    let users = ["U 1", "\u{e9}%_*", "null"];
    terms.redirect_uris = uris.map(|uri| RedirectUri::parse(uri).unwrap()).to_vec();
    terms.user_ids = users.map(|user| UserId::parse(user).unwrap()).to_vec();
    let change = Change::Agent(AgentChange::Create {
        agent: Box::new(made),
        credential: Box::new(credential("a", "one")),
    });
    assert_eq!(commit(&*store, change).await, Outcome::Applied);
    create(&*store, "b").await;
    let admits = async |agent_id: &str, uri: &str, user: Option<&str>| {
        let (uri, user) = (
            RedirectUri::parse(uri).unwrap(),
            user.map(|user| UserId::parse(user).unwrap()),
        );
        store
            .admits_code(&id(agent_id), &uri, user.as_ref(), NOW)
            .await
            .unwrap()
    };
    for uri in uris {
        for user in users.map(Some).into_iter().chain([None]) {
            assert!(admits("a", uri, user).await, "{uri} {user:?}");
            assert!(
                !admits("A", uri, user).await && !admits("b", uri, user).await,
                "{uri} {user:?}"
            );
        }
        for user in ["u 1", "U", "U 1 ", "%", "*", "[", "1"] {
            assert!(!admits("a", uri, Some(user)).await, "{uri} {user}");
        }
    }
    for uri in [
        "https://a.example/cb",
        "https://a.example/cB",
        "https://a.example/cb?x='%22&y",
    ] {
        assert!(!admits("a", uri, None).await, "{uri}");
    }
    commit(&*store, suspension(id("a"))).await;
    assert!(!admits("a", uris[0], None).await);
    commit(&*store, Change::Agent(AgentChange::Reactivate(id("a")))).await;
    assert!(admits("a", uris[0], None).await);
    commit(&*store, Change::Agent(AgentChange::Decommission(id("a")))).await;
    assert!(!admits("a", uris[0], None).await);
}

async fn an_update_that_kills_raises_the_epoch_in_its_commit_or_does_neither(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    create(&*store, "b").await;
    let profile = read(&*store, "a").await.agent.profile.clone();
    let update = |agent_id: &str, expected_version, user: Option<&str>| {
        let mut profile = profile.clone();
        Arc::make_mut(&mut profile.terms).user_ids = user
            .iter()
            .map(|user| UserId::parse(user).unwrap())
            .collect();
        let (agent_id, profile) = (id(agent_id), Box::new(profile));
        Change::Agent(AgentChange::Update {
            agent_id,
            expected_version,
            before: profile.clone(),
            profile,
            tokens: LiveTokens::Kill,
        })
    };
    let version = read(&*store, "a").await.agent.version;
    for (change, expected) in [
        (update("a", version + 1, None), Outcome::Conflict),
        (update("a", version, Some("b")), Outcome::Clash),
        (update("nobody", 1, None), Outcome::NotFound),
    ] {
        assert_eq!(commit(&*store, change).await, expected);
    }
    let listed = async || store.revocations(0, NOW, Timestamp(0)).await.unwrap();
    assert_eq!(
        (
            listed().await.agents.len(),
            read(&*store, "a").await.agent.epoch.0
        ),
        (0, 0)
    );
    let before = listed().await.version;
    assert_eq!(
        commit(&*store, update("a", version, None)).await,
        Outcome::Applied
    );
    let (agent, list) = (read(&*store, "a").await.agent.clone(), listed().await);
    assert!(agent.epoch.0 > 0 && list.version > before);
    assert_eq!(
        (&list.agents[0].agent_id, list.agents[0].epoch),
        (&id("a"), agent.epoch)
    );
    let details = db
        .texts("select detail from audit_event where kind = 'agent.updated'")
        .await;
    assert_eq!(details, ["tokens revoked"]);
}
