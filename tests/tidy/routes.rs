//! Tables of routes: every row says who may send the request and how long the response may take, and
//! every route is a row.

use crate::scan::{Source, Token};
use crate::{demand_none, tree};

/// The macros that make a row, the files that define them, and who may ask (the variants of `Opens`
/// and `Needs` in src/http/route.rs) as their rows say it. The rows of `dialect!` all say the same.
pub const ROWS: &[(&str, &str, &[&str])] = &[
    ("route", "src/http/route.rs", &["Anyone", "Protocol"]),
    (
        "endpoint",
        "src/http/manage/endpoint.rs",
        &["AnyToken", "Scope", "ScopeOrOwn"],
    ),
    ("dialect", "src/http/token/mod.rs", &[]),
];

/// The methods of axum's router that add routes, and how often each file calls one of them.
const ADDS: &[&str] = &[
    "route",
    "route_service",
    "nest",
    "nest_service",
    "merge",
    "fallback",
    "fallback_service",
    "method_not_allowed_fallback",
];
pub const CALLS: &[(&str, usize)] = &[("src/http/mod.rs", 5), ("src/http/layers.rs", 0)];

#[test]
fn every_route_says_who_may_ask_and_how_long_it_may_take() {
    demand_none(
        &tree::sources("src")
            .iter()
            .flat_map(faults)
            .collect::<Vec<_>>(),
    );
}

#[test]
fn every_route_of_a_router_is_a_row() {
    demand_none(
        &tree::sources("src")
            .iter()
            .filter_map(router_fault)
            .collect::<Vec<_>>(),
    );
}

/// Every row that lacks one of the two, and every `Route` that is made without a row's macro.
fn faults(source: &Source) -> Vec<String> {
    let mut faults = Vec::new();
    for (at, token) in source
        .tokens
        .iter()
        .enumerate()
        .filter(|(_, token)| !token.test)
    {
        let place = format!("{}:{}", source.file, token.line);
        if let Some((name, who)) = row_of(source, at) {
            // `name!(Get "/path", Anyone, …`
            let says = source
                .tokens
                .get(at + 6)
                .map_or("", |token| token.text.as_str());
            if !who.is_empty() && !who.contains(&says) {
                faults.push(format!(
                    "{place}: a `{name}!` that says `{says}` where it says who may ask: one of {who:?}. Only \
                     `endpoint!` checks a token's scope."
                ));
            }
            if !who.is_empty() && !inside(source, at).any(|word| word.ends_with("TIMEOUT")) {
                faults.push(format!(
                    "{place}: a route without a deadline. Name one, such as REQUEST_TIMEOUT."
                ));
            }
        }
        let renamed = token.text == "Route" && text(source, at + 1) == "as";
        let own = token.text == "impl" && text(source, at + 1) == "Route";
        let made = token.text == "Route" && source.is_literal(at) && !defines_a_row(source, at);
        if renamed || made || (own && source.file != ROWS[0].1) {
            faults.push(format!(
                "{place}: a `Route` that no macro of a table makes, so that nothing says who may ask. Write a row: \
                 `route!`, `endpoint!` or `dialect!`."
            ));
        }
    }
    faults
}

