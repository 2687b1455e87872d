//! The response to a client for whom there is no room, or no room any longer. Must not know why.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::discard::{DISCARD_TIMEOUT, discard};

/// How long to wait for the first bytes of a request. If a response comes before the request, a
/// client takes it for an error.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(2);

const ANSWER: &str = concat!(
    "HTTP/1.1 503 Service Unavailable\r\n",
    "content-type: application/json\r\n",
    "cache-control: no-store\r\n",
    "pragma: no-cache\r\n",
    "retry-after: 1\r\n",
    "connection: close\r\n",
    "content-length: 110\r\n",
    "\r\n",
    "{\"error\":\"temporarily_unavailable\",\"error_description\":\"The service is temporarily unavailable. Retry later.\"}",
);

/// Tells the client to retry, and ends the connection.
pub(super) async fn turn_away(mut io: impl AsyncRead + AsyncWrite + Unpin) {
    let asked = timeout(QUESTION_TIMEOUT, io.read(&mut [0; 1_024])).await;
    if !asked.is_ok_and(|read| read.is_ok_and(|length| length > 0)) {
        return;
    }
    let _ = timeout(QUESTION_TIMEOUT + DISCARD_TIMEOUT, tell_to_return(&mut io)).await;
}

/// Sends the response alone, to a client that has sent a request.
pub(super) async fn tell_to_return(io: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
    let told = async {
        io.write_all(ANSWER.as_bytes()).await?;
        io.shutdown().await
    };
    if told.await.is_ok() {
        discard(io).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_has_no_place_is_told_to_come_again_once_it_has_asked() {
        let (mut client, server) = tokio::io::duplex(4_096);
        let turning = tokio::spawn(turn_away(server));
        client.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        drop(client);
        turning.await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(
            head.starts_with("HTTP/1.1 503 ") && head.contains("retry-after: 1\r\n"),
            "{head}"
        );
        assert!(
            head.ends_with(&format!("content-length: {}", body.len())),
            "{head}"
        );
        serde_json::from_str::<serde_json::Value>(body).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_nothing_is_told_nothing() {
        let (mut client, server) = tokio::io::duplex(4_096);
        turn_away(server).await;
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "");
    }
}
