//! Documents that must agree with the code: configuration keys, routes, migrations.

use std::collections::BTreeSet;

use crate::scan::{Source, Token};
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
    // If neither file exists, there is nothing to compare.
    if !tree::exists(KEY_TABLE) && !tree::exists(DEFAULT_CONFIG) {
        return;
    }
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
    // Without a router there is nothing to compare.
    if !tree::exists(ROUTER) {
        return;
    }
    demand_file(REFERENCE, "the routes are listed there under \"Endpoints\"");
    let served: BTreeSet<String> = tree::sources("src/http").iter().flat_map(routes).collect();
    assert!(
        !served.is_empty(),
        "{ROUTER}:1: no path found in a table whose name ends in ROUTES. Keep the routes in such tables."
    );
    let reference = tree::read(REFERENCE);
    let missing = served
        .iter()
        .filter(|route| !mentions(&reference, route))
        .map(|route| {
            format!(
                "{REFERENCE}:1: does not name `{route}`. Add it to the table under \"Endpoints\"."
            )
        });
    let listed = endpoint_table(&reference);
    let no_table = listed.is_empty().then(|| {
        format!(
            "{REFERENCE}:1: has no table of routes under a heading with \"Endpoints\". Add one."
        )
    });
    let unknown = listed.iter().filter(|(_, path)| !served.contains(path)).map(|(line, path)| {
        format!("{REFERENCE}:{line}: `{path}` is in no table of routes ({ROUTE_TABLES}). Correct the page, or serve it.")
    });
    demand_none(&missing.chain(no_table).chain(unknown).collect::<Vec<_>>());
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

/// The paths in every `const` or `static` whose name ends in `ROUTES`.
fn routes(source: &Source) -> Vec<String> {
    let starts = source.tokens.windows(2).zip(2..).filter(|(run, _)| {
        ["const", "static"].contains(&run[0].text.as_str())
            && run[1].text.ends_with("ROUTES")
            && !run[0].test
    });
    let strings = starts
        .flat_map(|(_, start)| until_end(&source.tokens[start..]))
        .filter_map(|token| token.string.clone());
    strings.filter(|text| text.starts_with('/')).collect()
}

/// The tokens up to the `;` outside of all brackets.
fn until_end(tokens: &[Token]) -> impl Iterator<Item = &Token> {
    let mut depth = 0_i32;
    tokens.iter().take_while(move |token| {
        match token.text.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            _ => {}
        }
        depth > 0 || token.text != ";"
    })
}

/// Whether the text names exactly this path. A longer path that begins with it does not count.
fn mentions(text: &str, path: &str) -> bool {
    // A full stop ends the sentence, unless the path continues after it.
    let rest = |at: usize| text[at + path.len()..].trim_start_matches('.');
    text.match_indices(path)
        .any(|(at, _)| !rest(at).starts_with(is_path_char))
}

/// The paths in the tables under headings that contain "Endpoints", with the line of each path.
fn endpoint_table(reference: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut inside = false;
    for (line, number) in reference.lines().zip(1..) {
        if line.starts_with('#') {
            inside = line.to_lowercase().contains("endpoints");
        } else if inside && line.starts_with('|') {
            let words = line.split(|c: char| !is_path_char(c));
            found.extend(
                words
                    .filter(|word| word.starts_with('/'))
                    .map(|path| (number, path.to_owned())),
            );
        }
    }
    found
}

fn is_path_char(c: char) -> bool {
    c.is_alphanumeric() || "/_-.{}*".contains(c)
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
    fn routes_are_read_from_their_tables_only() {
        let text = "const ROUTES: [&str; 2] = [(\"/a\", x), (\"/a/{id}\", y)]; const OTHER: &str = \"/b\";";
        assert_eq!(routes(&Source::parse(ROUTER, text)), ["/a", "/a/{id}"]);
    }

    #[test]
    fn a_longer_path_does_not_stand_for_a_shorter_one() {
        assert!(!mentions("`/a/b`", "/a"));
        assert!(!mentions("`/a.json`", "/a"));
        assert!(mentions("Send `POST /a`", "/a"));
        assert!(mentions("Ask /a.", "/a"));
        let reference = "| `/x` |\n## Endpoints\n| `GET /.a/b.json` | and/or |\n|---|\ntext /y\n## Next\n| `/z` |";
        assert_eq!(endpoint_table(reference), [(3, "/.a/b.json".to_owned())]);
    }
}
