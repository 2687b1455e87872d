//! Calls that a machine with much other load refuses, sent again as operators send them.

use std::error::Error;
use std::time::{Duration, Instant};

use sealwright::testing::service::manage::ManageError;

/// Makes the call again while too many secrets are being hashed. Nothing was done then. Any other
/// failure fails the test.
pub async fn until_hashed<T>(call: impl AsyncFn() -> Result<T, ManageError>) -> T {
    let began = Instant::now();
    loop {
        let answer = call().await;
        let is_late = answer
            .as_ref()
            .err()
            .and_then(Error::source)
            .is_some_and(|cause| cause.to_string() == "too many secrets are being hashed");
        if !is_late || began.elapsed() > Duration::from_secs(30) {
            return answer.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
