//! Tables of routes: every row says who may send the request and how long the response may take.

use crate::scan::Source;
use crate::{demand_none, tree};

/// The variants of `Opens` (src/http/route.rs).
const OPENS: &[&str] = &["Anyone", "Protocol", "AnyToken", "Scope", "ScopeOrOwn"];

#[test]
fn every_route_says_who_may_ask_and_how_long_it_may_take() {
    demand_none(
        &tree::sources("src/http")
            .iter()
            .flat_map(faults)
            .collect::<Vec<_>>(),
    );
}

/// Every row (`route!(…)`, `endpoint!(…)`, `Route { … }`) that lacks one of the two. The definition
/// of a macro is exempt.
fn faults(source: &Source) -> Vec<String> {
    let mut faults = Vec::new();
    for (at, token) in source.tokens.iter().enumerate() {
        let next = |n: usize| {
            source
                .tokens
                .get(at + n)
                .map_or("", |token| token.text.as_str())
        };
        let is_row = match token.text.as_str() {
            "route" | "endpoint" => next(1) == "!" && next(2) == "(",
            "Route" => next(1) == "{" && ["methods", "path"].contains(&next(2)),
            _ => false,
        };
        if !is_row || token.test {
            continue;
        }
        let row: Vec<&str> = inside(source, at).collect();
        // This is a macro's definition: each use of the macro names the two values.
        if row.contains(&"$") && row.contains(&"opens") && row.contains(&"deadline") {
            continue;
        }
        let says = |words: &[&str]| row.iter().any(|word| words.contains(word));
        if !says(OPENS) {
            faults.push(format!(
                "{}:{}: a route without a scope. Say who may ask: one of {OPENS:?}.",
                source.file, token.line
            ));
        }
        if !row.iter().any(|word| word.ends_with("TIMEOUT")) {
            faults.push(format!(
                "{}:{}: a route without a deadline. Name one, such as REQUEST_TIMEOUT.",
                source.file, token.line
            ));
        }
    }
    faults
}

/// The words between the first bracket after `at` and its closing bracket.
fn inside(source: &Source, at: usize) -> impl Iterator<Item = &str> {
    let mut depth = 0_i32;
    let from = source.tokens[at..]
        .iter()
        .skip_while(|token| token.text != "(" && token.text != "{");
    from.map(|token| token.text.as_str())
        .take_while(move |text| {
            match *text {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth -= 1,
                _ => {}
            }
            depth > 0
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_without_a_scope_or_a_deadline_is_a_fault() {
        let found = |row: &str| {
            faults(&Source::parse(
                "src/http/mod.rs",
                &format!("static R: X = {row};"),
            ))
            .len()
        };
        assert_eq!(
            found("[route!(Get \"/a\", Anyone, REQUEST_TIMEOUT, Nothing, OAuth, a::b)]"),
            0
        );
        assert_eq!(
            found("[route!(Get \"/a\", REQUEST_TIMEOUT, Nothing, OAuth, a::b)]"),
            1
        );
        assert_eq!(
            found("[endpoint!(Get \"/a\", Scope(\"agents:read\"), Nothing, a::b)]"),
            1
        );
        assert_eq!(
            found("Route { methods: Any, path: \"x\", reads: Nothing }"),
            2
        );
    }
}
