//! Documents that must agree with the code: configuration keys, routes, migrations.

use std::collections::BTreeSet;

use crate::routes::routes;
use crate::scan::Source;
use crate::{demand_none, tree};

const KEY_TABLE: &str = "src/config/table.rs";
const DEFAULT_CONFIG: &str = "config/default.toml";
const ROUTER: &str = "src/http/mod.rs";
const ROUTE_TABLES: &str = "src/http/mod.rs, src/http/manage/mod.rs, src/http/token/mod.rs";
const REFERENCE: &str = "docs/reference.md";

#[test]
fn every_migration_has_its_twin_for_the_other_backend() {
    let names = |backend: &str| -> BTreeSet<String> {
        let folder = format!("migrations/{backend}/");
        tree::files(&folder, "")
            .iter()
            .filter_map(|file| file.strip_prefix(&folder))
            .map(str::to_owned)
            .collect()
    };
    let (postgres, sqlite) = (names("postgres"), names("sqlite"));
    let fault = |(name, here, there)| {
        format!(
            "migrations/{here}/{name}:1: has no twin migrations/{there}/{name}. Both backends take the same \
             steps under the same names."
        )
    };
    let only_postgres = postgres
        .difference(&sqlite)
        .map(|name| (name, "postgres", "sqlite"));
    let only_sqlite = sqlite
        .difference(&postgres)
        .map(|name| (name, "sqlite", "postgres"));
    demand_none(
        &only_postgres
            .chain(only_sqlite)
            .map(fault)
            .collect::<Vec<_>>(),
    );
}

#[test]
fn the_default_configuration_documents_every_key_and_no_other() {
    demand_file(
        DEFAULT_CONFIG,
        "every key that src/config/table.rs knows stands there with its default",
    );
    demand_file(
        KEY_TABLE,
        "the table of the keys that config/default.toml documents stands there",
    );
    let known = keys_of_table(&Source::parse(KEY_TABLE, &tree::read(KEY_TABLE)));
    let mut documented = keys_of_file(&tree::read(DEFAULT_CONFIG));
    // An operator names plans freely, so the table of keys has no plans.
    documented.retain(|key| !key.starts_with("plans."));
    assert!(
        !known.is_empty(),
        "{KEY_TABLE}:1: no \"section.key\" found. Keep the table of keys in this file."
    );
    let missing = known.difference(&documented).map(|key| {
        format!("{DEFAULT_CONFIG}:1: `{key}` is missing. Add it with its default and a comment, or as `# key = …`.")
    });
    let unknown = documented.difference(&known).map(|key| {
        format!("{KEY_TABLE}:1: `{key}` is missing, but {DEFAULT_CONFIG} documents it. Add it to the table of keys.")
    });
    demand_none(&missing.chain(unknown).collect::<Vec<_>>());
}

#[test]
fn the_reference_lists_every_route_and_no_other() {
    demand_file(REFERENCE, "the routes are listed there under \"Endpoints\"");
    let served: BTreeSet<String> = tree::sources("src").iter().flat_map(routes).collect();
    assert!(
        !served.is_empty(),
        "{ROUTER}:1: no row of a table of routes is found. Keep the routes in tables."
    );
    demand_none(&route_faults(&served, &tree::read(REFERENCE)));
}

/// What the table of endpoints lacks or has too much.
fn route_faults(served: &BTreeSet<String>, reference: &str) -> Vec<String> {
    let listed = endpoint_table(reference);
    let missing = served
        .iter()
        .filter(|route| listed.iter().all(|(_, listed)| listed != *route))
        .map(|route| {
            format!(
                "{REFERENCE}:1: the table under \"Endpoints\" has no `{route}`. Add a row with the method and the path."
            )
        });
    let unknown = listed.iter().filter(|(_, route)| !served.contains(route)).map(|(line, route)| {
        format!("{REFERENCE}:{line}: `{route}` is in no table of routes ({ROUTE_TABLES}). Correct the page, or serve it.")
    });
    missing.chain(unknown).collect()
}

