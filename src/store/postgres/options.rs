//! From a `postgres://` URL to the driver's options.
//!
//! Owns which parameters the driver gets. Must not know which parameters a configuration may hold.

use std::sync::Arc;

use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;
use url::{Host, Url};

use crate::store::error::OpenError;

/// The parameters that the driver reads. It would log any other parameter with its value, so it
/// gets no others. Other parameters of libpq have no effect here.
const UNDERSTOOD: &[&str] = &[
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "ssl-ca",
    "ssl-cert",
    "ssl-key",
    "ssl-mode",
    "ssl-root-cert",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "statement-cache-capacity",
    "user",
];

/// The options from the URL. Where the URL says nothing, our own defaults apply: the driver would
/// take the missing values from `PGPORT`, `PGPASSWORD`, `~/.pgpass` and similar sources, which the
/// configuration does not show.
pub(super) fn options(url: &str) -> Result<PgConnectOptions, OpenError> {
    let fault = |error| OpenError::Fault(Arc::new(error));
    let mut url = Url::parse(url).map_err(|e| fault(sqlx::Error::Configuration(e.into())))?;
    let said: Vec<(String, String)> = url
        .query_pairs()
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect();
    let value_of = |name: &str| {
        said.iter()
            .find(|(said, _)| said == name)
            .map(|(_, value)| value.as_str())
    };
    let gives = |names: &[&str]| names.iter().any(|name| value_of(name).is_some());
    // The built-in roots are those of the system.
    let is_own_root = |name: &str, value: &str| !(name == "sslrootcert" && value == "system");
    let is_understood = |name: &str| UNDERSTOOD.contains(&name) || name.starts_with("options[");
    let names_database = !url.path().trim_matches('/').is_empty() || gives(&["dbname"]);
    let names_root = gives(&["ssl-root-cert", "ssl-ca"])
        || value_of("sslrootcert").is_some_and(|root| is_own_root("sslrootcert", root));
    let application = value_of("fallback_application_name").unwrap_or("sealwright");
    let defaults = [
        ("port", "5432", url.port().is_some() || gives(&["port"])),
        // An empty password counts as no password, and stops the driver from reading `~/.pgpass`.
        (
            "password",
            "",
            url.password().is_some() || gives(&["password"]),
        ),
        ("sslmode", "prefer", gives(&["sslmode", "ssl-mode"])),
        (
            "application_name",
            application,
            gives(&["application_name"]),
        ),
    ];
    let kept = said
        .iter()
        .filter(|(name, value)| is_understood(name) && is_own_root(name, value));
    let filled = defaults
        .iter()
        .filter(|(_, _, is_given)| !is_given)
        .map(|(name, value, _)| (*name, *value));
    let pairs = kept
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .chain(filled);
    url.query_pairs_mut().clear().extend_pairs(pairs);
    // PGOPTIONS, PGSSLCERT and PGSSLKEY are still read: the driver has no way to unset them.
    // Session pools refuse a start that sets this, and floats are read in binary form.
    let mut options = PgConnectOptions::from_url(&url)
        .map_err(fault)?
        .extra_float_digits(None);
    // The driver would look the brackets up as a part of the name (RFC 3986, section 3.2.2).
    if let Some(Host::Ipv6(address)) = url.host()
        && !gives(&["host", "hostaddr"])
    {
        options = options.host(&address.to_string());
    }
    if !names_database {
        let user = options.get_username().to_owned();
        options = options.database(&user);
    }
    if !names_root {
        // No certificates besides the built-in roots.
        options = options.ssl_root_cert_from_pem(Vec::new());
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use sqlx::ConnectOptions;
    use sqlx::postgres::PgSslMode;

    use super::options;

    #[test]
    fn what_the_url_leaves_open_has_a_default_and_what_it_says_stays() {
        let bare = options("postgres://sw@db.example").unwrap();
        assert_eq!(bare.get_port(), 5_432);
        assert_eq!(
            (bare.get_username(), bare.get_database()),
            ("sw", Some("sw"))
        );
        assert_eq!(bare.get_application_name(), Some("sealwright"));
        assert!(matches!(bare.get_ssl_mode(), PgSslMode::Prefer));
        assert!(bare.to_url_lossy().password().is_none_or(str::is_empty));
        let full = options(
            "postgres://db.example:6000/x?user=sw&password=p%26q&ssl-mode=require&application_name=y&host=h",
        )
        .unwrap();
        assert_eq!((full.get_host(), full.get_port()), ("h", 6_000));
        assert_eq!(
            (full.get_username(), full.get_database()),
            ("sw", Some("x"))
        );
        assert_eq!(full.get_application_name(), Some("y"));
        assert!(matches!(full.get_ssl_mode(), PgSslMode::Require));
        assert_eq!(full.to_url_lossy().password(), Some("p%26q"));
    }

    #[test]
    fn an_ipv6_address_is_a_host_without_its_brackets() {
        for (url, host) in [
            ("postgres://sw@[::1]:6000/x", "::1"),
            (
                "postgres://sw@[2001:DB8::1]/x?sslmode=require",
                "2001:db8::1",
            ),
            ("postgres://sw@[::1]/x?host=h", "h"),
        ] {
            assert_eq!(options(url).unwrap().get_host(), host, "{url}");
        }
    }

    #[test]
    fn what_libpq_knows_besides_is_not_handed_to_the_driver() {
        let provided = options(
            "postgres://sw:p@db.example/sw?sslmode=verify-full&sslrootcert=system&channel_binding=require\
             &connect_timeout=10&target_session_attrs=read-write&fallback_application_name=z",
        )
        .unwrap();
        assert!(matches!(provided.get_ssl_mode(), PgSslMode::VerifyFull));
        assert_eq!(provided.get_application_name(), Some("z"));
        assert!(
            !provided.to_url_lossy().as_str().contains("system"),
            "{}",
            provided.to_url_lossy()
        );
    }
}
