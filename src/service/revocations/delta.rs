//! What came after a version as a document of the feed, and the few such documents that many clients
//! ask for at once.
//!
//! Owns the exact bytes. Must not know the list, or HTTP.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flate2::CompressError;
use tokio::sync::OnceCell;

use crate::document::{Document, text_digest};
use crate::domain::time::Timestamp;
use crate::service::error::Error;

use super::entries::after::Delta;
use super::gzip;

/// How many documents are kept. Clients that poll hold one of the last few versions.
const MAX_KEPT: usize = 32;

/// What came after a version, as JSON, and the same compressed once somebody has asked for that.
pub(crate) struct DeltaDocument {
    /// The text.
    pub document: Arc<Document>,
    packed: OnceCell<Arc<Document>>,
    since: Option<i64>,
    valid_until: Timestamp,
}

impl DeltaDocument {
    /// Writes it down.
    pub(super) fn write(delta: &Delta) -> Self {
        Self {
            document: Arc::new(Document::new(text(delta))),
            packed: OnceCell::new(),
            since: delta.since,
            valid_until: delta.valid_until,
        }
    }

    /// It compressed with gzip, once for all clients. A long text takes a while, so the work is not
    /// done on a thread that serves requests.
    pub(crate) async fn gzipped(&self) -> Result<Arc<Document>, Error> {
        let packed = self.packed.get_or_try_init(|| async {
            let document = Arc::clone(&self.document);
            let work = tokio::task::spawn_blocking(move || pack(&document));
            let packed = work.await.map_err(|died| Error::Fault(Arc::new(died)))?;
            let packed = packed.map_err(|error| Error::Fault(Arc::new(error)))?;
            Ok::<_, Error>(Arc::new(packed))
        });
        packed.await.map(Arc::clone)
    }
}

fn pack(document: &Document) -> Result<Document, CompressError> {
    Ok(Document {
        body: gzip::pack_whole(&document.body)?.into(),
        etag: document.gzip_etag(),
    })
}

/// The documents of the list as it is now.
#[derive(Default)]
pub(super) struct DeltaCache(Mutex<KeptDeltas>);

#[derive(Default)]
struct KeptDeltas {
    /// The change of the list that the documents were written after.
    change: u64,
    documents: Vec<Arc<DeltaDocument>>,
}

impl DeltaCache {
    /// The document of what came after this version, if it was written after this change of the list
    /// and nothing in it has expired.
    pub(super) fn find(
        &self,
        since: Option<i64>,
        change: u64,
        now: Timestamp,
    ) -> Option<Arc<DeltaDocument>> {
        let kept = self.lock();
        let found = kept
            .documents
            .iter()
            .filter(|_| kept.change == change)
            .find(|document| document.since == since && now < document.valid_until);
        found.cloned()
    }

    /// Keeps a document that was written after this change of the list.
    pub(super) fn keep(&self, document: &Arc<DeltaDocument>, change: u64) {
        let mut kept = self.lock();
        if kept.change != change {
            kept.documents.clear();
            kept.change = change;
        }
        kept.documents.retain(|other| other.since != document.since);
        if kept.documents.len() >= MAX_KEPT {
            kept.documents.remove(0);
        }
        kept.documents.push(Arc::clone(document));
    }

    fn lock(&self) -> MutexGuard<'_, KeptDeltas> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The document, its members in this order.
fn text(delta: &Delta) -> String {
    let mut text = String::with_capacity(delta.len().saturating_mul(80).saturating_add(160));
    // Writing to a `String` cannot fail.
    let _ = match delta.since {
        Some(since) => write!(text, "{{\"since\":{since}"),
        None => write!(text, "{{\"since\":null"),
    };
    let _ = write!(text, ",\"version\":{},\"revoked_tokens\":[", delta.version);
    for (n, (jti, until)) in delta.tokens.iter().enumerate() {
        comma(&mut text, n);
        text.push_str("{\"jti\":\"");
        text.push_str(
            jti.0
                .hyphenated()
                .encode_lower(&mut uuid::Uuid::encode_buffer()),
        );
        let _ = write!(text, "\",\"exp\":{}}}", until.0);
    }
    text.push_str("],\"revoked_agents\":[");
    for (n, (agent_id, epoch, until)) in delta.agents.iter().enumerate() {
        comma(&mut text, n);
        let agent = text_digest(agent_id.as_str());
        let _ = write!(
            text,
            "{{\"agent\":\"{agent}\",\"epoch\":{},\"exp\":{}}}",
            epoch.0, until.0
        );
    }
    text.push_str("],\"revoked_orgs\":[");
    for (n, (org_id, epoch, until)) in delta.orgs.iter().enumerate() {
        comma(&mut text, n);
        // The alphabet of an id has nothing that JSON escapes.
        let (epoch, until) = (epoch.0, until.0);
        let _ = write!(
            text,
            "{{\"orgId\":\"{org_id}\",\"epoch\":{epoch},\"exp\":{until}}}"
        );
    }
    text.push_str("],\"revoked_keys\":[");
    for (n, (kid, until)) in delta.keys.iter().enumerate() {
        comma(&mut text, n);
        let kid = serde_json::Value::from(kid.0.as_str());
        let _ = write!(text, "{{\"kid\":{kid},\"exp\":{}}}", until.0);
    }
    text.push_str("]}");
    text
}

fn comma(text: &mut String, before: usize) {
    if before > 0 {
        text.push(',');
    }
}
