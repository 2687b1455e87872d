//! Tables of routes: every row says who may ask and how long an answer may take.

use crate::scan::Source;
use crate::{demand_none, tree};

/// The words of `Opens` (src/http/route.rs).
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

/// Every row (`route!(…)`, `endpoint!(…)`, `Route { … }`) outside of a macro's own definition that lacks one of the two.
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
        // What a macro stands for is said where it is used.
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

/// The words between the first bracket behind `at` and its end.
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
