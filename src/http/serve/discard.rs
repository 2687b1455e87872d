//! What a client still sends when nobody wants it any more. Must not know why.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

/// The most that is still read, in bytes.
const MAX_DISCARDED: u64 = 16 * 1024 * 1024;

/// How long it is read.
pub(super) const DISCARD_TIMEOUT: Duration = Duration::from_secs(2);

/// Reads and forgets what a client still sends when its answer is written and the connection half closed. A
/// connection that is closed amid what the client sends is reset, and the answer with it.
pub(super) async fn discard(io: &mut (impl AsyncRead + Unpin)) {
    let mut rest = io.take(MAX_DISCARDED);
    let _ = timeout(
        DISCARD_TIMEOUT,
        tokio::io::copy(&mut rest, &mut tokio::io::sink()),
    )
    .await;
}
