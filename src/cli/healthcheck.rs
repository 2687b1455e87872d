//! `sealwright healthcheck`: asks the server on this machine whether it is ready. A container image
//! has no other program that could send this request. Opens no store.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use crate::config::Config;

use super::failure::CommandFailure;

/// A server that takes longer to answer is not ready.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Succeeds if `/readyz` answers 200. A server that speaks TLS to its clients is asked at the
/// operators' listener, which speaks plain HTTP.
pub(super) fn run(config: &Config) -> Result<(), CommandFailure> {
    let server = &config.server;
    let address = reachable(match server.tls_cert {
        Some(_) => server.ops_listen,
        None => server.listen,
    });
    match ask(address) {
        Ok(200) => Ok(()),
        Ok(status) => Err(CommandFailure::Failed(format!(
            "{address} is not ready: it answered {status}"
        ))),
        Err(error) => Err(CommandFailure::Failed(format!(
            "{address} is not ready: {error}"
        ))),
    }
}

/// The address to ask. A server that listens on every address is asked on loopback.
pub(super) fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

fn ask(address: SocketAddr) -> std::io::Result<u16> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let request = format!("GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    // Read only "HTTP/1.1 200": this check needs no more of the response.
    let mut head = [0u8; 12];
    stream.read_exact(&mut head)?;
    let status = head
        .strip_prefix(b"HTTP/1.1 ")
        .and_then(|digits| std::str::from_utf8(digits).ok());
    status
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| {
            std::io::Error::new(std::io::ErrorKind::InvalidData, "it does not speak HTTP")
        })
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn answer(reply: &'static str) -> std::io::Result<u16> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0u8; 256];
            let n = stream.read(&mut request).unwrap();
            assert!(request[..n].starts_with(b"GET /readyz HTTP/1.1\r\n"));
            stream.write_all(reply.as_bytes()).unwrap();
        });
        let status = ask(address);
        server.join().unwrap();
        status
    }

    #[test]
    fn only_the_status_counts() {
        assert_eq!(answer("HTTP/1.1 200 OK\r\n\r\n{}").unwrap(), 200);
        assert_eq!(
            answer("HTTP/1.1 503 Service Unavailable\r\n\r\n").unwrap(),
            503
        );
        assert!(answer("SSH-2.0-OpenSSH_9\r\n").is_err());
        assert!(answer("").is_err());
    }

    #[test]
    fn every_address_is_asked_on_loopback() {
        let at = |text: &str| reachable(text.parse().unwrap()).to_string();
        assert_eq!(at("0.0.0.0:3000"), "127.0.0.1:3000");
        assert_eq!(at("[::]:3000"), "[::1]:3000");
        assert_eq!(at("192.0.2.1:3000"), "192.0.2.1:3000");
    }
}
