//! The schema on SQLite: all its changes, in order.
//!
//! Must not know what is stored in it.

use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

/// Every schema change, in order. Each entry needs a file with the same number for PostgreSQL.
const MIGRATIONS: [(i64, &str, &str); 24] = [
    (
        1,
        "initial",
        include_str!("../../../migrations/sqlite/0001_initial.sql"),
    ),
    (
        2,
        "authorization_code",
        include_str!("../../../migrations/sqlite/0002_authorization_code.sql"),
    ),
    (
        3,
        "raw_basic",
        include_str!("../../../migrations/sqlite/0003_raw_basic.sql"),
    ),
    (
        4,
        "known_user",
        include_str!("../../../migrations/sqlite/0004_known_user.sql"),
    ),
    (
        5,
        "imported_cost",
        include_str!("../../../migrations/sqlite/0005_imported_cost.sql"),
    ),
    (
        6,
        "spent_token",
        include_str!("../../../migrations/sqlite/0006_spent_token.sql"),
    ),
    (
        7,
        "signing_key_seal",
        include_str!("../../../migrations/sqlite/0007_signing_key_seal.sql"),
    ),
    (
        8,
        "reader",
        include_str!("../../../migrations/sqlite/0008_reader.sql"),
    ),
    (
        9,
        "log",
        include_str!("../../../migrations/sqlite/0009_log.sql"),
    ),
    (
        10,
        "event_facts",
        include_str!("../../../migrations/sqlite/0010_event_facts.sql"),
    ),
    (
        11,
        "token_event",
        include_str!("../../../migrations/sqlite/0011_token_event.sql"),
    ),
    (
        12,
        "usage",
        include_str!("../../../migrations/sqlite/0012_usage.sql"),
    ),
    (
        13,
        "agent_fields",
        include_str!("../../../migrations/sqlite/0013_agent_fields.sql"),
    ),
    (
        14,
        "agent_expiry",
        include_str!("../../../migrations/sqlite/0014_agent_expiry.sql"),
    ),
    (
        15,
        "kept_reply",
        include_str!("../../../migrations/sqlite/0015_kept_reply.sql"),
    ),
    (
        16,
        "credential",
        include_str!("../../../migrations/sqlite/0016_credential.sql"),
    ),
    (
        17,
        "keys_revision",
        include_str!("../../../migrations/sqlite/0017_keys_revision.sql"),
    ),
    (
        19,
        "store_default",
        include_str!("../../../migrations/sqlite/0019_store_default.sql"),
    ),
    (
        20,
        "store_generation",
        include_str!("../../../migrations/sqlite/0020_store_generation.sql"),
    ),
    (
        21,
        "process",
        include_str!("../../../migrations/sqlite/0021_process.sql"),
    ),
    (
        22,
        "revocation_feed",
        include_str!("../../../migrations/sqlite/0022_revocation_feed.sql"),
    ),
    (
        23,
        "org",
        include_str!("../../../migrations/sqlite/0023_org.sql"),
    ),
    (
        24,
        "client_key",
        include_str!("../../../migrations/sqlite/0024_client_key.sql"),
    ),
    (
        25,
        "partner",
        include_str!("../../../migrations/sqlite/0025_partner.sql"),
    ),
];

/// The number of the newest change.
pub(super) fn newest_known() -> i64 {
    let numbers = MIGRATIONS.iter().map(|(version, _, _)| *version);
    numbers.max().unwrap_or_default()
}

pub(super) fn migrator() -> Migrator {
    let migration = |(version, name, sql): (i64, &'static str, &'static str)| {
        Migration::new(
            version,
            name.into(),
            MigrationType::Simple,
            sql.into_sql_str(),
            false,
        )
    };
    let mut migrator = Migrator::with_migrations(MIGRATIONS.into_iter().map(migration).collect());
    // A newer program may have migrated this file. Migrations only expand, so this program works
    // too.
    migrator.set_ignore_missing(true);
    migrator
}

#[cfg(test)]
mod tests {
    use super::MIGRATIONS;

    #[test]
    fn every_migration_file_is_in_the_list() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/sqlite");
        let files = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = files.map(|name| name.into_string().unwrap()).collect();
        names.sort_unstable();
        let listed = MIGRATIONS.map(|(version, name, _)| format!("{version:04}_{name}.sql"));
        assert_eq!(names, listed);
    }
}
