//! Signing keys, and the store's own keys.

use sealwright::testing::domain::id::{BatchId, Kid, ProcessId};
use sealwright::testing::domain::time::Timestamp;
use sealwright::testing::store::{
    Batch, Change, KeyChange, KeyRecord, KeyReplacement, KeyResealing, KeyState, Outcome,
    ProcessReport, Retires, Sealed, StoreKey,
};

use super::kit::{
    NOW, Seen, batch, code, commit, commit_at, count, create, exchange, grants, jti, send, token,
    used, uuid,
};
use super::on_both;
use crate::harness::database::Database;

on_both! {
    keys_are_read_back_oldest_first,
    at_most_one_key_signs,
    a_key_goes_from_announced_to_signing_to_retiring_to_gone,
    an_activation_that_no_longer_fits_changes_nothing,
    two_servers_that_start_at_once_agree_on_one_key,
    a_purpose_has_one_store_key,
    a_change_of_the_keys_raises_their_version,
    nothing_is_counted_for_other_keys_than_the_stores,
    a_change_that_was_decided_for_other_keys_changes_nothing,
    a_key_that_signs_at_once_takes_the_place_of_others,
    keys_are_sealed_anew_all_of_them_or_none,
}

fn key(kid: &str, state: KeyState, announced_at: i64) -> KeyRecord {
    KeyRecord {
        kid: Kid(kid.to_owned()),
        public_jwk: format!("{{\"kid\":\"{kid}\"}}"),
        private_key: Sealed(vec![0, 1, 2, 255]),
        state,
        announced_at: Timestamp(announced_at),
        signs_from: Timestamp(announced_at + 3_600),
        signs_until: None,
        published_until: None,
        seal: Some(b"made".to_vec()),
    }
}

fn insertion(key: &KeyRecord) -> Change {
    Change::Key(KeyChange::Insert(Box::new(key.clone())))
}

fn activation(kid: &str, retires: Option<&str>) -> Change {
    Change::Key(KeyChange::Activate {
        kid: Kid(kid.to_owned()),
        seal: b"signs".to_vec(),
        retires: retires.map(|kid| Retires {
            kid: Kid(kid.to_owned()),
            seal: b"retires".to_vec(),
        }),
        published_until: Timestamp(NOW.0 + 90_000),
    })
}

async fn keys_are_read_back_oldest_first(db: &Database) {
    let store = db.open().await;
    let (new, old) = (
        key("new", KeyState::Announced, NOW.0),
        key("old", KeyState::Signing, NOW.0 - 1),
    );
    for key in [&new, &old] {
        assert_eq!(commit(&*store, insertion(key)).await, Outcome::Applied);
    }
    assert_eq!(store.keys().await.unwrap().keys, [old, new]);
    assert_eq!(
        db.texts("select kind || ' ' || detail from audit_event order by id")
            .await,
        ["key.announced new", "key.announced old"]
    );
}

async fn at_most_one_key_signs(db: &Database) {
    let store = db.open().await;
    let signing = key("one", KeyState::Signing, NOW.0);
    assert_eq!(commit(&*store, insertion(&signing)).await, Outcome::Applied);
    assert_eq!(
        commit(&*store, insertion(&signing)).await,
        Outcome::Conflict
    );
    assert_eq!(
        commit(&*store, insertion(&key("two", KeyState::Signing, NOW.0))).await,
        Outcome::Conflict
    );
    assert_eq!(
        commit(&*store, insertion(&key("one", KeyState::Announced, 5))).await,
        Outcome::Conflict
    );
    assert_eq!(store.keys().await.unwrap().keys, [signing]);
    assert_eq!(db.number("select count(*) from audit_event").await, 1);
}

