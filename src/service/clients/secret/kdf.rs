//! Password hashes: argon2id for secrets that this store hashes, bcrypt and argon2 for imported
//! ones.
//!
//! Every function here blocks for milliseconds. `pool` keeps them off the threads that serve
//! requests.

use argon2::password_hash::phc::{Output, ParamsString, Salt};
use argon2::{Algorithm, Argon2, Block, Params, PasswordHash, Version};
use subtle::ConstantTimeEq;

use crate::domain::Invalid;
use crate::domain::credential::SecretHash;
use crate::entropy::{Entropy, NoEntropy};

use super::format::Secret;

/// The most bytes of a secret that bcrypt reads. bcrypt reads a secret of exactly this length
/// completely, and real secrets have this length (`sk_live_` and 64 digits).
const BCRYPT_MAX_BYTES: usize = 72;

/// Memory for argon2, reused from one hash to the next, and a count of what was computed.
#[derive(Default)]
pub struct Workspace {
    blocks: Vec<Block>,
    done: Done,
}

/// How much was computed, in the unit of each algorithm.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Done {
    /// Rounds of bcrypt's key setup: two to the power of the cost.
    pub bcrypt_rounds: u64,
    /// KiB that argon2 wrote: its memory size times the number of passes.
    pub argon2_kib: u64,
}

impl Workspace {
    /// Whether the workspace holds no memory.
    pub(super) fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// What was computed since the last call.
    pub(super) fn take_done(&mut self) -> Done {
        std::mem::take(&mut self.done)
    }

    fn blocks(&mut self, params: &Params) -> &mut [Block] {
        let count = params.block_count();
        if self.blocks.len() < count {
            self.blocks.resize(count, Block::default());
        }
        &mut self.blocks[..count]
    }
}

/// Why a secret was not hashed.
#[derive(Debug, Clone, Copy, thiserror::Error)]
pub enum HashFault {
    /// No salt could be drawn.
    #[error(transparent)]
    Entropy(#[from] NoEntropy),
    /// The library refused its parameters.
    #[error("argon2id failed")]
    Argon2,
}

/// Hashes with argon2id, 19 MiB, two passes, one lane, a fresh 16-byte salt. 14–18 ms.
pub fn hash(
    secret: &Secret,
    entropy: &dyn Entropy,
    work: &mut Workspace,
) -> Result<SecretHash, HashFault> {
    let mut salt = [0u8; 16];
    entropy.fill(&mut salt)?;
    let params = Params::DEFAULT;
    let output = derive(
        Algorithm::Argon2id,
        Version::V0x13,
        &params,
        secret.expose().as_bytes(),
        &salt,
        32,
        work,
    )
    .ok_or(HashFault::Argon2)?;
    let phc = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(&params).map_err(|_| HashFault::Argon2)?,
        salt: Some(Salt::new(&salt).map_err(|_| HashFault::Argon2)?),
        hash: Some(Output::new(&output).map_err(|_| HashFault::Argon2)?),
    };
    Ok(SecretHash(phc.to_string().into()))
}

/// Whether `secret` is the one that was hashed. A hash that cannot be read matches nothing.
pub fn verify(secret: &Secret, hash: &SecretHash, work: &mut Workspace) -> bool {
    if hash.0.starts_with("$2") {
        return verify_bcrypt(secret, hash, work).unwrap_or(false);
    }
    verify_argon2(secret, hash, work).unwrap_or(false)
}

fn verify_bcrypt(secret: &Secret, hash: &SecretHash, work: &mut Workspace) -> Option<bool> {
    let cost = hash.0.parse::<bcrypt::HashParts>().ok()?.get_cost();
    // A longer secret is compared as well. Otherwise the response time would reveal that the hash
    // is bcrypt.
    let is_equal = bcrypt::verify(secret.expose(), &hash.0).ok()?;
    work.done.bcrypt_rounds += 1 << cost;
    // bcrypt ignores the bytes beyond its limit. Any longer secret with the same beginning would
    // match, and nobody can tell which of them was meant. So none of them is accepted.
    Some(is_equal & (secret.expose().len() <= BCRYPT_MAX_BYTES))
}

