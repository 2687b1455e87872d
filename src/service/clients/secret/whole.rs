//! The work for a foreign secret: the same for every id, whatever hash its agent has.
//!
//! The hashes of one store differ in cost, so the response time would reveal which kind of hash an
//! id has, or that it has none. Each comparison is therefore extended to the same total: the most
//! expensive bcrypt that the store holds, and each argon2 cost of the store once. Owns that total.
//! Must not know agents or stores.

use std::hint::black_box;

use crate::domain::credential::{HashCost, SecretHash};

use super::format::Secret;
use super::kdf::{self, Workspace};

/// The most argon2 costs that are part of the total. The most expensive ones are taken.
const MAX_ARGON2: usize = 4;

/// The part after the cost in a decoy hash, with which no real secret is compared.
const BCRYPT_END: &str = "CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
const ARGON2_END: &str = "c2VhbHdyaWdodC1kZWNveQ$c2VhbHdyaWdodCBkZWNveSBvdXRwdXQgb2YgMzIgYnl0ZXM";

/// The total work, of one store at one time.
pub(super) struct Whole {
    bcrypt: Option<u32>,
    argon2: Vec<SecretHash>,
}

impl Whole {
    /// For a store that holds imported hashes of these costs. A cost that cannot be read adds no
    /// work.
    pub(super) fn of(costs: &[HashCost]) -> Self {
        let mut argon2: Vec<(u64, SecretHash)> = costs
            .iter()
            .map(|cost| SecretHash(format!("{}{ARGON2_END}", cost.0).into()))
            .filter_map(|hash| Some((kdf::argon2_work(&hash)?, hash)))
            .collect();
        argon2.sort_by_key(|(work, _)| std::cmp::Reverse(*work));
        argon2.truncate(MAX_ARGON2);
        Self {
            bcrypt: costs.iter().filter_map(|cost| bcrypt_cost(&cost.0)).max(),
            argon2: argon2.into_iter().map(|(_, hash)| hash).collect(),
        }
    }

    /// Whether `secret` is the one that was hashed. A wrong secret, or a secret without any hash,
    /// costs the total. A right secret returns at once, because its success is no secret.
    pub(super) fn verify(
        &self,
        secret: &Secret,
        hash: Option<&SecretHash>,
        work: &mut Workspace,
    ) -> bool {
        if hash.is_some_and(|hash| kdf::verify(secret, hash, work)) {
            return true;
        }
        for decoy in self.rest(hash) {
            black_box(kdf::verify(secret, &decoy, work));
        }
        false
    }

    /// The hashes that are missing from the total after `hash` was compared.
    fn rest(&self, hash: Option<&SecretHash>) -> Vec<SecretHash> {
        let compared = hash.and_then(|hash| bcrypt_cost(&hash.0));
        // Each bcrypt cost is twice the work of the cost below it: after a comparison of cost c,
        // the sum 2^c + 2^c + 2^(c+1) + … reaches the most expensive cost.
        let bcrypt = match (compared, self.bcrypt) {
            (Some(compared), Some(dearest)) => compared..dearest,
            (None, Some(dearest)) => dearest..dearest + 1,
            (_, None) => 0..0,
        };
        let bcrypt = bcrypt.map(|cost| SecretHash(format!("$2b${cost:02}${BCRYPT_END}").into()));
        let same =
            |decoy: &SecretHash| hash.is_some_and(|hash| cost_of(&hash.0) == cost_of(&decoy.0));
        bcrypt
            .chain(self.argon2.iter().filter(|decoy| !same(decoy)).cloned())
            .collect()
    }
}

fn bcrypt_cost(text: &str) -> Option<u32> {
    text.strip_prefix("$2")?
        .get(2..4)?
        .parse()
        .ok()
        .filter(|cost| (4..=31).contains(cost))
}

/// The part of an argon2 hash before its salt.
fn cost_of(text: &str) -> Option<&str> {
    let (rest, _) = text.rsplit_once('$')?;
    Some(rest.rsplit_once('$')?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARGON2: [&str; 3] = [
        "$argon2id$v=19$m=64,t=2,p=1$",
        "$argon2i$v=19$m=128,t=3,p=1$",
        "$argon2d$m=64,t=1,p=2$",
    ];

    fn costs(texts: &[&str]) -> Vec<HashCost> {
        texts.iter().map(|text| HashCost((*text).into())).collect()
    }

    fn hash(cost: &str) -> SecretHash {
        let end = if cost.starts_with("$2") {
            BCRYPT_END
        } else {
            ARGON2_END
        };
        SecretHash(format!("{cost}{end}").into())
    }

    #[test]
    fn every_hash_and_none_cost_the_same_for_secrets_of_every_length() {
        let bcrypt = ["$2a$04$", "$2b$06$", "$2y$07$"];
        for (held, sum) in [
            (costs(&[bcrypt[1]]), (1 << 6, 0)),
            (costs(&bcrypt), (1 << 7, 0)),
            (costs(&ARGON2), (0, 64 * 2 + 128 * 3 + 64)),
            (costs(&[bcrypt[0], bcrypt[2], ARGON2[0]]), (1 << 7, 64 * 2)),
        ] {
            let whole = Whole::of(&held);
            for length in [1, 72, 73, 2_000, 4_096] {
                let secret = Secret::parse(&"x".repeat(length)).unwrap();
                let kinds = held.iter().map(|cost| Some(hash(&cost.0))).chain([None]);
                for kind in kinds {
                    let mut work = Workspace::default();
                    assert!(!whole.verify(&secret, kind.as_ref(), &mut work));
                    let done = work.take_done();
                    assert_eq!(
                        (done.bcrypt_rounds, done.argon2_kib),
                        sum,
                        "{length} bytes: {held:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_right_secret_costs_its_own_hash_alone() {
        let whole = Whole::of(&costs(&["$2a$05$", "$2b$08$", ARGON2[0]]));
        let mut work = Workspace::default();
        assert!(whole.verify(
            &Secret::parse("U*U").unwrap(),
            Some(&hash("$2a$05$")),
            &mut work
        ));
        let done = work.take_done();
        assert_eq!((done.bcrypt_rounds, done.argon2_kib), (1 << 5, 0));
    }

    #[test]
    fn a_cost_that_cannot_be_read_counts_for_nothing_and_their_number_is_bounded() {
        let garbage = costs(&[
            "",
            "$",
            "$2",
            "$2b$",
            "$2b$é$",
            "$2b$99$",
            "$argon2id$v=19$m=1,t=0$",
        ]);
        let whole = Whole::of(&garbage);
        assert!(whole.bcrypt.is_none() && whole.argon2.is_empty());
        let many: Vec<String> = (8..40)
            .map(|m| format!("$argon2id$v=19$m={m},t=1,p=1$"))
            .collect();
        let whole = Whole::of(&costs(&many.iter().map(String::as_str).collect::<Vec<_>>()));
        assert_eq!(whole.argon2.len(), MAX_ARGON2);
        assert!(whole.argon2[0].0.contains("m=39,"));
    }
}
