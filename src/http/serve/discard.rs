//! Bytes that a client still sends after they have become useless. Must not know why.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

/// The most bytes that are read and discarded.
const MAX_DISCARDED: u64 = 16 * 1024 * 1024;

/// How long such bytes are read.
pub(super) const DISCARD_TIMEOUT: Duration = Duration::from_secs(2);

/// Reads and discards what a client still sends after its response is written and the connection is
/// half closed. If the connection were closed while the client sends, it would be reset, and the
/// client could lose the response.
pub(super) async fn discard(io: &mut (impl AsyncRead + Unpin)) {
    let mut rest = io.take(MAX_DISCARDED);
    let _ = timeout(
        DISCARD_TIMEOUT,
        tokio::io::copy(&mut rest, &mut tokio::io::sink()),
    )
    .await;
}
