//! Services are built in one place: `src/app/` builds them, all other code receives them.
//!
//! A service is a struct of `src/service/` that holds a store or another service, behind any of the
//! store's traits, as a trait object or as a type parameter.

use std::collections::BTreeSet;

use crate::scan::{Source, Token};
use crate::{demand_none, tree};

/// The folder that builds services.
pub const ROOT: &str = "src/app/";

/// The files that declare what a store can do.
pub const TRAITS: &[&str] = &[
    "src/store/mod.rs",
    "src/store/records.rs",
    "src/store/reply.rs",
];

#[test]
fn services_are_composed_in_app_alone() {
    let sources = tree::sources("src");
    let services = services(&sources);
    assert!(
        services.contains("Agents") && services.contains("Mint"),
        "no service is found: {services:?}"
    );
    let outside = sources
        .iter()
        .filter(|source| !source.file.starts_with(ROOT));
    demand_none(
        &outside
            .flat_map(|source| faults(source, &services))
            .collect::<Vec<_>>(),
    );
}

/// The names of the store's traits.
fn traits(sources: &[Source]) -> BTreeSet<String> {
    let declare = sources
        .iter()
        .filter(|source| TRAITS.contains(&source.file.as_str()));
    let pairs = declare.flat_map(|source| source.tokens.windows(2));
    pairs
        .filter(|pair| pair[0].text == "trait" && !pair[0].test)
        .map(|pair| pair[1].text.clone())
        .collect()
}

/// The names of the services, and of the type aliases that hold one.
fn services(sources: &[Source]) -> BTreeSet<String> {
    let traits = traits(sources);
    let inside = sources
        .iter()
        .filter(|source| source.file.starts_with("src/service/"));
    let types: Vec<(String, Vec<String>)> = inside.flat_map(types).collect();
    let mut found = BTreeSet::new();
    loop {
        let holds = |word: &String| traits.contains(word) || found.contains(word);
        let more: Vec<String> = types
            .iter()
            .filter(|(name, words)| !found.contains(name) && words.iter().any(holds))
            .map(|(name, _)| name.clone())
            .collect();
        if more.is_empty() {
            return found;
        }
        found.extend(more);
    }
}

/// Every struct and type alias of a file outside its tests, with all words of its declaration and
/// of the heads of its own `impl` blocks. A word that the file imports under another name is the
/// word that it stands for.
fn types(source: &Source) -> Vec<(String, Vec<String>)> {
    let tokens = &source.tokens;
    let text = |i: usize| tokens.get(i).map_or("", |token| token.text.as_str());
    let words = |from: usize, ends: &[&str]| {
        let (mut depth, mut words) = (0usize, Vec::new());
        for token in &tokens[from..] {
            match token.text.as_str() {
                end if depth == 0 && ends.contains(&end) => break,
                "{" | "(" => depth += 1,
                "}" | ")" => depth = depth.saturating_sub(1),
                _ => words.push(meant(source, token)),
            }
            if depth == 0 && token.text == "}" {
                break;
            }
        }
        words
    };
    let mut found = Vec::new();
    for at in (0..tokens.len()).filter(|at| !tokens[*at].test) {
        match text(at) {
            "struct" | "type" => found.push((text(at + 1).to_owned(), words(at + 2, &[";"]))),
            "impl" => {
                let head = words(at + 1, &["{"]);
                let own =
                    |name: &String| !head.iter().any(|word| word == "for") && head.contains(name);
                let names: Vec<String> = found.iter().map(|(name, _)| name.clone()).collect();
                found.extend(
                    names
                        .into_iter()
                        .filter(own)
                        .map(|name| (name, head.clone())),
                );
            }
            _ => {}
        }
    }
    found
}

/// The word that a word stands for in its file: the last one of the path under which it is
/// imported, or itself.
fn meant(source: &Source, token: &Token) -> String {
    let key = (token.module.to_vec(), token.text.clone());
    let target = source.imports.get(&key).and_then(|path| path.last());
    target.unwrap_or(&token.text).clone()
}

/// The places where a file builds a service: by a function of the service's type, by a struct
/// literal, or by a function of another type or of none that returns it.
fn faults(source: &Source, services: &BTreeSet<String>) -> Vec<String> {
    let own: BTreeSet<String> = types(source).into_iter().map(|(name, _)| name).collect();
    let foreign = |name: &str| services.contains(name) && !own.contains(name);
    let ours = |path: &[String]| path.len() > 2 && path[0] == "crate" && path[1] == "service";
    let mut places = BTreeSet::new();
    for name in source
        .names
        .iter()
        .filter(|name| !name.test && ours(&name.origin))
    {
        if let [.., service, function] = name.origin.as_slice()
            && foreign(service)
            && function.starts_with(char::is_lowercase)
        {
            places.insert((name.line, service.clone()));
        }
    }
    let is_imported = |word: &str| {
        source
            .names
            .iter()
            .any(|name| ours(&name.origin) && name.origin.last().is_some_and(|last| last == word))
    };
    for (at, token) in source.tokens.iter().enumerate() {
        let service = meant(source, token);
        if source.is_literal(at) && !token.test && foreign(&service) && is_imported(&service) {
            places.insert((token.line, service));
        }
    }
    if source.file.starts_with("src/service/") {
        places.extend(factories(source, services));
    }
    let fault = |(line, service): (usize, String)| {
        format!(
            "{}:{line}: composes `{service}`. Take it as an argument; a command gets it from `app::Opened` \
             (src/app/services.rs), which is where services are put together.",
            source.file
        )
    };
    places.into_iter().map(fault).collect()
}

