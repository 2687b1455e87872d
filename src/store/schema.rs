//! The schema of a store, as it is told. Must not know SQL, or how a schema changes.

use async_trait::async_trait;

use super::error::StoreError;
use super::generation::ReadGeneration;

/// The schema that a store has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreSchema {
    /// The database server in use: host and port, or the folder of its socket. `None` if the backend
    /// has no server.
    pub server: Option<String>,
    /// The name of the schema with the tables. `None` if the backend has one only.
    pub name: Option<String>,
    /// The number of the newest migration.
    pub version: i64,
    /// The number of the newest migration that this program has.
    pub known: i64,
}

/// The schema.
#[async_trait]
pub trait ReadSchema: ReadGeneration + Send + Sync {
    /// The schema of the store.
    async fn schema(&self) -> Result<StoreSchema, StoreError>;
}
