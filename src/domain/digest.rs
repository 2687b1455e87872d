//! SHA-256, and bytes as hexadecimal text. Must not know what is hashed.

use aws_lc_rs::digest;

/// The SHA-256 hash of the bytes.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; digest::SHA256_OUTPUT_LEN] {
    let mut hash = [0; digest::SHA256_OUTPUT_LEN];
    hash.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    hash
}

/// The bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().saturating_mul(2));
    for byte in bytes {
        // Every issued token pays for this, so the formatter of `write!` has no part in it.
        text.push(digit(byte >> 4));
        text.push(digit(byte & 0x0f));
    }
    text
}

/// The digit for a number below 16.
fn digit(number: u8) -> char {
    char::from(if number < 10 {
        b'0' + number
    } else {
        b'a' + (number - 10)
    })
}

/// The bytes that hexadecimal digits of any case stand for; `None` if the text is something else,
/// or stands for another number of bytes.
pub(crate) fn parse_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != N.checked_mul(2)? {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = parse_pair(pair)?;
    }
    Some(bytes)
}

/// The same, for any number of bytes.
pub(crate) fn parse_hex_bytes(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs.map(parse_pair).collect()
}

/// The byte that two digits stand for.
fn parse_pair(pair: &[u8]) -> Option<u8> {
    let &[high, low] = pair else {
        return None;
    };
    let value = |digit| char::from(digit).to_digit(16);
    u8::try_from((value(high)? << 4) | value(low)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_abc_is_the_one_of_fips_180() {
        let text = hex(&sha256(b"abc"));
        assert!(
            text.starts_with("ba7816bf8f01cfea") && text.ends_with("f20015ad"),
            "{text}"
        );
        assert_eq!(parse_hex(&text), Some(sha256(b"abc")));
    }

    #[test]
    fn what_is_not_so_many_digits_is_refused() {
        for text in ["", "0", "000", "00000", "0g00", "+100", "é00"] {
            assert_eq!(parse_hex::<2>(text), None, "{text}");
        }
        assert_eq!(parse_hex::<2>("Ab01"), Some([0xab, 0x01]));
        assert_eq!(parse_hex_bytes("Ab01"), Some(vec![0xab, 0x01]));
        assert_eq!(parse_hex_bytes(""), Some(vec![]));
        for text in ["a", "abc", "g0", "0g", "é"] {
            assert_eq!(parse_hex_bytes(text), None, "{text}");
        }
    }
}