async fn a_key_goes_from_announced_to_signing_to_retiring_to_gone(db: &Database) {
    let store = db.open().await;
    let stands = async || {
        let keys = store.keys().await.unwrap().keys;
        let stand = |k: &KeyRecord| (k.kid.0.clone(), k.state, k.signs_until, k.published_until);
        keys.iter().map(stand).collect::<Vec<_>>()
    };
    commit(&*store, insertion(&key("one", KeyState::Announced, NOW.0))).await;
    assert_eq!(
        commit(&*store, activation("one", None)).await,
        Outcome::Applied
    );
    commit(
        &*store,
        insertion(&key("two", KeyState::Announced, NOW.0 + 1)),
    )
    .await;
    let later = Timestamp(NOW.0 + 50);
    db.set_clock(later);
    assert_eq!(
        commit_at(&*store, later, activation("two", Some("one"))).await,
        Outcome::Applied
    );
    assert_eq!(
        stands().await,
        [
            (
                "one".to_owned(),
                KeyState::Retiring,
                Some(later),
                Some(Timestamp(NOW.0 + 90_000))
            ),
            ("two".to_owned(), KeyState::Signing, None, None),
        ]
    );
    let seals: Vec<_> = store
        .keys()
        .await
        .unwrap()
        .keys
        .into_iter()
        .filter_map(|key| key.seal)
        .collect();
    assert_eq!(seals, [&b"retires"[..], b"signs"]);
    let removal = |kid: &str| Change::Key(KeyChange::Remove(Kid(kid.to_owned())));
    assert_eq!(commit(&*store, removal("two")).await, Outcome::NotFound);
    assert_eq!(commit(&*store, removal("one")).await, Outcome::Applied);
    assert_eq!(commit(&*store, removal("one")).await, Outcome::NotFound);
    assert_eq!(
        stands().await,
        [("two".to_owned(), KeyState::Signing, None, None)]
    );
    let kinds = db.texts("select kind from audit_event order by id").await;
    let expected = [
        "key.announced",
        "key.activated",
        "key.announced",
        "key.activated",
        "key.removed",
    ];
    assert_eq!(kinds, expected);
}

async fn an_activation_that_no_longer_fits_changes_nothing(db: &Database) {
    let store = db.open().await;
    for new in [
        key("signs", KeyState::Signing, NOW.0),
        key("next", KeyState::Announced, NOW.0 + 1),
        key("gone", KeyState::Retiring, NOW.0 - 1),
    ] {
        assert_eq!(commit(&*store, insertion(&new)).await, Outcome::Applied);
    }
    let before = store.keys().await.unwrap().keys;
    for (kid, retires) in [
        ("next", None),
        ("next", Some("gone")),
        ("next", Some("unknown")),
        ("next", Some("next")),
        ("gone", Some("signs")),
        ("signs", Some("signs")),
        ("unknown", Some("signs")),
    ] {
        assert_eq!(
            commit(&*store, activation(kid, retires)).await,
            Outcome::Conflict
        );
    }
    assert_eq!(store.keys().await.unwrap().keys, before);
}

async fn two_servers_that_start_at_once_agree_on_one_key(db: &Database) {
    let (one, other) = (db.open().await, db.open().await);
    let (a, b) = (
        key("a", KeyState::Signing, NOW.0),
        key("b", KeyState::Signing, NOW.0),
    );
    let outcomes: [Outcome; 2] =
        tokio::join!(commit(&*one, insertion(&a)), commit(&*other, insertion(&b))).into();
    assert!(outcomes.contains(&Outcome::Applied) && outcomes.contains(&Outcome::Conflict));
    assert_eq!(one.keys().await.unwrap(), other.keys().await.unwrap());
    // When two processes each activate a key at once, only one succeeds.
    for kid in ["c", "d"] {
        commit(&*one, insertion(&key(kid, KeyState::Announced, NOW.0))).await;
    }
    let signs = one.keys().await.unwrap().keys.remove(0).kid.0;
    let outcomes: [Outcome; 2] = tokio::join!(
        commit(&*one, activation("c", Some(&signs))),
        commit(&*other, activation("d", Some(&signs)))
    )
    .into();
    assert!(outcomes.contains(&Outcome::Applied) && outcomes.contains(&Outcome::Conflict));
}

async fn a_purpose_has_one_store_key(db: &Database) {
    let store = db.open().await;
    let key = |purpose: &str, key_id: &str| StoreKey {
        purpose: purpose.to_owned(),
        key_id: key_id.to_owned(),
        sealed: Sealed(vec![9, 0, 9]),
    };
    assert_eq!(
        commit(
            &*store,
            Change::Key(KeyChange::InsertStoreKey(key("tag", "0")))
        )
        .await,
        Outcome::Applied
    );
    assert_eq!(
        commit(
            &*store,
            Change::Key(KeyChange::InsertStoreKey(key("tag", "0")))
        )
        .await,
        Outcome::Conflict
    );
    assert_eq!(
        commit(
            &*store,
            Change::Key(KeyChange::InsertStoreKey(key("tag", "1")))
        )
        .await,
        Outcome::Conflict
    );
    assert_eq!(
        commit(
            &*store,
            Change::Key(KeyChange::InsertStoreKey(key("code", "0")))
        )
        .await,
        Outcome::Applied
    );
    assert_eq!(
        store.store_keys().await.unwrap(),
        [key("code", "0"), key("tag", "0")]
    );
}

fn announcement(key: &KeyRecord, keys_version: i64) -> Change {
    let key = Box::new(key.clone());
    Change::Key(KeyChange::Announce { key, keys_version })
}

