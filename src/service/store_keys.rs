//! The keys that belong to the store itself: made when the store has none, and opened.
//!
//! Must not know what a key is used for.

use std::sync::Arc;

use crate::clock::{Clock as _, StoreClock};
use crate::domain::act::Act;
use crate::entropy::Entropy;
use crate::keys::code::{self, CodeKey};
use crate::keys::cursor::{self, CursorKey};
use crate::keys::reply::{self, ReplyKey};
use crate::keys::seal::MasterKey;
use crate::keys::tag::{self, TagKey};
use crate::keys::{Keyring, store_key};
use crate::store::{Change, KeyChange, Records, Store, StoreKey, Write};

use super::error::{Cause, Error};

/// The keys that belong to the store itself.
pub(crate) struct StoreKeys {
    /// The keys that compute the tags of secrets.
    pub tags: Vec<TagKey>,
    /// The key that seals authorization codes.
    pub code: CodeKey,
    /// The key that authenticates the cursors of lists.
    pub cursor: CursorKey,
    /// The key that seals replies to requests that may be sent again.
    pub reply: ReplyKey,
}

/// The store's own keys. They are made now if the store has none. A key that does not open under
/// this master key is a fault that says so.
pub(crate) async fn ensure_store_keys(
    store: &dyn Store,
    records: &dyn Records,
    keyring: &Keyring,
    clock: &StoreClock,
    entropy: &dyn Entropy,
) -> Result<StoreKeys, Error> {
    let master = keyring.master_key();
    let mut stored = records.store_keys().await?;
    let lacks = |stored: &[StoreKey], purpose| !stored.iter().any(|key| key.purpose == purpose);
    for purpose in [tag::PURPOSE, code::PURPOSE, cursor::PURPOSE, reply::PURPOSE] {
        if lacks(&stored, purpose) {
            let change = new_store_key(purpose, master, entropy)?;
            store
                .commit(vec![Write::new(Act::system(clock.moment()), change)])
                .await?;
            // Another process may have been first: only the keys that the store holds count.
            stored = records.store_keys().await?;
        }
    }
    let foreign = || Error::Fault(Arc::new(Cause(foreign(master).to_owned())));
    let of = |purpose| stored.iter().filter(move |key| key.purpose == purpose);
    let tags = of(tag::PURPOSE)
        .map(|key| TagKey::open(key, master).ok_or_else(foreign))
        .collect::<Result<_, _>>()?;
    let code = of(code::PURPOSE)
        .find_map(|key| CodeKey::open(key, master))
        .ok_or_else(foreign)?;
    let cursor = of(cursor::PURPOSE)
        .find_map(|key| CursorKey::open(key, master))
        .ok_or_else(foreign)?;
    let reply = of(reply::PURPOSE)
        .find_map(|key| ReplyKey::open(key, master))
        .ok_or_else(foreign)?;
    Ok(StoreKeys {
        tags,
        code,
        cursor,
        reply,
    })
}

/// Why the store's keys do not open under this master key, and what may be done.
pub(crate) fn foreign(master: &MasterKey) -> &'static str {
    if master.has_previous() {
        "the store's keys open neither under keys.master_key nor under keys.master_key_previous: they need the \
         master key of their day"
    } else {
        "the store's keys do not open under this master key. If keys.master_key was replaced, set \
         keys.master_key_previous to the one before it, until `sealwright key reseal` has run"
    }
}

/// Whether the keys that the store holds open under this master key. A store without keys does.
pub(crate) async fn keys_open(records: &dyn Records, master: &MasterKey) -> Result<bool, Error> {
    let stored = records.store_keys().await?;
    let of = |purpose| stored.iter().filter(move |key| key.purpose == purpose);
    let opens = |key: &&StoreKey| store_key::open(key, &key.purpose, master).is_some();
    // Tags were computed with each of the tag keys. Of the others, any one is enough.
    let others = [code::PURPOSE, cursor::PURPOSE, reply::PURPOSE].into_iter();
    Ok(of(tag::PURPOSE).all(|key| opens(&key))
        && others
            .filter(|purpose| of(purpose).next().is_some())
            .all(|purpose| of(purpose).any(|key| opens(&key))))
}

/// The change that gives the store a key for this purpose, unless it has one.
pub(super) fn new_store_key(
    purpose: &str,
    master: &MasterKey,
    entropy: &dyn Entropy,
) -> Result<Change, Error> {
    let key = store_key::generate(purpose, draw_key_id(entropy)?, master, entropy)?;
    Ok(Change::Key(KeyChange::InsertStoreKey(key)))
}

fn draw_key_id(entropy: &dyn Entropy) -> Result<char, Error> {
    loop {
        let mut byte = [0u8; 1];
        entropy.fill(&mut byte)?;
        let drawn = char::from(byte[0] & 0x7F);
        if drawn.is_ascii_alphanumeric() {
            return Ok(drawn);
        }
    }
}
