//! Clients that send too slowly, too much, or without an end.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::stage::client::{get, read_reply, token_request};
use crate::stage::server::Site;
use crate::stage::{GENEROUS, pause, play_alone, scaled};

/// Waits until the server closes the connection. Ignores what the server sends before that.
async fn closed(stream: &mut TcpStream) {
    let mut buffer = [0u8; 1_024];
    let end = async { while stream.read(&mut buffer).await.is_ok_and(|n| n > 0) {} };
    timeout(GENEROUS, end)
        .await
        .expect("the server keeps a connection that sends nothing");
}

#[test]
fn half_a_head_is_not_waited_for_nor_is_one_who_never_reads() {
    play_alone(async {
        let site = Site::sqlite();
        let agent = site.agent("agent", "unlimited");
        let mut server = site.start();
        let mut waiting = Vec::new();
        for head in ["P", "POST /api/v1/token HTTP/1.1\r\nhost: a\r\nx-a: "] {
            for _ in 0..50 {
                let mut stream = TcpStream::connect(server.address).await.unwrap();
                stream.write_all(head.as_bytes()).await.unwrap();
                waiting.push(stream);
            }
        }
        let (documents, mut deaf) = (
            get("/.well-known/jwks.json", "").repeat(512),
            JoinSet::new(),
        );
        for _ in 0..scaled(5, 50) {
            let mut stream = TcpStream::connect(server.address).await.unwrap();
            let documents = documents.clone();
            // The client reads nothing. At some point the server accepts no more, and then it
            // closes.
            deaf.spawn(async move { while stream.write_all(&documents).await.is_ok() {} });
        }
        // A client that sends its head in small pieces does not finish it in time either.
        let mut dripping = TcpStream::connect(server.address).await.unwrap();
        let drips = async {
            dripping
                .write_all(b"POST /api/v1/token HTTP/1.1\r\n")
                .await
                .unwrap();
            while dripping.write_all(b"x-a: b\r\n").await.is_ok() {
                pause(250).await;
            }
        };
        timeout(GENEROUS, drips)
            .await
            .expect("a dripping head is never cut off");
        for stream in &mut waiting {
            closed(stream).await;
        }
        timeout(GENEROUS, deaf.join_all())
            .await
            .expect("a client that never reads is never cut off");
        assert_eq!(server.client().issue(&agent).await.status, 200);
        // The server does not wait without end for a body that stops.
        let request = token_request(&agent);
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream
            .write_all(&request[..request.len() - 5])
            .await
            .unwrap();
        let (head, _) = timeout(GENEROUS, read_reply(&mut stream))
            .await
            .unwrap()
            .unwrap();
        assert!(head.starts_with("HTTP/1.1 408"), "{head}");
        closed(&mut stream).await;
        assert!(server.is_alive());
    });
}

#[test]
fn a_body_without_end_is_refused_early() {
    play_alone(async {
        let site = Site::sqlite();
        let mut server = site.start();
        let head = "POST /api/v1/token HTTP/1.1\r\nhost: a\r\ncontent-type: application/x-www-form-urlencoded\r\n";
        // The head announces ten gigabytes. The request is refused before the first byte of the
        // body.
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream
            .write_all(format!("{head}content-length: 10000000000\r\n\r\n").as_bytes())
            .await
            .unwrap();
        let (reply, body) = timeout(GENEROUS, read_reply(&mut stream))
            .await
            .unwrap()
            .unwrap();
        assert!(reply.starts_with("HTTP/1.1 413"), "{reply}");
        assert!(String::from_utf8_lossy(&body).contains("invalid_request"));
        closed(&mut stream).await;

        // The length is not announced and the body has no end. The request is refused at the limit,
        // and the rest is not read.
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream
            .write_all(format!("{head}transfer-encoding: chunked\r\n\r\n").as_bytes())
            .await
            .unwrap();
        let chunk = format!("1000\r\n{}\r\n", "a".repeat(0x1000));
        let (reader, mut writer) = stream.into_split();
        let writing = tokio::spawn(async move {
            let mut sent = 0usize;
            while writer.write_all(chunk.as_bytes()).await.is_ok() && sent < 1 << 30 {
                sent += chunk.len();
                // The pause lets the response arrive before the reset that the server's close
                // causes.
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            sent
        });
        let mut reader = reader;
        let mut answer = Vec::new();
        let reading = async {
            while !answer.windows(4).any(|w| w == b"\r\n\r\n") {
                if reader.read_buf(&mut answer).await.unwrap() == 0 {
                    break;
                }
            }
        };
        timeout(GENEROUS, reading).await.unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
        let sent = timeout(GENEROUS, writing)
            .await
            .expect("the server reads without end")
            .unwrap();
        println!("the server cut an endless body after {} KiB", sent / 1_024);
        assert!(server.resident() < 256 && server.is_alive());
    });
}
