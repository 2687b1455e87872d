//! The entity tags that the list had lately. While a long poll waits, entries may expire, and each
//! expiry gives the list another tag, which is no news.
//!
//! Must not know what a list holds.

use std::collections::VecDeque;

/// How many tags are remembered.
const MAX_TAGS: usize = 512;

/// Each tag with the number of the change after which the list was written down.
#[derive(Default)]
pub(super) struct RecentTags(VecDeque<(String, u64)>);

impl RecentTags {
    /// Remembers the tag of a list that was written down after this change.
    pub(super) fn remember(&mut self, tag: &str, change: u64) {
        if self.0.len() >= MAX_TAGS {
            self.0.pop_front();
        }
        self.0.push_back((tag.to_owned(), change));
    }

    /// Whether a list that was written down after this change had this tag, compressed or not.
    pub(super) fn has(&self, tag: &str, change: u64) -> bool {
        let same = |known: &str| {
            let bare = known.trim_end_matches('"');
            tag.strip_prefix(bare)
                .is_some_and(|rest| rest == "\"" || rest == "-gzip\"")
        };
        self.0
            .iter()
            .rev()
            .take_while(|(_, at)| *at == change)
            .any(|(known, _)| same(known))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tags_since_the_last_change_are_known_in_both_forms() {
        let mut tags = RecentTags::default();
        tags.remember("\"a\"", 1);
        for n in 0..MAX_TAGS {
            tags.remember(&format!("\"b{n}\""), 2);
        }
        assert!(tags.has("\"b0\"", 2) && tags.has("\"b511-gzip\"", 2));
        for (tag, change) in [
            ("\"a\"", 1),
            ("\"b0\"", 1),
            ("\"b0\"", 3),
            ("\"b\"", 2),
            ("b0", 2),
        ] {
            assert!(!tags.has(tag, change), "{tag} {change}");
        }
        tags.remember("\"c\"", 3);
        assert!(!tags.has("\"b511\"", 2) && tags.has("\"c\"", 3));
    }
}
