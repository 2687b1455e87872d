//! A server that gives the responses that a test makes up, and counts them.

use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::Outcome;

pub struct Stub {
    pub url: String,
    answered: Arc<AtomicUsize>,
}

impl Stub {
    /// Opens a server. `answer` gets the number of earlier requests and returns status and body.
    pub fn open(
        answer: impl Fn(usize) -> (u16, String) + Send + 'static,
    ) -> Result<Self, Box<dyn Error>> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let url = format!("http://{}", listener.local_addr()?);
        let answered = Arc::new(AtomicUsize::default());
        let count = Arc::clone(&answered);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (status, body) = answer(count.fetch_add(1, Ordering::SeqCst));
                // Ignore a client that closed the connection.
                let _ = exchange(stream, status, &body);
            }
        });
        Ok(Self { url, answered })
    }

    pub fn answered(&self) -> usize {
        self.answered.load(Ordering::SeqCst)
    }
}

fn exchange(mut stream: TcpStream, status: u16, body: &str) -> Outcome {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut line, mut length) = (String::new(), 0);
    while reader.read_line(&mut line)? > 2 {
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse()?;
        }
        line.clear();
    }
    std::io::copy(&mut reader.take(length), &mut std::io::sink())?;
    write!(
        stream,
        "HTTP/1.1 {status} -\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )?;
    Ok(())
}
