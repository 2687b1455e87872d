//! A request of the management API, read into typed values. All errors are reported at once.
//!
//! Owns the rules for queries. A parameter that the operation does not know, or that is repeated,
//! is refused, because a misspelt filter must not list everything. `body` has the rules for bodies.
//! Must not know what a value means.

use std::borrow::Cow;
use std::collections::HashSet;

use axum::http::HeaderMap;
use axum::http::header::IF_MATCH;

use crate::domain::Invalid;
use crate::domain::id::AgentId;
use crate::domain::rejection::{FieldError, Rejection, RejectionCode};
use crate::http::error::Failure;
use crate::http::incoming::Incoming;
use crate::http::openapi::parameters::Asked;
use crate::http::openapi::route_doc::BodyDoc;
use crate::http::urlencoded::decode;

use super::body::{FieldPlace, FromJson, told};
use super::cursor::CursorScope;
use super::json_value::JsonText;

/// The input of one operation.
pub(crate) trait Input: Sized {
    /// Reads all parts, even if one of them is wrong, and only then builds the input. `None` if a
    /// required part is missing or wrong. The error has been noted by then.
    fn read(fields: &mut Fields<'_>) -> Option<Self>;
}

impl Input for () {
    fn read(_: &mut Fields<'_>) -> Option<Self> {
        Some(())
    }
}

/// What an input asks for.
pub(super) struct InputDoc {
    /// The parameters of the query, in order.
    pub asked: Vec<Asked>,
    /// The body, if it reads one.
    pub body: Option<BodyDoc>,
}

/// What this input asks for.
pub(super) fn describe_input<I: Input>() -> InputDoc {
    let incoming = Incoming::default();
    let mut fields = Fields {
        incoming: &incoming,
        query: vec![],
        cursors: None,
        asked: vec![],
        body_doc: None,
        errors: vec![],
        no_such_agent: false,
    };
    // Nothing is given, so the input may well be faulty.
    let _ = I::read(&mut fields);
    InputDoc {
        asked: fields.asked,
        body: fields.body_doc,
    }
}

/// The parts of a request, and the errors found in them.
pub(crate) struct Fields<'r> {
    incoming: &'r Incoming,
    query: Vec<(Cow<'r, str>, Cow<'r, str>)>,
    /// `None` if the request is read only to see what is asked for.
    cursors: Option<CursorScope<'r>>,
    asked: Vec<Asked>,
    /// What the body is, once it has been asked for.
    body_doc: Option<BodyDoc>,
    errors: Vec<FieldError>,
    no_such_agent: bool,
}

impl<'r> Fields<'r> {
    /// The parts of this request, whose caller may use the cursors of this scope.
    pub(crate) fn of(incoming: &'r Incoming, cursors: CursorScope<'r>) -> Self {
        let mut fields = Self {
            incoming,
            query: vec![],
            cursors: Some(cursors),
            asked: vec![],
            body_doc: None,
            errors: vec![],
            no_such_agent: false,
        };
        let pairs = incoming.query.split('&').filter(|pair| !pair.is_empty());
        for pair in pairs {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match (decode(name.as_bytes()), decode(value.as_bytes())) {
                (Some(name), Some(value)) => fields.query.push((name, value)),
                (name, _) => {
                    let name = told(&name.unwrap_or_default());
                    fields.note(&name, "is not valid form encoding");
                }
            }
        }
        fields
    }

    /// The agent that the path names. An id outside the alphabet is simply unknown (contract D10).
    pub(crate) fn agent_id(&mut self) -> Option<AgentId> {
        let agent_id = self.path_part("id");
        let agent_id = agent_id.and_then(|text| AgentId::parse(text).ok());
        self.no_such_agent |= agent_id.is_none();
        agent_id
    }

    /// The part of the path that the route calls `{name}` or `{*name}`, percent-decoded.
    pub(crate) fn path_part(&self, name: &str) -> Option<&str> {
        self.incoming.path_part(name)
    }

