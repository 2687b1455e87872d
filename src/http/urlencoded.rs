//! `application/x-www-form-urlencoded`: decoding one name or value, and the values of a query.
//!
//! Owns the decoding. Must not know which parameters there are, or how a malformed parameter is
//! answered.

use std::borrow::Cow;

/// All values of one parameter in a query that a client of another program may have written.
/// Another parameter that cannot be decoded is that program's concern and is skipped. A value of
/// this parameter that cannot be decoded is `None`. A name that cannot be decoded matches no
/// parameter.
pub(crate) fn values_in_query<'a>(
    query: &'a str,
    name: &str,
) -> impl Iterator<Item = Option<Cow<'a, str>>> {
    query.split('&').filter_map(move |pair| {
        let (raw, value) = pair.split_once('=').unwrap_or((pair, ""));
        decode(raw.as_bytes())
            .is_some_and(|decoded| decoded == name)
            .then(|| decode(value.as_bytes()))
    })
}

/// `+` is a space and `%XX` a byte; the bytes must be UTF-8.
pub(crate) fn decode(text: &[u8]) -> Option<Cow<'_, str>> {
    // Without a branch for each byte, the compiler looks at many bytes at once.
    let encoded = |b: u8| u8::from(b == b'+') | u8::from(b == b'%');
    if text.iter().fold(0, |any, b| any | encoded(*b)) == 0 {
        return std::str::from_utf8(text).ok().map(Cow::Borrowed);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter().copied();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => hex(rest.next()?)? << 4 | hex(rest.next()?)?,
            other => other,
        });
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}
