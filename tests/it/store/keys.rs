//! Signing keys, and the store's own keys.

use sealwright::testing::domain::id::Kid;
use sealwright::testing::domain::time::Timestamp;
use sealwright::testing::store::{
    Change, KeyChange, KeyRecord, KeyState, Outcome, Retires, Sealed, StoreKey,
};

use super::kit::{NOW, commit, commit_at};
use super::on_both;
use crate::harness::database::Database;

on_both! {
    keys_are_read_back_oldest_first,
    at_most_one_key_signs,
    a_key_goes_from_announced_to_signing_to_retiring_to_gone,
    an_activation_that_no_longer_fits_changes_nothing,
    two_servers_that_start_at_once_agree_on_one_key,
    a_purpose_has_one_store_key,
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
    assert_eq!(store.keys().await.unwrap(), [old, new]);
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
    assert_eq!(store.keys().await.unwrap(), [signing]);
    assert_eq!(db.number("select count(*) from audit_event").await, 1);
}

async fn a_key_goes_from_announced_to_signing_to_retiring_to_gone(db: &Database) {
    let store = db.open().await;
    let stands = async || {
        let keys = store.keys().await.unwrap();
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
    let before = store.keys().await.unwrap();
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
    assert_eq!(store.keys().await.unwrap(), before);
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
    let signs = one.keys().await.unwrap().remove(0).kid.0;
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
