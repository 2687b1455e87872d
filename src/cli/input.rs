//! How arguments and stdin are read. Secrets come from stdin only, never from arguments.

use std::io::{self, Read};

use clap::Args;

use crate::domain::Invalid;
use crate::domain::about::{self, Description, Label, Owner};
use crate::domain::act::ChangeReason;
use crate::domain::agent::{Audience, RedirectUri, UserId};
use crate::domain::partner::pointer::ClaimPointer;
use crate::domain::partner::terms::AlgorithmName;
use crate::domain::scope::Scope;
use crate::domain::time::Timestamp;
use crate::domain::ttl::Ttl;
use crate::service::clients::secret::Secret;

use super::failure::CommandFailure;

/// The longest text that is read from stdin, in bytes. Tokens and secrets are shorter.
const MAX_STDIN_BYTES: u64 = 16_384;

/// One `--scope`: scopes separated by spaces. An empty text names no scope.
#[derive(Debug, Clone)]
pub(super) struct ScopeWords(pub Vec<Scope>);

/// One `--ttl`: seconds, or `default` for the server's default lifetime.
#[derive(Debug, Clone)]
pub(super) struct TtlWord(pub Option<Ttl>);

/// One `--expires-at`: a time, or `never`.
#[derive(Debug, Clone)]
pub(super) struct ExpiryWord(pub Option<Timestamp>);

/// One value, or one of a list. An empty text is `None`, which clears the value or the list.
#[derive(Debug, Clone)]
pub(super) struct Item<T>(Option<T>);

impl<T> Item<T> {
    /// The value; `None` clears.
    pub(super) fn into_value(self) -> Option<T> {
        self.0
    }
}

/// The `--reason` of a command that changes something.
#[derive(Debug, Args)]
pub(super) struct Why {
    /// Why, in 200 characters at most; stands in the audit event
    #[arg(long, value_name = "TEXT", value_parser = ChangeReason::parse)]
    pub reason: Option<ChangeReason>,
}

/// Reads one `--scope`.
pub(super) fn scopes(text: &str) -> Result<ScopeWords, Invalid> {
    text.split_whitespace()
        .map(Scope::parse)
        .collect::<Result<_, _>>()
        .map(ScopeWords)
}

/// Reads one `--ttl`.
pub(super) fn ttl(text: &str) -> Result<TtlWord, Invalid> {
    if text == "default" {
        return Ok(TtlWord(None));
    }
    let rule = Invalid("a token lifetime is 300 to 86400 seconds, or default");
    let seconds = text.parse().map_err(|_| rule)?;
    Ttl::new(seconds)
        .map(|ttl| TtlWord(Some(ttl)))
        .map_err(|_| rule)
}

/// Reads one `--expires-at`.
pub(super) fn expiry(text: &str) -> Result<ExpiryWord, Invalid> {
    if text == "never" {
        return Ok(ExpiryWord(None));
    }
    let time = about::parse_expiry(text)?;
    Ok(ExpiryWord(Some(time)))
}

/// Reads one `--description`.
pub(super) fn description(text: &str) -> Result<Item<Description>, Invalid> {
    item(text, Description::parse)
}

/// Reads one `--owner`.
pub(super) fn owner(text: &str) -> Result<Item<Owner>, Invalid> {
    item(text, Owner::parse)
}

/// Reads one `--label`.
pub(super) fn label(text: &str) -> Result<Item<Label>, Invalid> {
    item(text, about::parse_label)
}

/// Reads one `--audience`.
pub(super) fn audience(text: &str) -> Result<Item<Audience>, Invalid> {
    item(text, Audience::parse)
}

/// Reads one `--redirect-uri`.
pub(super) fn redirect_uri(text: &str) -> Result<Item<RedirectUri>, Invalid> {
    item(text, RedirectUri::parse)
}

/// Reads one `--user-id`.
pub(super) fn user_id(text: &str) -> Result<Item<UserId>, Invalid> {
    item(text, UserId::parse)
}

/// Reads one `--require`.
pub(super) fn claim(text: &str) -> Result<Item<ClaimPointer>, Invalid> {
    item(text, ClaimPointer::parse)
}

/// Reads one `--algorithm`.
pub(super) fn algorithm(text: &str) -> Result<Item<AlgorithmName>, Invalid> {
    item(text, AlgorithmName::parse)
}

fn item<T>(text: &str, parse: impl Fn(&str) -> Result<T, Invalid>) -> Result<Item<T>, Invalid> {
    if text.is_empty() {
        Ok(Item(None))
    } else {
        parse(text).map(|value| Item(Some(value)))
    }
}

/// Reads one `--set`.
pub(super) fn key_value(text: &str) -> Result<(String, String), Invalid> {
    let (key, value) = text
        .split_once('=')
        .ok_or(Invalid("written as SECTION.KEY=VALUE"))?;
    Ok((key.to_owned(), value.to_owned()))
}

/// All scopes of all `--scope` flags, in order, without duplicates. `None` without any `--scope`.
pub(super) fn all_scopes(words: Vec<ScopeWords>) -> Option<Vec<Scope>> {
    if words.is_empty() {
        return None;
    }
    let mut all: Vec<Scope> = Vec::new();
    for scope in words.into_iter().flat_map(|w| w.0) {
        if !all.contains(&scope) {
            all.push(scope);
        }
    }
    Some(all)
}

/// All values of a repeated flag. `None` without any such flag.
pub(super) fn all_items<T>(items: Vec<Item<T>>) -> Option<Vec<T>> {
    (!items.is_empty()).then(|| items.into_iter().filter_map(|i| i.0).collect())
}

/// The shortest secret that an operator may choose, in characters. An import accepts shorter
/// secrets, since existing clients keep theirs.
pub(super) const MIN_SECRET: usize = 16;

/// Reads a secret from stdin, without the newline at its end.
pub(super) fn secret_from_stdin() -> Result<Secret, CommandFailure> {
    let text = text_from_stdin()?;
    let text = text
        .strip_suffix('\n')
        .map_or(text.as_str(), |t| t.strip_suffix('\r').unwrap_or(t));
    if text.chars().count() < MIN_SECRET {
        let why = format!("the secret on stdin: it has at least {MIN_SECRET} characters");
        return Err(CommandFailure::Usage(why));
    }
    Secret::parse_given(text)
        .map_err(|rule| CommandFailure::Usage(format!("the secret on stdin: {rule}")))
}

/// Reads all of stdin, which must be shorter than [`MAX_STDIN_BYTES`].
pub(super) fn text_from_stdin() -> Result<zeroize::Zeroizing<String>, CommandFailure> {
    let mut text = zeroize::Zeroizing::new(String::new());
    let mut stdin = io::stdin().take(MAX_STDIN_BYTES);
    match stdin.read_to_string(&mut text) {
        Ok(_) if stdin.limit() == 0 => Err(CommandFailure::Usage(format!(
            "stdin holds more than {MAX_STDIN_BYTES} bytes"
        ))),
        Ok(_) => Ok(text),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            Err(CommandFailure::Usage("stdin is not UTF-8".to_owned()))
        }
        Err(error) => Err(error.into()),
    }
}
