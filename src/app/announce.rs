//! What a server logs about itself when it begins to serve. Must never print a secret.

use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use crate::config::{Config, contradictions};
use crate::store::StoreSchema;

/// Logs where the server listens, which store it opened and, on a first start, how to get a token.
/// Prints no secret.
pub(super) fn announce(
    config: &Config,
    store: &StoreSchema,
    generation: i64,
    [public, ops]: [&TcpListener; 2],
    operator: Option<&Path>,
) {
    let address = |listener: &TcpListener| {
        listener
            .local_addr()
            .map_or_else(|_| "unknown".to_owned(), |address| address.to_string())
    };
    tracing::info!(
        listen = address(public),
        ops_listen = address(ops),
        issuer = config.token.issuer,
        database = %config.database.url,
        server = store.server.as_deref(),
        schema = store.name.as_deref().unwrap_or("main"),
        schema_version = store.version,
        generation,
        "serving"
    );
    for contradiction in contradictions(config) {
        tracing::warn!("{contradiction}");
    }
    let Some(path) = operator else { return };
    let file = shell_word(path);
    let scheme = if config.server.tls_cert.is_some() {
        "https"
    } else {
        "http"
    };
    let base = reachable(scheme, public);
    let line = format!(
        ". {file} && curl -s -d grant_type=client_credentials -d client_id=$CLIENT_ID -d client_secret=$CLIENT_SECRET {base}/api/v1/token"
    );
    tracing::info!(curl = line, "first start: an agent named operator was made");
    // The log escapes the command, so print it once more on a line of its own, ready to be pasted.
    // Use one write, so that no log line comes between its pieces. Ignore an error: stderr may
    // have no reader.
    let _ = std::io::stderr().write_all(format!("\n{line}\n\n").as_bytes());
}

/// A path as one word of a shell command. A shell would look for a bare file name in `PATH`, so
/// such a name gets a `./`.
fn shell_word(path: &Path) -> String {
    let path = path.display().to_string();
    let path = if path.contains('/') {
        path
    } else {
        format!("./{path}")
    };
    if path
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"/._-".contains(&b))
    {
        return path;
    }
    format!("'{}'", path.replace('\'', "'\\''"))
}

/// The URL at which a client on this machine reaches a listener. A listener on all addresses is
/// reached by loopback.
fn reachable(scheme: &str, listener: &TcpListener) -> String {
    let Ok(mut address) = listener.local_addr() else {
        return format!("{scheme}://127.0.0.1:3000");
    };
    if address.ip().is_unspecified() {
        address.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    format!("{scheme}://{address}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_of_the_pasted_line() {
        for (path, word) in [
            (
                "sealwright-data/operator.env",
                "sealwright-data/operator.env",
            ),
            ("operator.env", "./operator.env"),
            ("/var/a b/operator.env", "'/var/a b/operator.env'"),
            ("/it's/$HOME/operator.env", "'/it'\\''s/$HOME/operator.env'"),
        ] {
            assert_eq!(shell_word(Path::new(path)), word);
        }
    }
}
