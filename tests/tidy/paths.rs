//! The paths that a file names: resolved through `self`, `super`, the file's own imports, and the
//! imports of the other files.

use std::collections::{HashMap, HashSet};

use crate::scan::{Source, Token};

/// A path that a file names, resolved through the file's imports. A path of this crate begins with
/// `crate`. Any other path begins with another crate or a type. An import of everything ends in
/// `*`.
pub struct Name {
    /// Its segments.
    pub path: Vec<String>,
    /// The path to which the imports of other files lead from there ([`link`]).
    pub origin: Vec<String>,
    /// Its line.
    pub line: usize,
    /// Whether it is in code under `#[cfg(test)]`.
    pub test: bool,
    /// Whether it is an import that the file exports (`pub use`).
    pub exported: bool,
}

/// Follows every name through the imports of all these files, so that a name that another file
/// imports or exports again counts as what it is.
pub fn link(sources: &mut [Source]) {
    let all: Aliases = sources
        .iter()
        .flat_map(|source| source.imports.clone())
        .collect();
    for source in sources {
        for name in &mut source.names {
            name.origin = follow(name.path.clone(), &all);
        }
        for target in source.imports.values_mut() {
            *target = follow(std::mem::take(target), &all);
        }
    }
}

/// The paths of a module's imports and child modules, by `(module, name in that module)`.
pub type Aliases = HashMap<(Vec<String>, String), Vec<String>>;

/// All paths of a file: every leaf of its imports, and elsewhere every path of two or more
/// segments. Also the imports outside its tests, resolved.
pub fn names(tokens: &[Token]) -> (Vec<Name>, Aliases) {
    let (mut aliases, mut imports) = (Aliases::new(), Vec::new());
    let mut modules = HashSet::new();
    // The paths as written, each with the token of its last segment and whether it is exported.
    let mut written: Vec<(Vec<String>, &Token, bool)> = Vec::new();
    let text = |i: usize| tokens.get(i).map_or("", |token| token.text.as_str());
    let mut i = 0;
    while i < tokens.len() {
        let token = &tokens[i];
        match token.text.as_str() {
            // `use<'a>` is a capture, not an import.
            "use" if text(i + 1) != "<" => {
                // `pub use` or `pub(…) use`.
                let exported = i > 0 && ["pub", ")"].contains(&text(i - 1));
                i += 1;
                let mut leaves = Vec::new();
                import(tokens, &mut i, &[], &mut leaves);
                for (path, alias, place) in leaves {
                    // An import under its own name (`use time;`) adds no alias.
                    let key = (token.module.to_vec(), alias);
                    if (path.first() != Some(&key.1) || path.len() > 1) && !modules.contains(&key) {
                        if !token.test {
                            imports.push(key.clone());
                        }
                        aliases.insert(key, path.clone());
                    }
                    written.push((path, place, exported));
                }
            }
            "mod" if [";", "{"].contains(&text(i + 2)) => {
                let child = text(i + 1).to_owned();
                let path = ["crate".to_owned()]
                    .into_iter()
                    .chain(token.module.iter().cloned());
                let path = path.chain([child.clone()]).collect();
                // A path goes on from the module, even if a function of its name is imported.
                let key = (token.module.to_vec(), child);
                modules.insert(key.clone());
                aliases.insert(key, path);
                i += 2;
            }
            // Skip a visibility: it names no dependency.
            "pub" if text(i + 1) == "(" => {
                i += tokens[i..]
                    .iter()
                    .take_while(|token| token.text != ")")
                    .count();
            }
            _ if token.is_word() && text(i + 1) == "::" && !continues_a_path(tokens, i) => {
                let mut path = vec![token.text.clone()];
                while text(i + 1) == "::" && tokens.get(i + 2).is_some_and(Token::is_word) {
                    path.push(text(i + 2).to_owned());
                    i += 2;
                }
                if path.len() > 1 {
                    written.push((path, &tokens[i], false));
                }
                i += 1;
            }
            _ => i += 1,
        }
    }
    let resolved = |(path, place, exported): (Vec<String>, &Token, bool)| {
        let path = resolve(&path, &place.module, &aliases);
        Name {
            origin: path.clone(),
            path,
            line: place.line,
            test: place.test,
            exported,
        }
    };
    let names = written.into_iter().map(resolved).collect();
    let leads = |key: (Vec<String>, String)| {
        let target = aliases.get(&key)?;
        let target = resolve(target, &key.0, &aliases);
        Some((key, target))
    };
    let imports = imports.into_iter().filter_map(leads).collect();
    (names, imports)
}

/// Whether the word at `i` continues a path that began before it, as in `Vec::<u8>::new`.
fn continues_a_path(tokens: &[Token], i: usize) -> bool {
    i >= 2 && tokens[i - 1].text == "::" && (tokens[i - 2].is_word() || tokens[i - 2].text == ">")
}

