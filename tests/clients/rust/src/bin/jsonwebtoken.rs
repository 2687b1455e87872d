//! jsonwebtoken: a service that verifies offline, with the JWKS and the revocation list.

use clients::front::{Front, Mode, until};
use clients::{Given, Outcome, Report};

// recipe: verify
use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::sync::{Arc, Mutex, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::Deserialize;
use sha2::{Digest, Sha256};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

#[derive(Deserialize)]
struct Claims {
    client_id: String,
    scope: String,
    jti: String,
    epoch: i64,
}

#[derive(Deserialize)]
struct List {
    revoked_jtis: HashSet<String>,
    revoked_agents: Vec<RevokedAgent>,
}

#[derive(Deserialize)]
struct RevokedAgent {
    agent: String,
    epoch: i64,
}

struct Keys {
    known: JwkSet,
    asked: Instant,
    answered: bool,
}

#[derive(Default)]
struct Revoked {
    etag: String,
    jtis: HashSet<String>,
    epochs: HashMap<String, i64>,
}

/// The keys cannot be had, so nobody knows whether the token is good.
#[derive(Debug)]
struct Unavailable;

impl std::fmt::Display for Unavailable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the keys cannot be had")
    }
}

impl Error for Unavailable {}

/// Says what a token's claims are, or why it is worth nothing; the error is [`Unavailable`] when it cannot tell.
struct Verifier {
    http: ureq::Agent,
    keys_url: String,
    list_url: String,
    ask_again: Duration,
    validation: Validation,
    keys: Mutex<Keys>,
    revoked: RwLock<Revoked>,
}

impl Verifier {
    fn new(issuer: &str, audience: &str) -> Result<Self> {
        let mut validation = Validation::new(Algorithm::RS256);
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        // No leeway: the revocation list forgets what has expired.
        validation.leeway = 0;
        let http = ureq::Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(5)))
            .build()
            .new_agent();
        let keys_url = format!("{issuer}/.well-known/jwks.json");
        Ok(Self {
            keys: Mutex::new(Keys {
                known: http.get(&keys_url).call()?.body_mut().read_json()?,
                asked: Instant::now(),
                answered: true,
            }),
            http,
            keys_url,
            ask_again: Duration::from_secs(30),
            list_url: format!("{issuer}/api/v1/token/revoked"),
            validation,
            revoked: RwLock::default(),
        })
    }

    /// A service that cannot learn what is revoked does not start. Afterwards a failed poll leaves the list as it was.
    fn start(self: &Arc<Self>, every: Duration) -> Result<()> {
        self.poll()?;
        let verifier = Arc::clone(self);
        thread::spawn(move || {
            loop {
                thread::sleep(every);
                if let Err(reason) = verifier.poll() {
                    eprintln!("the revocation list is stale: {reason}");
                }
            }
        });
        Ok(())
    }

    /// Nearly all answers are 304. Anything but a list is an error.
    fn poll(&self) -> Result<()> {
        let etag = self.revoked.read().unwrap().etag.clone();
        let mut answer = self
            .http
            .get(&self.list_url)
            .header("If-None-Match", etag)
            .call()?;
        if answer.status() == 304 {
            return Ok(());
        }
        let list: List = answer.body_mut().read_json()?;
        let etag = answer
            .headers()
            .get("ETag")
            .ok_or("no ETag")?
            .to_str()?
            .to_owned();
        let epochs = list
            .revoked_agents
            .into_iter()
            .map(|entry| (entry.agent, entry.epoch))
            .collect();
        *self.revoked.write().unwrap() = Revoked {
            etag,
            jtis: list.revoked_jtis,
            epochs,
        };
        Ok(())
    }

    fn verify(&self, token: &str) -> Result<Claims> {
        let header = decode_header(token)?;
        if header.typ.as_deref() != Some("at+jwt") {
            return Err("not an access token".into());
        }
        let key = self.key(&header.kid.ok_or("the token names no key")?)?;
        let claims = decode::<Claims>(token, &key, &self.validation)?.claims;
        let agent = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(&claims.client_id));
        let revoked = self.revoked.read().unwrap();
        if revoked.jtis.contains(&claims.jti)
            || revoked
                .epochs
                .get(&agent)
                .is_some_and(|epoch| claims.epoch < *epoch)
        {
            return Err("the token was revoked".into());
        }
        Ok(claims)
    }

    fn key(&self, kid: &str) -> Result<DecodingKey> {
        let mut keys = self.keys.lock().unwrap();
        // A key that is not known may be a new one, but nobody can make this ask more than twice a minute.
        if keys.known.find(kid).is_none() && keys.asked.elapsed() > self.ask_again {
            keys.asked = Instant::now();
            let fetched = self
                .http
                .get(&self.keys_url)
                .call()
                .and_then(|mut it| it.body_mut().read_json());
            keys.answered = fetched.is_ok();
            if let Ok(known) = fetched {
                keys.known = known;
            }
        }
        match keys.known.find(kid) {
            Some(key) => Ok(DecodingKey::from_jwk(key)?),
            None if keys.answered => Err("nobody knows the token's key".into()),
            None => Err(Unavailable.into()),
        }
    }
}
// end of recipe

