//! Whether response times reveal which ids exist.

use std::ops::RangeInclusive;

use serde_json::{Value, json};

use crate::stage::client::{get, token_request};
use crate::stage::cluster::Cluster;
use crate::stage::server::{Agent, Server, Site};
use crate::stage::signer::{ISSUER, Key, Signer, own_claims, present};
use crate::stage::{Dice, cannot_run, play_alone, scaled};

/// The samples of each kind. If two distributions are equal, the AUC of n against n samples has a
/// standard error of sqrt((2n + 1) / (12 n²)), which is 0.0105 for 1,500. The band below is nine
/// standard errors wide on each side, since samples on a shared machine are not independent. A
/// single read of the store moves the AUC far outside the band, as the control shows in the same
/// run. A hash, of some 15 ms, moves it to 1.
const SAMPLES: usize = 1_500;
const BAND: RangeInclusive<f64> = 0.40..=0.60;
const CONTROL: f64 = 0.70;

#[test]
fn unknown_wrong_and_suspended_take_the_same_time() {
    play_alone(async {
        let site = Site::sqlite();
        let (known, suspended) = (
            site.agent("known", "unlimited"),
            site.agent("suspended", "unlimited"),
        );
        let foreign = site.agent("foreign", "unlimited").secret;
        // Of the wrong secrets, only one that was once valid costs a read, and only its owner has
        // it.
        let rotated = site.agent("rotated", "unlimited");
        site.must(&["agent", "rotate-secret", &rotated.id]);
        let server = site.start();
        for agent in [&known, &suspended] {
            assert_eq!(server.client().issue(agent).await.status, 200);
        }
        site.must(&["agent", "suspend", &suspended.id]);
        let with = |id: &str| Agent {
            id: id.to_owned(),
            secret: foreign.clone(),
        };
        let unknown = with("01a20229-96ee-7f86-b4fb-a2f4dcc142fa");
        let kinds = [&unknown, &with(&known.id), &with(&suspended.id)].map(token_request);
        let times = sample(&server, &kinds).await;
        // The control runs separately, since a read changes the caches that the next request finds.
        let control = sample(&server, &[&unknown, &rotated].map(token_request)).await;
        let control = auc(&control[0], &control[1]);
        println!("control (costs one read): AUC {control:.3}");
        let pairs = [
            ("unknown id, wrong secret", 0, 1),
            ("unknown id, suspended with wrong secret", 0, 2),
            ("wrong secret, suspended with wrong secret", 1, 2),
        ];
        for (name, a, b) in pairs {
            demand_alike(name, &times[a], &times[b]);
        }
        if scaled(control <= CONTROL, false) {
            return cannot_run("the control", "the load of the machine hides a read");
        }
        assert!(
            control > CONTROL,
            "the measurement does not detect a read: AUC {control:.3}"
        );
    });
}

/// Contract D6 and ASVS 6.3.8 for secrets that do not have the generated form. Each costs hashes of
/// tens of milliseconds, so there are fewer samples, and the band of the short form is as wide as
/// its noise.
#[test]
fn a_foreign_secret_takes_the_same_time_for_every_id_and_length() {
    play_alone(async {
        let mut site = Site::sqlite();
        site.set("SEALWRIGHT_LIMITS__FAILURES_PER_MINUTE", "0");
        let output = "c29tZXNhbHRzb21lc2FsdA$MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI";
        let cost = scaled("06", "10");
        let bcrypt = format!("$2b${cost}$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW");
        site.import(&[
            (
                "argon2",
                &format!("$argon2id$v=19$m=19456,t=2,p=1${output}"),
            ),
            ("bcrypt", &bcrypt),
        ]);
        let generated = site.agent("generated", "unlimited");
        let server = site.start();
        let ids = [
            "01a20229-96ee-7f86-b4fb-a2f4dcc142fa",
            &generated.id,
            "argon2",
            "bcrypt",
        ];
        let (samples, band) = scaled((32, 0.15..=0.85), (300, BAND));
        for (length, of) in [(9, "short"), (73, "73 bytes"), (2_000, "long")] {
            let guess = |id: &str| {
                token_request(&Agent {
                    id: id.to_owned(),
                    secret: "x".repeat(length),
                })
            };
            let times = sample_some(&server, &ids.map(guess), samples).await;
            for (a, first) in times.iter().enumerate() {
                for (b, second) in times.iter().enumerate().skip(a + 1) {
                    let name = |i: usize| ["unknown", "generated", "argon2", "bcrypt"][i];
                    demand_within(
                        &format!("{of}: {} and {}", name(a), name(b)),
                        first,
                        second,
                        &band,
                    );
                }
            }
        }
    });
}