async fn a_change_of_the_keys_raises_their_version(db: &Database) {
    let store = db.open().await;
    let mut versions = vec![store.keys().await.unwrap().version];
    assert_eq!((versions[0], store.keys_version().await.unwrap()), (0, 0));
    for change in [
        insertion(&key("one", KeyState::Signing, NOW.0)),
        announcement(&key("two", KeyState::Announced, NOW.0), NOW.0 * 1_000),
        activation("two", Some("one")),
        Change::Key(KeyChange::Remove(Kid("one".to_owned()))),
    ] {
        assert_eq!(commit(&*store, change).await, Outcome::Applied);
        versions.push(store.keys().await.unwrap().version);
        assert_eq!(versions.last(), Some(&store.keys_version().await.unwrap()));
    }
    // No store that was set back within the same second gives out a version again.
    let first = NOW.0 * 1_000;
    assert_eq!(versions, [0, first, first + 1, first + 2, first + 3]);
    commit(&*store, insertion(&key("two", KeyState::Signing, NOW.0))).await;
    assert_eq!(store.keys_version().await.unwrap(), first + 3);
}

async fn nothing_is_counted_for_other_keys_than_the_stores(db: &Database) {
    let store = db.open().await;
    create(&*store, "a").await;
    commit(&*store, insertion(&key("one", KeyState::Signing, NOW.0))).await;
    let version = store.keys_version().await.unwrap();
    let with = |batch: Batch, keys_version| Batch {
        id: BatchId(uuid(NOW)),
        keys_version,
        ..batch
    };
    let (presented, mut counted) = (code(), 0);
    for keys_version in [version - 1, version + 1, 0, version] {
        let is_known = keys_version == version;
        for tokens in [1, 3] {
            // The first token of a month, and a later one, are counted by different statements.
            for _ in 0..2 {
                let grants = grants(&*store, "a", tokens, None).await;
                let seen = send(&*store, &with(batch(grants), keys_version)).await;
                counted += count(&seen);
                assert_eq!(count(&seen), if is_known { tokens } else { 0 });
                assert!(is_known || seen.iter().all(|seen| *seen == Seen::Stale));
            }
        }
        let paid = batch(vec![exchange(&*store, "a", presented, None).await]);
        let seen = send(&*store, &with(paid, keys_version)).await;
        counted += count(&seen);
        assert_eq!(count(&seen), usize::from(is_known));
    }
    assert_eq!(used(&*store, "a").await, i64::try_from(counted).ok());
    let standing = store.standing(&[token(jti(), "a")]).await.unwrap();
    assert_eq!(standing[0].keys_version, version);
}

async fn a_change_that_was_decided_for_other_keys_changes_nothing(db: &Database) {
    let (store, other) = (db.open().await, db.open().await);
    let (one, two) = (
        key("one", KeyState::Signing, NOW.0),
        key("two", KeyState::Announced, NOW.0 + 1),
    );
    commit(&*store, insertion(&one)).await;
    let version = store.keys_version().await.unwrap();
    let outcomes: [Outcome; 2] = tokio::join!(
        commit(&*store, announcement(&two, version)),
        commit(
            &*other,
            announcement(&key("three", KeyState::Announced, NOW.0), version)
        )
    )
    .into();
    assert!(outcomes.contains(&Outcome::Applied) && outcomes.contains(&Outcome::Conflict));
    let before = store.keys().await.unwrap();
    for keys_version in [version, before.version + 1] {
        for change in [
            announcement(&key("four", KeyState::Announced, NOW.0), keys_version),
            replacement(
                &key("four", KeyState::Signing, NOW.0),
                keys_version,
                &["one"],
            ),
        ] {
            assert_eq!(commit(&*store, change).await, Outcome::Conflict);
        }
    }
    // A release that does not raise the version changed the keys.
    for (kid, revokes) in [("two", &[][..]), ("four", &["two"]), ("one", &["one"])] {
        let change = replacement(&key(kid, KeyState::Signing, NOW.0), before.version, revokes);
        assert_eq!(commit(&*store, change).await, Outcome::Conflict, "{kid}");
    }
    assert_eq!(store.keys().await.unwrap(), before);
}

/// A new key signs at once; these are revoked.
fn replacement(key: &KeyRecord, keys_version: i64, revokes: &[&str]) -> Change {
    Change::Key(KeyChange::Replace(Box::new(KeyReplacement {
        keys_version,
        key: key.clone(),
        was_announced: false,
        retires: None,
        published_until: Timestamp(NOW.0 + 90_000),
        revokes: revokes.iter().map(|kid| Kid((*kid).to_owned())).collect(),
    })))
}

