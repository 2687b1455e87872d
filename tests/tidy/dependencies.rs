//! Banned crates, licences and sources, as `.deny.toml` lists them, for the crates that this
//! machine builds.
//!
//! `cargo deny` reads the same file and checks every target. This test needs only cargo. It uses
//! `cargo tree`, because `cargo metadata` also counts crates behind features that are off.

use toml::{Table, Value};

use crate::{demand_none, tree};

const RULES: &str = ".deny.toml";

#[test]
fn dependencies_are_allowed_by_name_licence_and_source() {
    let rules: Table = toml::from_str(&tree::read(RULES)).expect(RULES);
    let banned: Vec<&str> = list(&rules, "bans", "deny")
        .iter()
        .filter_map(|ban| ban.get("crate")?.as_str())
        .collect();
    let allowed: Vec<&str> = list(&rules, "licenses", "allow")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    assert!(
        !banned.is_empty() && !allowed.is_empty(),
        "{RULES}:1: lists no bans or no licences"
    );
    demand_none(&faults(&built(), &banned, &allowed));
}

/// Every crate that is part of the binary or runs in its build, one on each line:
/// `name v1.2.3 (origin)|licence`.
fn built() -> String {
    let tree = [
        "tree",
        "--locked",
        "--offline",
        "--edges",
        "normal,build",
        "--no-dedupe",
        "--prefix",
        "none",
    ];
    let output = tree::cargo()
        .args(tree)
        .args(["--format", "{p}|{l}"])
        .output()
        .expect("cargo tree");
    assert!(
        output.status.success(),
        "cargo tree: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("cargo tree")
}

fn list<'a>(rules: &'a Table, section: &str, key: &str) -> &'a [Value] {
    rules
        .get(section)
        .and_then(|section| section.get(key))
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn faults(built: &str, banned: &[&str], allowed: &[&str]) -> Vec<String> {
    let mut lines: Vec<&str> = built
        .lines()
        .filter(|line| !line.starts_with("sealwright "))
        .collect();
    lines.sort_unstable();
    lines.dedup();
    let mut faults = Vec::new();
    for line in lines {
        let (package, licence) = line.split_once('|').unwrap_or((line, ""));
        let name = package.split(' ').next().unwrap_or_default();
        if banned.contains(&name) {
            faults.push(format!(
                "Cargo.lock:1: {package} is banned by {RULES}. Find who brings it in with `cargo tree -i {name}`, \
                 and switch that feature off."
            ));
        }
        if !permits(licence, allowed) {
            faults.push(format!(
                "Cargo.lock:1: {package} is under `{licence}`, which {RULES} does not allow. Replace it, or allow \
                 the licence there after reading it."
            ));
        }
        // For a crate that is not from crates.io, `cargo tree` prints its origin.
        if package.contains(" (") && !package.ends_with("(proc-macro)") {
            faults.push(format!(
                "Cargo.lock:1: {package} is not from crates.io. Depend on a released version."
            ));
        }
    }
    faults
}

/// Whether the allowed licences satisfy an SPDX expression. `/` is an old notation for `OR`.
fn permits(expression: &str, allowed: &[&str]) -> bool {
    let spaced = expression
        .replace('(', " ( ")
        .replace(')', " ) ")
        .replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    any_of(&mut rest, allowed) && rest.is_empty()
}

fn any_of(words: &mut &[&str], allowed: &[&str]) -> bool {
    let mut met = all_of(words, allowed);
    while let Some(rest) = words.strip_prefix(&["OR"]) {
        *words = rest;
        met |= all_of(words, allowed);
    }
    met
}

fn all_of(words: &mut &[&str], allowed: &[&str]) -> bool {
    let mut met = licence(words, allowed);
    while let Some(rest) = words.strip_prefix(&["AND"]) {
        *words = rest;
        met &= licence(words, allowed);
    }
    met
}

fn licence(words: &mut &[&str], allowed: &[&str]) -> bool {
    let Some((first, rest)) = words.split_first() else {
        return false;
    };
    *words = rest;
    if *first == "(" {
        let met = any_of(words, allowed);
        *words = words.strip_prefix(&[")"]).unwrap_or(words);
        return met;
    }
    if let ["WITH", exception, rest @ ..] = *words {
        *words = rest;
        return allowed.contains(&format!("{first} WITH {exception}").as_str());
    }
    allowed.contains(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_licence_expression_is_read_as_spdx_has_it() {
        let allowed = ["MIT", "ISC"];
        for met in [
            "MIT",
            "GPL-3.0 OR MIT",
            "Apache-2.0/MIT",
            "ISC AND (MIT OR X)",
            "X WITH Y OR MIT",
        ] {
            assert!(permits(met, &allowed), "{met}");
        }
        for unmet in [
            "",
            "GPL-3.0",
            "MIT AND X",
            "ISC AND (X OR Y)",
            "MIT WITH X",
            "X OR Y AND MIT",
            "MIT MIT",
        ] {
            assert!(!permits(unmet, &allowed), "{unmet}");
        }
    }

    #[test]
    fn a_dependency_is_refused_by_name_licence_or_source() {
        let refused = |line: &str| faults(line, &["ring"], &["MIT"]).len();
        assert_eq!(
            refused("sealwright v0.1.0 (here)|Apache-2.0\nserde_derive v1.0.0 (proc-macro)|MIT"),
            0
        );
        assert_eq!(refused("ring v0.17.14|MIT"), 1);
        assert_eq!(refused("ring-like v1.0.0|GPL-3.0"), 1);
        assert_eq!(refused("a v1.0.0 (https://example.com/a#1)|MIT"), 1);
    }
}
