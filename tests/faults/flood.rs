//! A flood of guessed secrets, in every form, beside agents with valid secrets.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::stage::client::token_request;
use crate::stage::ledger::Load;
use crate::stage::server::{Agent, Site};
use crate::stage::{Dice, play_alone, scaled};

/// This is far above what such a server needs, and far below what a hash of 19 MiB for each guess
/// would take.
const MAX_MEMORY_MIB: u64 = 256;

#[test]
fn a_flood_of_wrong_secrets_costs_no_hash_and_no_good_agent_anything() {
    play_alone(async {
        let site = Site::sqlite();
        let good = site.agents(4);
        let (victim, other) = (
            site.agent("victim", "unlimited"),
            site.agent("other", "unlimited"),
        );
        let server = site.start();
        assert_eq!(server.client().issue(&victim).await.status, 200);
        // Each agent's secret is hashed once and known from then on.
        let warming = Load::on(server.address, &good, 4).start();
        warming.delivers(100).await;
        let mut ledger = warming.stop().await;
        let hashed = "sealwright_credential_cache_total{result=\"miss\"}";
        let (warm, memory) = (server.metric(hashed).await, server.resident());
        assert!(warm >= 5.0, "the metric counts hashes");
        let load = Load::on(server.address, &good, 8).start();
        let mut flood = JoinSet::new();
        for _ in 0..24 {
            let mut client = server.client();
            let (victim, other) = (victim.clone(), other.clone());
            let mut dice = Dice::new();
            flood.spawn(async move {
                let began = Instant::now();
                let mut sent = 0u64;
                while began.elapsed() < Duration::from_secs(scaled(5, 60)) {
                    let guess = guess(&mut dice, &victim, &other);
                    let reply = client.ask(&token_request(&guess)).await;
                    assert_eq!(reply.status, 401, "{}", reply.text());
                    sent += 1;
                }
                sent
            });
        }
        let sent: u64 = flood.join_all().await.into_iter().sum();
        ledger.add(load.stop().await);
        let after = server.resident();
        println!(
            "{sent} guesses; memory {memory} → {after} MiB; beside them {}",
            ledger.summary()
        );
        assert!(ledger.delivered() > 0 && ledger.unanswered == 0);
        ledger.demand_served(scaled(3, 0));
        assert!(
            (server.metric(hashed).await - warm).abs() < 0.5,
            "a guess was hashed"
        );
        assert!(server.metric("sealwright_hash_shed_total").await < 0.5);
        assert!(after < MAX_MEMORY_MIB, "{after} MiB");
        assert_eq!(
            server.client().issue(&victim).await.status,
            200,
            "the victim is not locked out"
        );
        site.audit(&ledger).await;
    });
}

/// A wrong pair of id and secret. Ids are known or random. Secrets have the generated form or
/// another form, or are another agent's valid secret.
fn guess(dice: &mut Dice, victim: &Agent, other: &Agent) -> Agent {
    let random_id = format!("{:032x}", u128::from(dice.below(u64::MAX)));
    let id = if dice.below(2) == 0 {
        victim.id.clone()
    } else {
        random_id
    };
    let altered = |secret: &str, place: usize| {
        let mut bytes = secret.as_bytes().to_vec();
        bytes[place] = if bytes[place] == b'x' { b'y' } else { b'x' };
        String::from_utf8(bytes).unwrap()
    };
    let place = 4 + usize::try_from(dice.below(59)).unwrap();
    let secret = match dice.below(6) {
        0 => altered(&victim.secret, place),
        1 => altered(&other.secret, place),
        2 => other.secret.clone(),
        3 => "hunter2".to_owned(),
        4 => format!("sw_{}", "A".repeat(61)),
        _ => "j".repeat(1 + usize::try_from(dice.below(2_000)).unwrap()),
    };
    Agent { id, secret }
}
