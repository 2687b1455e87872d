//! What a configuration may say, and an operator rarely means: an issuer under which nobody finds the
//! server.
//!
//! Owns when this is so, and what is said of it. Must not know who is told.

use std::net::IpAddr;

use url::{Host, Url};

use super::model::{Config, Plaintext};

/// A sentence for each contradiction between the issuer and the address of the clients' listener.
pub(crate) fn contradictions(config: &Config) -> Vec<String> {
    let Ok(issuer) = Url::parse(&config.token.issuer) else {
        return vec![];
    };
    let server = &config.server;
    let (speaks_tls, listen) = (server.tls_cert.is_some(), server.listen);
    let names_tls = issuer.scheme() == "https";
    let port = issuer.port_or_known_default();
    let mut found = Vec::new();
    if speaks_tls && !names_tls {
        found.push(format!(
            "token.issuer is {issuer}, but server.tls_cert makes server.listen speak TLS alone: write https://"
        ));
    }
    if !is_this_machine(&issuer) {
        return found;
    }
    if !listen.ip().is_loopback() {
        found.push(format!(
            "token.issuer is {issuer}, which only this machine reaches, but server.listen is {listen}: set \
             token.issuer to the URL that clients and verifiers know"
        ));
    }
    // A proxy in front has a port and a certificate of its own.
    if server.plaintext == Plaintext::BehindProxy {
        return found;
    }
    // The system chooses a port for 0.
    if listen.port() != 0 && port != Some(listen.port()) {
        found.push(format!(
            "token.issuer is {issuer}, but server.listen is {listen}: verifiers that go by the issuer look at \
             another port"
        ));
    } else if names_tls && !speaks_tls {
        found.push(format!(
            "token.issuer is {issuer}, but server.listen speaks plain HTTP: set server.tls_cert and \
             server.tls_key, or write http://"
        ));
    }
    found
}

fn is_this_machine(issuer: &Url) -> bool {
    match issuer.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => IpAddr::from(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::from(address).is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use crate::config::MasterKeyNeed;
    use crate::config::raw::Raw;

    use super::*;

    /// What is found in a configuration with these values.
    fn found(values: &[(&str, &str)]) -> Vec<String> {
        let flags: Vec<(String, String)> = values
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let raw = Raw::read(None, [], &flags);
        contradictions(&Config::resolve(&raw, MasterKeyNeed::Never).unwrap())
    }

    const TLS: [(&str, &str); 2] = [("server.tls_cert", "/a.pem"), ("server.tls_key", "/b.pem")];
    const PROXY: (&str, &str) = ("server.plaintext", "behind-proxy");

    fn issuer(url: &str) -> (&str, &str) {
        ("token.issuer", url)
    }

    fn listen(address: &str) -> (&str, &str) {
        ("server.listen", address)
    }

    #[test]
    fn what_belongs_together_is_told_nothing() {
        let https = issuer("https://auth.example.com");
        for values in [
            vec![],
            vec![issuer("http://127.0.0.1:3005"), listen("127.0.0.1:3005")],
            vec![issuer("http://[::1]:3005/tenant"), listen("[::1]:3005")],
            vec![listen("127.0.0.1:0")],
            vec![https],
            vec![https, listen("0.0.0.0:3005"), PROXY],
            vec![https, listen("0.0.0.0:443"), TLS[0], TLS[1]],
            vec![issuer("https://localhost:3000"), TLS[0], TLS[1]],
            // A proxy on this machine has another port.
            vec![issuer("https://localhost"), PROXY],
        ] {
            assert!(
                found(&values).is_empty(),
                "{values:?}: {:?}",
                found(&values)
            );
        }
    }

    #[test]
    fn an_issuer_under_which_nobody_finds_the_server_is_told() {
        for (values, says) in [
            (vec![listen("127.0.0.1:3005")], "another port"),
            (vec![issuer("https://localhost")], "another port"),
            (vec![issuer("https://localhost:3000")], "plain HTTP"),
            (vec![TLS[0], TLS[1]], "TLS alone"),
            (
                vec![issuer("http://auth.example.com"), TLS[0], TLS[1]],
                "TLS alone",
            ),
            (
                vec![listen("0.0.0.0:3000"), PROXY],
                "only this machine reaches",
            ),
            (
                vec![
                    issuer("https://localhost:3000"),
                    listen("192.0.2.1:3000"),
                    TLS[0],
                    TLS[1],
                ],
                "only this machine reaches",
            ),
        ] {
            let found = found(&values);
            assert_eq!(found.len(), 1, "{values:?}: {found:?}");
            assert!(found[0].contains(says), "{values:?}: {found:?}");
        }
    }
}
