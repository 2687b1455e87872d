//! Reads a Rust file as tokens.
//!
//! It uses tokens instead of a syntax tree, so that code inside a macro call counts like other
//! code. Comments and strings never count as code.

use std::rc::Rc;

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};

use crate::paths::{Aliases, Name, names};

/// A Rust file.
pub struct Source {
    /// Its path from the root of the project.
    pub file: String,
    /// Its text.
    pub text: String,
    /// Its tokens in order, including brackets.
    pub tokens: Vec<Token>,
    /// Every path that it names.
    pub names: Vec<Name>,
    /// Its imports outside its tests, which other files can name too.
    pub imports: Aliases,
}

/// A token: a word, a literal, `::`, or one character of punctuation.
pub struct Token {
    /// As written.
    pub text: String,
    /// Its value, if it is a string literal without escapes.
    pub string: Option<String>,
    /// Its line.
    pub line: usize,
    /// Whether it is part of an item under `#[cfg(test)]`.
    pub test: bool,
    /// Its module.
    pub module: Rc<Vec<String>>,
}

impl Token {
    /// Whether it is a word.
    pub fn is_word(&self) -> bool {
        self.text
            .starts_with(|c: char| c.is_alphabetic() || c == '_')
    }
}

impl Source {
    /// Parses `text`, the content of the file at `file` (from the root of the project).
    pub fn parse(file: &str, text: &str) -> Self {
        let stream: TokenStream = text
            .parse()
            .unwrap_or_else(|fault| panic!("{file}: {fault}"));
        let mut tokens = Vec::new();
        flatten(stream, &Rc::new(module_of(file)), false, &mut tokens);
        let (names, imports) = names(&tokens);
        Self {
            file: file.to_owned(),
            text: text.to_owned(),
            tokens,
            names,
            imports,
        }
    }

    /// Finds the places where these tokens follow each other. Returns the first token of each
    /// place.
    pub fn runs<'a>(&'a self, wanted: &'a [&'a str]) -> impl Iterator<Item = &'a Token> {
        let fits = move |run: &&[Token]| {
            run.iter()
                .zip(wanted)
                .all(|(token, text)| token.text == *text)
        };
        self.tokens
            .windows(wanted.len())
            .filter(fits)
            .map(|run| &run[0])
    }
}

impl Source {
    /// Whether a struct literal of the type at `at` begins there, such as `Desk { … }`. A brace
    /// after a type or a pattern (`impl Desk {`, `-> &Desk {`, `let Desk {`) begins none.
    pub fn is_literal(&self, at: usize) -> bool {
        let text = |i: usize| self.tokens.get(i).map_or("", |token| token.text.as_str());
        let mut from = at;
        // What stands before the type: the path to it, and `&`, `&mut`, `&'static`.
        while from > 0 && ["::", "&", "mut", "'"].contains(&text(from - 1)) {
            let path =
                text(from - 1) == "::" && self.tokens.get(from - 2).is_some_and(Token::is_word);
            from -= if path { 2 } else { 1 };
            if text(from.wrapping_sub(1)) == "$" {
                from -= 1;
            }
        }
        while from > 1 && text(from - 2) == "'" {
            from -= 2;
            while from > 0 && text(from - 1) == "&" {
                from -= 1;
            }
        }
        let (before, further) = (text(from.wrapping_sub(1)), text(from.wrapping_sub(2)));
        let is_type = match before {
            // `=> Desk { … }` is a literal, `-> Desk {` and `impl<T> Desk {` are none.
            ">" => further != "=",
            _ => [
                "struct", "impl", "for", "let", "enum", "mod", "trait", "dyn",
            ]
            .contains(&before),
        };
        text(at + 1) == "{" && !is_type
    }
}

/// The module of a file of `src/`: `store` for `src/store/mod.rs`, the root for `src/lib.rs`.
pub fn module_of(file: &str) -> Vec<String> {
    let path = file
        .strip_prefix("src/")
        .unwrap_or(file)
        .trim_end_matches(".rs");
    let path = path.strip_suffix("/mod").unwrap_or(path);
    if path == "lib" || path == "main" {
        vec![]
    } else {
        path.split('/').map(str::to_owned).collect()
    }
}

