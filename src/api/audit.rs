//! Events as JSON.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::domain::event::logged::LoggedEvent;

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
    /// The event, whose entry in the log is not known.
    pub(crate) fn of(event: &LoggedEvent) -> Result<Self, serde_json::Error> {
        let mut text = String::with_capacity(512);
        event.write_to(&mut text);
        Ok(Self {
            event: RawValue::from_string(text)?,
            entry: None,
        })
    }
}
