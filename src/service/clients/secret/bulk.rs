//! Hashes many secrets at once, on every core. This is for an import, for which no request waits.

use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::domain::credential::SecretHash;
use crate::entropy::Entropy;

use super::format::Secret;
use super::kdf::{self, HashFault, Workspace};

/// Hashes each secret with argon2id, in order. Blocks for about 15 ms a secret and core.
pub fn hash_all(secrets: &[Secret], entropy: &dyn Entropy) -> Vec<Result<SecretHash, HashFault>> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let next = AtomicUsize::new(0);
    let work = || {
        let mut workspace = Workspace::default();
        let mut done = Vec::new();
        while let Some((i, secret)) = take(&next, secrets) {
            done.push((i, kdf::hash(secret, entropy, &mut workspace)));
        }
        done
    };
    let mut hashes: Vec<Result<SecretHash, HashFault>> =
        secrets.iter().map(|_| Err(HashFault::Argon2)).collect();
    let done = thread::scope(|scope| {
        let threads: Vec<_> = (0..cores.min(secrets.len()))
            .map(|_| scope.spawn(work))
            .collect();
        threads
            .into_iter()
            .filter_map(|t| t.join().ok())
            .flatten()
            .collect::<Vec<_>>()
    });
    for (i, hash) in done {
        hashes[i] = hash;
    }
    hashes
}

fn take<'a>(next: &AtomicUsize, secrets: &'a [Secret]) -> Option<(usize, &'a Secret)> {
    let i = next.fetch_add(1, Ordering::Relaxed);
    secrets.get(i).map(|secret| (i, secret))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SeededEntropy;

    #[test]
    fn every_secret_gets_its_own_hash_in_its_own_place() {
        let secrets: Vec<Secret> = (0..5)
            .map(|i| Secret::parse(&format!("secret {i}")).unwrap())
            .collect();
        let hashes = hash_all(&secrets, &SeededEntropy::new(1));
        let mut workspace = Workspace::default();
        for (secret, hash) in secrets.iter().zip(&hashes) {
            assert!(kdf::verify(secret, hash.as_ref().unwrap(), &mut workspace));
        }
        assert_eq!(hashes.len(), 5);
        assert!(hash_all(&[], &SeededEntropy::new(1)).is_empty());
    }
}
