//! JSON text that is written by hand: strings and integers.
//!
//! A leaf module: it owns how a string is escaped (RFC 8259 §7, and in RFC 8785's one way, which is
//! `serde_json`'s way too). It must not know what a text means, and it writes no objects: the
//! modules that fix a text byte for byte write its members themselves.

use std::fmt::{self, Write as _};

/// How many bytes are looked at together. The compiler makes few instructions of them.
const CHUNK: usize = 16;

/// Writes a string with its quotation marks.
pub(crate) fn write_string(text: &str, out: &mut String) {
    out.push('"');
    write_contents(text, out);
    out.push('"');
}

/// Writes what stands between the quotation marks of a string. A string may be written in several
/// pieces.
pub(crate) fn write_contents(text: &str, out: &mut String) {
    if is_plain(text.as_bytes()) {
        out.push_str(text);
    } else {
        text.chars().for_each(|c| write_escaped(c, out));
    }
}

/// Writes an integer.
pub(crate) fn write_integer(value: impl itoa::Integer, out: &mut String) {
    out.push_str(itoa::Buffer::new().format(value));
}

/// The contents of a string, for a value that can only be formatted: what is written to it is
/// escaped onto the text.
pub(crate) struct Contents<'a>(pub(crate) &'a mut String);

impl fmt::Write for Contents<'_> {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        write_contents(piece, self.0);
        Ok(())
    }
}

/// Whether no character has to be escaped, as in nearly every string.
fn is_plain(text: &[u8]) -> bool {
    let Some(last) = text.last_chunk::<CHUNK>() else {
        return has_only_plain(text);
    };
    // The last chunk overlaps the one before it, so that no byte is looked at alone.
    let (chunks, _) = text.as_chunks::<CHUNK>();
    chunks.iter().all(|chunk| has_only_plain(chunk)) && has_only_plain(last)
}

/// Looks at every byte without a branch for each.
#[inline]
fn has_only_plain(bytes: &[u8]) -> bool {
    let escaped = |b: u8| u8::from(b < 0x20) | u8::from(b == b'"') | u8::from(b == b'\\');
    bytes.iter().fold(0, |any, b| any | escaped(*b)) == 0
}

fn write_escaped(c: char, out: &mut String) {
    match c {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\u{8}' => out.push_str("\\b"),
        '\t' => out.push_str("\\t"),
        '\n' => out.push_str("\\n"),
        '\u{c}' => out.push_str("\\f"),
        '\r' => out.push_str("\\r"),
        '\0'..='\u{1f}' => {
            // Writing to a String cannot fail.
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        }
        _ => out.push(c),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Strings of all lengths around [`CHUNK`], with the characters that matter among plain ones.
    fn any_text() -> impl Strategy<Value = String> {
        let c = prop_oneof![
            8 => any::<char>(),
            4 => "[a-z]".prop_map(|text| text.chars().next().unwrap_or('a')),
            1 => (0_u32..0xa0).prop_map(|code| char::from_u32(code).unwrap_or('a')),
            1 => Just('"'),
            1 => Just('\\'),
        ];
        let plain = "[ -!#-\\[\\]-~]{0,70}";
        (plain, proptest::collection::vec(c, 0..40), plain).prop_map(|(before, middle, after)| {
            before + &middle.into_iter().collect::<String>() + &after
        })
    }

    #[test]
    fn every_character_of_ascii_is_escaped_as_a_serializer_does_wherever_it_stands() {
        for code in 0..=0x9f_u8 {
            for before in 0..40 {
                for after in [0, 1, 15, 16, 17] {
                    let text =
                        "x".repeat(before) + &char::from(code).to_string() + &"y".repeat(after);
                    let mut out = String::new();
                    write_string(&text, &mut out);
                    assert_eq!(out, serde_json::to_string(&text).unwrap());
                }
            }
        }
    }

    proptest! {
        #[test]
        fn a_string_is_escaped_as_a_serializer_does(text in prop_oneof![any_text(), any::<String>()]) {
            let mut out = String::new();
            write_string(&text, &mut out);
            prop_assert_eq!(out, serde_json::to_string(&text).unwrap());
        }

        #[test]
        fn a_string_in_pieces_is_the_string(text in any_text(), at in any::<proptest::sample::Index>()) {
            let at = (0..=at.index(text.len() + 1)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            let (mut whole, mut pieces) = (String::new(), String::new());
            write_contents(&text, &mut whole);
            let (first, second) = text.split_at(at);
            write!(Contents(&mut pieces), "{first}{second}").unwrap();
            prop_assert_eq!(pieces, whole);
        }

        #[test]
        fn an_integer_is_written_as_a_serializer_does(signed in any::<i64>(), unsigned in any::<u64>()) {
            let mut out = String::new();
            write_integer(signed, &mut out);
            write_integer(unsigned, &mut out);
            prop_assert_eq!(out, format!("{signed}{unsigned}"));
        }
    }
}
