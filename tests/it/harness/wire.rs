//! One connection, byte for byte: for bytes and for timing that client libraries do not allow.

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::answer::Answer;

/// How long a response may take before a test gives up.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A connection, and the bytes that were read ahead.
pub struct Wire {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Wire {
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            read: Vec::new(),
        }
    }

    /// Sends these bytes, as far as the server takes them.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref()).await;
    }

    /// As [`Self::send`], but in a separate packet.
    pub async fn send_apart(&mut self, bytes: impl AsRef<[u8]>) {
        // The pause only makes it likely that two writes arrive as two packets. The test must pass
        // either way.
        tokio::time::sleep(Duration::from_millis(5)).await;
        self.send(bytes).await;
    }

    /// The next response, interim ones included, or `None` when the connection ended. `to` is the
    /// request's method: a response to HEAD has no body.
    pub async fn answer(&mut self, to: &str) -> Option<Answer> {
        let end = loop {
            if let Some(at) = self.read.windows(4).position(|four| four == b"\r\n\r\n") {
                break at;
            }
            if !self.read_more().await {
                assert!(
                    self.read.is_empty(),
                    "half an answer: {}",
                    self.read.escape_ascii()
                );
                return None;
            }
        };
        let head = String::from_utf8(self.read.drain(..end + 4).collect()).unwrap();
        let mut lines = head.trim_end().split("\r\n");
        let status: u16 = lines
            .next()
            .unwrap()
            .split(' ')
            .nth(1)
            .unwrap()
            .parse()
            .unwrap();
        let mut headers = HeaderMap::new();
        for line in lines {
            let (name, value) = line.split_once(':').unwrap();
            headers.append(
                name.parse::<HeaderName>().unwrap(),
                value.trim().parse().unwrap(),
            );
        }
        let length = headers
            .get("content-length")
            .map_or(0, |v| v.to_str().unwrap().parse().unwrap());
        let length = if to == "HEAD" || status < 200 || status == 204 || status == 304 {
            0
        } else {
            length
        };
        while self.read.len() < length {
            assert!(
                self.read_more().await,
                "half a body: {}",
                self.read.escape_ascii()
            );
        }
        let body = String::from_utf8(self.read.drain(..length).collect()).unwrap();
        Some(Answer {
            status,
            headers,
            body,
        })
    }

    /// Waits for the connection's end, and demands that no more bytes come before that.
    pub async fn ends(&mut self) {
        let more = self.read_more().await;
        assert!(
            !more && self.read.is_empty(),
            "after the last answer: {}",
            self.read.escape_ascii()
        );
    }

    /// Whether more bytes came. False when the connection has ended, cleanly or by an error.
    async fn read_more(&mut self) -> bool {
        let read = timeout(TIMEOUT, self.stream.read_buf(&mut self.read)).await;
        read.expect("neither an answer nor an end")
            .is_ok_and(|length| length > 0)
    }
}
