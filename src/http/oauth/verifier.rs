//! `Sealwright-Verifier: <name>/<instance>; version=<v>` on a request for the revocation list: which
//! version a verifier enforces. A Bearer token beside it proves whose verifier it is.
//!
//! Must not know who enforces what. A report never delays or changes the response.

use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;

use crate::domain::verifier::{VerifierId, VerifierName};
use crate::http::authorization::{Authorization, authorization};
use crate::http::state::State;
use crate::service::Error;
use crate::service::verifiers::Said;

/// The field of the head.
pub(crate) const VERIFIER: &str = "sealwright-verifier";

/// Notes the report in these header fields, if there is one. `wait` is how long the request waits for
/// news: its client comes again after that time.
pub(super) fn note_report(state: &Arc<State>, headers: &HeaderMap, wait: Option<Duration>) {
    let Some((name, version)) = report(headers) else {
        return;
    };
    let every = wait.and_then(|wait| i64::try_from(wait.as_millis()).ok());
    let said = move |agent_id| Said {
        id: VerifierId { agent_id, name },
        version,
        every,
    };
    let Ok(Authorization::Bearer(token)) = authorization(headers) else {
        state.verifiers.note(said(None), state.list.version());
        return;
    };
    let Some(turn) = state.verifiers.queue() else {
        return;
    };
    let state = Arc::clone(state);
    tokio::spawn(async move {
        let _turn = turn.await;
        let agent_id = match state.tokens.caller(&token).await {
            Ok(caller) => Some(caller.agent_id().clone()),
            Err(Error::Refused(_)) => None,
            // Nobody can tell now whose report it is. The next one tells.
            Err(Error::Unavailable(_) | Error::Fault(_)) => return,
        };
        state.verifiers.note(said(agent_id), state.list.version());
    });
}

/// The name and the version. A field that is malformed, or comes twice, is no report.
fn report(headers: &HeaderMap) -> Option<(VerifierName, i64)> {
    let mut fields = headers.get_all(VERIFIER).iter();
    let (field, None) = (fields.next()?.to_str().ok()?, fields.next()) else {
        return None;
    };
    let mut parts = field.split(';').map(str::trim);
    let name = VerifierName::parse(parts.next()?)?;
    let mut versions = parts.filter_map(|part| part.strip_prefix("version="));
    let (version, None) = (versions.next()?, versions.next()) else {
        return None;
    };
    let is_number = !version.is_empty() && version.bytes().all(|b| b.is_ascii_digit());
    is_number
        .then(|| version.parse().ok())
        .flatten()
        .map(|version| (name, version))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_report_has_a_name_and_a_version() {
        let read = |fields: &[&str]| {
            let mut headers = HeaderMap::new();
            for field in fields {
                headers.append(VERIFIER, HeaderValue::from_str(field).unwrap());
            }
            report(&headers).map(|(name, version)| (name.as_str().to_owned(), version))
        };
        let good = |version| Some(("orders/pod-1".to_owned(), version));
        assert_eq!(read(&["orders/pod-1; version=7"]), good(7));
        assert_eq!(read(&["orders/pod-1;version=0;sdk=go"]), good(0));
        for bad in [
            &[][..],
            &["orders/pod-1"],
            &["orders/pod-1; version="],
            &["orders/pod-1; version=-1"],
            &["orders/pod-1; version=+1"],
            &["orders/pod-1; version=1; version=2"],
            &["orders/pod-1; version=99999999999999999999"],
            &["orders; version=7"],
            &["or ders/pod-1; version=7"],
            &["a/b; version=7", "a/c; version=7"],
        ] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
    }
}