/// Flattens token trees into a list. Notes for each token its module and whether it is test code.
fn flatten(stream: TokenStream, module: &Rc<Vec<String>>, test: bool, out: &mut Vec<Token>) {
    let trees: Vec<TokenTree> = stream.into_iter().collect();
    let written = |i: usize| trees.get(i).map(ToString::to_string).unwrap_or_default();
    // `rest`: the rest of this stream is test code. `item`: the current item is test code.
    let (mut rest, mut item) = (test, false);
    let mut at_keyword = false;
    let mut i = 0;
    while i < trees.len() {
        let (tree, here) = (&trees[i], rest || item);
        let line = tree.span().start().line;
        let token = |text: String| Token {
            text,
            string: None,
            line,
            test: here,
            module: module.clone(),
        };
        match tree {
            TokenTree::Group(group) => {
                let before = |back: usize| i.checked_sub(back).map(written).unwrap_or_default();
                if group.delimiter() == Delimiter::Bracket && is_cfg_test(&group.stream()) {
                    rest |= before(1) == "!" && before(2) == "#";
                    item |= before(1) == "#";
                }
                let inside = if group.delimiter() == Delimiter::Brace && before(2) == "mod" {
                    Rc::new([module.as_slice(), &[before(1)]].concat())
                } else {
                    module.clone()
                };
                let (open, close) = brackets(group.delimiter());
                out.push(token(open.to_owned()));
                flatten(group.stream(), &inside, here, out);
                out.push(Token {
                    line: group.span_close().start().line,
                    ..token(close.to_owned())
                });
                if group.delimiter() == Delimiter::Brace {
                    (item, at_keyword) = (false, false);
                }
            }
            TokenTree::Ident(ident) => {
                let word = ident.to_string();
                at_keyword |= ["fn", "impl", "mod", "struct", "enum", "trait", "type"]
                    .contains(&word.as_str());
                out.push(token(word.trim_start_matches("r#").to_owned()));
            }
            TokenTree::Punct(mark) if mark.as_char() == ':' && mark.spacing() == Spacing::Joint => {
                out.push(token("::".to_owned()));
                i += 1;
            }
            TokenTree::Punct(mark) => {
                out.push(token(mark.to_string()));
                // A field or a variant ends at its comma. The commas of an item with a keyword come
                // before its body, so they end nothing.
                if mark.as_char() == ';' || (mark.as_char() == ',' && !at_keyword) {
                    (item, at_keyword) = (false, false);
                }
            }
            TokenTree::Literal(literal) => {
                let string = string_value(&literal.to_string());
                out.push(Token {
                    string,
                    ..token(literal.to_string())
                });
            }
        }
        i += 1;
    }
}

fn is_cfg_test(attribute: &TokenStream) -> bool {
    let text: String = attribute.to_string().split_whitespace().collect();
    text == "cfg(test)" || text.starts_with("cfg(all(test,")
}

fn brackets(delimiter: Delimiter) -> (&'static str, &'static str) {
    match delimiter {
        Delimiter::Parenthesis => ("(", ")"),
        Delimiter::Brace => ("{", "}"),
        Delimiter::Bracket => ("[", "]"),
        Delimiter::None => ("", ""),
    }
}

fn string_value(literal: &str) -> Option<String> {
    let literal = literal
        .trim_start_matches(['b', 'r', '#'])
        .trim_end_matches('#');
    Some(literal.strip_prefix('"')?.strip_suffix('"')?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_literal_is_told_from_a_type_before_a_body() {
        let begins = |text: &str| {
            let source = Source::parse("src/a.rs", text);
            let at = (0..source.tokens.len())
                .find(|at| source.tokens[*at].text == "Desk" && source.tokens[at + 1].text == "{");
            at.is_some_and(|at| source.is_literal(at))
        };
        for text in [
            "fn f() { Desk { a } }",
            "fn f() { run(&Desk { a }) }",
            "fn f() { run(&mut crate::service::Desk { a }) }",
            "fn f() { match a { b => Desk { a } } }",
            "macro_rules! m { () => { $crate::service::Desk { a } } }",
            "static A: &[Desk] = &[Desk { a }];",
        ] {
            assert!(begins(text), "{text}");
        }
        for text in [
            "struct Desk { a: u8 }",
            "impl<T> Desk { }",
            "impl From<A> for &Desk { }",
            "fn f() -> Desk { g() }",
            "fn f() -> &'static Desk { g() }",
            "fn f() -> &mut crate::service::Desk { g() }",
            "fn f() { let Desk { a } = b; }",
        ] {
            assert!(!begins(text), "{text}");
        }
    }
}
