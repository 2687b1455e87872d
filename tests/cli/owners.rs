//! The owners of the files beside a database, and what a group may do with these files.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};

use crate::Home;
use crate::server::start_in;

/// As with `fsGroup` of a Kubernetes pod: the volume and all its files belong to a group, which may
/// read and write them.
#[test]
fn the_group_that_owns_the_folder_may_read_the_master_key() {
    let home = Home::new();
    home.json(&["scope", "list"]);
    let (folder, key) = (
        home.path("sealwright-data"),
        home.path("sealwright-data/master.key"),
    );
    let set = |path: &std::path::Path, mode| {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    };
    set(&folder, 0o2770);
    for mode in [0o660, 0o640, 0o600] {
        set(&key, mode);
        home.json(&["scope", "list"]);
    }
    for mode in [0o664, 0o661, 0o606] {
        set(&key, mode);
        home.run(&["scope", "list"])
            .refused(1, "must be readable by its owner alone");
    }
    // Without setgid the folder does not pass its group to its files, and the group may not open
    // the key.
    set(&folder, 0o770);
    set(&key, 0o660);
    home.run(&["scope", "list"])
        .refused(1, "must be readable by its owner alone");
    // Only root can give a file to a group of which the process is not a member.
    set(&folder, 0o2770);
    if chown(&key, None, Some(65_534)).is_ok() {
        home.run(&["scope", "list"])
            .refused(1, "must be readable by its owner alone");
    }
}

#[test]
fn what_root_makes_belongs_to_the_owner_of_the_database() {
    let home = Home::new();
    let folder = home.path("sealwright-data");
    fs::create_dir(&folder).unwrap();
    // Only root can change a folder's owner. Another user cannot run this test.
    if chown(&folder, Some(65_534), Some(65_534)).is_err() {
        return;
    }
    let demand_owner = || {
        let mut names = Vec::new();
        for entry in folder.read_dir().unwrap() {
            let entry = entry.unwrap();
            let about = entry.metadata().unwrap();
            assert_eq!(
                (about.uid(), about.gid(), about.mode() & 0o777),
                (65_534, 65_534, 0o600),
                "{entry:?}"
            );
            names.push(entry.file_name().into_string().unwrap());
        }
        names.sort();
        names
    };
    home.json(&["scope", "list"]);
    let made = demand_owner();
    for name in ["master.key", "sealwright.db", "sealwright.db.turn"] {
        assert!(made.contains(&name.to_owned()), "{name}: {made:?}");
    }
    // A server adds files: its lock, the credentials of the first start, and SQLite's own files.
    let server = start_in(home);
    let names = demand_owner();
    for name in [
        "operator.env",
        "sealwright.db-shm",
        "sealwright.db-wal",
        "sealwright.db.serve",
    ] {
        assert!(names.contains(&name.to_owned()), "{name}: {names:?}");
    }
    drop(server);
}