/// The macro of the row that begins at `at`, and what it may say about who may ask.
fn row_of(source: &Source, at: usize) -> Option<(&'static str, &'static [&'static str])> {
    let (name, _, who) = ROWS
        .iter()
        .find(|(name, _, _)| text(source, at) == *name && text(source, at + 1) == "!")?;
    ["(", "[", "{"]
        .contains(&text(source, at + 2))
        .then_some((*name, *who))
}

/// The routes of a file's rows, as `METHOD /path`, or `/path` alone for any method. A path begins
/// with a slash.
pub fn routes(source: &Source) -> Vec<String> {
    let rows = (0..source.tokens.len()).filter(|at| !source.tokens[*at].test);
    let route = |at: usize| {
        let (name, _) = row_of(source, at)?;
        let (method, path) = match name {
            "dialect" => ("POST ", at + 3),
            _ => (
                match text(source, at + 3) {
                    "Any" => "",
                    "Post" => "POST ",
                    "Get" | "PublicGet" => "GET ",
                    "Put" => "PUT ",
                    "Patch" => "PATCH ",
                    "Delete" => "DELETE ",
                    other => {
                        return Some(format!(
                            "`{other}`, which tests/tidy/routes.rs does not know"
                        ));
                    }
                },
                at + 4,
            ),
        };
        let path = source.tokens.get(path)?.string.as_ref()?;
        path.starts_with('/').then(|| format!("{method}{path}"))
    };
    rows.filter_map(route).collect()
}

/// Whether the literal at `at` is in the definition of a row's macro: its values are the macro's.
fn defines_a_row(source: &Source, at: usize) -> bool {
    let row: Vec<&str> = inside(source, at).collect();
    ROWS.iter().any(|(_, file, _)| source.file == *file)
        && ["$", "opens", "deadline", "path"]
            .iter()
            .all(|word| row.contains(word))
}

/// More calls than a file may have that add a route to a router.
fn router_fault(source: &Source) -> Option<String> {
    let allowed = CALLS
        .iter()
        .find(|(file, _)| source.file == *file)
        .map_or(0, |(_, calls)| *calls);
    let adds = |three: &&[Token]| {
        [".", "::"].contains(&three[0].text.as_str())
            && ADDS.contains(&three[1].text.as_str())
            && three[2].text == "("
            && !three[1].test
    };
    // `merge` is also the name of methods that have nothing to do with a router.
    let names_a_router = source.names.iter().any(|name| {
        !name.test && name.origin[0] == "axum" && !name.path.iter().any(|word| word == "http")
    });
    let calls: Vec<usize> = source
        .tokens
        .windows(3)
        .filter(adds)
        .map(|three| three[1].line)
        .collect();
    (calls.len() != allowed && (names_a_router || allowed > 0)).then(|| {
        format!(
            "{}:{}: {} calls that add a route to a router, and {allowed} are allowed here. Add a row to a table \
             instead; to change how tables become a router, change CALLS (tests/tidy/routes.rs).",
            source.file,
            calls.last().unwrap_or(&1),
            calls.len()
        )
    })
}

fn text(source: &Source, at: usize) -> &str {
    source
        .tokens
        .get(at)
        .map_or("", |token| token.text.as_str())
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

    fn found(file: &str, row: &str) -> usize {
        faults(&Source::parse(file, &format!("static R: X = {row};"))).len()
    }

    #[test]
    fn a_row_without_a_scope_or_a_deadline_is_a_fault() {
        for (row, faults) in [
            (
                "[route!(Get \"/a\", Anyone, REQUEST_TIMEOUT, Nothing, OAuth, a::b)]",
                0,
            ),
            (
                "[route!(Get \"/a\", REQUEST_TIMEOUT, Nothing, OAuth, a::b)]",
                1,
            ),
            (
                "[endpoint!(Get \"/a\", Scope(\"agents:read\"), Nothing, a::b)]",
                1,
            ),
            (
                "[endpoint!(Get \"/a\", AnyToken, REQUEST_TIMEOUT, Nothing, a::b)]",
                0,
            ),
        ] {
            assert_eq!(found("src/http/mod.rs", row), faults, "{row}");
        }
    }

    #[test]
    fn a_scope_that_nothing_checks_is_a_fault() {
        for row in [
            "[route!(Get \"/a\", AnyToken, REQUEST_TIMEOUT, Nothing, OAuth, a::b)]",
            "[route! { Get \"/a\", Bearer, REQUEST_TIMEOUT, Nothing, OAuth, a::Anyone }]",
            "[endpoint!(Get \"/a\", Anyone, REQUEST_TIMEOUT, Nothing, a::b)]",
        ] {
            assert_eq!(found("src/http/mod.rs", row), 1, "{row}");
        }
    }

    #[test]
    fn a_route_that_no_row_makes_is_a_fault() {
        let literal = "Route { methods, path: \"/x\", opens, deadline, reads, shape, handler }";
        for file in [
            "src/http/mod.rs",
            "src/app/serve.rs",
            "src/http/token/mod.rs",
        ] {
            assert_eq!(found(file, literal), 1, "{file}");
            assert_eq!(found(file, &format!("&[&{literal}]")), 1, "{file}");
        }
        let defines = "macro_rules! m { () => { Route { path: $path, opens: a, deadline: b } } }";
        let count = |file: &str, text: &str| faults(&Source::parse(file, text)).len();
        assert_eq!(count("src/http/token/mod.rs", defines), 0);
        assert_eq!(count("src/http/oauth/mod.rs", defines), 1);
        assert_eq!(count("src/http/mod.rs", "use route::Route as Row;"), 1);
        assert_eq!(count("src/http/mod.rs", "impl Route { fn new() {} }"), 1);
        assert_eq!(
            count("src/http/mod.rs", "fn f() -> &'static Route { g() }"),
            0
        );
    }

    #[test]
    fn a_route_that_is_added_beside_the_tables_is_a_fault() {
        let fault = |file: &str, body: &str| {
            let text = format!("use axum::Router; fn f(router: Router) {{ {body} }}");
            router_fault(&Source::parse(file, &text)).is_some()
        };
        assert!(fault("src/app/serve.rs", "router.route(\"/x\", h)"));
        assert!(fault(
            "src/http/serve/mod.rs",
            "Router::route(router, \"/x\", h)"
        ));
        assert!(fault(
            "src/http/layers.rs",
            "router.nest_service(\"/x\", h)"
        ));
        let table = "r.route(a, b); r.route(a, b); r.route(a, b); r.fallback(c); r.fallback(c);";
        assert!(!fault("src/http/mod.rs", table));
        assert!(fault(
            "src/http/mod.rs",
            &format!("{table} r.route(\"/x\", h)")
        ));
        assert!(!fault("src/http/oauth/mod.rs", "caps.merge_all(other)"));
    }

    #[test]
    fn routes_are_read_from_every_row_with_their_methods() {
        let text = "static ROUTES: [Route; 2] = [route!(Get \"/a\", Anyone, T), route!(PublicGet \"/b\", Anyone, T)];
                    static HIDDEN: X = [endpoint!(Post \"/a/{id}\", AnyToken, T), dialect!(\"/t\", Form, D)];
                    static U: Route = route!(Any \"unknown\", Anyone, T); static F: X = route!(Any \"/f\", Anyone, T);
                    const OTHER: &str = \"/b\"; #[cfg(test)] static T: X = route!(Get \"/t\", Anyone, T);";
        assert_eq!(
            routes(&Source::parse("src/http/mod.rs", text)),
            ["GET /a", "GET /b", "POST /a/{id}", "POST /t", "/f"]
        );
    }
}