/// The functions that return a service by value, outside the service's own `impl`.
fn factories(source: &Source, services: &BTreeSet<String>) -> Vec<(usize, String)> {
    let tokens = &source.tokens;
    let text = |i: usize| tokens.get(i).map_or("", |token| token.text.as_str());
    let (mut depth, mut block) = (0usize, None::<(usize, Vec<String>)>);
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        match token.text.as_str() {
            "{" => depth += 1,
            "}" => {
                depth = depth.saturating_sub(1);
                block = block.filter(|(outside, _)| *outside < depth);
            }
            "impl" if block.is_none() && text(at.wrapping_sub(1)) != "(" => {
                let head = tokens[at..].iter().take_while(|token| token.text != "{");
                block = Some((depth, head.map(|token| token.text.clone()).collect()));
            }
            "-" if text(at + 1) == ">" && !token.test => {
                let returns = tokens[at + 2..]
                    .iter()
                    .take_while(|token| !["{", ";", "where", ","].contains(&token.text.as_str()));
                let words: Vec<&Token> = returns.collect();
                let by_value = words.first().is_some_and(|first| first.text != "&");
                let service = words.iter().map(|word| meant(source, word)).find(|word| {
                    let head = block.as_ref().map(|(_, head)| head);
                    services.contains(word) && !head.is_some_and(|head| head.contains(word))
                });
                found.extend(
                    service
                        .filter(|_| by_value)
                        .map(|service| (token.line, service)),
                );
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVICE: &str = "pub struct Tokens { store: Arc<dyn Store> } \
        impl Tokens { pub fn new() -> Self { Self { store } } } \
        pub struct Desk { tokens: Arc<Tokens> } pub struct Plain { name: String } pub struct Old(Arc<Tokens>); \
        use crate::store::Store as Db; type Held = Box<dyn Db>; pub struct Aliased { held: Held } \
        pub struct Events { records: Arc<dyn ReadEvents> } pub struct Generic<S: Store> { store: S } \
        pub struct Late<S> { store: S } impl<S> Late<S> where S: crate::store::Store {}";

    fn found(file: &str, text: &str) -> Vec<String> {
        let mut sources = [
            Source::parse("src/store/mod.rs", "pub trait Store {}"),
            Source::parse("src/store/records.rs", "pub trait ReadEvents {}"),
            Source::parse("src/service/tokens.rs", SERVICE),
            Source::parse(
                "src/service/mod.rs",
                "pub use tokens::Desk as Counter; mod tokens;",
            ),
            Source::parse(file, text),
        ];
        crate::paths::link(&mut sources);
        let services = services(&sources);
        assert_eq!(
            services.iter().collect::<Vec<_>>(),
            [
                "Aliased", "Desk", "Events", "Generic", "Held", "Late", "Old", "Tokens"
            ]
        );
        sources
            .iter()
            .flat_map(|source| faults(source, &services))
            .collect()
    }

    #[test]
    fn a_service_is_composed_by_a_function_of_its_type_or_by_a_literal() {
        let import = "use crate::service::tokens::{Desk, Plain, Tokens};";
        let found = |body: &str| found("src/cli/token.rs", &format!("{import} {body}"));
        for body in [
            "fn f() { let t = Tokens::new(); }",
            "fn f() { run(Tokens { store }) }",
            "fn f() { crate::service::tokens::Tokens::over(store); }",
            "fn f() { let d = Desk { tokens }; }",
            "fn f() { run(&Desk { tokens }) }",
            "fn f() { match a { b => Desk { tokens } } }",
            "fn f() { crate::service::tokens::Events { records } }",
            "use crate::service::tokens::Desk as D; fn f() { D { tokens } }",
            "use crate::service::Counter; fn f() { Counter { tokens } }",
            "use crate::service::Counter as C; fn f() { C::new() }",
        ] {
            assert_eq!(found(body).len(), 1, "{body}");
        }
        assert!(
            found("fn f() { Desk { tokens } }")[0]
                .starts_with("src/cli/token.rs:1: composes `Desk`")
        );
        for body in [
            "fn f(t: &Tokens) { t.read() }",
            "fn f() -> Tokens { opened.tokens() }",
            "fn f() { Plain { name } }",
            "impl Tokens { fn g() {} }",
            "fn f() -> &'static Desk { g() }",
            "#[cfg(test)] mod tests { use super::*; fn f() { Tokens::new() } }",
        ] {
            assert!(found(body).is_empty(), "{body}: {:?}", found(body));
        }
    }

    #[test]
    fn a_type_of_another_room_that_is_called_like_a_service_is_none() {
        let text = "use crate::domain::Tokens; fn f() { Tokens { store }; Tokens::new() }";
        assert!(found("src/cli/token.rs", text).is_empty());
    }

    #[test]
    fn a_function_of_the_service_folder_that_makes_a_service_for_others_is_a_fault() {
        let found = |body: &str| {
            let text = format!("use super::tokens::{{Desk, Plain, Tokens}}; {body}");
            found("src/service/desk.rs", &text).len()
        };
        for body in [
            "pub fn desk(tokens: Arc<Tokens>) -> Desk { make(tokens) }",
            "impl Plain { pub fn desk(self) -> Result<Arc<Desk>, Error> { make(self) } }",
            "impl Tokens { fn g() {} } pub async fn tokens() -> Tokens { make() }",
        ] {
            assert_eq!(found(body), 1, "{body}");
        }
        for body in [
            "pub fn plain(tokens: Arc<Tokens>) -> Plain { make(tokens) }",
            "impl Desk { pub fn with(self) -> Desk { self } }",
            "pub fn desk(held: &Held) -> &Desk { held.desk() }",
            "#[cfg(test)] mod tests { fn desk() -> Desk { make() } }",
        ] {
            assert_eq!(found(body), 0, "{body}");
        }
    }
}