#[test]
fn no_refusal_of_a_code_tells_by_its_time_which_agents_there_are_on_sqlite() {
    play_alone(async { refusals_of_a_code_take_the_same_time(&Site::sqlite()).await });
}

#[test]
fn no_refusal_of_a_code_tells_by_its_time_which_agents_there_are_on_postgres() {
    play_alone(async {
        let cluster = Cluster::start().await;
        refusals_of_a_code_take_the_same_time(&Site::postgres(&cluster).await).await;
    });
}

#[test]
fn no_refused_assertion_tells_by_its_time_which_agents_there_are_on_sqlite() {
    play_alone(async { refused_assertions_take_the_same_time(Site::sqlite()).await });
}

#[test]
fn no_refused_assertion_tells_by_its_time_which_agents_there_are_on_postgres() {
    play_alone(async {
        let cluster = Cluster::start().await;
        refused_assertions_take_the_same_time(Site::postgres(&cluster).await).await;
    });
}

/// Each is compared with the assertion of an unknown agent. If each were answered at once, a build for
/// tests would show an AUC above 0.8, so the short form has few samples and a wide band.
async fn refused_assertions_take_the_same_time(mut site: Site) {
    site.set("SEALWRIGHT_LIMITS__FAILURES_PER_MINUTE", "0");
    site.set("SEALWRIGHT_TOKEN__ISSUER", ISSUER);
    let (signer, now) = (Signer::new(&site), site.now().await);
    let (agent, foreign) = (&signer.agent.id, Key::new());
    let (plain, suspended) = (
        site.agent("plain", "unlimited"),
        site.agent("idle", "unlimited"),
    );
    site.must(&["agent", "suspend", &suspended.id]);
    let server = site.start();
    let spent = signer.request("spent", now);
    assert_eq!(server.client().ask(&spent).await.status, 200);
    let (header, claims) = (json!({ "alg": "ES256" }), own_claims(agent, "j", now));
    let with = |changed: &Value, name: &str, value: Value| {
        let mut changed = changed.clone();
        changed[name] = value;
        changed
    };
    let unknown = "01a20229-96ee-7f86-b4fb-a2f4dcc142fa";
    let sign = |header: &Value, claims: &Value| present(&signer.key.sign(header, claims), None);
    let platform = trust_platform(&site, agent);
    let of_another_key = foreign.sign(&header, &claims);
    let for_others = with(&claims, "aud", json!("https://b.example"));
    let expired = with(&claims, "exp", json!(now - 300));
    let other_type = with(&header, "typ", json!("at+jwt"));
    let kinds = [
        ("unknown", sign(&header, &own_claims(unknown, "j", now))),
        ("spent", spent),
        ("of another key", present(&of_another_key, None)),
        ("for others", sign(&header, &for_others)),
        ("expired", sign(&header, &expired)),
        ("of another type", sign(&other_type, &claims)),
        (
            "without a key",
            sign(&header, &own_claims(&plain.id, "j", now)),
        ),
        (
            "of a suspended agent",
            sign(&header, &own_claims(&suspended.id, "j", now)),
        ),
        (
            "unsigned",
            sign(&with(&header, "alg", json!("none")), &claims),
        ),
        (
            "of a platform, unknown",
            of_platform(&platform, unknown, now),
        ),
        (
            "of a platform, another's",
            of_platform(&platform, agent, now),
        ),
        ("of a platform, forged", of_platform(&foreign, agent, now)),
    ];
    // To read what is malformed takes less time, whoever the agent is.
    let malformed = |id: &str| present(&format!("{of_another_key}.A"), Some(id));
    let malformed = [
        ("malformed, unknown", malformed(unknown)),
        ("malformed", malformed(agent)),
    ];
    for kinds in [&kinds[..], &malformed] {
        demand_one_time(&server, kinds).await;
    }
}

