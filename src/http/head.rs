//! What every request's head must hold, whatever the route does: one host, and a transfer coding
//! and a media type that this server can read.
//!
//! Must not know what is asked for.

use std::net::Ipv6Addr;

use axum::http::Version;
use axum::http::header::{CONTENT_TYPE, HOST, HeaderMap, TRANSFER_ENCODING};

use crate::domain::refusal::Refusal;

use super::accepts::Reads;
use super::error::Failure;
use super::parameters::Encoding;

/// RFC 9112 §6.1: this server understands no transfer coding but `chunked`. Bytes in another coding
/// are not the body.
pub(crate) fn check_coding(headers: &HeaderMap) -> Result<(), Failure> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let Some(one) = codings.next() else {
        return Ok(());
    };
    if codings.next().is_none() && one.as_bytes().eq_ignore_ascii_case(b"chunked") {
        return Ok(());
    }
    Err(Refusal::InvalidRequest("The body may have no transfer coding but chunked.").into())
}

/// RFC 9112 §3.2: exactly one Host header field that names a host, so that a proxy in front of this
/// server cannot have read a different host.
pub(crate) fn check_host(version: Version, headers: &HeaderMap) -> Result<(), Failure> {
    let refused = |why| Err(Refusal::InvalidRequest(why).into());
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) if is_host(host.as_bytes()) => Ok(()),
        (Some(_), None) => refused("The Host header names no host."),
        (None, _) if version < Version::HTTP_11 => Ok(()),
        _ => refused("The request needs exactly one Host header."),
    }
}

/// RFC 9110 §7.2, RFC 3986 §3.2: a name or an address, and a port. The name may be empty, because
/// this server does not use it.
fn is_host(value: &[u8]) -> bool {
    let name_end = match value.first() {
        Some(b'[') => value.iter().position(|b| *b == b']').map_or(0, |at| at + 1),
        _ => value.iter().position(|b| *b == b':').unwrap_or(value.len()),
    };
    let (name, port) = value.split_at(name_end);
    let is_port = port
        .split_first()
        .is_none_or(|(colon, digits)| *colon == b':' && digits.iter().all(u8::is_ascii_digit));
    is_port && is_name(name)
}

fn is_name(name: &[u8]) -> bool {
    if let [b'[', address @ .., b']'] = name {
        return std::str::from_utf8(address)
            .is_ok_and(|address| address.parse::<Ipv6Addr>().is_ok());
    }
    let mut rest = name.iter();
    while let Some(byte) = rest.next() {
        let fits = match byte {
            b'%' => [rest.next(), rest.next()]
                .iter()
                .all(|b| b.is_some_and(u8::is_ascii_hexdigit)),
            b => b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(b),
        };
        if !fits {
            return false;
        }
    }
    true
}

/// The body's encoding by its media type, in any letter case and with any parameters. RFC 6749 App.
/// B knows forms alone, the management API JSON alone.
pub(crate) fn encoding_of(reads: Reads, headers: &HeaderMap) -> Result<Encoding, Failure> {
    let refused = Failure::MediaType(reads);
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(one), None) = (types.next(), types.next()) else {
        return Err(refused);
    };
    let essence = one
        .to_str()
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default()
        .trim();
    let is = |media_type: &str| essence.eq_ignore_ascii_case(media_type);
    let reads_json = reads.is_json() || reads == Reads::FormOrJson;
    if !reads.is_json() && is("application/x-www-form-urlencoded") {
        Ok(Encoding::Form)
    } else if (reads_json && is("application/json"))
        || (reads == Reads::MergePatch && is("application/merge-patch+json"))
    {
        Ok(Encoding::Json)
    } else {
        Err(refused)
    }
}
