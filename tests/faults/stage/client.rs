//! A small HTTP/1.1 client. It distinguishes a request that was never sent from one without a
//! response.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::server::Agent;

/// The redirect URI of the agents.
pub const CALLBACK: &str = "https://app.example/cb";

/// Why there is no response.
#[derive(Debug)]
pub enum Lost {
    /// The server could not be reached, so it never saw the request.
    NotSent(#[allow(dead_code, reason = "shown when a test fails")] io::Error),
    /// The request was sent, at least in part. The server may have served it or not.
    Unanswered(#[allow(dead_code, reason = "shown when a test fails")] io::Error),
}

/// The server's response.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
    pub took: Duration,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    pub fn token(&self) -> String {
        assert_eq!(self.status, 200, "{}", self.text());
        self.json()["access_token"].as_str().unwrap().to_owned()
    }

    /// Whether an introspection response says that the token is active.
    pub fn active(&self) -> bool {
        assert_eq!(self.status, 200, "{}", self.text());
        self.json()["active"].as_bool().unwrap()
    }
}

/// A client with one connection at a time, which it keeps alive.
pub struct Client {
    pub address: SocketAddr,
    stream: Option<TcpStream>,
}

impl Client {
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            stream: None,
        }
    }

    /// Sends these bytes and waits for the response.
    pub async fn send(&mut self, request: &[u8]) -> Result<Reply, Lost> {
        let began = Instant::now();
        let mut stream = self.take().await.map_err(Lost::NotSent)?;
        let (head, body) = async {
            stream.write_all(request).await?;
            read_reply(&mut stream).await
        }
        .await
        .map_err(Lost::Unanswered)?;
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|s| s.parse().ok())
            .unwrap_or(0);
        let reply = Reply {
            status,
            head,
            body,
            took: began.elapsed(),
        };
        if reply
            .header("connection")
            .is_none_or(|v| !v.eq_ignore_ascii_case("close"))
        {
            self.stream = Some(stream);
        }
        Ok(reply)
    }

    async fn take(&mut self) -> io::Result<TcpStream> {
        if let Some(stream) = self.stream.take() {
            return Ok(stream);
        }
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// Sends the request, waits for `after`, and closes the connection without reading.
    pub async fn abandon(&mut self, request: &[u8], after: Duration) -> io::Result<()> {
        let mut stream = self.take().await?;
        stream.write_all(request).await?;
        tokio::time::sleep(after).await;
        Ok(())
    }

    /// Sends a request that must get a response. If the server has closed the kept connection
    /// meanwhile, sends it again on a new one.
    pub async fn ask(&mut self, request: &[u8]) -> Reply {
        let reused = self.stream.is_some();
        match self.send(request).await {
            Err(Lost::Unanswered(_)) if reused => self.send(request).await,
            done => done,
        }
        .unwrap_or_else(|lost| panic!("no answer: {lost:?}"))
    }

    pub async fn get(&mut self, path: &str) -> Reply {
        self.ask(&get(path, "")).await
    }

    /// Requests a token with these credentials.
    pub async fn issue(&mut self, agent: &Agent) -> Reply {
        self.ask(&token_request(agent)).await
    }

    /// Introspects `token` with the credentials of `agent`.
    pub async fn introspect(&mut self, agent: &Agent, token: &str) -> Reply {
        let form = format!(
            "client_id={}&client_secret={}&token={token}",
            agent.id, agent.secret
        );
        self.ask(&post("/api/v1/token/introspect", "", &form)).await
    }

    /// Requests an authorization code for [`CALLBACK`].
    pub async fn code(&mut self, agent: &Agent) -> String {
        let path = format!("/api/oauth2?client_id={}&redirect_uri={CALLBACK}", agent.id);
        let reply = self.get(&path).await;
        assert_eq!(reply.status, 302, "{}", reply.text());
        reply
            .header("location")
            .unwrap()
            .rsplit_once("code=")
            .unwrap()
            .1
            .to_owned()
    }

    pub async fn revoke(&mut self, agent: &Agent, token: &str) -> Reply {
        self.ask(&revoke_request(agent, token)).await
    }
}