/// Demands that refusals of the first kind and of each other one are answered at the same time.
async fn demand_one_time(server: &Server, kinds: &[(&str, Vec<u8>)]) {
    let (samples, band) = scaled((250, 0.35..=0.65), (SAMPLES, BAND));
    let requests: Vec<Vec<u8>> = kinds.iter().map(|(_, request)| request.clone()).collect();
    let mut times = sample_some(server, &requests, samples).await;
    for ((name, _), of_it) in kinds.iter().zip(&times) {
        // The client's clock starts before the server's.
        let fastest = of_it.iter().copied().fold(f64::MAX, f64::min);
        assert!(fastest >= 0.010, "{name}: answered after {fastest} s");
    }
    // On a machine with other load, a read may take so long that an answer is one interval later. The
    // short form compares the answers of the first interval.
    let most = scaled(0.020, f64::MAX);
    for of_it in &mut times {
        of_it.retain(|time| *time < most);
    }
    for ((name, _), of_it) in kinds.iter().zip(&times).skip(1) {
        let name = format!("an assertion {} and one {name}", kinds[0].0);
        if times[0].len() < samples / 3 {
            cannot_run(
                &name,
                "the machine is too slow to answer in the first interval",
            );
            continue;
        }
        // One kind that is answered an interval later would tell as much.
        assert!(
            of_it.len() * 2 >= times[0].len(),
            "{name}: {} of {samples} in the first interval, and {} of the unknown",
            of_it.len(),
            times[0].len()
        );
        demand_within(&name, &times[0], of_it, &band);
    }
}

/// The issuer of a cluster's tokens.
const PLATFORM: &str = "https://k8s.example";

/// Lets the agent trust a service account of a cluster. Returns the cluster's key.
fn trust_platform(site: &Site, agent: &str) -> Key {
    let key = Key::new();
    let keys = site.write("platform.json", &json!({ "keys": [key.jwk()] }));
    let create =
        format!("partner create --name k8s --preset kubernetes --issuer {PLATFORM} --jwks {keys}");
    let partner = site.json(&create.split(' ').collect::<Vec<_>>());
    let trust = format!(
        "credential create {agent} --partner {} --subject system:serviceaccount:prod:reports \
         --claim /kubernetes.io/serviceaccount/uid=1",
        partner["partnerId"].as_str().unwrap()
    );
    site.must(&trust.split(' ').collect::<Vec<_>>());
    key
}

/// The request with the token of another service account, which proves nobody.
fn of_platform(key: &Key, client_id: &str, now: i64) -> Vec<u8> {
    let claims = json!({
        "iss": PLATFORM, "sub": "system:serviceaccount:dev:reports", "aud": ISSUER,
        "iat": now, "exp": now + 600,
    });
    let signed = key.sign(&json!({ "alg": "ES256" }), &claims);
    present(&signed, Some(client_id))
}

