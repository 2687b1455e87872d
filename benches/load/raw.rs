//! The least cost of a token: how fast this machine signs and verifies with the library and the
//! kind of keys that the server uses. All other figures are ratios to these rates.

use std::time::{Duration, Instant};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{
    KeyPair as _, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256,
};
use sealwright::testing::domain::credential::SecretHash;
use sealwright::testing::service::clients::secret::Secret;
use sealwright::testing::service::clients::secret::kdf::{self, Workspace};
use serde::{Deserialize, Serialize};

use crate::cores::{Cores, pin};
use crate::process::thread_cpu;
use crate::{Fallible, Problem};

/// A message as long as the header and claims of a token.
const MESSAGE: [u8; 400] = [b'm'; 400];

/// Operations in a second of one core's CPU time.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Raw {
    pub sign: f64,
    pub verify: f64,
}

impl Raw {
    pub fn mean(self, other: Self) -> Self {
        Self {
            sign: f64::midpoint(self.sign, other.sign),
            verify: f64::midpoint(self.verify, other.verify),
        }
    }
}

/// A key, parsed once.
pub struct Signer {
    pair: KeyPair,
    public: ParsedPublicKey,
    random: SystemRandom,
}

impl Signer {
    pub fn generate() -> Fallible<Self> {
        let pair = KeyPair::generate(KeySize::Rsa2048)?;
        let public = ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public_key())?;
        Ok(Self {
            pair,
            public,
            random: SystemRandom::new(),
        })
    }

    /// Measures on all cores at once, since all cores are busy in a row too. Each core signs for
    /// `time` and verifies for a quarter of it. The result is the mean of the server's cores.
    pub fn measure(&self, cores: &Cores, time: Duration) -> Fallible<Raw> {
        let rates: Vec<(usize, Fallible<Raw>)> = std::thread::scope(|scope| {
            let start = |core| (core, scope.spawn(move || self.rates_on(core, time)));
            let threads: Vec<_> = cores.all().into_iter().map(start).collect();
            let join = |(core, thread): (usize, std::thread::ScopedJoinHandle<'_, _>)| {
                (
                    core,
                    thread
                        .join()
                        .unwrap_or_else(|_| Err("a thread that signs died".into())),
                )
            };
            threads.into_iter().map(join).collect()
        });
        let (mut sign, mut verify) = (0.0, 0.0);
        for (core, rate) in rates {
            if cores.served.contains(&core) {
                let rate = rate?;
                sign += rate.sign;
                verify += rate.verify;
            }
        }
        let count = cores.served.len() as f64;
        Ok(Raw {
            sign: sign / count,
            verify: verify / count,
        })
    }

    fn rates_on(&self, core: usize, time: Duration) -> Fallible<Raw> {
        pin(&[core])?;
        let mut signature = vec![0; self.pair.public_modulus_len()];
        let mut sign = || {
            self.pair
                .sign(&RSA_PKCS1_SHA256, &self.random, &MESSAGE, &mut signature)
        };
        // The first signature of a thread also sets up the thread's state. Do not count it.
        sign()?;
        let sign_rate = rate(time, 8, || Ok(sign()?))?;
        let verify = || self.public.verify_sig(&MESSAGE, &signature);
        let verify_rate = rate(time / 4, 64, || Ok(verify()?))?;
        Ok(Raw {
            sign: sign_rate,
            verify: verify_rate,
        })
    }
}

/// Runs `work` in groups until `time` has passed. Returns the runs in a second of CPU time.
fn rate(time: Duration, group: u32, mut work: impl FnMut() -> Fallible<()>) -> Fallible<f64> {
    let (begun, cpu, mut count) = (Instant::now(), thread_cpu(), 0u32);
    while begun.elapsed() < time {
        for _ in 0..group {
            work()?;
        }
        count += group;
    }
    Ok(f64::from(count) / thread_cpu().saturating_sub(cpu).as_secs_f64())
}

/// argon2id verifications in a second of CPU time, with the parameters of a new secret.
pub fn argon2_rate(
    cores: &Cores,
    secret: &Secret,
    hash: &SecretHash,
    time: Duration,
) -> Fallible<f64> {
    let work = || -> Fallible<f64> {
        pin(&cores.served)?;
        let mut memory = Workspace::default();
        let mut verify = || {
            let right = kdf::verify(secret, hash, &mut memory);
            if right {
                Ok(())
            } else {
                Err(Problem::from("argon2id refused its own hash"))
            }
        };
        verify()?;
        rate(time, 1, verify)
    };
    std::thread::scope(|scope| {
        scope
            .spawn(work)
            .join()
            .unwrap_or_else(|_| Err("argon2id died".into()))
    })
}
