//! How long an answer is good, as its header fields say (RFC 9111 §5.2.2).

use hyper::HeaderMap;
use hyper::header::{AGE, CACHE_CONTROL};

/// How many seconds the answer is good, as far as it says. One that must not be kept is good for 0.
pub(super) fn freshness(headers: &HeaderMap) -> Option<u64> {
    let fields = headers.get_all(CACHE_CONTROL).iter();
    let fields: Vec<&str> = fields.filter_map(|field| field.to_str().ok()).collect();
    let directives = || {
        fields
            .iter()
            .flat_map(|field| field.split(','))
            .map(str::trim)
    };
    let is = |word: &str| directives().any(|one| one.eq_ignore_ascii_case(word));
    if is("no-store") || is("no-cache") {
        return Some(0);
    }
    let max_age = directives().find_map(|directive| {
        let (name, value) = directive.split_once('=')?;
        let seconds = value.trim_matches('"').parse::<u64>();
        seconds
            .ok()
            .filter(|_| name.eq_ignore_ascii_case("max-age"))
    })?;
    let age = headers
        .get(AGE)
        .and_then(|age| age.to_str().ok()?.parse::<u64>().ok());
    Some(max_age.saturating_sub(age.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_good_as_long_as_it_says() {
        for (control, age, expected) in [
            ("max-age=600", None, Some(600)),
            (
                "public, Max-Age=\"600\", must-revalidate",
                Some("100"),
                Some(500),
            ),
            ("max-age=10", Some("11"), Some(0)),
            ("max-age=600, no-store", None, Some(0)),
            ("No-Cache", None, Some(0)),
            ("max-age=-1", None, None),
            ("max-age=99999999999999999999", None, None),
            ("s-maxage=5", None, None),
            ("", None, None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CACHE_CONTROL, control.parse().unwrap());
            headers.extend(age.map(|age| (AGE, age.parse().unwrap())));
            assert_eq!(freshness(&headers), expected, "{control}");
        }
        assert_eq!(freshness(&HeaderMap::new()), None);
    }
}
