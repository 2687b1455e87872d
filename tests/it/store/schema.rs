//! The schema that a store says it has.

use super::on_both;
use crate::harness::database::Database;

on_both! {
    a_store_says_which_schema_it_has,
}

async fn a_store_says_which_schema_it_has(database: &Database) {
    let (folder, name) = match database {
        Database::Sqlite { .. } => ("migrations/sqlite", None),
        Database::Postgres { .. } => ("migrations/postgres", Some("public")),
    };
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let files = std::fs::read_dir(folder).unwrap();
    let number = |file: std::fs::DirEntry| {
        let name = file.file_name().into_string().unwrap();
        name.split('_').next().unwrap().parse::<i64>().unwrap()
    };
    let newest = files.map(|file| number(file.unwrap())).max().unwrap();
    let schema = database.open().await.schema().await.unwrap();
    assert_eq!((schema.name.as_deref(), schema.version), (name, newest));
    assert_eq!(schema.known, newest);
}
