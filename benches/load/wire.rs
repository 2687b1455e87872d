//! A minimal HTTP/1.1 client. It does as little work as possible, since the load generator should
//! cost less than the server that it measures.

use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::Fallible;

/// A GET request. Each line of `headers` ends with CRLF.
pub fn get(path: &str, headers: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n").into_bytes()
}

/// A POST request with a form as its body.
pub fn post(path: &str, headers: &str, form: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-www-form-urlencoded\r\n\
         content-length: {}\r\n{headers}\r\n{form}",
        form.len()
    )
    .into_bytes()
}

/// A complete response.
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    /// The text of a member of the response's JSON object.
    pub fn text(&self, member: &str) -> Fallible<String> {
        let json: serde_json::Value = serde_json::from_slice(&self.body)?;
        let text = json.get(member).and_then(serde_json::Value::as_str);
        Ok(text
            .ok_or_else(|| format!("the reply has no {member}: {json}"))?
            .to_owned())
    }
}

/// One request and its response on a new connection, for requests that are not measured.
pub fn ask_once(address: SocketAddr, request: &[u8]) -> Fallible<Reply> {
    let end = request
        .windows(4)
        .position(|w| w == b"\r\n\r\n")
        .ok_or("a request without end")?;
    let mut closing = request[..end].to_vec();
    closing.extend_from_slice(b"\r\nconnection: close");
    closing.extend_from_slice(&request[end..]);
    let mut stream = std::net::TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(&closing)?;
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply)?;
    let shape = Shape::read(&reply)?.ok_or("the reply broke off")?;
    Ok(Reply {
        status: shape.status,
        head: String::from_utf8_lossy(&reply[..shape.head]).into_owned(),
        body: reply[shape.head..].to_vec(),
    })
}

/// Where requests go, and how.
#[derive(Clone)]
pub struct Target {
    pub address: SocketAddr,
    /// What makes the handshakes. `None` means plain HTTP.
    pub tls: Option<TlsConnector>,
}

/// Bytes in both directions, plain or behind TLS.
trait Bytes: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Bytes for T {}

/// A persistent connection.
pub struct Wire {
    stream: Box<dyn Bytes>,
    buffer: Vec<u8>,
    filled: usize,
    head: usize,
}

impl Wire {
    pub async fn connect(target: &Target) -> io::Result<Self> {
        let stream = TcpStream::connect(target.address).await?;
        stream.set_nodelay(true)?;
        let stream: Box<dyn Bytes> = match &target.tls {
            None => Box::new(stream),
            Some(tls) => {
                let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
                Box::new(tls.connect(name, stream).await?)
            }
        };
        Ok(Self {
            stream,
            buffer: vec![0; 16 * 1_024],
            filled: 0,
            head: 0,
        })
    }

    /// Sends a request, reads the complete response, and returns its status.
    pub async fn exchange(&mut self, request: &[u8]) -> io::Result<u16> {
        self.stream.write_all(request).await?;
        self.stream.flush().await?;
        self.filled = 0;
        loop {
            if self.filled == self.buffer.len() {
                self.buffer.resize(self.buffer.len() * 2, 0);
            }
            let length = self.stream.read(&mut self.buffer[self.filled..]).await?;
            if length == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.filled += length;
            if let Some(shape) = Shape::read(&self.buffer[..self.filled])?
                && self.filled >= shape.head + shape.body
            {
                self.head = shape.head;
                return Ok(shape.status);
            }
        }
    }

    /// The body of the last response.
    pub fn body(&self) -> &[u8] {
        &self.buffer[self.head..self.filled]
    }
}

/// The status of a response, and the lengths of its head and body in bytes.
struct Shape {
    status: u16,
    head: usize,
    body: usize,
}

impl Shape {
    /// Parses the head of a response. `None` until the head is complete.
    fn read(text: &[u8]) -> io::Result<Option<Self>> {
        let Some(head) = text
            .windows(4)
            .position(|w| w == b"\r\n\r\n")
            .map(|at| at + 4)
        else {
            return Ok(None);
        };
        let malformed = || io::Error::other("the reply is no HTTP");
        let status = text
            .get(9..12)
            .and_then(|s| std::str::from_utf8(s).ok()?.parse().ok());
        let body = text[..head].split(|b| *b == b'\n').find_map(|line| {
            let (name, value) = line.split_at_checked(CONTENT_LENGTH.len())?;
            name.eq_ignore_ascii_case(CONTENT_LENGTH)
                .then(|| std::str::from_utf8(value).ok()?.trim().parse().ok())?
        });
        if body.is_none() && is_in_chunks(&text[..head]) {
            return Err(io::Error::other(
                "the reply is in chunks, which this client does not read",
            ));
        }
        Ok(Some(Self {
            status: status.ok_or_else(malformed)?,
            head,
            body: body.unwrap_or(0),
        }))
    }
}

const CONTENT_LENGTH: &[u8] = b"content-length:";

fn is_in_chunks(head: &[u8]) -> bool {
    String::from_utf8_lossy(head)
        .to_ascii_lowercase()
        .contains("transfer-encoding:")
}
