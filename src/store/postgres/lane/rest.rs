//! The upkeep of a lane that is not used: its last connection stays open. Must not know what the
//! lane is for.

use sqlx::Connection as _;

use crate::store::postgres::shelf::Shelf;

use super::Lane;

impl Lane {
    /// Keeps the last connection alive, and closes connections that were unused for a while.
    pub(in crate::store::postgres) async fn rest(&self) -> sqlx::Result<()> {
        self.shelf.shrink(self.number, self.open());
        let is_at_rest = self
            .shelf
            .oldest(self.number)
            .is_some_and(|age| age >= Shelf::CHECKED);
        // If no permit is free, the connections are in use. Do not wait for them.
        if is_at_rest
            && let Ok(permit) = self.permits.try_acquire()
            && let Some((mut conn, open)) = self.shelf.take_oldest(self.number)
        {
            conn.ping().await?;
            self.lend(conn, open, permit).keep();
        }
        Ok(())
    }

    /// Opens a connection in advance, unless the lane has one.
    pub(in crate::store::postgres) async fn open_first(&self) -> sqlx::Result<()> {
        if self.open() == 0
            && self.may_open()
            && let Ok(permit) = self.permits.try_acquire()
        {
            let (conn, open) = self.connect().await?;
            self.lend(conn, open, permit).keep();
        }
        Ok(())
    }
}
