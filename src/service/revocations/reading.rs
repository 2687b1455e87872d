//! Reads the news of the list from the store, and recognises a store that was wound back. Must not know
//! how the list is written down.

use std::sync::atomic::Ordering;

use crate::clock::Clock as _;
use crate::domain::time::Timestamp;
use crate::service::error::Error;
use crate::store::Revocations;

use super::RevocationList;
use super::entries::entry::KILL_LISTED;
use super::entries::newest::Newest;

/// If the clock goes back by more than this many seconds, it was ahead before, and entries that are
/// still valid may have been removed.
const MAX_STEP_BACK: i64 = 2;

impl RevocationList {
    /// Reads what changed since the last reading. Versions are assigned under a row lock, so a
    /// reading up to a version is complete up to that version. Run twice a second, and after each
    /// revocation of this process, so it reads only the news. If a later reading began and
    /// succeeded while a caller waited, that reading includes the caller's own revocation, and the
    /// caller need not read again.
    pub async fn read_changes(&self) -> Result<(), Error> {
        let begun = self.readings.load(Ordering::SeqCst);
        let mut last = self.reading.lock().await;
        if *last > begun {
            return Ok(());
        }
        self.gate.admit()?;
        let this = self.readings.fetch_add(1, Ordering::SeqCst) + 1;
        let now = self.clock.now();
        let kills_after = now.saturating_add(-KILL_LISTED);
        let was_ahead = now.0.saturating_add(MAX_STEP_BACK) < self.read_at.load(Ordering::SeqCst);
        let (known, newest) = {
            let entries = self.entries();
            (entries.version(), entries.newest(now, kills_after))
        };
        // The newest entry is read again: it shows that the store was not wound back and then
        // changed again until its version was higher than before.
        let since = newest.as_ref().map_or(known, Newest::before);
        let mut news = self.records.revocations(since, now, kills_after).await?;
        // With the clock ahead, the store may have removed entries that are valid again by the clock
        // of now. That is no sign of a restore.
        let is_missing = newest.is_some_and(|newest| !newest.is_in(&news));
        if news.version < known || (is_missing && !was_ahead) {
            self.gate
                .close("the database lacks revocations that it had");
            return Ok(self.gate.admit()?);
        }
        if was_ahead {
            tracing::warn!("the revocation list is read anew: the clock was set back");
            self.read_all(now).await?;
        } else {
            news.forget_until(known);
            self.take_news(news, now);
        }
        self.note_reading(this, now);
        *last = this;
        Ok(())
    }

    /// Reads the whole list, whatever was read before and although the gate is closed.
    pub(crate) async fn read_anew(&self) -> Result<(), Error> {
        let mut last = self.reading.lock().await;
        let this = self.readings.fetch_add(1, Ordering::SeqCst) + 1;
        let now = self.clock.now();
        self.read_all(now).await?;
        self.note_reading(this, now);
        *last = this;
        Ok(())
    }

    fn take_news(&self, news: Revocations, now: Timestamp) {
        let mut entries = self.entries();
        if entries.apply(news, now) {
            self.note_change(&entries);
            drop(entries);
            self.polls.wake(true);
        }
    }

    async fn read_all(&self, now: Timestamp) -> Result<(), Error> {
        let kills_after = now.saturating_add(-KILL_LISTED);
        let news = self.records.revocations(0, now, kills_after).await?;
        let mut entries = self.entries();
        entries.forget();
        entries.apply(news, now);
        entries.rewrite_if_moved();
        self.note_change(&entries);
        drop(entries);
        self.polls.wake(true);
        Ok(())
    }

    /// Notes a complete reading. After one that failed, the next call tries it again.
    fn note_reading(&self, number: u64, now: Timestamp) {
        self.read_at.store(now.0, Ordering::SeqCst);
        self.steady_at.store(self.clock.steady(), Ordering::SeqCst);
        self.looks.send_replace(number);
    }

    /// Reads the caller's own kill, which is committed. Returns a version of the list that has it.
    pub async fn read_own_kill(&self) -> Result<i64, Error> {
        self.read_changes().await?;
        Ok(self.entries().version())
    }
}
