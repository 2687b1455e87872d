//! Asking again what may be asked again, until its caller has waited long enough.
//!
//! Owns how long any call may take, the pauses, and what is told at the end. Must not know what is asked.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use super::error::StoreError;

/// How long any one call may take. Longer is an answer of its own: unavailable. Below three seconds, so that
/// the reply to a lost database comes within them.
pub(in crate::store) const TIMEOUT: Duration = Duration::from_millis(2_500);

/// The first pause before a call is made again; it doubles with each try.
const PAUSE: Duration = Duration::from_millis(20);

#[derive(Debug, thiserror::Error)]
#[error("the store did not answer within {} ms", TIMEOUT.as_millis())]
struct TooLate(#[source] Option<Arc<dyn Error + Send + Sync>>);

/// The time is over; `cause` is what the last try met, if any came to an end.
pub(in crate::store) fn too_late(cause: Option<Arc<dyn Error + Send + Sync>>) -> StoreError {
    StoreError::Unavailable(Arc::new(TooLate(cause)))
}

/// Until the time of a call is over: what changes nothing, or nothing more when done twice, rides out
/// a database that restarts.
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
            // That is for the caller to wait for, apart from all others.
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
