//! Bundles of entries (C2SP tlog-tiles, "Log entries"): each entry behind its length. Must not know
//! what an entry says.

use crate::domain::Invalid;

/// The longest entry in bytes: its length is written in 16 bits.
pub const MAX_ENTRY_BYTES: usize = 65_535;

/// The length of a length in bytes.
const LENGTH_BYTES: usize = 2;

/// Appends an entry to the bytes of a bundle.
pub fn push_entry(bundle: &mut Vec<u8>, entry: &[u8]) -> Result<(), Invalid> {
    let length = u16::try_from(entry.len())
        .map_err(|_| Invalid("an entry of the log has at most 65535 bytes"))?;
    bundle.extend_from_slice(&length.to_be_bytes());
    bundle.extend_from_slice(entry);
    Ok(())
}

/// The entries of a bundle that has exactly `width` of them.
pub fn split_bundle(bundle: &[u8], width: u16) -> Result<Vec<&[u8]>, Invalid> {
    let mut entries = Vec::with_capacity(usize::from(width));
    let mut rest = bundle;
    for _ in 0..width {
        let (entry, behind) = split_entry(rest)?;
        entries.push(entry);
        rest = behind;
    }
    if rest.is_empty() {
        Ok(entries)
    } else {
        Err(Invalid("a bundle ends with its last entry"))
    }
}

/// The bytes of the bundle that has the first `width` entries of this one.
pub fn bundle_prefix(bundle: &[u8], width: u16) -> Result<&[u8], Invalid> {
    let mut rest = bundle;
    for _ in 0..width {
        (_, rest) = split_entry(rest)?;
    }
    let length = bundle.len().saturating_sub(rest.len());
    Ok(bundle.get(..length).unwrap_or(bundle))
}

/// The first entry, and what is behind it.
fn split_entry(bundle: &[u8]) -> Result<(&[u8], &[u8]), Invalid> {
    const RULE: Invalid = Invalid("a bundle has each entry behind its length in two bytes");
    let (length, rest) = bundle.split_first_chunk::<LENGTH_BYTES>().ok_or(RULE)?;
    let length = usize::from(u16::from_be_bytes(*length));
    rest.split_at_checked(length).ok_or(RULE)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_entry_stands_behind_its_length_in_big_endian() {
        let mut bundle = Vec::new();
        push_entry(&mut bundle, b"ab").unwrap();
        push_entry(&mut bundle, b"").unwrap();
        push_entry(&mut bundle, &[7; 258]).unwrap();
        assert_eq!(bundle[..8], [0, 2, b'a', b'b', 0, 0, 1, 2]);
        let entries = split_bundle(&bundle, 3).unwrap();
        assert_eq!(entries, [b"ab".as_slice(), b"", &[7; 258]]);
        assert_eq!(bundle_prefix(&bundle, 2).unwrap(), &bundle[..6]);
        assert_eq!(bundle_prefix(&bundle, 0).unwrap(), b"");
    }

    #[test]
    fn an_entry_has_at_most_65535_bytes() {
        let mut bundle = Vec::new();
        let longest = vec![1; MAX_ENTRY_BYTES];
        push_entry(&mut bundle, &longest).unwrap();
        assert_eq!(split_bundle(&bundle, 1).unwrap(), [longest]);
        let before = bundle.clone();
        assert!(push_entry(&mut bundle, &vec![1; MAX_ENTRY_BYTES + 1]).is_err());
        assert_eq!(bundle, before);
    }

    #[test]
    fn a_bundle_of_another_width_or_with_a_cut_entry_is_refused() {
        let bundle = [0, 1, b'a', 0, 1, b'b'];
        assert!(split_bundle(&bundle, 2).is_ok() && split_bundle(&[], 0).is_ok());
        for (bytes, width) in [
            (&bundle[..], 1),
            (&bundle, 3),
            (&bundle[..5], 2),
            (&bundle[..4], 2),
        ] {
            assert!(split_bundle(bytes, width).is_err());
        }
        assert!(bundle_prefix(&bundle, 3).is_err());
    }

    proptest! {
        #[test]
        fn entries_read_back_as_they_were_written(
            entries in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..20),
        ) {
            let mut bundle = Vec::new();
            for (index, entry) in entries.iter().enumerate() {
                let width = u16::try_from(index).unwrap();
                prop_assert_eq!(bundle_prefix(&bundle, width).unwrap(), bundle.as_slice());
                push_entry(&mut bundle, entry).unwrap();
            }
            let width = u16::try_from(entries.len()).unwrap();
            prop_assert_eq!(split_bundle(&bundle, width).unwrap(), entries);
        }

        #[test]
        fn no_bytes_panic_and_what_is_read_is_written_the_same(
            bytes in proptest::collection::vec(prop_oneof![Just(0u8), Just(1), any::<u8>()], 0..60),
            width in 0u16..8,
        ) {
            let _ = bundle_prefix(&bytes, width);
            if let Ok(entries) = split_bundle(&bytes, width) {
                let mut bundle = Vec::new();
                for entry in entries {
                    push_entry(&mut bundle, entry).unwrap();
                }
                prop_assert_eq!(bundle, bytes);
            }
        }
    }
}
