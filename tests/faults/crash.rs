//! `kill -9` of the server under load: nothing is lost, nothing is counted twice, and no revocation
//! is forgotten.

use crate::journal::demand_whole_log;
use crate::stage::audit::introspect_all;
use crate::stage::cluster::Cluster;
use crate::stage::ledger::{Ledger, Load};
use crate::stage::server::Site;
use crate::stage::{Dice, pause, play, scaled};

#[test]
fn a_killed_server_loses_and_doubles_nothing_on_sqlite() {
    play(async { kill_often(&Site::sqlite()).await });
}

#[test]
fn a_killed_server_loses_and_doubles_nothing_on_postgres() {
    play(async {
        let cluster = Cluster::start().await;
        kill_often(&Site::postgres(&cluster).await).await;
    });
}

async fn kill_often(site: &Site) {
    let kills = scaled(20, 100);
    let agents = site.agents(3);
    let mut dice = Dice::new();
    let mut all = Ledger::default();
    for _ in 0..kills {
        // The store recovers when it is opened. The next start needs no other step.
        let server = site.start();
        let load = Load::on(server.address, &agents, 24).revoking(6).start();
        load.delivers(dice.below(120)).await;
        // The phase of a batch in which the kill comes is random.
        pause(dice.below(25)).await;
        server.kill();
        let ledger = load.stop().await;
        ledger.demand_served(scaled(3, 0));
        all.add(ledger);
        site.audit(&all).await;
    }
    let server = site.start();
    introspect_all(&server, &agents[0], &all).await;
    // Each kill met the ledger somewhere too. Its log is whole: the command fails if it is not.
    demand_whole_log(site).await;
    println!("{kills} kills: {}", all.summary());
    assert!(
        all.delivered() > 0 && all.unanswered > 0 && all.revoked.iter().any(|one| one.promised),
        "the kills did not meet any load"
    );
}
