//! The parameters that a `postgres://` URL may contain: libpq's usual ones, each with its allowed
//! values.
//!
//! Owns which parameters are understood, which are accepted without effect, and which ask for
//! something that this program does not do. Must not know how a connection is made.

use std::borrow::Cow;
use std::collections::HashSet;
use std::net::IpAddr;
use std::path::Path;

use url::Url;

use super::files::{FileKinds, read_text};
use super::rule::Rule;

/// What a parameter may hold.
enum Holds {
    /// Anything.
    Text,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A whole number. A negative number means the default.
    Integer,
    /// A port.
    Port,
    /// An IP address.
    Address,
}

use Holds::{Address, Integer, Port, Text, Word};

/// Every accepted parameter, in alphabetical order. The lists leave out each value that asks for
/// something this program does not do: the operator then gets a fault, instead of a setting that is
/// silently ignored.
#[rustfmt::skip]
const PARAMETERS: &[(&str, Holds)] = &[
    ("application_name", Text),
    // The driver does no channel binding. `sslmode=verify-full` keeps out the same servers.
    ("channel_binding", Word(&["disable", "prefer", "require"])),
    ("client_encoding", Word(&["UTF8", "UTF-8", "utf8", "utf-8", "auto"])),
    // This has no effect: every call has a timeout of its own, which covers connecting too.
    ("connect_timeout", Integer),
    ("dbname", Text),
    ("fallback_application_name", Text),
    ("gssencmode", Word(&["disable", "prefer"])),
    ("host", Text),
    ("hostaddr", Address),
    ("keepalives", Word(&["0", "1"])),
    ("keepalives_count", Integer),
    ("keepalives_idle", Integer),
    ("keepalives_interval", Integer),
    ("load_balance_hosts", Word(&["disable", "random"])),
    ("options", Text),
    ("password", Text),
    ("port", Port),
    ("ssl-ca", Text),
    ("ssl-cert", Text),
    ("ssl-key", Text),
    ("ssl-mode", Word(SSLMODES)),
    ("ssl-root-cert", Text),
    // TLS below 1.2 is never spoken, and 1.3 is not turned off. Only 1.3 as the least cannot be had.
    ("ssl_max_protocol_version", Word(&["TLSv1.3"])),
    ("ssl_min_protocol_version", Word(&["TLSv1", "TLSv1.1", "TLSv1.2"])),
    ("sslcert", Text),
    ("sslcertmode", Word(&["disable", "allow"])),
    ("sslcompression", Word(&["0", "1"])),
    ("sslkey", Text),
    ("sslmode", Word(SSLMODES)),
    ("sslnegotiation", Word(&["postgres"])),
    ("sslrootcert", Text),
    ("sslsni", Word(&["0", "1"])),
    ("statement-cache-capacity", Integer),
    // This has no effect: the store always asks for a server that accepts writes. A standby may
    // not know yet of a revocation that was committed a moment ago.
    ("target_session_attrs", Word(&["any", "read-write", "primary", "prefer-standby"])),
    ("tcp_user_timeout", Integer),
    ("user", Text),
];

const SSLMODES: &[&str] = &[
    "disable",
    "allow",
    "prefer",
    "require",
    "verify-ca",
    "verify-full",
];

const SAY_SSLMODE: &str = "the host is not this machine, so the URL says how it is reached: ?sslmode=verify-full \
                           (with &sslrootcert=/path/ca.pem when the authority is your own), sslmode=require to \
                           encrypt without asking who answers, or sslmode=disable on a network that nobody \
                           else reads";

/// Checks every part of a URL that names one server.
pub(super) fn check(url: &Url) -> Result<(), Rule> {
    let mut said_before = HashSet::new();
    for (name, value) in url.query_pairs() {
        check_parameter(&name, &value)?;
        // The driver takes the last value: a second `sslmode=disable` would silently override the
        // first `sslmode`.
        if !said_before.insert(one_name(&name)) {
            return Err(format!("`{name}` is said twice in the postgres:// URL").into());
        }
    }
    let said = |names: &[&str]| {
        let pairs = url
            .query_pairs()
            .filter(|(name, value)| names.contains(&&**name) && !value.is_empty());
        pairs
            .map(|(_, value)| value.into_owned())
            .collect::<Vec<_>>()
    };
    let mut hosts = said(&["host", "hostaddr"]);
    hosts.extend(
        url.host_str()
            .filter(|host| !host.is_empty())
            .map(ToOwned::to_owned),
    );
    // Without these the driver would guess the host and the user from the process's environment,
    // which the configuration does not show.
    if hosts.is_empty() || (url.username().is_empty() && said(&["user"]).is_empty()) {
        return Err("a postgres:// URL names its host and its user".into());
    }
    let modes = said(&["sslmode", "ssl-mode"]);
    if modes.is_empty() && !hosts.iter().all(|host| is_this_machine(host)) {
        return Err(SAY_SSLMODE.into());
    }
    // As in libpq: the system's roots sign for any server in the world, so a certificate proves
    // nothing unless the host name is checked too.
    if said(&["sslrootcert"]).iter().any(|root| root == "system")
        && !modes
            .iter()
            .all(|mode| mode.eq_ignore_ascii_case("verify-full"))
    {
        return Err("sslrootcert=system needs sslmode=verify-full".into());
    }
    Ok(())
}

