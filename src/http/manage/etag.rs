//! Versions as entity tags: `ETag`, `If-Match` and `If-None-Match` (RFC 9110 §8.8.3, §13.1).
//!
//! Owns their syntax. Must not know what has a version.

use axum::http::header::{HeaderMap, HeaderName, IF_MATCH, IF_NONE_MATCH};

use crate::domain::precondition::{Precondition, VersionMatch};

/// What a proxy that compresses a response adds to the tag, behind one or two hyphens or a
/// semicolon: Apache `-gzip`, Jetty `--gzip`, others `;gzip`.
const CODINGS: [&str; 4] = ["gzip", "br", "zstd", "deflate"];

/// The entity tag of a version.
pub(super) fn etag(version: i64) -> String {
    format!("\"{version}\"")
}

/// What the header fields of a request demand.
pub(super) fn precondition(headers: &HeaderMap) -> Precondition {
    Precondition {
        if_match: version_match(headers, &IF_MATCH),
        if_none_match: version_match(headers, &IF_NONE_MATCH),
    }
}

/// The versions that a field names. What is no tag of ours names no version. `None` if the field is
/// absent.
fn version_match(headers: &HeaderMap, name: &HeaderName) -> Option<VersionMatch> {
    if !headers.contains_key(name) {
        return None;
    }
    let lines = headers.get_all(name).iter();
    let tags: Vec<&str> = lines
        .filter_map(|line| line.to_str().ok())
        // None of our tags has a comma, so a comma within a tag of others does no harm.
        .flat_map(|line| line.split(','))
        .map(str::trim)
        .collect();
    if tags == ["*"] {
        return Some(VersionMatch::Any);
    }
    let versions = tags.into_iter().filter_map(version_of);
    Some(VersionMatch::OneOf(versions.collect()))
}

/// The version that a tag names. A proxy that compresses makes it weak (nginx) or adds the coding.
fn version_of(tag: &str) -> Option<i64> {
    let tag = tag.strip_prefix("W/").unwrap_or(tag);
    let tag = tag.strip_prefix('"')?.strip_suffix('"')?;
    let plain = CODINGS.iter().find_map(|coding| {
        let rest = tag.strip_suffix(coding)?;
        let plain = rest.strip_suffix("--").or_else(|| rest.strip_suffix('-'));
        plain.or_else(|| rest.strip_suffix(';'))
    });
    let text = plain.unwrap_or(tag);
    // Compared as text: a version has only one spelling.
    let version = text.parse::<i64>().ok()?;
    (version.to_string() == text).then_some(version)
}

#[cfg(test)]
mod tests {
    use super::VersionMatch::{Any, OneOf};
    use super::*;

    fn read(lines: &[&str]) -> Option<VersionMatch> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(IF_MATCH, line.parse().unwrap());
        }
        precondition(&headers).if_match
    }

    #[test]
    fn a_version_is_known_again_behind_a_proxy_that_compresses() {
        for tag in [
            "\"17\"",
            "W/\"17\"",
            "\"17-gzip\"",
            "\"17--gzip\"",
            "\"17;gzip\"",
            "W/\"17-br\"",
            "\"17-zstd\"",
            "\"17-deflate\"",
            " \"17\" ",
        ] {
            assert_eq!(read(&[tag]), Some(OneOf(vec![17])), "{tag}");
        }
        assert_eq!(version_of(&etag(i64::MAX)), Some(i64::MAX));
    }

    #[test]
    fn a_condition_is_a_list_or_an_asterisk() {
        assert_eq!(read(&[]), None);
        assert_eq!(read(&["*"]), Some(Any));
        assert_eq!(
            read(&["\"1\", W/\"2\"", "\"3\""]),
            Some(OneOf(vec![1, 2, 3]))
        );
        assert_eq!(read(&["\"a,b\", \"1\""]), Some(OneOf(vec![1])));
    }

    #[test]
    fn what_is_no_tag_of_ours_names_no_version() {
        for text in [
            "",
            "17",
            "\"017\"",
            "\"+17\"",
            "\"17",
            "'17'",
            "w/\"17\"",
            "\"17-xz\"",
            "\"17gzip\"",
            "\"\"",
            "\"1e3\"",
            "*, *",
            "\"99999999999999999999\"",
        ] {
            assert_eq!(read(&[text]), Some(OneOf(vec![])), "{text}");
        }
    }
}
