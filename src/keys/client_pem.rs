//! Public keys of clients as OpenSSL writes them: PEM with a `SubjectPublicKeyInfo` (RFC 5280
//! §4.1.2.7, RFC 7468 §13).
//!
//! Owns the way from PEM to a JWK. Whether the key is accepted is decided where JWKs are read.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

const BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
const END: &str = "-----END PUBLIC KEY-----";

/// What comes before the key in DER, for the types whose keys have one length (RFC 8410 §4, RFC
/// 5480 §2): the type, the name of the curve, and the members `kty` and `crv`.
const FIXED: [(&[u8], &str, &str); 3] = [
    (b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00", "OKP", "Ed25519"),
    (
        b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00\x04",
        "EC",
        "P-256",
    ),
    (
        b"\x30\x76\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22\x03\x62\x00\x04",
        "EC",
        "P-384",
    ),
];

/// The algorithm `rsaEncryption` with its parameters (RFC 3279 §2.3.1).
const RSA: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";

/// Whether a text is PEM of any kind.
pub(crate) fn is_pem(text: &str) -> bool {
    text.trim_start().starts_with("-----BEGIN ")
}

/// The key in a PEM text as a JWK. `None` if the text is something else than one public key of a
/// type that this server knows.
pub(crate) fn jwk_of_pem(text: &str) -> Option<Value> {
    let body = text.trim().strip_prefix(BEGIN)?.strip_suffix(END)?;
    let body: String = body.split_ascii_whitespace().collect();
    let der = STANDARD.decode(body).ok()?;
    for (head, kty, crv) in FIXED {
        let Some(key) = der.strip_prefix(head) else {
            continue;
        };
        let (x, y) = if kty == "EC" {
            key.split_at_checked(key.len() / 2)?
        } else {
            (key, &[][..])
        };
        let mut jwk = json!({ "kty": kty, "crv": crv, "x": URL_SAFE_NO_PAD.encode(x) });
        if kty == "EC" {
            jwk["y"] = URL_SAFE_NO_PAD.encode(y).into();
        }
        return Some(jwk);
    }
    // SubjectPublicKeyInfo: the algorithm, and a bit string with modulus and exponent.
    let mut info = Der(&der).whole(0x30)?;
    (info.next(0x30)? == RSA).then_some(())?;
    let bits = info.next(0x03)?.strip_prefix(b"\0")?;
    let mut key = Der(bits).whole(0x30)?;
    let (n, e) = (key.next(0x02)?, key.next(0x02)?);
    let number = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes.strip_prefix(b"\0").unwrap_or(bytes));
    Some(json!({ "kty": "RSA", "n": number(n), "e": number(e) }))
}

/// The rest of a DER text (X.690).
struct Der<'d>(&'d [u8]);

impl<'d> Der<'d> {
    /// The content of the next value, which must have this tag.
    fn next(&mut self, tag: u8) -> Option<&'d [u8]> {
        let rest = self.0.strip_prefix(&[tag])?;
        let (first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(*first), rest),
            // The length stands in one or two bytes.
            0x81 | 0x82 => {
                let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                let length = length
                    .iter()
                    .fold(0, |sum, byte| sum * 256 + usize::from(*byte));
                (length, rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(content)
    }

    /// The content of the only value, which must have this tag.
    fn whole(mut self, tag: u8) -> Option<Self> {
        let content = self.next(tag)?;
        self.0.is_empty().then_some(Self(content))
    }
}

#[cfg(test)]
mod tests {
    use super::super::client_key::ClientKeySet;
    use super::*;

    /// Made with `openssl pkey -pubout`.
    const PEMS: [(&str, &str); 4] = [
        (
            "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAAi+ebFP7OR1EpQmPZb3UVEWl+5VTyZSF5ynZAFsD4gs=\n-----END PUBLIC KEY-----",
            "EdDSA",
        ),
        (
            "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAENX+3f47bKoCZW4Fs6IEOPMWcaGSm\nzDrEvdxMujUzMtfwd/aLAzFL2X2i3jLM+ALeKv6KI6DPrKjr6n+61npbFQ==\n-----END PUBLIC KEY-----",
            "ES256",
        ),
        (
            "-----BEGIN PUBLIC KEY-----\nMHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEFzEWY0GTjO+uOUjKoY3NaDh0KywJAY0D\n4Kqm+xkqxWF62QFA6f/JTjxQ/9jZNjJobuC8G1ct0uPXL2L87hMQD2zrwEeUvMYX\nhrH0zfV6AnMoF/d4YrD4U57Qmzu1tEXk\n-----END PUBLIC KEY-----",
            "ES384",
        ),
        (
            "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAmvH+cB2q1w/arDHeEimt\ngVQrfxoONAJ3br/znHTg3P9gpRDd7dyPbi26hyQL/1fzji4v66F01vGNecem8Hfj\ny/j3fYnYJ/JJnCQUVZu/okY+wgiYSvGZi3pFThLkYyPvrdOj/h4Jymhgelsfh5JR\ndkmQG5GT9HksWzUa65ReJAQC89AlZP2kBBWY2CjMEHjmQIqc8BDcxFseC9Ydyeym\n1E+cMAuqKGtGx0xZaFCDYPua2p0GcI71JiN/Bx3RtFj9ymlmKej3kQcj4u9dA/4J\n9hOw57zthnk7SlyVbNcXEMKd5feS12KXwp2YfcReC2fAEzE97krNn48DIQWHllFy\nDwIDAQAB\n-----END PUBLIC KEY-----",
            "RS256",
        ),
    ];

    #[test]
    fn what_openssl_writes_is_read() {
        for (pem, algorithm) in PEMS {
            let jwk = jwk_of_pem(&format!("\n{pem}\n")).unwrap();
            let set = ClientKeySet::parse(&json!({ "keys": [jwk] })).unwrap();
            assert_eq!(set.keys()[0].algorithm.as_str(), algorithm);
        }
    }

    #[test]
    fn what_is_no_public_key_is_refused() {
        let (pem, _) = PEMS[0];
        for bad in [
            String::new(),
            "x".to_owned(),
            pem.replace("PUBLIC", "PRIVATE"),
            pem.replace('M', "!"),
            format!("{BEGIN}{END}"),
            format!("{BEGIN}MIIB{END}"),
            format!("{pem}{pem}"),
        ] {
            assert_eq!(jwk_of_pem(&bad), None, "{bad}");
        }
    }
}
