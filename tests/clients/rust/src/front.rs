//! A proxy for the server's documents that can be made to fail.

use std::error::Error;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Outcome;

#[derive(Clone, Copy, PartialEq)]
#[repr(u8)]
pub enum Mode {
    /// Forwards a request to the server.
    Pass,
    /// Leaves out every `jti`, as the server does when an agent has too many.
    Cut,
    /// Answers 503, with JSON.
    Unavailable,
    /// Closes the connection without a response.
    Gone,
}

pub struct Front {
    pub url: String,
    state: Arc<State>,
}

struct State {
    issuer: String,
    mode: AtomicU8,
    failures: AtomicUsize,
}

impl Front {
    pub fn open(issuer: &str) -> Result<Self, Box<dyn Error>> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let url = format!("http://{}", listener.local_addr()?);
        let state = Arc::new(State {
            issuer: issuer.to_owned(),
            mode: AtomicU8::default(),
            failures: AtomicUsize::default(),
        });
        let serving = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // Ignore a client that closed the connection.
                let _ = serving.answer(stream);
            }
        });
        Ok(Self { url, state })
    }

    pub fn set(&self, mode: Mode) {
        self.state.mode.store(mode as u8, Ordering::SeqCst);
    }

    /// How many requests were made to fail.
    pub fn failures(&self) -> usize {
        self.state.failures.load(Ordering::SeqCst)
    }
}

impl State {
    fn is(&self, mode: Mode) -> bool {
        self.mode.load(Ordering::SeqCst) == mode as u8
    }

    fn answer(&self, mut stream: TcpStream) -> Outcome {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte)? == 1 {
            head.push(byte[0]);
        }
        if self.is(Mode::Gone) {
            self.failures.fetch_add(1, Ordering::SeqCst);
            return Ok(());
        }
        if self.is(Mode::Unavailable) {
            self.failures.fetch_add(1, Ordering::SeqCst);
            return send(
                &mut stream,
                503,
                "",
                &json!({"error": "temporarily_unavailable"}).to_string(),
            );
        }
        let head = String::from_utf8(head)?;
        let path = head.split(' ').nth(1).ok_or("no path")?;
        let tag = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("if-none-match")
                .then(|| value.trim())
        });
        let mut answer = ureq::get(format!("{}{path}", self.issuer))
            .header("If-None-Match", tag.unwrap_or(""))
            .call()?;
        let etag = answer
            .headers()
            .get("ETag")
            .map(|tag| tag.to_str())
            .transpose()?
            .unwrap_or("")
            .to_owned();
        if answer.status() == 304 {
            return send(&mut stream, 304, &etag, "");
        }
        let mut list: Value = answer.body_mut().read_json()?;
        if self.is(Mode::Cut) {
            list["revoked_jtis"] = json!([]);
        }
        send(&mut stream, 200, &etag, &list.to_string())
    }
}

fn send(stream: &mut TcpStream, status: u16, etag: &str, body: &str) -> Outcome {
    write!(
        stream,
        "HTTP/1.1 {status} -\r\nETag: {etag}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )?;
    Ok(())
}

pub fn until(mut holds: impl FnMut() -> bool) -> Outcome {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        if Instant::now() > deadline {
            return Err("it never came to be".into());
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
