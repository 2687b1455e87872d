//! Citations: everything that comments and tests cite exists in the repository, and links lead from
//! README.md to every page.
//!
//! A citation is `contract §3`, a row of the contract (`D6`, `T1`, `W2`, `V3`), `item 29`, `known
//! failure 8` or `fault C1`, alone or as a list (`items 8–15, 21`). A section sign in code follows the
//! contract or a standard ([`STANDARDS`]); on a page it may belong to the heading.

use std::collections::BTreeSet;

use crate::{demand_none, tree};

const CONTRACT: &str = "docs/contract.md";
const CHECKS: &str = "docs/checks.md";
const README: &str = "README.md";

/// The folders in which citations are checked.
const CITING: &[&str] = &[
    "src/",
    "tests/",
    "benches/",
    "migrations/",
    "config/",
    "docs/",
    ".ci/",
];

/// Words that begin or end the name of a document whose sections are cited.
const STANDARDS: &[&str] = &["rfc", "rfcs", "discovery"];

/// What a section sign cites that follows no document.
const NO_DOCUMENT: &str = "of no document";

#[test]
fn every_citation_has_its_target() {
    let targets = targets(&tree::read(CONTRACT), &tree::read(CHECKS));
    let mut faults = Vec::new();
    for file in tree::tracked() {
        // The examples in this file have no target.
        let cites =
            CITING.iter().any(|place| file.starts_with(place)) && file != "tests/tidy/citations.rs";
        let text = [".rs", ".sql", ".toml", ".md", ".json", "run"]
            .iter()
            .any(|end| file.ends_with(end));
        if !cites || !text {
            continue;
        }
        for (line, cited) in citations(&tree::read(&file)) {
            if cited.ends_with(NO_DOCUMENT) && is_page(&file) {
                continue;
            }
            if !targets.contains(&cited) {
                faults.push(format!(
                    "{file}:{line}: cites {cited}, which is no row or section of {CONTRACT} or {CHECKS}. Correct the \
                     citation, or write its target."
                ));
            }
        }
    }
    demand_none(&faults);
}

fn is_page(file: &str) -> bool {
    std::path::Path::new(file)
        .extension()
        .is_some_and(|extension| extension == "md")
}

#[test]
fn every_page_is_reached_from_the_readme() {
    let pages: BTreeSet<String> = tree::tracked()
        .into_iter()
        .filter(|file| is_page(file))
        .collect();
    let mut reached = BTreeSet::new();
    let mut next = vec![README.to_owned()];
    while let Some(page) = next.pop() {
        if reached.insert(page.clone()) {
            next.extend(
                links(&page, &tree::read(&page))
                    .map(|(_, to)| to)
                    .filter(|to| pages.contains(to)),
            );
        }
    }
    let lost = pages.difference(&reached);
    demand_none(
        &lost
            .map(|page| {
                format!("{page}:1: no link leads here from {README}. Link it, or remove it.")
            })
            .collect::<Vec<_>>(),
    );
}

#[test]
fn every_link_of_a_page_leads_somewhere() {
    let mut faults = Vec::new();
    for page in tree::tracked().into_iter().filter(|file| is_page(file)) {
        for (line, to) in links(&page, &tree::read(&page)) {
            if !tree::exists(&to) {
                faults.push(format!("{page}:{line}: links to {to}, which is not there."));
            }
        }
        for (line, to, anchor) in anchored_links(&page, &tree::read(&page)) {
            if is_page(&to) && !anchors(&tree::read(&to)).contains(&anchor) {
                faults.push(format!(
                    "{page}:{line}: links to the heading #{anchor} of {to}, which is not there."
                ));
            }
        }
    }
    demand_none(&faults);
}

/// The anchors of a page: its headings in lower case, without punctuation, with hyphens for spaces.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| {
        let heading = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = heading
            .chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(anchor).collect()
}

/// The links of a page to a heading, of another page or of its own.
fn anchored_links(page: &str, text: &str) -> Vec<(usize, String, String)> {
    let mut found = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        let targets = line
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next());
        for (file, anchor) in targets.filter_map(|target| target.split_once('#')) {
            let to = match links(page, &format!("]({file})")).next() {
                Some((_, to)) => to,
                None if file.is_empty() => page.to_owned(),
                None => continue,
            };
            found.push((number, to, anchor.to_owned()));
        }
    }
    found
}

