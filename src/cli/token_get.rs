//! `sealwright token get`: asks a running server for a token, as a client of it does. Opens no store.
//!
//! Owns where the secret comes from, and to whom it may be sent. Must not know how a token is made.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde_json::Value;
use url::Url;
use zeroize::Zeroizing;

use crate::config::Config;
use crate::domain::id::AgentId;

use super::failure::CommandFailure;
use super::healthcheck::reachable;
use super::input::{ScopeWords, all_scopes, scopes};
use super::output::Printer;

/// The variable that an operator file sets, and from which the secret is taken without a file.
pub(super) const SECRET_VARIABLE: &str = "CLIENT_SECRET";

/// The longest file that a secret is read from, in bytes.
const MAX_FILE_BYTES: u64 = 16_384;

/// The longest reply, in bytes.
const MAX_REPLY_BYTES: u64 = 1 << 20;

/// A server that takes longer to answer is away. A secret may have to be hashed first.
const TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Args)]
pub(super) struct GetArgs {
    /// The agent's id
    #[arg(value_parser = AgentId::parse)]
    agent: AgentId,
    /// A scope to ask for; repeatable, or separated by spaces. Without one: all that the agent has
    #[arg(long, value_parser = scopes)]
    scope: Vec<ScopeWords>,
    /// A file that holds the secret, alone or as in operator.env; without it, the secret is in the
    /// environment as `CLIENT_SECRET`
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// The server on this machine, if it is not at the configured address
    #[arg(long, value_parser = local_url)]
    url: Option<SocketAddr>,
}

/// Prints a token on stdout and nothing else; with `--json`, the server's whole reply.
/// `from_environment`: the secret in the environment.
pub(super) fn run(
    args: GetArgs,
    config: &Config,
    from_environment: Option<Zeroizing<String>>,
    out: Printer,
) -> Result<(), CommandFailure> {
    let secret = match &args.secret_file {
        Some(file) => secret_of(file)?,
        None => from_environment.ok_or_else(|| {
            let why = format!("no secret: give --secret-file, or set {SECRET_VARIABLE}");
            CommandFailure::Usage(why)
        })?,
    };
    let address = match args.url {
        Some(address) => address,
        None if config.server.tls_cert.is_some() => {
            let why = "the configured server speaks TLS, and this command does not";
            return Err(CommandFailure::Usage(why.to_owned()));
        }
        // What listens on another address of this machine would get the secret over a network.
        None => Some(reachable(config.server.listen))
            .filter(|address| address.ip().is_loopback())
            .ok_or_else(|| CommandFailure::Usage(format!("give --url: {NOT_LOCAL}")))?,
    };
    let names: Vec<String> = all_scopes(args.scope)
        .unwrap_or_default()
        .iter()
        .map(ToString::to_string)
        .collect();
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.append_pair("grant_type", "client_credentials")
        .append_pair("client_id", args.agent.as_str())
        .append_pair("client_secret", &secret);
    if !names.is_empty() {
        form.append_pair("scope", &names.join(" "));
    }
    let form = Zeroizing::new(form.finish());
    let failed = |why: String| CommandFailure::Failed(format!("{address}: {why}"));
    let (status, reply) = ask(address, &form).map_err(|error| failed(error.to_string()))?;
    let text = |name: &str| reply[name].as_str().unwrap_or_default().to_owned();
    let token = text("access_token");
    if status != 200 || token.is_empty() {
        let (error, description) = (text("error"), text("error_description"));
        return Err(failed(format!("{status} {error}: {description}")));
    }
    out.print_text(&reply, &format!("{token}\n"))
}

/// The secret in a file: the whole file, or the value of its line `CLIENT_SECRET=`.
fn secret_of(path: &Path) -> Result<Zeroizing<String>, CommandFailure> {
    let failed = |why: &str| CommandFailure::Failed(format!("{}: {why}", path.display()));
    let mut text = Zeroizing::new(String::new());
    let file = File::open(path).map_err(|error| failed(&error.to_string()))?;
    let mut file = file.take(MAX_FILE_BYTES);
    file.read_to_string(&mut text)
        .map_err(|error| failed(&error.to_string()))?;
    let line = text.lines().find_map(|line| {
        let value = line.trim().strip_prefix(SECRET_VARIABLE)?;
        value.strip_prefix('=')
    });
    let secret = line.unwrap_or(&text).trim();
    if file.limit() == 0 || secret.is_empty() || secret.contains(char::is_whitespace) {
        return Err(failed("does not hold one secret"));
    }
    Ok(Zeroizing::new(secret.to_owned()))
}

const NOT_LOCAL: &str = "the secret is sent without TLS, so the server is asked on this machine alone: \
    http://127.0.0.1:PORT or http://[::1]:PORT";

/// Reads one `--url`.
fn local_url(text: &str) -> Result<SocketAddr, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    let host = url.host_str().unwrap_or_default();
    let host = match host {
        "localhost" => "127.0.0.1",
        host => host.trim_matches(['[', ']']),
    };
    let ip: Option<IpAddr> = host.parse().ok();
    let is_whole = url.path() == "/" && url.query().is_none() && url.username().is_empty();
    match (ip, url.port_or_known_default()) {
        (Some(ip), Some(port)) if ip.is_loopback() && url.scheme() == "http" && is_whole => {
            Ok(SocketAddr::new(ip, port))
        }
        _ => Err(NOT_LOCAL.to_owned()),
    }
}

/// The status and the JSON body of the reply.
fn ask(address: SocketAddr, form: &str) -> io::Result<(u16, Value)> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let request = Zeroizing::new(format!(
        "POST /api/v1/token HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    ));
    stream.write_all(request.as_bytes())?;
    let mut reply = Zeroizing::new(String::new());
    stream.take(MAX_REPLY_BYTES).read_to_string(&mut reply)?;
    parse(&reply).ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            "it does not answer as this server",
        )
    })
}

fn parse(reply: &str) -> Option<(u16, Value)> {
    let (head, body) = reply.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    Some((status, serde_json::from_str(body).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_sent_to_this_machine_alone() {
        for (text, address) in [
            ("http://127.0.0.1:3000", "127.0.0.1:3000"),
            ("http://localhost:3000/", "127.0.0.1:3000"),
            ("http://[::1]:3000", "[::1]:3000"),
            ("http://127.0.0.1", "127.0.0.1:80"),
        ] {
            assert_eq!(local_url(text).unwrap().to_string(), address);
        }
        for text in [
            "https://127.0.0.1:3000",
            "http://192.0.2.1:3000",
            "http://tokens.example",
            "http://user@127.0.0.1",
            "http://127.0.0.1/api/v1/token",
            "127.0.0.1:3000",
            "",
        ] {
            assert!(local_url(text).is_err(), "{text}");
        }
    }

    #[test]
    fn only_a_whole_reply_counts() {
        let (status, body) = parse("HTTP/1.1 200 OK\r\nA: b\r\n\r\n{\"a\":1}").unwrap();
        assert_eq!((status, body["a"].as_i64()), (200, Some(1)));
        for text in [
            "",
            "HTTP/1.1 200 OK\r\n",
            "SSH-2.0\r\n\r\n{}",
            "HTTP/1.1 200 OK\r\n\r\n{",
        ] {
            assert!(parse(text).is_none(), "{text}");
        }
    }
}