fn main() -> Outcome {
    let given = Given::read()?;
    let mut report = Report::default();
    let audience = "https://db.example";
    assert_eq!(
        given.endpoint("jwks_uri"),
        format!("{}/.well-known/jwks.json", given.issuer)
    );
    let front = Front::open(&given.issuer)?;
    let mut verifier = Verifier::new(&given.issuer, audience)?;
    verifier.list_url = verifier.list_url.replace(&given.issuer, &front.url);
    let verifier = Arc::new(verifier);

    let token = given.request_token(&[("audience", audience), ("scope", &given.scope)])?;
    let claims = verifier.verify(&token)?;
    assert_eq!(
        (&claims.client_id, &claims.scope),
        (&given.client_id, &given.scope)
    );
    report.did("verified offline");

    let refusal = |token: &str| {
        verifier
            .verify(token)
            .err()
            .map(|reason| reason.to_string())
            .unwrap_or_default()
    };
    assert_eq!(refusal(&given.request_token(&[])?), "InvalidAudience");
    assert_eq!(
        refusal(&format!("{}AAAAAAAA", &token[..token.len() - 8])),
        "InvalidSignature"
    );
    let header = BASE64_URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256","typ":"JWT"}"#);
    let (_, signed) = token.split_once('.').ok_or("no header")?;
    assert_eq!(
        refusal(&format!("{header}.{signed}")),
        "not an access token"
    );
    report.did("another audience, a forged signature and another `typ` are refused");

    front.set(Mode::Unavailable);
    assert!(verifier.start(Duration::from_millis(20)).is_err());
    front.set(Mode::Pass);
    verifier.start(Duration::from_millis(20))?;
    let new_token = || given.request_token(&[("audience", audience)]);
    let next = new_token()?;
    given.revoke(&token)?;
    until(|| refusal(&token) == "the token was revoked")?;
    assert_eq!(refusal(&next), "");
    for mode in [Mode::Unavailable, Mode::Gone] {
        front.set(mode);
        let before = front.failures();
        until(|| front.failures() > before + 2)?;
        assert_eq!(
            (refusal(&token).as_str(), refusal(&next).as_str()),
            ("the token was revoked", "")
        );
    }
    // The thread lives, and an agent's epoch counts without any `jti`.
    given.revoke_agent()?;
    front.set(Mode::Cut);
    until(|| refusal(&next) == "the token was revoked")?;
    assert_eq!(refusal(&new_token()?), "");
    report.did(
        "a revoked `jti` and a revoked agent are refused, and stay refused while the list cannot be had",
    );

    // As after a rotation: the token's key is not among those that are known.
    let mut elsewhere = Verifier::new(&given.issuer, audience)?;
    elsewhere.keys_url = elsewhere.keys_url.replace(&given.issuer, &front.url);
    let fresh = new_token()?;
    elsewhere.keys.lock().unwrap().known = JwkSet { keys: vec![] };
    assert_eq!(
        elsewhere
            .verify(&fresh)
            .err()
            .map(|e| e.to_string())
            .as_deref(),
        Some("nobody knows the token's key")
    );
    elsewhere.ask_again = Duration::ZERO;
    for mode in [Mode::Unavailable, Mode::Gone] {
        front.set(mode);
        assert!(
            elsewhere
                .verify(&fresh)
                .is_err_and(|reason| reason.is::<Unavailable>())
        );
    }
    // It is not asked again at once, and the failure is not forgotten meanwhile.
    elsewhere.ask_again = Duration::from_secs(30);
    front.set(Mode::Pass);
    assert!(
        elsewhere
            .verify(&fresh)
            .is_err_and(|reason| reason.is::<Unavailable>())
    );
    elsewhere.ask_again = Duration::ZERO;
    assert_eq!(elsewhere.verify(&fresh)?.client_id, given.client_id);
    report.did("keys that cannot be had are no verdict");
    report.done("jsonwebtoken")
}