/// The targets that may be cited: `§3`, `D6`, `item 29`, `failure 8`, `fault C1`.
fn targets(contract: &str, checks: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for line in contract.lines() {
        if let Some((number, _)) = line
            .strip_prefix("## ")
            .and_then(|rest| rest.split_once('.'))
        {
            found.insert(format!("§{number}"));
        }
        found.extend(
            first_cell(line)
                .filter(|cell| is_row(cell))
                .map(str::to_owned),
        );
    }
    let mut kind = "";
    for line in checks.lines() {
        if let Some(cell) = first_cell(line) {
            match cell {
                "item" | "failure" | "fault" => kind = cell,
                "---" => {}
                name => {
                    found.insert(format!("{kind} {name}"));
                }
            }
        }
    }
    found
}

fn first_cell(line: &str) -> Option<&str> {
    line.strip_prefix("| ")
        .or_else(|| line.strip_prefix('|'))?
        .split('|')
        .next()
        .map(str::trim)
}

/// Whether the word is a row of the contract: `D6`, `T1`, `W2`, `V3`.
fn is_row(word: &str) -> bool {
    let mut chars = word.chars();
    chars.next().is_some_and(|c| "DTWV".contains(c)) && is_number(chars.as_str())
}

fn is_number(word: &str) -> bool {
    !word.is_empty() && word.len() <= 2 && word.chars().all(|c| c.is_ascii_digit())
}

/// Every citation of a file, with its line.
fn citations(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    // A list of citations may continue on the next line of a comment.
    let mut kind = "";
    for (line, number) in text.lines().zip(1..) {
        let comment = line.trim_start().starts_with("//");
        let words: Vec<&str> = line
            .split(|c: char| c.is_whitespace() || "()[];|\"".contains(c))
            .collect();
        for word in words.iter().filter(|word| !word.is_empty()) {
            let bare = word.trim_matches(|c: char| ",.:`'’*".contains(c));
            let lower = bare.to_lowercase();
            match lower.trim_end_matches("'s").trim_end_matches("’s") {
                "contract" => kind = "contract",
                name if STANDARDS.contains(&name) => kind = "standard",
                "item" | "items" => kind = "item",
                "failure" | "failures" => kind = "failure",
                "fault" | "faults" => kind = "fault",
                // Skip words that join a list, and comment marks.
                "and" | "to" | "//" | "//!" | "///" | "--" | "#" | "" => {}
                // The number of an RFC, or one of its sections.
                number
                    if kind == "standard"
                        && number.starts_with(|c: char| c == '§' || c.is_ascii_digit()) => {}
                _ => {
                    let mut cited = cited(kind, bare);
                    if cited.is_empty() {
                        kind = "";
                        // In a comment, a row of the contract needs no word before it.
                        if comment && !bare.starts_with('§') {
                            cited = self::cited("contract", bare);
                        }
                        if bare.starts_with('§') {
                            cited = vec![format!("{bare} {NO_DOCUMENT}")];
                        }
                    }
                    found.extend(cited.into_iter().map(|cited| (number, cited)));
                }
            }
            // A colon or a full stop ends the list of citations.
            if word.ends_with([':', '.']) {
                kind = "";
            }
        }
    }
    found
}

/// What one word cites. `kind` is the kind that a word before it named.
fn cited(kind: &str, word: &str) -> Vec<String> {
    let (from, to) = word.split_once(['–', '-']).unwrap_or((word, word));
    match kind {
        "contract" if word.starts_with('§') => vec![word.to_owned()],
        "contract" if is_row(from) && is_row(to) => {
            rows(&from[..1], &from[1..], to.trim_start_matches(&from[..1]))
        }
        // `D6b` is no row, which the message says.
        "contract" if is_row(word.trim_end_matches(|c: char| c.is_ascii_lowercase())) => {
            vec![word.to_owned()]
        }
        "item" | "failure" if is_number(from) && is_number(to) => rows("", from, to)
            .into_iter()
            .map(|n| format!("{kind} {n}"))
            .collect(),
        "item" | "failure"
            if is_number(word.trim_end_matches(|c: char| c.is_ascii_lowercase())) =>
        {
            vec![format!("{kind} {word}")]
        }
        "fault"
            if from.len() >= 2
                && from.starts_with(|c: char| c.is_ascii_uppercase())
                && from[1..].starts_with(|c: char| c.is_ascii_digit()) =>
        {
            let last = to.trim_start_matches(|c: char| c.is_ascii_uppercase());
            if is_number(&from[1..]) && is_number(last) {
                rows(&from[..1], &from[1..], last)
                    .into_iter()
                    .map(|row| format!("fault {row}"))
                    .collect()
            } else {
                vec![format!("fault {from}")]
            }
        }
        _ => vec![],
    }
}

fn rows(letter: &str, from: &str, to: &str) -> Vec<String> {
    let (from, to) = (
        from.parse::<u32>().unwrap_or(0),
        to.parse::<u32>().unwrap_or(0),
    );
    (from..=to.max(from))
        .map(|n| format!("{letter}{n}"))
        .collect()
}

