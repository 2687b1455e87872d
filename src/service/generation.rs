//! Watches whether the store was restored or wound back under this process, and closes the gate to
//! it until an operator has acknowledged that.
//!
//! Owns which signs of a restore a process knows, and when it serves again. Must not know what is
//! served.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::clock::{Clock as _, StoreClock};
use crate::domain::act::Act;
use crate::store::gate::StoreGate;
use crate::store::{Change, GenerationChange, Records, Store, StoreGeneration, Write};

use super::error::Error;
use super::keys::KeyService;
use super::revocations::RevocationList;

/// The generation that a process has seen before it looked for the first time.
const NOT_SEEN: i64 = 0;

/// Watches the generation of the store.
pub struct GenerationWatch {
    gate: Arc<StoreGate>,
    /// The store without the gate: a store is marked as restored while the gate is closed.
    store: Arc<dyn Store>,
    records: Arc<dyn Records>,
    clock: Arc<StoreClock>,
    /// The generation whose rows this process has in memory.
    seen: AtomicI64,
}

/// What a look at the generation has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// The generation that this process knows.
    Known,
    /// A restored store that nobody has acknowledged. The gate is closed.
    Restored,
    /// A restore was acknowledged: everything that is in memory must be read anew.
    Begun(i64),
}

impl GenerationWatch {
    /// Watches the store of `records` behind this gate. `store` is the same store without the gate.
    pub(crate) fn new(
        gate: Arc<StoreGate>,
        store: Arc<dyn Store>,
        records: Arc<dyn Records>,
        clock: Arc<StoreClock>,
    ) -> Self {
        Self {
            gate,
            store,
            records,
            clock,
            seen: AtomicI64::new(NOT_SEEN),
        }
    }

    /// The gate that this watch closes and opens.
    pub(crate) fn gate(&self) -> &Arc<StoreGate> {
        &self.gate
    }

    /// Looks at the generation, and closes the gate of a restored store. Then the store is also
    /// marked as restored, so that no process can overlook it. Run before the first request is
    /// served, and once a second.
    pub async fn look(&self) -> Result<Sight, Error> {
        let found = self.records.generation().await?;
        let seen = self.seen.load(Ordering::SeqCst);
        if found.is_marked {
            self.gate.close("the store is marked as restored");
        } else if found.is_moved {
            self.gate
                .close("the tables are in another place than they were");
        } else if found.number < seen {
            self.gate
                .close("the generation of the store is lower than it was");
        }
        let is_new = found.number > seen && !found.is_restored();
        if self.gate.is_closed() && !is_new {
            self.mark(found).await?;
            return Ok(Sight::Restored);
        }
        if seen == NOT_SEEN && !self.gate.is_closed() {
            self.write(GenerationChange::Settle).await?;
            self.seen.store(found.number, Ordering::SeqCst);
            return Ok(Sight::Known);
        }
        Ok(if is_new {
            Sight::Begun(found.number)
        } else {
            Sight::Known
        })
    }

    /// Serves from this generation from now on.
    fn adopt(&self, generation: i64) {
        self.seen.store(generation, Ordering::SeqCst);
        if self.gate.is_closed() {
            tracing::info!(
                generation,
                "the restore of the store was acknowledged: it is served again"
            );
        }
        self.gate.open();
    }

    /// The mark names the generation that was found: if a restore was acknowledged meanwhile, the
    /// store is not marked again.
    async fn mark(&self, found: StoreGeneration) -> Result<(), Error> {
        if found.is_marked {
            return Ok(());
        }
        let generation = found.number;
        self.write(GenerationChange::Mark { generation }).await
    }

    async fn write(&self, change: GenerationChange) -> Result<(), Error> {
        let act = Act::system(self.clock.moment());
        let write = Write::new(act, Change::Generation(change));
        self.store.commit(vec![write]).await?;
        Ok(())
    }
}

/// Reads what changed in the revocation list. After an acknowledged restore, reads keys and list
/// anew before anything is served. While a restore is not acknowledged, the list stays as it was,
/// with all kills that the store has lost. Run once a second.
pub async fn follow_store(
    watch: &GenerationWatch,
    list: &RevocationList,
    keys: &KeyService,
) -> Result<(), Error> {
    match watch.look().await? {
        Sight::Known => {
            let read = list.read_changes().await;
            if watch.gate().is_closed() {
                // The list has found the store wound back. This look marks the store.
                return watch.look().await.map(drop);
            }
            read
        }
        Sight::Restored => Ok(()),
        Sight::Begun(generation) => {
            keys.reload().await?;
            list.read_anew().await?;
            watch.adopt(generation);
            Ok(())
        }
    }
}
