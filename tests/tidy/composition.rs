//! Services are built in one place: `src/app/` builds them, all other code receives them.
//!
//! A service is a struct of `src/service/` that holds a store or another service.

use std::collections::BTreeSet;

use crate::scan::Source;
use crate::{demand_none, tree};

/// The folder that builds services.
const ROOT: &str = "src/app/";

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

/// The names of the services.
fn services(sources: &[Source]) -> BTreeSet<String> {
    let inside = sources
        .iter()
        .filter(|source| source.file.starts_with("src/service/"));
    let structs: Vec<(String, Vec<String>)> = inside.flat_map(structs).collect();
    let mut found = BTreeSet::new();
    loop {
        let is_service = |words: &[String]| {
            let store = words
                .windows(2)
                .any(|two| two[0] == "dyn" && ["Store", "Records"].contains(&&*two[1]));
            store || words.iter().any(|word| found.contains(word))
        };
        let more: Vec<String> = structs
            .iter()
            .filter(|(name, words)| !found.contains(name) && is_service(words))
            .map(|(name, _)| name.clone())
            .collect();
        if more.is_empty() {
            return found;
        }
        found.extend(more);
    }
}

/// Every struct of a file outside its tests, with all words of the struct's body.
fn structs(source: &Source) -> Vec<(String, Vec<String>)> {
    let tokens = &source.tokens;
    let text = |i: usize| tokens.get(i).map_or("", |token| token.text.as_str());
    let starts = (0..tokens.len()).filter(|i| text(*i) == "struct" && !tokens[*i].test);
    let body = |start: usize| {
        let (mut depth, mut words) = (0usize, Vec::new());
        for token in &tokens[start + 2..] {
            match token.text.as_str() {
                "{" | "(" => depth += 1,
                "}" | ")" => depth = depth.saturating_sub(1),
                ";" if depth == 0 => break,
                word => words.push(word.to_owned()),
            }
            if depth == 0 && token.text == "}" {
                break;
            }
        }
        words
    };
    starts
        .map(|start| (text(start + 1).to_owned(), body(start)))
        .collect()
}

/// The places where a file builds a service: by a function of the service's type, or by a struct
/// literal.
fn faults(source: &Source, services: &BTreeSet<String>) -> Vec<String> {
    let own: BTreeSet<String> = structs(source).into_iter().map(|(name, _)| name).collect();
    let foreign = |name: &str| services.contains(name) && !own.contains(name);
    let ours = |path: &[String]| path.len() > 2 && path[0] == "crate" && path[1] == "service";
    let mut places = BTreeSet::new();
    for name in source
        .names
        .iter()
        .filter(|name| !name.test && ours(&name.path))
    {
        if let [.., service, function] = name.path.as_slice()
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
            .any(|name| ours(&name.path) && name.path.last().is_some_and(|last| last == word))
    };
    for three in source.tokens.windows(3) {
        let [before, service, behind] = three else {
            continue;
        };
        // After such a word the brace opens a body or a pattern, not a literal.
        let is_type = ["struct", "impl", "for", "let", ">", "&", "enum", "mod"]
            .contains(&before.text.as_str());
        if behind.text == "{"
            && !is_type
            && !service.test
            && foreign(&service.text)
            && is_imported(&service.text)
        {
            places.insert((service.line, service.text.clone()));
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    const SERVICE: &str = "pub struct Tokens { store: Arc<dyn Store> } \
        impl Tokens { pub fn new() -> Self { Self { store } } } \
        pub struct Desk { tokens: Arc<Tokens> } pub struct Plain { name: String } pub struct Old(Arc<Tokens>);";

    fn found(file: &str, text: &str) -> Vec<String> {
        let sources = [
            Source::parse("src/service/tokens.rs", SERVICE),
            Source::parse(file, text),
        ];
        let services = services(&sources);
        assert_eq!(
            services.iter().collect::<Vec<_>>(),
            ["Desk", "Old", "Tokens"]
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
}