/// The files to which a page links, with the line of each link.
fn links<'a>(page: &str, text: &'a str) -> impl Iterator<Item = (usize, String)> + use<'a> {
    let folder: Vec<String> = page.split('/').rev().skip(1).map(str::to_owned).collect();
    text.lines().zip(1..).flat_map(move |(line, number)| {
        let targets = line
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next());
        let folder = folder.clone();
        targets
            .map(|target| target.split('#').next().unwrap_or_default())
            .filter(|target| !target.is_empty() && !target.contains("://"))
            .map(move |target| {
                let mut path: Vec<&str> = folder.iter().rev().map(String::as_str).collect();
                for part in target.split('/') {
                    match part {
                        ".." => drop(path.pop()),
                        "." | "" => {}
                        part => path.push(part),
                    }
                }
                (number, path.join("/"))
            })
            .collect::<Vec<_>>()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        citations(text)
            .into_iter()
            .map(|(_, cited)| cited)
            .collect()
    }

    #[test]
    fn citations_are_read_alone_and_in_lists() {
        assert_eq!(found("/// Contract §3 (RFC 6749 §5.2)."), ["§3"]);
        assert_eq!(
            found("//! it (contract §4 and §5, T6; RFC 7009 §2.1)"),
            ["§4", "§5", "T6"]
        );
        assert_eq!(
            found("/// Known failure 3: 64 requests (D6)"),
            ["failure 3", "D6"]
        );
        assert_eq!(found("//! (contract D14, D15)"), ["D14", "D15"]);
        assert_eq!(
            found("//! (items 8–10, 22; known failures 3–5)"),
            [
                "item 8",
                "item 9",
                "item 10",
                "item 22",
                "failure 3",
                "failure 4",
                "failure 5"
            ]
        );
        assert_eq!(
            found("//! (D9; items 27, 33; known failure 1)"),
            ["D9", "item 27", "item 33", "failure 1"]
        );
        assert_eq!(found("/// faults R2, R2b"), ["fault R2", "fault R2b"]);
        assert_eq!(
            found("/// known failures\n//! 4, 8"),
            ["failure 4", "failure 8"]
        );
        assert_eq!(found("an item of 12, a fault, contract"), [""; 0]);
    }

    #[test]
    fn a_citation_that_is_miswritten_is_one_without_a_target() {
        assert_eq!(
            found("/// The contract's §9 (item 29b)"),
            ["§9", "item 29b"]
        );
        assert_eq!(
            found("/// contract’s §9 and D6b; failure 503"),
            ["§9", "D6b"]
        );
        assert_eq!(found("/// As §9 says"), ["§9 of no document"]);
        assert_eq!(
            found("/// RFC 6749\n/// §4.1, §5.2. But §9"),
            ["§9 of no document"]
        );
        assert_eq!(
            found("/// OpenID Connect Discovery §4, RFCs 7009 §2 and 7662 §2.1"),
            [""; 0]
        );
        assert_eq!(found("-- RFC 6749\n-- §2.3.1 has it"), [""; 0]);
    }

    #[test]
    fn targets_are_headings_and_rows() {
        let contract = "## 3. Canonical\n| D6 | order |\n| V1 | x |\n| case | y |";
        let checks = "| item | what |\n|---|---|\n| 29 | x |\n| failure | y |\n| 8 | z |\n| fault | f |\n| R2b | z |";
        let expected = ["§3", "D6", "V1", "item 29", "failure 8", "fault R2b"].map(str::to_owned);
        assert_eq!(targets(contract, checks), expected.into());
    }

    #[test]
    fn links_to_headings_are_read_with_the_page_that_has_them() {
        let text = "[a](../b.md#one-two) [c](#own)\n[d](https://x/#e)";
        let found = anchored_links("docs/recipes/a.md", text);
        let expected = [(1, "docs/b.md", "one-two"), (1, "docs/recipes/a.md", "own")];
        assert_eq!(
            found,
            expected.map(|(line, to, anchor)| (line, to.to_owned(), anchor.to_owned()))
        );
        let headings = anchors("# One\n## Which `TTL`, and why?\ntext\n");
        assert_eq!(
            headings.into_iter().collect::<Vec<_>>(),
            ["one", "which-ttl-and-why"]
        );
    }

    #[test]
    fn links_are_read_from_where_the_page_stands() {
        let text = "[a](../config/x.toml) [b](c.md#d) [e](https://x) [f](#g)";
        let read: Vec<_> = links("docs/p.md", text).map(|(_, to)| to).collect();
        assert_eq!(read, ["config/x.toml", "docs/c.md"]);
    }
}