/// Checks what a URL that names several servers asks for besides: which of them is meant.
pub(super) fn check_among_several(url: &Url) -> Result<(), Rule> {
    const MEANT: [&str; 2] = ["read-write", "primary"];
    let asks_otherwise = url.query_pairs().any(|(name, value)| {
        name == "target_session_attrs"
            && !MEANT.iter().any(|word| word.eq_ignore_ascii_case(&value))
    });
    if asks_otherwise {
        return Err(
            "the query parameter `target_session_attrs` of a postgres:// URL with several hosts is read-write or primary"
                .into(),
        );
    }
    Ok(())
}

/// What is wrong with the certificates and keys that a `postgres://` URL names.
pub(crate) fn certificate_faults(url: &str) -> Vec<String> {
    let Ok(url) = Url::parse(url) else {
        return vec![];
    };
    let named = url.query_pairs().filter(|(name, value)| {
        let is_inline = value.trim_start().starts_with("-----BEGIN");
        FILES.contains(&&*one_name(name)) && !value.is_empty() && !is_inline && value != "system"
    });
    let fault = |(name, path): (Cow<'_, str>, Cow<'_, str>)| {
        let shown = |why: &str| format!("`{name}` of the postgres:// URL names {path}: {why}");
        match read_text(Path::new(&*path), FileKinds::Regular) {
            Ok(text) if text.contains("-----BEGIN ") => None,
            Ok(_) => Some(shown("it holds no PEM")),
            Err(why) => Some(shown(&why)),
        }
    };
    named.filter_map(fault).collect()
}

/// The parameters that name files in PEM, by their first names.
const FILES: &[&str] = &["sslcert", "sslkey", "sslrootcert"];

/// One name for each parameter: the driver knows some of them by several names.
fn one_name(name: &str) -> String {
    match name {
        "ssl-ca" => "sslrootcert".to_owned(),
        _ if name.starts_with("ssl-") => name.replace('-', ""),
        _ => name.to_owned(),
    }
}

fn check_parameter(name: &str, value: &str) -> Result<(), Rule> {
    // `options[lock_timeout]=1s` sets one setting of the session.
    if name
        .strip_prefix("options[")
        .is_some_and(|rest| rest.ends_with(']'))
    {
        return Ok(());
    }
    let Some((_, holds)) = PARAMETERS.iter().find(|(known, _)| *known == name) else {
        // The text may be a part of a password that contains an `&`. Repeat it only when it looks
        // like a parameter's name.
        let is_name = name.len() <= 40 && name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        let named = if is_name {
            format!("`{name}`")
        } else {
            "one of its names".to_owned()
        };
        let known: Vec<&str> = PARAMETERS.iter().map(|(known, _)| *known).collect();
        let known = known.join(", ");
        return Err(format!(
            "{named} is no query parameter of a postgres:// URL that is known here: {known}"
        )
        .into());
    };
    let rule = match holds {
        Text => return Ok(()),
        // The driver reads these in any letter case.
        Word(words) if words.iter().any(|word| word.eq_ignore_ascii_case(value)) => return Ok(()),
        Word(words) => format!("one of {}", words.join(", ")),
        Integer if value.parse::<i32>().is_ok() && name != "statement-cache-capacity" => {
            return Ok(());
        }
        Integer if value.parse::<u16>().is_ok() => return Ok(()),
        Integer => "a whole number".to_owned(),
        Port if value.parse::<u16>().is_ok_and(|port| port > 0) => return Ok(()),
        Port => "a port, 1 to 65535".to_owned(),
        Address if value.parse::<IpAddr>().is_ok() => return Ok(()),
        Address => "an IP address".to_owned(),
    };
    Err(format!("the query parameter `{name}` of a postgres:// URL is {rule}").into())
}

