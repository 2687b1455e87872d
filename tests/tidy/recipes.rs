//! The pages of `docs/` and `README.md` show only code that a test has run.
//!
//! A file under `tests/clients/` or `clients/` marks the code for a page with two comments:
//! `recipe: NAME` above it and `end of recipe` below it. The page repeats that code word for word, and names
//! its source above it: `<!-- tests/clients/FILE: NAME -->`. Shell commands for the reader (fenced as `sh`)
//! and drawings (fenced as `text`) need no source.

use std::collections::{BTreeMap, BTreeSet};

use crate::{demand_none, tree};

const PAGES: &str = "docs";
const SOURCES: &[&str] = &["tests/clients/", "clients/"];
const CLIENTS: &str = "tests/clients/table";
const README: &str = "README.md";
const CLIENTS_PAGE: &str = "docs/clients.md";

#[test]
fn a_recipe_is_what_a_test_runs() {
    let mut regions = BTreeMap::new();
    for file in tree::tracked()
        .into_iter()
        .filter(|file| SOURCES.iter().any(|folder| file.starts_with(folder)))
    {
        regions.extend(marked(&file, &tree::read(&file)));
    }
    let mut shown = BTreeSet::new();
    let mut faults = Vec::new();
    for page in tree::files(PAGES, ".md")
        .into_iter()
        .chain([README.to_owned()])
    {
        for block in blocks(&tree::read(&page)) {
            let at = format!("{page}:{}", block.line);
            match block.source.and_then(|source| Some((regions.get(&source)?, source))) {
                Some((region, source)) => {
                    if *region != block.text {
                        faults.push(format!("{at}: is not what {source} runs. Copy it from there."));
                    }
                    shown.insert(source);
                }
                None if ["sh", "text"].contains(&block.language.as_str()) && !block.names_a_source => {}
                None => faults.push(format!(
                    "{at}: names no part of a test over it. Let a test run it, mark it there with `recipe: NAME`, \
                     and write `<!-- {}FILE: NAME -->` above the code.",
                    SOURCES[0]
                )),
            }
        }
    }
    let unused = regions.keys().filter(|source| !shown.contains(*source));
    faults.extend(
        unused
            .map(|source| format!("{source}:1: is on no page of {PAGES}. Show it, or unmark it.")),
    );
    demand_none(&faults);
}

#[test]
fn the_page_of_clients_lists_every_client_that_is_run_and_no_other() {
    let run: BTreeSet<String> = tree::read(CLIENTS)
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect();
    let listed = clients_table(&tree::read(CLIENTS_PAGE));
    let missing = run.difference(&listed).map(|name| {
        format!(
            "{CLIENTS_PAGE}:1: has no row for {name}. `tests/clients/run --table {name}` prints it."
        )
    });
    let unknown = listed.difference(&run).map(|name| {
        format!(
            "{CLIENTS_PAGE}:1: has a row for {name}, which {CLIENTS} does not run. Remove the row, or run it."
        )
    });
    demand_none(&missing.chain(unknown).collect::<Vec<_>>());
}

/// Fenced code in a page.
struct Block {
    line: usize,
    language: String,
    /// `FILE: NAME`, if a comment on the line above names it.
    source: Option<String>,
    names_a_source: bool,
    text: Vec<String>,
}

fn blocks(page: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut open = false;
    let mut above = "";
    for (line, number) in page.lines().zip(1..) {
        match line.strip_prefix("```") {
            Some(language) if !open => {
                let source = above
                    .strip_prefix("<!-- ")
                    .and_then(|rest| rest.strip_suffix(" -->"));
                let (language, source) = (language.to_owned(), source.map(str::to_owned));
                let names_a_source = source.is_some();
                blocks.push(Block {
                    line: number,
                    language,
                    source,
                    names_a_source,
                    text: Vec::new(),
                });
                open = true;
            }
            Some(_) => open = false,
            None if open => blocks
                .last_mut()
                .expect("an open block")
                .text
                .push(line.to_owned()),
            None => {}
        }
        above = line;
    }
    blocks
}

/// The marked parts of a file by `FILE: NAME`, without the indentation that all lines of a part
/// share.
fn marked(file: &str, text: &str) -> Vec<(String, Vec<String>)> {
    let mut parts: Vec<(String, Vec<&str>)> = Vec::new();
    let mut open = false;
    for line in text.lines() {
        if let Some((_, name)) = line.split_once("recipe: ") {
            parts.push((
                format!("{file}: {}", name.trim_end_matches("-->").trim()),
                Vec::new(),
            ));
            open = true;
        } else if line.contains("end of recipe") {
            open = false;
        } else if open {
            parts.last_mut().expect("an open part").1.push(line);
        }
    }
    parts
        .into_iter()
        .map(|(source, lines)| (source, outdent(&lines)))
        .collect()
}

fn outdent(lines: &[&str]) -> Vec<String> {
    let indent = |line: &&&str| line.len() - line.trim_start().len();
    let shared = lines
        .iter()
        .filter(|line| !line.trim().is_empty())
        .map(|line| indent(&line))
        .min();
    lines
        .iter()
        .map(|line| {
            line.get(shared.unwrap_or(0)..)
                .unwrap_or_default()
                .to_owned()
        })
        .collect()
}

/// The first column of the tables under headings that contain "Clients".
fn clients_table(readme: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut inside = false;
    for line in readme.lines() {
        if line.starts_with('#') {
            inside = line.to_lowercase().contains("clients");
        } else if inside
            && let Some(name) = line.strip_prefix('|').and_then(|row| row.split('|').next())
        {
            found.insert(name.trim().to_owned());
        }
    }
    found.remove("client");
    found.remove("---");
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marked_part_is_read_without_its_indentation() {
        let text = "a\n  # recipe: verify\n  b\n\n    c\n  # end of recipe\nd\n";
        assert_eq!(
            marked("f", text),
            [(
                "f: verify".to_owned(),
                vec!["b".to_owned(), String::new(), "  c".to_owned()]
            )]
        );
    }

    #[test]
    fn a_block_is_read_with_the_source_above_it() {
        let page = "text\n<!-- f: verify -->\n```python\nb\n```\n\n```sh\nc\n```\n";
        let read = blocks(page);
        assert_eq!((read[0].line, read[0].language.as_str()), (3, "python"));
        assert_eq!(
            (read[0].source.as_deref(), read[0].text.len()),
            (Some("f: verify"), 1)
        );
        assert_eq!(
            (read[1].source.as_deref(), read[1].language.as_str()),
            (None, "sh")
        );
    }

    #[test]
    fn the_table_of_clients_is_found_by_its_heading() {
        let readme =
            "| x |\n### Clients\n| client | v |\n|---|---|\n| `a` | 1 |\n| b | 2 |\n## Next\n| c |";
        assert_eq!(
            clients_table(readme),
            ["`a`", "b"].map(str::to_owned).into()
        );
    }
}