/// Reads one tree of a `use` at `i` and adds its leaves. Each leaf is a path, its local name and
/// its token.
fn import<'a>(
    tokens: &'a [Token],
    i: &mut usize,
    prefix: &[String],
    leaves: &mut Vec<(Vec<String>, String, &'a Token)>,
) {
    let mut path = prefix.to_vec();
    while let Some(token) = tokens.get(*i) {
        *i += 1;
        match token.text.as_str() {
            "::" => {}
            "{" => {
                while tokens.get(*i).is_some_and(|token| token.text != "}") {
                    import(tokens, i, &path, leaves);
                    *i += usize::from(tokens.get(*i).is_some_and(|token| token.text == ","));
                }
                *i += 1;
                return;
            }
            word => {
                // `x::{self}` means `x`.
                if word != "self" || path.is_empty() {
                    path.push(word.to_owned());
                }
                if tokens.get(*i).is_some_and(|token| token.text == "::") {
                    continue;
                }
                let mut alias = path.last().cloned().unwrap_or_default();
                if tokens.get(*i).is_some_and(|token| token.text == "as") {
                    alias.clone_from(&tokens[*i + 1].text);
                    *i += 2;
                }
                leaves.push((path, alias, token));
                return;
            }
        }
    }
}

/// The path from the root of the crate: resolves `self`, `super` and the file's own imports.
fn resolve(path: &[String], module: &[String], aliases: &Aliases) -> Vec<String> {
    let mut path = path.to_vec();
    // An import may build on another one. Eight steps are enough, and they end a circle.
    for _ in 0..8 {
        // The binary and the tests refer to the library by its name.
        if ["crate", "sealwright"].contains(&path[0].as_str()) {
            "crate".clone_into(&mut path[0]);
            return follow(path, aliases);
        }
        let here = path[0] == "self";
        let rest = &path[usize::from(here)..];
        let up = rest
            .iter()
            .take_while(|segment| *segment == "super")
            .count();
        if here || up > 0 {
            let module = &module[..module.len().saturating_sub(up)];
            path = [&["crate".to_owned()], module, &rest[up..]].concat();
            continue;
        }
        // An inner module may see an outer module's names through `use super::*`.
        let seen = |depth: usize| aliases.get(&(module[..depth].to_vec(), path[0].clone()));
        match (0..=module.len()).rev().find_map(seen) {
            Some(target) if target != &path[..1] => path = [target, &path[1..]].concat(),
            _ => return path,
        }
    }
    path
}

