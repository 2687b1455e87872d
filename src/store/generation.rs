//! The generation of a store, and whether the store is a restored one, as values. A generation
//! begins when an operator acknowledges that a backup was restored. Must not know SQL, or what a
//! restored store may be used for.

use async_trait::async_trait;

use super::error::StoreError;

/// The generation of a store that was never restored.
pub(crate) const FIRST_GENERATION: i64 = 1;

/// The generation of the store, and the signs that a backup was restored into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreGeneration {
    /// The generation: [`FIRST_GENERATION`] in a store that was never restored.
    pub number: i64,
    /// Whether the store is marked as restored.
    pub is_marked: bool,
    /// Whether the tables are not where they were: another cluster, another database, or tables that
    /// were made anew. Always false on SQLite.
    pub is_moved: bool,
}

impl StoreGeneration {
    /// Whether the store is a restored one that nobody has acknowledged.
    pub fn is_restored(&self) -> bool {
        self.is_marked || self.is_moved
    }
}

/// The generation of the store.
#[async_trait]
pub trait ReadGeneration: NoteUse + Send + Sync {
    /// The generation of the store, and the signs that a backup was restored into it.
    async fn generation(&self) -> Result<StoreGeneration, StoreError>;
}

/// Whether a server has the store open. Only a store in a file needs to know.
#[async_trait]
pub trait NoteUse: Send + Sync {
    /// Notes in the store that a server has it open. Closing the store takes the note back.
    async fn begin_use(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