    /// The header fields.
    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.incoming.headers
    }

    /// Whether only the head of the response is asked for.
    pub(crate) fn is_head(&self) -> bool {
        self.incoming.is_head
    }

    /// A parameter of the query, read by the given rule. `None` if the parameter is absent or wrong.
    /// A wrong parameter is noted as an error. An empty parameter is not an absent one: an empty
    /// filter must not list everything.
    pub(crate) fn query<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&str) -> Result<T, &'static str>,
    ) -> Option<T> {
        let repeats = false;
        self.asked.push(Asked { name, repeats });
        let (value, again) = {
            let mut values = self.values(name);
            (values.next().map(str::to_owned), values.next().is_some())
        };
        if again {
            self.note(name, "is given more than once");
            return None;
        }
        self.noted(name, read(&value?))
    }

    /// A parameter of the query that is `true` or `false`.
    pub(crate) fn truth(&mut self, name: &'static str) -> Option<bool> {
        self.query(name, |text| match text {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err("must be true or false"),
        })
    }

    /// A parameter of the query that is `true` or `false`; `false` if it is absent.
    pub(crate) fn flag(&mut self, name: &'static str) -> bool {
        self.truth(name).unwrap_or(false)
    }

    /// A parameter of the query that may repeat. Every wrong value is noted as an error.
    pub(crate) fn queries<T>(
        &mut self,
        name: &'static str,
        read: impl Fn(&str) -> Result<T, &'static str>,
    ) -> Vec<T> {
        let repeats = true;
        self.asked.push(Asked { name, repeats });
        let read: Vec<_> = self.values(name).map(read).collect();
        read.into_iter()
            .filter_map(|value| self.noted(name, value))
            .collect()
    }

    fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        let pairs = self.query.iter().filter(move |(other, _)| other == name);
        pairs.map(|(_, value)| &**value)
    }

    fn noted<T>(&mut self, name: &str, value: Result<T, &'static str>) -> Option<T> {
        value.map_err(|reason| self.note(name, reason)).ok()
    }

    /// The body, which must be a JSON object.
    pub(crate) fn body<B: FromJson>(&mut self) -> Option<B> {
        self.note_body::<B>(true);
        self.read_body(&self.incoming.body)
    }

    /// The body of an action. No body is the same as an object without members.
    pub(crate) fn action_body<B: FromJson>(&mut self) -> Option<B> {
        self.note_body::<B>(false);
        match &*self.incoming.body {
            [] => self.read_body(b"{}"),
            body => self.read_body(body),
        }
    }

    fn note_body<B: FromJson>(&mut self, is_required: bool) {
        if self.cursors.is_none() {
            let schema = B::schema();
            self.body_doc = Some(BodyDoc {
                schema,
                is_required,
            });
        }
    }

    fn read_body<B: FromJson>(&mut self, body: &[u8]) -> Option<B> {
        match JsonText::read(body) {
            Ok(text) => {
                if text.is_too_deep {
                    self.note("", "has more than 32 levels");
                }
                B::from_json(&text.value, FieldPlace::Root, &mut self.errors)
            }
            Err(reason) => {
                self.note("", reason);
                None
            }
        }
    }

    /// The position of the cursor, if the request has one. The cursor must come from this list under
    /// these filters.
    pub(crate) fn cursor<T>(
        &mut self,
        list: &str,
        filters: &str,
        read: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Option<T> {
        let cursors = self.cursors;
        self.query("cursor", |text| {
            cursors
                .and_then(|cursors| cursors.read(list, filters, text))
                .and_then(|position| read(&position))
                .ok_or("is no cursor of this list")
        })
    }

    /// The position of a cursor that stands in the body; `None` if it is another list's.
    pub(crate) fn position(&self, list: &str, filters: &str, cursor: &str) -> Option<Vec<u8>> {
        self.cursors?.read(list, filters, cursor)
    }

    /// The input, or all its errors.
    pub(crate) fn finish<I>(mut self, input: Option<I>) -> Result<I, Failure> {
        if self.no_such_agent {
            // RFC 9110 §13.1.1: nothing has the version that the request demands.
            let code = if self.headers().contains_key(IF_MATCH) {
                RejectionCode::VersionMismatch
            } else {
                RejectionCode::AgentNotFound
            };
            return Err(Rejection::from(code).into());
        }
        let asked = std::mem::take(&mut self.asked);
        let mut noted = HashSet::new();
        let unknown: Vec<String> = self
            .query
            .iter()
            .filter(|(name, _)| !asked.iter().any(|asked| asked.name == name))
            .map(|(name, _)| told(name))
            .filter(|name| noted.insert(name.clone()))
            .collect();
        for name in unknown {
            self.note(&name, "is not known here");
        }
        match input {
            Some(input) if self.errors.is_empty() => Ok(input),
            None if self.errors.is_empty() => {
                Err(Failure::fault("an input was not read, without a reason"))
            }
            _ => Err(Rejection::invalid(self.errors).into()),
        }
    }

    /// Notes an error of this field.
    pub(crate) fn note(&mut self, field: &str, reason: &'static str) {
        self.errors.push(FieldError::new(field.to_owned(), reason));
    }
}

