//! The id of the trace that a request belongs to (W3C Trace Context, `traceparent`).
//!
//! Owns which text is such an id. Must not know what it is used for.

use axum::http::HeaderMap;

/// How many characters an id has.
const ID_BYTES: usize = 32;

/// The id of a trace: 32 hexadecimal digits in lower case, not all zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TraceId([u8; ID_BYTES]);

impl TraceId {
    /// The id in the request's `traceparent`. A header that breaks a rule is ignored as a whole, as
    /// the recommendation demands, and so are two of them.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all("traceparent").iter();
        let value = values.next()?;
        if values.next().is_some() {
            return None;
        }
        Self::parse(value.as_bytes())
    }

    fn parse(value: &[u8]) -> Option<Self> {
        let mut parts = value.split(|b| *b == b'-');
        let version = hex::<2>(parts.next()?)?;
        let id = hex::<ID_BYTES>(parts.next()?)?;
        let parent = hex::<16>(parts.next()?)?;
        hex::<2>(parts.next()?)?;
        let is_known = &version == b"00";
        // Later versions may add parts; ff is no version.
        if &version == b"ff" || (is_known && parts.next().is_some()) {
            return None;
        }
        let is_zero = |digits: &[u8]| digits.iter().all(|digit| *digit == b'0');
        (!is_zero(&id) && !is_zero(&parent)).then_some(Self(id))
    }

    /// The digits.
    pub(crate) fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// These bytes, if they are `N` hexadecimal digits in lower case.
fn hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let is_digit = |b: &u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    digits.iter().all(is_digit).then_some(())?;
    digits.try_into().ok()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    const ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    fn of(value: &str) -> Option<String> {
        TraceId::parse(value.as_bytes()).map(|id| id.as_str().to_owned())
    }

    #[test]
    fn only_a_well_formed_traceparent_names_a_trace() {
        let known = format!("00-{ID}-00f067aa0ba902b7-01");
        assert_eq!(of(&known).as_deref(), Some(ID));
        let later = format!("cc-{ID}-00f067aa0ba902b7-01-what-the-future-brings");
        assert_eq!(of(&later).as_deref(), Some(ID));
        for broken in [
            "",
            ID,
            &known[..54],
            &format!("{known}-"),
            &format!("{known}x"),
            &known.to_uppercase(),
            &format!("ff-{ID}-00f067aa0ba902b7-01"),
            &format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)),
            &format!("00-{ID}-{}-01", "0".repeat(16)),
            &format!("00-{ID}-00f067aa0ba902b7"),
            &format!("0-{ID}-00f067aa0ba902b7-01"),
            &format!("00 {ID} 00f067aa0ba902b7 01"),
        ] {
            assert_eq!(of(broken), None, "{broken}");
        }
    }

    #[test]
    fn two_headers_name_no_trace() {
        let value = HeaderValue::from_str(&format!("00-{ID}-00f067aa0ba902b7-01")).unwrap();
        let mut headers = HeaderMap::new();
        assert_eq!(TraceId::of(&headers), None);
        headers.append("traceparent", value.clone());
        assert!(TraceId::of(&headers).is_some());
        headers.append("traceparent", value);
        assert_eq!(TraceId::of(&headers), None);
    }

    proptest! {
        #[test]
        fn what_is_told_is_always_32_digits(value in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Some(id) = TraceId::parse(&value) {
                prop_assert!(id.as_str().len() == 32 && id.as_str().bytes().all(|b| b.is_ascii_hexdigit()));
            }
        }
    }
}