async fn a_key_that_signs_at_once_takes_the_place_of_others(db: &Database) {
    let store = db.open().await;
    let announced = key("next", KeyState::Announced, NOW.0 + 2);
    for new in [
        key("gone", KeyState::Retiring, NOW.0),
        key("signs", KeyState::Signing, NOW.0 + 1),
        announced.clone(),
    ] {
        assert_eq!(commit(&*store, insertion(&new)).await, Outcome::Applied);
    }
    let taken = KeyRecord {
        state: KeyState::Signing,
        signs_from: NOW,
        seal: Some(b"signs".to_vec()),
        ..announced
    };
    let change = KeyReplacement {
        keys_version: store.keys_version().await.unwrap(),
        key: taken.clone(),
        was_announced: true,
        retires: Some(Retires {
            kid: Kid("signs".to_owned()),
            seal: b"retires".to_vec(),
        }),
        published_until: Timestamp(NOW.0 + 90_000),
        revokes: vec![],
    };
    let change = Change::Key(KeyChange::Replace(Box::new(change)));
    assert_eq!(commit(&*store, change).await, Outcome::Applied);
    let retired = KeyRecord {
        state: KeyState::Retiring,
        signs_until: Some(NOW),
        published_until: Some(Timestamp(NOW.0 + 90_000)),
        seal: Some(b"retires".to_vec()),
        ..key("signs", KeyState::Signing, NOW.0 + 1)
    };
    let keys = store.keys().await.unwrap();
    assert_eq!(keys.keys[1..], [retired, taken]);
    let new = key("new", KeyState::Signing, NOW.0 + 3);
    let change = replacement(&new, keys.version, &["gone", "signs", "next"]);
    assert_eq!(commit(&*store, change).await, Outcome::Applied);
    assert_eq!(store.keys().await.unwrap().keys, [new]);
}

/// A process that reported at `NOW` and holds these master keys.
fn process(master_keys: &[&str]) -> ProcessReport {
    ProcessReport {
        process_id: ProcessId(uuid(NOW)),
        host: "host".to_owned(),
        pid: 1,
        release: "1.2.3".to_owned(),
        master_keys: master_keys.iter().map(ToString::to_string).collect(),
    }
}

async fn keys_are_sealed_anew_all_of_them_or_none(db: &Database) {
    let store = db.open().await;
    db.set_clock(NOW);
    let signing = key("one", KeyState::Signing, NOW.0);
    commit(&*store, insertion(&signing)).await;
    let own = StoreKey {
        purpose: "tag".to_owned(),
        key_id: "x".to_owned(),
        sealed: Sealed(vec![1]),
    };
    commit(&*store, Change::Key(KeyChange::InsertStoreKey(own.clone()))).await;
    let version = store.keys_version().await.unwrap();
    let sealed = KeyRecord {
        private_key: Sealed(vec![9]),
        seal: Some(b"anew".to_vec()),
        ..signing.clone()
    };
    let resealing = KeyResealing {
        keys_version: version,
        signing: vec![sealed.clone()],
        own: vec![(own.clone(), Sealed(vec![2]))],
        master_key: "new".to_owned(),
        serving_millis: 60_000,
    };
    let send = async |resealing: &KeyResealing| {
        let change = KeyChange::Reseal(Box::new(resealing.clone()));
        commit(&*store, Change::Key(change)).await
    };
    let older = KeyResealing {
        keys_version: version - 1,
        ..resealing.clone()
    };
    assert_eq!(send(&older).await, Outcome::Conflict);
    let mut changed = resealing.clone();
    changed.own[0].0.sealed = Sealed(vec![3]);
    assert_eq!(send(&changed).await, Outcome::Conflict);
    // The name of a key is no part of another one's name.
    let processes = [process(&["newer", "old"]), process(&["new", "old"])];
    for process in &processes {
        store.report_process(process, NOW.into()).await.unwrap();
    }
    assert_eq!(send(&resealing).await, Outcome::Conflict);
    assert_eq!(store.keys().await.unwrap().keys, [signing]);
    assert_eq!(
        store.store_keys().await.unwrap(),
        std::slice::from_ref(&own)
    );
    store.end_process(processes[0].process_id).await.unwrap();
    assert_eq!(send(&resealing).await, Outcome::Applied);
    let keys = store.keys().await.unwrap();
    assert_eq!(keys.keys, [sealed]);
    assert!(keys.version > version);
    let own = StoreKey {
        sealed: Sealed(vec![2]),
        ..own
    };
    assert_eq!(store.store_keys().await.unwrap(), [own]);
    let events = "select kind || ' ' || detail from audit_event where kind = 'key.resealed'";
    assert_eq!(db.texts(events).await.len(), 1);
}
