//! Pieces of the record of events, as both backends read them: rows of tokens and the terms that
//! they name, which are read apart, since most tokens of a piece share a few terms.
//!
//! Must not know SQL, or what an event says.

use std::collections::BTreeSet;
use std::sync::Arc;

use uuid::Uuid;

use crate::domain::event::row::EventRow;
use crate::domain::event::token_row::{DecodedTermsRows, InternedTerms, TokenRow};

use super::named_terms::TermsById;
use super::row::{EventColumns, TokenColumns, event, token_event};

/// The columns of a token's event without the terms that it names: those of [`TokenRow`], the id of
/// the terms, and the number that is drawn anew with each change of terms, at the time of the read.
pub(in crate::store) type LeanColumns = (
    i64,
    i64,
    Uuid,
    i64,
    Option<Vec<u8>>,
    Option<Vec<u8>>,
    Option<String>,
    Option<String>,
    Option<i32>,
    Option<i64>,
);

/// A row of `token_terms`: id, agent, credential, scopes, audience and lifetime.
pub(in crate::store) type NamedTermsColumns = (i32, String, Uuid, String, String, i64);

/// The ids of the terms that these tokens name.
pub(in crate::store) fn named_terms(tokens: &[LeanColumns]) -> Vec<i32> {
    let named: BTreeSet<i32> = tokens.iter().filter_map(|(.., terms, _)| *terms).collect();
    named.into_iter().collect()
}

/// The number of the terms, as the statement saw it that read these tokens.
pub(in crate::store) fn number_of_terms(tokens: &[LeanColumns]) -> Option<i64> {
    tokens.first().and_then(|(.., number)| *number)
}

/// These terms, ready for the events of any number of tokens.
pub(in crate::store) fn decoded(terms: Vec<NamedTermsColumns>) -> TermsById {
    let decoded = |(id, agent_id, credential_id, scope, audience, ttl)| {
        let terms = InternedTerms {
            credential_id,
            scope,
            audience,
            ttl,
        };
        (id, Arc::new(DecodedTermsRows::new(agent_id, terms)))
    };
    terms.into_iter().map(decoded).collect()
}

/// The events of these tokens, which name these terms. `None` if some terms are missing: they may
/// have been removed since the tokens were read, and then the tokens were too. `None` as well if a
/// token both names terms and has some in its row.
pub(in crate::store) fn token_events(
    tokens: Vec<LeanColumns>,
    terms: &TermsById,
) -> Option<Vec<EventRow>> {
    let event = |(id, at, jti, epoch, request, source, agent_id, inline, named, _)| {
        let row = TokenRow {
            id,
            at,
            jti,
            epoch,
            request,
            source,
            agent_id,
            inline,
            interned: None,
        };
        match named {
            None => Some(row.event_row()),
            Some(id) => terms.get(&id)?.event_row(row),
        }
    };
    tokens.into_iter().map(event).collect()
}

/// The events of tokens that were read with their terms.
pub(in crate::store) fn whole_token_events(tokens: Vec<TokenColumns>) -> Vec<EventRow> {
    tokens.into_iter().map(token_event).collect()
}

/// The first `limit` events of both tables, in the order of their ids.
pub(in crate::store) fn merged_events(
    changes: Vec<EventColumns>,
    tokens: Vec<EventRow>,
    limit: i64,
) -> Vec<EventRow> {
    let mut events = tokens;
    events.extend(changes.into_iter().map(event));
    // Both parts are sorted, so this takes one comparison an event.
    events.sort_by_key(|event| event.id);
    events.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    events
}