fn verify_argon2(secret: &Secret, hash: &SecretHash, work: &mut Workspace) -> Option<bool> {
    let (algorithm, version, params, phc) = read_argon2(&hash.0)?;
    let (salt, expected) = (phc.salt?, phc.hash?);
    let password = secret.expose().as_bytes();
    let output = derive(
        algorithm,
        version,
        &params,
        password,
        salt.as_ref(),
        expected.len(),
        work,
    )?;
    Some(output.ct_eq(expected.as_bytes()).into())
}

fn derive(
    algorithm: Algorithm,
    version: Version,
    params: &Params,
    password: &[u8],
    salt: &[u8],
    length: usize,
    work: &mut Workspace,
) -> Option<Vec<u8>> {
    let mut output = vec![0u8; length];
    Argon2::new(algorithm, version, params.clone())
        .hash_password_into_with_memory(password, salt, &mut output, work.blocks(params))
        .ok()?;
    work.done.argon2_kib += work_of(params);
    Some(output)
}

fn work_of(params: &Params) -> u64 {
    u64::from(params.m_cost()) * u64::from(params.t_cost())
}

/// The cost of an argon2 hash, in KiB written. `None` if `hash` is not argon2.
pub(super) fn argon2_work(hash: &SecretHash) -> Option<u64> {
    read_argon2(&hash.0).map(|(_, _, params, _)| work_of(&params))
}

fn read_argon2(text: &str) -> Option<(Algorithm, Version, Params, PasswordHash)> {
    let phc = PasswordHash::new(text).ok()?;
    let algorithm = Algorithm::try_from(phc.algorithm.as_str()).ok()?;
    let version = match phc.version {
        Some(version) => Version::try_from(version).ok()?,
        None => Version::V0x10,
    };
    let params = Params::try_from(&phc).ok()?;
    Some((algorithm, version, params, phc))
}

/// Whether a successful verification should replace `hash` by this server's own argon2id.
pub(crate) fn is_foreign(hash: &SecretHash) -> bool {
    match read_argon2(&hash.0) {
        Some((Algorithm::Argon2id, Version::V0x13, params, _)) => {
            params.m_cost() != Params::DEFAULT_M_COST
                || params.t_cost() != Params::DEFAULT_T_COST
                || params.p_cost() != Params::DEFAULT_P_COST
        }
        _ => true,
    }
}

/// Accepts a hash for import: bcrypt up to cost 14, argon2 up to 64 MiB, t = 10, p = 4. With a more
/// expensive hash, anybody who sends wrong secrets could overload the server.
pub(crate) fn check_imported(text: &str) -> Result<SecretHash, Invalid> {
    if text.starts_with("$2") {
        return check_bcrypt(text);
    }
    let unknown = Invalid("the hash is neither bcrypt ($2a$, $2b$, $2y$) nor argon2 in PHC form");
    let (_, _, params, phc) = read_argon2(text).ok_or(unknown)?;
    let output = phc.hash.as_ref().map_or(0, Output::len);
    // Nothing can be compared with a hash whose salt argon2 refuses, and the response time would
    // reveal that.
    if phc
        .salt
        .is_none_or(|salt| salt.len() < argon2::MIN_SALT_LEN)
        || !(16..=64).contains(&output)
    {
        return Err(Invalid(
            "the argon2 hash lacks a salt of 8 bytes or has fewer than 16 bytes of output",
        ));
    }
    if params.m_cost() > 64 * 1024 || params.t_cost() > 10 || params.p_cost() > 4 {
        return Err(Invalid(
            "the argon2 hash costs more than 64 MiB, t = 10, p = 4",
        ));
    }
    Ok(SecretHash(text.into()))
}