/// Where a path of this crate leads if a module on its way imports the next segment.
fn follow(mut path: Vec<String>, aliases: &Aliases) -> Vec<String> {
    for _ in 0..8 {
        let leads = |at: usize| {
            let (module, name) = (path.get(1..at)?, path.get(at)?);
            let target = aliases.get(&(module.to_vec(), name.clone()))?;
            let target = resolve(target, module, &Aliases::new());
            (target != path[..=at]).then(|| [&target, &path[at + 1..]].concat())
        };
        if path[0] != "crate" {
            return path;
        }
        match (1..path.len()).find_map(leads) {
            Some(further) => path = further,
            None => return path,
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The paths that a file with this name and text names: those outside its tests, and those
    /// inside.
    fn named(file: &str, text: &str) -> (Vec<String>, Vec<String>) {
        let join = |name: &Name| name.path.join("::");
        let source = Source::parse(file, text);
        let (tests, code): (Vec<&Name>, Vec<&Name>) =
            source.names.iter().partition(|name| name.test);
        (
            code.into_iter().map(join).collect(),
            tests.into_iter().map(join).collect(),
        )
    }

    fn code(file: &str, text: &str) -> Vec<String> {
        named(file, text).0
    }

    #[test]
    fn nested_groups_and_renames_are_followed() {
        let text = "use crate::{http::{self, token as t}, domain::{id::Jti, *}};";
        let all = [
            "crate::http",
            "crate::http::token",
            "crate::domain::id::Jti",
            "crate::domain::*",
        ];
        assert_eq!(code("src/service/issue.rs", text), all);
        assert_eq!(
            code("src/a.rs", "use tokio::{spawn as go, self as t};"),
            ["tokio::spawn", "tokio"]
        );
        assert_eq!(
            code("src/a.rs", "use ::sqlx::query; use sqlx;"),
            ["sqlx::query", "sqlx"]
        );
    }

    #[test]
    fn inline_paths_are_seen_wherever_they_stand() {
        let text = "
            /// Not [`crate::doc::Link`].
            fn f(a: crate::http::A) -> Vec<super::cli::B> {
                // not crate::comment::C
                tokio::select! { _ = crate::app::run() => {} }
                let _ = \"not crate::string::D\";
                <crate::keys::K as Trait>::new::<crate::store::S>()
            }
            #[crate::attribute::A]
            macro_rules! m { () => { $crate::macros::M } }";
        let all = [
            "http::A",
            "cli::B",
            "app::run",
            "keys::K",
            "store::S",
            "attribute::A",
            "macros::M",
        ];
        let mut seen = code("src/service.rs", text);
        seen.retain(|path| path.starts_with("crate"));
        assert_eq!(seen, all.map(|path| format!("crate::{path}")));
    }

    #[test]
    fn super_climbs_from_the_module_it_stands_in() {
        assert_eq!(
            code("src/store/sqlite/read.rs", "use super::super::Store;"),
            ["crate::store::Store"]
        );
        assert_eq!(
            code("src/store/mod.rs", "use super::http::X;"),
            ["crate::http::X"]
        );
        let inner = "mod inner { use super::super::http::X; fn f() { self::g(); } }";
        assert_eq!(
            code("src/keys/seal.rs", inner),
            ["crate::keys::http::X", "crate::keys::seal::inner::g"]
        );
    }

    #[test]
    fn self_before_super_and_an_import_of_the_module_itself_hide_nothing() {
        assert_eq!(
            code("src/service/issue.rs", "use self::super::super::http::X;"),
            ["crate::http::X"]
        );
        let alias = "use crate::store as s; fn f() { self::s::sqlite::open() }
                     mod inner { fn g() { super::s::postgres::open() } }";
        let seen = code("src/service/issue.rs", alias);
        assert!(seen.contains(&"crate::store::sqlite::open".to_owned()));
        assert!(seen.contains(&"crate::store::postgres::open".to_owned()));
    }

    #[test]
    fn a_name_that_another_file_exports_again_leads_to_its_origin() {
        let mut sources = [
            Source::parse(
                "src/a/mod.rs",
                "use super::b::{B, c as d}; use axum::Router;",
            ),
            Source::parse("src/b/mod.rs", "pub use e::B; mod e;"),
            Source::parse(
                "src/a/x.rs",
                "use super::{B, Router}; fn f() { super::d::g() }",
            ),
        ];
        link(&mut sources);
        let origins: Vec<_> = sources[2]
            .names
            .iter()
            .map(|name| name.origin.join("::"))
            .collect();
        assert_eq!(
            origins,
            ["crate::b::e::B", "axum::Router", "crate::b::c::g"]
        );
    }

    #[test]
    fn a_name_leads_to_where_it_was_imported_from() {
        let now = "use std::time::{self, SystemTime as Clock}; fn f() { Clock::now(); time::Instant::now(); }";
        assert!(code("src/a.rs", now).contains(&"std::time::SystemTime::now".to_owned()));
        assert!(code("src/a.rs", now).contains(&"std::time::Instant::now".to_owned()));
        let two = "use crate::store; use store::postgres as pg; fn f() { pg::open() }";
        assert!(code("src/a.rs", two).contains(&"crate::store::postgres::open".to_owned()));
    }

    #[test]
    fn a_child_module_hides_the_crate_of_its_name() {
        let text = "mod time; fn f() { time::now() }";
        assert_eq!(
            code("src/domain/mod.rs", text),
            ["crate::domain::time::now"]
        );
        for text in ["mod open; use open::open;", "use open::open; mod open;"] {
            assert_eq!(code("src/app/mod.rs", text), ["crate::app::open::open"]);
        }
    }

    #[test]
    fn a_visibility_and_a_capture_name_nothing() {
        let text = "pub(in crate::store) fn f<'a>() -> impl Sized + use<'a> {}";
        assert!(code("src/store/postgres/mod.rs", text).is_empty());
    }

    #[test]
    fn test_code_ends_where_its_item_ends() {
        let text = "
            #[cfg(test)] use a::in_test;
            use a::outside;
            struct S { #[cfg(test)] x: a::InTest, y: a::Outside }
            #[cfg(test)] impl<A, B> T<A, B> for a::TestType { fn f() { a::in_test_fn() } }
            fn g() { a::outside_fn() }
            #[cfg(test)] #[allow(x)] mod tests { use a::deep_test; }";
        let (code, tests) = named("src/a.rs", text);
        assert_eq!(code, ["a::outside", "a::Outside", "a::outside_fn"]);
        assert_eq!(
            tests,
            [
                "a::in_test",
                "a::InTest",
                "a::TestType",
                "a::in_test_fn",
                "a::deep_test"
            ]
        );
        assert!(named("src/a.rs", "#![cfg(test)] use a::b;").0.is_empty());
    }

    #[test]
    fn a_name_carries_its_line() {
        let source = Source::parse(
            "src/a.rs",
            "use a::{\n    b,\n    c::d,\n};\nfn f() {\n    e::f()\n}",
        );
        assert_eq!(
            source
                .names
                .iter()
                .map(|name| name.line)
                .collect::<Vec<_>>(),
            [2, 3, 6]
        );
    }
}