async fn refusals_of_a_code_take_the_same_time(site: &Site) {
    const CALLBACK: &str = "https://app.example/cb";
    let (known, suspended) = (
        site.agent("known", "unlimited"),
        site.agent("suspended", "unlimited"),
    );
    for agent in [&known, &suspended] {
        site.must(&[
            "agent",
            "update",
            &agent.id,
            "--redirect-uri",
            CALLBACK,
            "--user-id",
            "u1",
        ]);
    }
    let server = site.start();
    for agent in [&known, &suspended] {
        assert_eq!(server.client().issue(agent).await.status, 200);
    }
    site.must(&["agent", "suspend", &suspended.id]);
    let ask = |id: &str, uri: &str, user: &str| {
        get(
            &format!("/api/oauth2?client_id={id}&redirect_uri={uri}&userid={user}"),
            "",
        )
    };
    let other = "https://app.example/xx";
    let kinds = [
        ask("01a20229-96ee-7f86-b4fb-a2f4dcc142fa", CALLBACK, "u1"),
        ask(&known.id, other, "u1"),
        ask(&known.id, CALLBACK, "u2"),
        ask(&suspended.id, CALLBACK, "u1"),
    ];
    let times = sample(&server, &kinds).await;
    let names = ["another redirect URI", "another user", "a suspended agent"];
    for (name, of_it) in names.iter().zip(&times[1..]) {
        demand_alike(&format!("an unknown id and {name}"), &times[0], of_it);
    }
}

fn demand_alike(name: &str, a: &[f64], b: &[f64]) {
    demand_within(name, a, b, &BAND);
}

fn demand_within(name: &str, a: &[f64], b: &[f64], band: &RangeInclusive<f64>) {
    let measured = auc(a, b);
    println!("{name}: AUC {measured:.3}");
    assert!(
        band.contains(&measured),
        "{name}: AUC {measured:.3} is outside {band:?}"
    );
}

/// Interleaves the kinds in a new random order in each round. So other load on the machine, and
/// effects of one request on the next, affect all kinds alike.
async fn sample(server: &Server, kinds: &[Vec<u8>]) -> Vec<Vec<f64>> {
    sample_some(server, kinds, SAMPLES).await
}

async fn sample_some(server: &Server, kinds: &[Vec<u8>], samples: usize) -> Vec<Vec<f64>> {
    let warming = samples.div_ceil(30);
    let mut times = vec![Vec::new(); kinds.len()];
    let (mut client, mut dice) = (server.client(), Dice::new());
    let mut first: Option<(String, String)> = None;
    for round in 0..samples + warming {
        let mut order: Vec<usize> = (0..kinds.len()).collect();
        while let Some(last) = order.len().checked_sub(1) {
            let kind = order.swap_remove(
                usize::try_from(dice.below(1 + u64::try_from(last).unwrap())).unwrap(),
            );
            let reply = client.ask(&kinds[kind]).await;
            let seen = (without_request_id(&reply.head), reply.text());
            assert_eq!(
                first.get_or_insert(seen.clone()),
                &seen,
                "equal but for request id and date"
            );
            // The first rounds warm up the connection and the program.
            if round >= warming {
                times[kind].push(reply.took.as_secs_f64());
            }
        }
    }
    times
}

fn without_request_id(head: &str) -> String {
    let kept = head.lines().filter(|line| {
        let line = line.to_ascii_lowercase();
        !line.starts_with("x-request-id:") && !line.starts_with("date:")
    });
    kept.collect::<Vec<_>>().join("\n")
}

/// How often a sample of `b` is slower than one of `a`: 0.5 if the two are alike.
fn auc(a: &[f64], b: &[f64]) -> f64 {
    let mut all: Vec<(f64, bool)> = a
        .iter()
        .map(|t| (*t, false))
        .chain(b.iter().map(|t| (*t, true)))
        .collect();
    all.sort_by(|x, y| x.0.total_cmp(&y.0));
    let (mut faster, mut wins) = (0.0, 0.0);
    for (_, of_b) in all {
        if of_b {
            wins += faster;
        } else {
            faster += 1.0;
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "each factor is a few thousand")]
    let pairs = (a.len() * b.len()) as f64;
    wins / pairs
}

#[test]
fn the_measure_tells_equal_from_different() {
    let slow: Vec<f64> = (0..100).map(|i| 2.0 + f64::from(i) / 100.0).collect();
    let fast: Vec<f64> = (0..100).map(|i| f64::from(i) / 100.0).collect();
    assert!((auc(&fast, &slow) - 1.0).abs() < 1e-9);
    assert!(auc(&slow, &fast).abs() < 1e-9);
    assert!((auc(&fast, &fast) - 0.5).abs() < 0.01);
}
