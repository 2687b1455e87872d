//! How an event names the request that caused it.
//!
//! Must not know how requests carry their ids.

use std::fmt;

use crate::domain::Invalid;
use crate::domain::digest::{hex, parse_hex, sha256};

/// What the text of a hash begins with.
const HASH_MARK: &str = "sha256:";

/// What stands before the hash of a client's text in a store.
const CLIENT_MARK: u8 = 1;

/// The request of an event. A client may send an id that looks like one of ours, so where the id
/// comes from is a part of it and never guessed from its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RequestRef {
    /// An id that this server made: the number of the process, and the number of the request in it.
    Ours {
        /// The random number of the process.
        process: u64,
        /// How many ids the process made before.
        count: u64,
    },
    /// The first 16 bytes of the SHA-256 hash of the id that the client sent. The text itself is
    /// the client's and may hold anything.
    Client([u8; 16]),
}

impl RequestRef {
    /// The reference to a request with this id, which its client chose.
    pub fn of_client(text: &str) -> Self {
        let mut first = [0; 16];
        for (byte, hashed) in first.iter_mut().zip(sha256(text.as_bytes())) {
            *byte = hashed;
        }
        Self::Client(first)
    }

    /// The references that someone may mean by this text: the id in a response, whoever made it, or
    /// the text of an event.
    pub fn sought(text: &str) -> Vec<Self> {
        let of_event = text
            .strip_prefix(HASH_MARK)
            .and_then(parse_hex)
            .map(Self::Client);
        let ours = Self::parse_ours(text);
        ours.into_iter()
            .chain(of_event)
            .chain([Self::of_client(text)])
            .collect()
    }

    /// Reads the text of [`Self::Ours`] exactly as it is written.
    fn parse_ours(text: &str) -> Option<Self> {
        let (process, count) = text.split_once('-')?;
        let ours = Self::Ours {
            process: u64::from_be_bytes(parse_hex(process)?),
            count: count.parse().ok()?,
        };
        (ours.to_string() == text).then_some(ours)
    }

    /// The bytes that stores hold: 16 of an id of ours; 17 of a client's, whose first byte is 1.
    pub fn to_bytes(self) -> Vec<u8> {
        match self {
            Self::Ours { process, count } => [process.to_be_bytes(), count.to_be_bytes()]
                .as_flattened()
                .to_vec(),
            Self::Client(hash) => [CLIENT_MARK].into_iter().chain(hash).collect(),
        }
    }

    /// The reference with these bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Invalid> {
        let fault = Invalid("a stored request id is 16 bytes, or the byte 1 and 16 bytes");
        if let Ok(number) = <[u8; 16]>::try_from(bytes) {
            let number = u128::from_be_bytes(number);
            let half = |bits: u128| u64::try_from(bits & u128::from(u64::MAX)).map_err(|_| fault);
            return Ok(Self::Ours {
                process: half(number >> 64)?,
                count: half(number)?,
            });
        }
        match bytes.split_first() {
            Some((&CLIENT_MARK, hash)) => hash.try_into().map(Self::Client).map_err(|_| fault),
            _ => Err(fault),
        }
    }
}

impl fmt::Display for RequestRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ours { process, count } => write!(f, "{process:016x}-{count}"),
            Self::Client(hash) => write!(f, "{HASH_MARK}{}", hex(hash)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_clients_text_is_hashed_even_if_it_looks_like_ours() {
        let ours = RequestRef::Ours {
            process: 0xab,
            count: 7,
        };
        let text = ours.to_string();
        assert_eq!(text, "00000000000000ab-7");
        let sent = RequestRef::of_client(&text);
        assert_ne!(sent.to_string(), text);
        assert_eq!(RequestRef::sought(&text), [ours, sent]);
        // The hash of "abc" is in FIPS 180.
        assert_eq!(
            RequestRef::of_client("abc").to_string(),
            "sha256:ba7816bf8f01cfea414140de5dae2223"
        );
    }

    #[test]
    fn a_request_is_found_by_the_response_and_by_the_event() {
        let sent = RequestRef::of_client("my-request");
        assert_eq!(RequestRef::sought("my-request"), [sent]);
        assert_eq!(RequestRef::sought(&sent.to_string())[0], sent);
        for near in [
            "00000000000000AB-7",
            "00000000000000ab-07",
            "00000000000000ab-+7",
            "ab-7",
            "00000000000000ab-18446744073709551616",
            "00000000000000ab-",
            "00000000000000ab7",
        ] {
            assert_eq!(RequestRef::sought(near), [RequestRef::of_client(near)]);
        }
    }

    proptest! {
        #[test]
        fn a_reference_is_stored_with_its_origin(process in any::<u64>(), count in any::<u64>(), text in any::<String>()) {
            for reference in [RequestRef::Ours { process, count }, RequestRef::of_client(&text)] {
                prop_assert_eq!(RequestRef::from_bytes(&reference.to_bytes()), Ok(reference));
                prop_assert!(RequestRef::sought(&reference.to_string()).contains(&reference));
            }
        }

        #[test]
        fn other_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..20)) {
            let fits = bytes.len() == 16 || (bytes.len() == 17 && bytes[0] == 1);
            prop_assert_eq!(RequestRef::from_bytes(&bytes).is_ok(), fits);
        }
    }
}