fn check_bcrypt(text: &str) -> Result<SecretHash, Invalid> {
    let malformed = Invalid("the bcrypt hash is malformed");
    let rest = ["$2a$", "$2b$", "$2y$"]
        .iter()
        .find_map(|p| text.strip_prefix(p))
        .ok_or(malformed)?;
    let (cost, body) = rest.split_once('$').ok_or(malformed)?;
    let digits = cost.len() == 2 && cost.bytes().all(|b| b.is_ascii_digit());
    if body.len() != 53 || !digits || text.parse::<bcrypt::HashParts>().is_err() {
        return Err(malformed);
    }
    match cost.parse::<u32>() {
        Ok(4..=14) => Ok(SecretHash(text.into())),
        Ok(15..) => Err(Invalid("the bcrypt hash costs more than 14")),
        _ => Err(malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SeededEntropy;

    fn secret(text: &str) -> Secret {
        Secret::parse(text).unwrap()
    }

    #[test]
    fn what_was_hashed_verifies_and_nothing_else_does() {
        let mut work = Workspace::default();
        let hashed = hash(&secret("right"), &SeededEntropy::new(1), &mut work).unwrap();
        assert!(
            hashed.0.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{}",
            hashed.0
        );
        assert!(verify(&secret("right"), &hashed, &mut work));
        assert!(!verify(&secret("wrong"), &hashed, &mut work));
        assert!(!verify(
            &secret("right"),
            &SecretHash("garbage".into()),
            &mut work
        ));
        assert!(!is_foreign(&hashed));
    }

    #[test]
    fn bcrypt_lets_neither_a_longer_nor_a_shorter_secret_in() {
        let mut work = Workspace::default();
        for length in [1, 71, 72, 73, 200] {
            let right = "x".repeat(length);
            let hashed = SecretHash(bcrypt::hash(&right, 4).unwrap().into());
            assert_eq!(
                verify(&secret(&right), &hashed, &mut work),
                length <= 72,
                "{length} bytes"
            );
            let others = [length - 1, length + 1, 71, 72, 73, 144].into_iter();
            // bcrypt keeps only the first 72 bytes of a longer secret, so a secret of exactly these
            // bytes matches and is left out here.
            for other in others.filter(|other| ![0, length, length.min(72)].contains(other)) {
                assert!(
                    !verify(&secret(&"x".repeat(other)), &hashed, &mut work),
                    "{other} for {length}"
                );
            }
            assert!(is_foreign(&hashed));
        }
    }

    /// Made by other programs: bcryptjs and Python's bcrypt, passlib, PHP.
    #[test]
    fn bcrypt_hashes_of_every_prefix_verify() {
        let mut work = Workspace::default();
        for prefix in ["$2a$", "$2b$", "$2y$"] {
            let hashed =
                format!("{prefix}05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW");
            let hashed = check_imported(&hashed).unwrap();
            assert!(verify(&secret("U*U"), &hashed, &mut work), "{prefix}");
            assert!(!verify(&secret("U*U*"), &hashed, &mut work), "{prefix}");
        }
    }

    #[test]
    fn a_dear_hash_is_refused_at_import() {
        let argon2 = |m: u32, t: u32, p: u32| {
            format!(
                "$argon2id$v=19$m={m},t={t},p={p}$c29tZXNhbHRzb21lc2FsdA$MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI"
            )
        };
        assert!(check_imported(&argon2(65_536, 10, 4)).is_ok());
        for dear in [
            argon2(65_537, 1, 1),
            argon2(19_456, 11, 1),
            argon2(19_456, 2, 5),
        ] {
            assert!(check_imported(&dear).is_err(), "{dear}");
        }
        let body = "abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01232";
        assert!(check_imported(&format!("$2b$14${body}")).is_ok());
        for bad in [
            format!("$2b$15${body}"),
            format!("$2b$03${body}"),
            format!("$2b$+4${body}"),
            format!("$2b$10${}-", &body[1..]),
            argon2(19_456, 2, 1).replace("c29tZXNhbHRzb21lc2FsdA", "c2FsdA"),
            format!("$2b$10${}", &body[1..]),
            format!("$2x$10${body}"),
            "$1$x".to_owned(),
            String::new(),
        ] {
            assert!(check_imported(&bad).is_err(), "{bad}");
        }
    }
}