pub fn get(path: &str, headers: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: sealwright\r\n{headers}\r\n").into_bytes()
}

pub fn post(path: &str, headers: &str, form: &str) -> Vec<u8> {
    let length = form.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: sealwright\r\ncontent-type: application/x-www-form-urlencoded\r\n\
         content-length: {length}\r\n{headers}\r\n{form}"
    )
    .into_bytes()
}

pub fn token_form(agent: &Agent) -> String {
    format!(
        "grant_type=client_credentials&client_id={}&client_secret={}",
        agent.id, agent.secret
    )
}

pub fn token_request(agent: &Agent) -> Vec<u8> {
    post("/api/v1/token", "", &token_form(agent))
}

pub fn exchange_request(agent: &Agent, code: &str) -> Vec<u8> {
    let Agent { id, secret } = agent;
    let form = format!("client_id={id}&client_secret={secret}&redirect_uri={CALLBACK}&code={code}");
    post("/api/oauth2/Token", "", &form)
}

pub fn revoke_request(agent: &Agent, token: &str) -> Vec<u8> {
    let form = format!(
        "client_id={}&client_secret={}&token={token}",
        agent.id, agent.secret
    );
    post("/api/v1/token/revoke", "", &form)
}

/// Reads one response: its head, and its body by length, in chunks, or up to the end of the
/// connection if the head announces that. Skips interim responses.
pub async fn read_reply(stream: &mut TcpStream) -> io::Result<(String, Vec<u8>)> {
    let mut rest = Vec::with_capacity(2_048);
    let head = loop {
        let head = read_to(stream, &mut rest, b"\r\n\r\n").await?;
        if !head.starts_with("HTTP/1.1 1") {
            break head;
        }
    };
    let header = |name: &str| {
        let mut headers = head.lines().filter_map(|line| line.split_once(':'));
        headers
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
    };
    let body =
        if header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
            read_chunks(stream, &mut rest).await?
        } else if let Some(length) = header("content-length") {
            let length = length.parse().map_err(|_| nonsense(&head))?;
            read_exactly(stream, &mut rest, length).await?
        } else if ["204", "304"].contains(&head.split(' ').nth(1).unwrap_or_default()) {
            vec![]
        } else if header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
            stream.read_to_end(&mut rest).await?;
            rest
        } else {
            return Err(nonsense(&head));
        };
    Ok((head, body))
}

/// Reads the chunks of a body and its trailers.
async fn read_chunks(stream: &mut TcpStream, rest: &mut Vec<u8>) -> io::Result<Vec<u8>> {
    let mut body = vec![];
    loop {
        let line = read_to(stream, rest, b"\r\n").await?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).map_err(|_| nonsense(&line))?;
        if size == 0 {
            break;
        }
        body.append(&mut read_exactly(stream, rest, size).await?);
        read_to(stream, rest, b"\r\n").await?;
    }
    while !read_to(stream, rest, b"\r\n").await?.is_empty() {}
    Ok(body)
}

/// Reads up to `mark` and returns the text before it. Removes the text and the mark from `rest`.
async fn read_to(stream: &mut TcpStream, rest: &mut Vec<u8>, mark: &[u8]) -> io::Result<String> {
    let end = loop {
        if let Some(end) = rest.windows(mark.len()).position(|window| window == mark) {
            break end;
        }
        read_more(stream, rest).await?;
    };
    let text = String::from_utf8_lossy(&rest[..end]).into_owned();
    rest.drain(..end + mark.len());
    Ok(text)
}

async fn read_exactly(
    stream: &mut TcpStream,
    rest: &mut Vec<u8>,
    length: usize,
) -> io::Result<Vec<u8>> {
    while rest.len() < length {
        read_more(stream, rest).await?;
    }
    Ok(rest.drain(..length).collect())
}

async fn read_more(stream: &mut TcpStream, rest: &mut Vec<u8>) -> io::Result<()> {
    match stream.read_buf(rest).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

fn nonsense(said: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("no reply: {said}"))
}
