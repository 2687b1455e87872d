//! Events as JSON.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::service::manage::audit::ListedEvent;

/// An event of a list.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AuditJson {
    /// The event's own bytes.
    pub event: Box<RawValue>,
    /// The index of the event's entry in the log; of an issued token, that of its block. `null`
    /// until the log has it.
    pub entry: Option<u64>,
}

impl AuditJson {
    /// An event of a page.
    pub(crate) fn of(listed: &ListedEvent) -> Result<Self, serde_json::Error> {
        let mut text = String::with_capacity(512);
        listed.event.write_to(&mut text);
        Ok(Self {
            event: RawValue::from_string(text)?,
            entry: listed.entry,
        })
    }
}
