//! No room left to write: requests that must write get a 503 until there is room again. What was
//! answered 200 is kept, and the log goes on without a gap and without a double.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Resource, Rlimit, prlimit};

use crate::journal::demand_whole_log;
use crate::stage::cluster::Cluster;
use crate::stage::ledger::Load;
use crate::stage::outcome::{expect_in_time, expect_unavailable};
use crate::stage::reverse_proxy::find;
use crate::stage::server::{Server, Site, process_id};
use crate::stage::{cannot_run, eventually, play};

/// Limits how large the files of a running process may grow.
fn limit_files(server: &Server, bytes: Option<u64>) {
    let process = Some(process_id(server.pid()));
    let old = prlimit(
        process,
        Resource::Fsize,
        Rlimit {
            current: bytes,
            maximum: None,
        },
    );
    old.unwrap_or_else(|fault| panic!("{bytes:?}: {fault}"));
}

#[test]
fn a_file_that_may_not_grow_is_a_503_and_passes() {
    play(async {
        let site = Site::sqlite();
        let server = site.start_without_file_size_signal();
        // From here on every write past the first page fails, as on a full disk.
        fill_up(
            &site,
            server,
            |server| limit_files(server, Some(4096)),
            |server| limit_files(server, None),
        )
        .await;
    });
}

/// Why a test with its own small disk cannot run on some machines.
const MOUNT: &str = "needs the right to mount, which root has outside of containers";

/// A small disk. Dropping it unmounts it.
struct Disk(PathBuf);

impl Disk {
    /// Mounts a disk of this size on a folder. `None` without the right to mount.
    fn mount(folder: &Path, size: &str) -> Option<Self> {
        let mut mount = Command::new(find("mount")?);
        mount
            .args(["-t", "tmpfs", "-o"])
            .arg(format!("size={size}"))
            .arg("tmpfs")
            .arg(folder);
        mount
            .output()
            .unwrap()
            .status
            .success()
            .then(|| Self(folder.to_owned()))
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }

    /// Fills the disk.
    fn fill(&self) {
        let mut ballast = std::fs::File::create(self.ballast()).unwrap();
        let block = vec![1; 4096];
        while ballast.write_all(&block).is_ok() {}
    }

    fn empty(&self) {
        std::fs::remove_file(self.ballast()).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Unmount lazily: a process with open files on the disk keeps them until it ends.
        let _ =
            find("umount").map(|umount| Command::new(umount).arg("--lazy").arg(&self.0).status());
    }
}

#[test]
fn a_full_disk_is_a_503_and_passes_on_sqlite() {
    play(async {
        let site = Site::sqlite();
        let Some(disk) = Disk::mount(site.folder(), "12m") else {
            return cannot_run("SQLite on a full disk", MOUNT);
        };
        let server = site.start();
        fill_up(&site, server, |_| disk.fill(), |_| disk.empty()).await;
    });
}

/// The database has its own disk. The log of the PostgreSQL cluster is on another.
#[test]
fn a_full_disk_is_a_503_and_passes_on_postgres() {
    play(async {
        let cluster = Cluster::start().await;
        let folder = cluster.folder_for_a_disk();
        let Some(disk) = Disk::mount(&folder, "32m") else {
            return cannot_run("PostgreSQL on a full disk", MOUNT);
        };
        let site = Site::postgres_in(&cluster, &folder).await;
        let server = site.start();
        fill_up(&site, server, |_| disk.fill(), |_| disk.empty()).await;
    });
}

/// Fills the disk under load, and some time later makes room again.
async fn fill_up(
    site: &Site,
    mut server: Server,
    fill: impl Fn(&Server),
    make_room: impl Fn(&Server),
) {
    let (agents, apart) = (site.agents(2), site.agent("apart", "unlimited"));
    let kept = server.client().issue(&apart).await.token();
    let load = Load::on(server.address, &agents, 16).revoking(5).start();
    load.delivers(100).await;
    fill(&server);
    eventually("the disk is full", async || {
        server.client().issue(&apart).await.status == 503
    })
    .await;
    for _ in 0..3 {
        expect_unavailable("token", &server.client().issue(&apart).await);
        // A revocation is small, so PostgreSQL may have room for it on a page that it has already.
        if site.is_sqlite() {
            expect_unavailable("revocation", &server.client().revoke(&apart, &kept).await);
        }
    }
    // Reads need no room.
    assert!(server.client().introspect(&agents[1], &kept).await.active());
    assert_eq!(server.client().get("/livez").await.status, 200);
    assert_eq!(
        server.client().get("/.well-known/jwks.json").await.status,
        200
    );
    make_room(&server);
    let other = site.agent("other", "unlimited");
    let healed = eventually("tokens after room was made", async || {
        server.client().issue(&other).await.status == 200
    })
    .await;
    load.delivers(100).await;
    let mut ledger = load.stop().await;
    println!(
        "full disk: healed after {} ms, {}",
        healed.as_millis(),
        ledger.summary()
    );
    assert!(server.is_alive());
    assert_eq!(ledger.unanswered, 0);
    assert!(
        ledger
            .statuses
            .keys()
            .all(|(_, status)| [200, 503].contains(status)),
        "{}",
        ledger.summary()
    );
    expect_in_time(&ledger.times);
    ledger.kept = Some(kept);
    site.audit(&ledger).await;
    // The written data is complete after a restart.
    server.kill();
    let server = site.start();
    crate::stage::audit::introspect_all(&server, &agents[0], &ledger).await;
    // While there was no room, the log could not grow either.
    demand_whole_log(site).await;
}