/// Whether the host is a socket, a loopback address or `localhost`.
fn is_this_machine(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let socket = bare.starts_with('/') || bare.to_ascii_lowercase().starts_with("%2f");
    socket
        || bare.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> Option<String> {
        check(&Url::parse(text).unwrap())
            .err()
            .map(|rule| rule.0.into_owned())
    }

    #[test]
    fn a_providers_own_string_is_understood() {
        for good in [
            "sslmode=require&channel_binding=require&connect_timeout=10&target_session_attrs=read-write",
            "sslmode=verify-full&sslrootcert=system&gssencmode=disable&application_name=x",
            "sslmode=require&keepalives=1&keepalives_idle=30&keepalives_interval=10&keepalives_count=3",
            "sslmode=Require&tcp_user_timeout=10000&options=-c%20search_path%3Dapp&client_encoding=UTF8",
            "ssl-mode=disable&statement-cache-capacity=0&sslsni=1&sslcompression=0&load_balance_hosts=random",
            "sslmode=verify-ca&sslnegotiation=postgres&fallback_application_name=y&options[lock_timeout]=1s",
            "sslmode=require&ssl_min_protocol_version=TLSv1.2&ssl_max_protocol_version=TLSv1.3",
        ] {
            assert_eq!(
                fault(&format!("postgres://sw:p@db.example/sw?{good}")),
                None,
                "{good}"
            );
        }
    }

    #[test]
    fn nonsense_and_what_is_not_done_is_a_fault_that_names_the_parameter() {
        for (name, bad) in [
            ("sslmode", "nonsense"),
            ("sslmode", ""),
            ("ssl-mode", "on"),
            ("connect_timeout", "soon"),
            ("channel_binding", "maybe"),
            ("target_session_attrs", "standby"),
            ("target_session_attrs", "read-only"),
            ("gssencmode", "require"),
            ("sslnegotiation", "direct"),
            ("sslcertmode", "require"),
            ("ssl_min_protocol_version", "TLSv1.3"),
            ("ssl_max_protocol_version", "TLSv1.2"),
            ("client_encoding", "latin1"),
            ("keepalives", "yes"),
            ("keepalives_idle", "1s"),
            ("port", "0"),
            ("port", "70000"),
            ("hostaddr", "db.example"),
            ("statement-cache-capacity", "-1"),
            ("require_auth", "none"),
            ("krbsrvname", "x"),
            ("sslmod", "require"),
        ] {
            let told = fault(&format!("postgres://sw@127.0.0.1/sw?{name}={bad}")).expect(name);
            assert!(told.contains(&format!("`{name}`")), "{name}={bad}: {told}");
        }
        // A text that cannot be a parameter's name may be the rest of a password.
        for secret in ["pa%20ss=x", "Hunter2=x", "hunter2=x", "options[x=1"] {
            let told = fault(&format!("postgres://sw@127.0.0.1/sw?{secret}")).unwrap();
            assert!(
                !told.to_lowercase().contains("hunter") && told.contains("query parameter"),
                "{told}"
            );
        }
    }

    #[test]
    fn a_host_that_is_not_this_machine_demands_that_sslmode_is_said() {
        for here in [
            "postgres://sw@localhost/sw",
            "postgres://sw@LocalHost/sw",
            "postgres://sw@127.0.0.1:5433/sw",
            "postgres://sw@127.8.8.8/sw",
            "postgres://sw@[::1]/sw",
            "postgres:///sw?host=/run/postgresql&user=sw",
            "postgres://sw@%2Frun%2Fpostgresql/sw",
            "postgres://sw@localhost/sw?host=/run/postgresql",
            "postgres://sw@db.example/sw?sslmode=disable",
            "postgres://sw@db.example/sw?ssl-mode=prefer",
        ] {
            assert_eq!(fault(here), None, "{here}");
        }
        for there in [
            "postgres://sw@db.example/sw",
            "postgres://sw@10.0.0.7/sw",
            "postgres://sw@0.0.0.0/sw",
            "postgres://sw@[2001:db8::1]/sw",
            "postgres://sw@localhost/sw?host=db.example",
            "postgres://sw@localhost/sw?hostaddr=10.0.0.7",
            "postgres://sw@localhost.example/sw?application_name=x",
        ] {
            assert!(
                fault(there).is_some_and(|told| told.contains("?sslmode=verify-full")),
                "{there}"
            );
        }
    }

    #[test]
    fn what_is_said_twice_is_a_fault_under_another_name_too() {
        for twice in [
            "sslmode=require&sslmode=disable",
            "sslmode=verify-full&ssl-mode=disable",
            "sslmode=require&port=1&port=2",
            "sslmode=require&sslrootcert=/a&ssl-ca=/b",
            "sslmode=require&sslrootcert=/a&ssl-root-cert=/b",
        ] {
            let told = fault(&format!("postgres://sw:p@db.example/sw?{twice}"));
            assert!(
                told.as_ref()
                    .is_some_and(|told| told.contains("said twice")),
                "{twice}: {told:?}"
            );
        }
        let settings = "sslmode=require&options[lock_timeout]=1s&options[statement_timeout]=2s";
        assert_eq!(
            fault(&format!("postgres://sw:p@db.example/sw?{settings}")),
            None
        );
    }

    #[test]
    fn the_systems_roots_need_the_mode_that_checks_the_host() {
        assert!(
            fault("postgres://sw@a/sw?sslmode=require&sslrootcert=system")
                .unwrap()
                .contains("verify-full")
        );
    }
}
