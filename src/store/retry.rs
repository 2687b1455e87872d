//! Repeats calls that may be repeated, until the caller has waited long enough.
//!
//! Owns the timeout of every call, the pauses, and the error at the end. Must not know what is
//! called.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use super::error::StoreError;

/// The timeout of every call. A call that takes longer is answered with unavailable. It is below
/// three seconds, so that the response about a lost database comes within them.
pub(in crate::store) const TIMEOUT: Duration = Duration::from_millis(2_500);

/// The first pause before a call is made again; it doubles with each try.
const PAUSE: Duration = Duration::from_millis(20);

#[derive(Debug, thiserror::Error)]
#[error("the store did not answer within {} ms", TIMEOUT.as_millis())]
struct TooLate(#[source] Option<Arc<dyn Error + Send + Sync>>);

/// The timeout has passed. `cause` is the error of the last try, if a try came to an end.
pub(in crate::store) fn too_late(cause: Option<Arc<dyn Error + Send + Sync>>) -> StoreError {
    StoreError::Unavailable(Arc::new(TooLate(cause)))
}

/// Repeats a call until its timeout, so that it survives a restart of the database. Only for calls
/// that change nothing, or change nothing more when repeated.
pub(in crate::store) async fn again<T, F>(call: impl FnMut() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    retry(Instant::now() + TIMEOUT, call).await
}

pub(in crate::store) async fn retry<T, F>(
    deadline: Instant,
    mut call: impl FnMut() -> F,
) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let (mut pause, mut last) = (PAUSE, None);
    loop {
        match timeout_at(deadline, call()).await {
            // Not repeated here: the caller waits for the lock, apart from all other requests.
            Ok(Err(error)) if error.is_locked() => return Err(error),
            Ok(Err(StoreError::Unavailable(cause))) if Instant::now() + pause < deadline => {
                tracing::debug!(%cause, "sending again");
                last = Some(cause);
                sleep(pause).await;
                pause *= 2;
            }
            Ok(Err(StoreError::Unavailable(cause))) => return Err(too_late(Some(cause))),
            Ok(result) => return result,
            Err(_) => return Err(too_late(last)),
        }
    }
}