/// The rule that a value breaks, as the reason of an error.
pub(super) fn rule(invalid: Invalid) -> &'static str {
    invalid.0
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;

    use super::*;
    use crate::entropy::SeededEntropy;
    use crate::http::parameters::Encoding;
    use crate::keys::cursor::{CursorKey, PURPOSE};
    use crate::keys::seal::MasterKey;
    use crate::keys::store_key;

    struct Two {
        number: Option<u8>,
        word: Option<String>,
    }

    impl Input for Two {
        fn read(fields: &mut Fields<'_>) -> Option<Self> {
            let number = fields.query("number", |text| {
                text.parse().map_err(|_| "must be a small number")
            });
            let word = fields.query("word", |text| Ok(text.to_owned()));
            Some(Self { number, word })
        }
    }

    fn read(query: &str) -> Result<Two, Failure> {
        let (headers, body) = (HeaderMap::new(), Bytes::new());
        let incoming = Incoming {
            is_head: false,
            headers,
            query: query.to_owned(),
            path_parts: None,
            encoding: Encoding::Form,
            body,
            context: Arc::default(),
            line: None,
        };
        let entropy = SeededEntropy::new(1);
        let master = MasterKey::generate(&entropy).unwrap();
        let stored = store_key::generate(PURPOSE, 'x', &master, &entropy).unwrap();
        let key = CursorKey::open(&stored, &master).unwrap();
        let cursors = CursorScope::of_reach(&key, "default");
        let mut fields = Fields::of(&incoming, cursors);
        let input = Two::read(&mut fields);
        fields.finish(input)
    }

    fn faults(query: &str) -> Vec<(String, String)> {
        match read(query) {
            Err(Failure::Rejected(rejection)) => {
                let pair = |e: FieldError| (e.field.into_owned(), e.reason.into_owned());
                rejection.errors.into_iter().map(pair).collect()
            }
            other => panic!("{query}: {:?}", other.map(|_| ())),
        }
    }

    #[test]
    fn all_faults_are_told_at_once() {
        let found = faults("number=x&word=a&word=a&limt=2&a%20b=1&limt=3");
        let expected = [
            ("number", "must be a small number"),
            ("word", "is given more than once"),
            ("limt", "is not known here"),
            ("", "is not known here"),
        ];
        assert_eq!(
            found,
            expected.map(|(field, reason)| (field.to_owned(), reason.to_owned()))
        );
    }

    #[test]
    fn what_is_empty_is_not_absent() {
        let two = read("word=a+b").unwrap();
        assert_eq!((two.number, two.word.as_deref()), (None, Some("a b")));
        assert_eq!(read("word=").unwrap().word.as_deref(), Some(""));
        let expected = [("number".to_owned(), "must be a small number".to_owned())];
        assert_eq!(faults("number="), expected);
    }
}