fn demand_file(file: &str, why: &str) {
    assert!(
        tree::exists(file),
        "{file}:1: there is no such file. Write it: {why}."
    );
}

/// The string literals `"section.key"` of the table of keys. A file's name is not a key.
fn keys_of_table(source: &Source) -> BTreeSet<String> {
    let word = |part: &str| !part.is_empty() && part.chars().all(is_key_char);
    let is_key = |text: &&String| {
        text.split_once('.')
            .is_some_and(|(section, key)| word(section) && word(key) && key != "toml")
    };
    source
        .tokens
        .iter()
        .filter(|token| !token.test)
        .filter_map(|token| token.string.as_ref())
        .filter(is_key)
        .cloned()
        .collect()
}

/// The keys of a configuration file as `section.key`, including keys that are commented out.
fn keys_of_file(text: &str) -> BTreeSet<String> {
    let mut section = String::new();
    let mut keys = BTreeSet::new();
    for line in text.lines() {
        let line = line.strip_prefix("# ").unwrap_or(line).trim();
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            name.0.clone_into(&mut section);
        } else if let Some((key, _)) = line.split_once(" =")
            && !key.is_empty()
            && key.chars().all(is_key_char)
        {
            keys.insert(format!("{section}.{key}"));
        }
    }
    keys
}

fn is_key_char(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'
}

/// The code spans in the first cells of the table under the heading "Endpoints": `METHOD /path`, or
/// `/path` alone for any method. With the line of each.
fn endpoint_table(reference: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut inside = false;
    for (line, number) in reference.lines().zip(1..) {
        if line.starts_with('#') {
            inside = line.trim_start_matches('#').trim() == "Endpoints";
        } else if inside && let Some(cells) = line.strip_prefix('|') {
            let cell = cells.split('|').next().unwrap_or_default();
            let spans = cell.split('`').skip(1).step_by(2);
            found.extend(spans.map(|route| (number, route.to_owned())));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_from_the_table_and_from_the_file() {
        let table = "const KEYS: &[Key] = &[key(\"server.listen\", A), key(\"token.issuer\", B)];
                     const FILE: &str = \"sealwright.toml\"; const URL: &str = \"a.b/c\";
                     #[cfg(test)] mod tests { const WRONG: &str = \"server.lisen\"; }";
        let file =
            "[server]\n# Where it listens = here.\nlisten = \"x\"\n[token]\n# issuer = \"y\"\n";
        let expected: BTreeSet<String> =
            ["server.listen", "token.issuer"].map(str::to_owned).into();
        assert_eq!(keys_of_table(&Source::parse(KEY_TABLE, table)), expected);
        assert_eq!(keys_of_file(file), expected);
    }

    #[test]
    fn a_route_is_listed_by_its_method_in_the_table_of_endpoints_alone() {
        let reference = "`GET /c` | `/c`\n## Endpoints\n| path | what |\n|---|---|\n| `GET /.a/b.json` | like `/x` |\n\
                         | `/f`, `/f/{*rest}` | y |\nPOST /y\n### Next\n| `GET /z` |";
        let faults = |served: &[&str]| {
            let served = served.iter().map(|route| (*route).to_owned()).collect();
            route_faults(&served, reference)
        };
        let all = ["GET /.a/b.json", "/f", "/f/{*rest}"];
        assert!(faults(&all).is_empty());
        // Another method, a longer path, a path of the text and one of another table.
        for more in [
            "POST /.a/b.json",
            "GET /f",
            "GET /.a",
            "POST /y",
            "GET /c",
            "GET /z",
            "/x",
        ] {
            let served = [&all[..], &[more]].concat();
            assert_eq!(faults(&served).len(), 1, "{more}");
        }
        assert!(faults(&all[1..])[0].starts_with("docs/reference.md:5: "));
    }
}
