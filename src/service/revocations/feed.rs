//! The feed: what came after a version, and requests that wait for news. Must not know HTTP.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::timeout;

use crate::clock::Clock as _;
use crate::service::error::{Cause, Error};

use super::RevocationList;
use super::delta::DeltaDocument;
use super::entries::after::Delta;
use super::held::{Awaits, HoldEnd};

/// How long a request waits for the next look at the store. Looks are half a second apart.
const LOOK_TIMEOUT: Duration = Duration::from_secs(2);

/// A document with more entries is written down on a thread that serves no requests.
const MANY_ENTRIES: usize = 2_000;

impl RevocationList {
    /// The version up to which the news are known.
    pub fn version(&self) -> i64 {
        self.version.load(Ordering::SeqCst)
    }

    /// How many requests wait for news.
    pub fn held(&self) -> usize {
        self.polls.count()
    }

    /// Answers all held requests, and holds no more: the process stops.
    pub fn drain_polls(&self) {
        self.polls.drain();
    }

    /// What came after this version; everything if the list does not know it.
    pub(crate) async fn delta(&self, since: i64) -> Result<Arc<DeltaDocument>, Error> {
        if let Some(known) = self.known_delta(since) {
            return Ok(known);
        }
        // Whoever waits here finds the document that was written meanwhile.
        let _turn = self.writing_deltas.lock().await;
        if let Some(known) = self.known_delta(since) {
            return Ok(known);
        }
        let (delta, change) = {
            let entries = self.entries();
            let change = self.changes.load(Ordering::SeqCst);
            (entries.after(since, self.clock.now()), change)
        };
        let document = Arc::new(write(delta).await?);
        self.deltas.keep(&document, change);
        Ok(document)
    }

    fn known_delta(&self, since: i64) -> Option<Arc<DeltaDocument>> {
        let (since, change) = {
            let entries = self.entries();
            let since = Some(since).filter(|since| entries.knows(*since));
            (since, self.changes.load(Ordering::SeqCst))
        };
        self.deltas.find(since, change, self.clock.now())
    }

    /// Waits until the list has another version than this one, for at most `wait`.
    pub(crate) async fn hold_since(&self, since: i64, wait: Duration) -> HoldEnd {
        let has_news = || self.version() != since;
        self.polls.hold(Awaits::Version, wait, has_news).await
    }

    /// Waits until the list has more than the list of one of these tags, for at most `wait`. Expired
    /// entries that are gone from the list are no news.
    pub(crate) async fn hold_for_tags(&self, tags: &[String], wait: Duration) -> HoldEnd {
        let has_news = || !self.has_only(tags);
        self.polls.hold(Awaits::Text, wait, has_news).await
    }

    /// Whether nothing was added to the list since it had one of these tags.
    fn has_only(&self, tags: &[String]) -> bool {
        let listing = self.current();
        let document = &listing.document;
        if tags
            .iter()
            .any(|tag| *tag == document.etag || *tag == document.gzip_etag())
        {
            return true;
        }
        let known = self.tags();
        let change = self.changes.load(Ordering::SeqCst);
        tags.iter().any(|tag| known.has(tag, change))
    }

    /// Waits for the next look at the store, which must begin after this call: a version that this
    /// process does not know yet may have been given by another one. Fails if there is none soon.
    pub(crate) async fn await_look(&self) -> Result<(), Error> {
        let Some(_place) = self.polls.take() else {
            return Err(no_look(
                "too many requests wait for news of the revocation list",
            ));
        };
        let begun = self.readings.load(Ordering::SeqCst);
        let mut looks = self.looks.subscribe();
        let look = timeout(LOOK_TIMEOUT, looks.wait_for(|look| *look > begun)).await;
        match look {
            Ok(Ok(_)) => Ok(()),
            _ => Err(no_look(
                "the store could not be read for the revocation list",
            )),
        }
    }
}

fn no_look(why: &str) -> Error {
    Error::Unavailable(Arc::new(Cause(why.to_owned())))
}

async fn write(delta: Delta) -> Result<DeltaDocument, Error> {
    if delta.len() <= MANY_ENTRIES {
        return Ok(DeltaDocument::write(&delta));
    }
    let work = tokio::task::spawn_blocking(move || DeltaDocument::write(&delta));
    work.await.map_err(|died| Error::Fault(Arc::new(died)))
}
