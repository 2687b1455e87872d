//! Prints random events, one on each line: what the event is made of, and its bytes. The seed is
//! fixed, so that every run prints the same events.
//!
//! `events.py` makes the bytes again, with a canonicalizer of another author.
#![expect(
    clippy::unwrap_used,
    reason = "a program of the tests that fails must stop"
)]

use std::io::Write;
use std::net::IpAddr;

use proptest::collection::{hash_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use sealwright::testing::domain::canonical::SafeInteger;
use sealwright::testing::domain::event::kind::EventKind;
use sealwright::testing::domain::event::logged::{Detail, LoggedEvent};
use sealwright::testing::domain::event::request::RequestRef;
use sealwright::testing::domain::event::source::SourcePrecision;
use sealwright::testing::domain::id::{AgentId, CredentialId, Jti};
use sealwright::testing::domain::time::Timestamp;
use serde_json::{Map, Value, json};
use uuid::Uuid;

const EVENTS: usize = 10_000;

/// 2^53 - 1.
const MAX_INTEGER: i64 = 9_007_199_254_740_991;

/// The greatest double below 2^53.
const MAX_INTEGER_DOUBLE: f64 = 9_007_199_254_740_991.0;

/// The first second of the year 10000.
const END_OF_TIME: i64 = 253_402_300_800;

/// What an event is made of.
#[derive(Debug, Clone)]
struct Parts {
    event: LoggedEvent,
    detail: Option<Map<String, Value>>,
    /// The id that a client sent; the event has the reference to it.
    client_request: Option<String>,
    address: Option<IpAddr>,
    precision: SourcePrecision,
}

/// Texts of up to `length` characters: control characters, emoji, characters around the surrogates
/// (where the orders of UTF-8 and UTF-16 differ), and any others.
fn text(length: impl Into<proptest::collection::SizeRange>) -> impl Strategy<Value = String> {
    let near_surrogates = [
        '\u{d7ff}',
        '\u{e000}',
        '\u{fb33}',
        '\u{ffff}',
        '\u{10000}',
        '\u{1f600}',
        '\u{10ffff}',
    ];
    let character = prop_oneof![
        (0u8..0xa0).prop_map(char::from),
        proptest::sample::select(near_surrogates.to_vec()),
        proptest::sample::select(vec!['"', '\\', '/', '\u{2028}', '\u{feff}', '\u{e9}']),
        proptest::char::range('\u{1f300}', '\u{1faff}'),
        any::<char>(),
        proptest::char::range(' ', '~'),
    ];
    vec(character, length).prop_map(|characters| characters.into_iter().collect())
}

/// Any JSON value; a few are larger than a detail may be.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-MAX_INTEGER..=MAX_INTEGER).prop_map(Value::from),
        // Between 2^53 and 10^21 a double looks like an integer that readers would round.
        any::<f64>()
            .prop_filter("reads as an integer", |double| {
                !(MAX_INTEGER_DOUBLE..1e21).contains(&double.abs())
            })
            .prop_map(Value::from),
        // Quarters near 2^50, where two shortest forms may be equally close.
        (0u64..1 << 52).prop_map(|bits| Value::from(f64::from_bits((0x431 << 52) | bits))),
        text(0..20).prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            hash_map(text(0..6), inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn detail() -> impl Strategy<Value = Map<String, Value>> {
    let small = hash_map(text(0..6), value(), 0..5);
    let large = hash_map(text(1..3), text(3_000..9_000).prop_map(Value::from), 1..3);
    prop_oneof![40 => small, 1 => large].prop_map(|members| members.into_iter().collect())
}

fn parts() -> impl Strategy<Value = Parts> {
    let texts = (
        prop_oneof![
            Just("system".to_owned()),
            text(1..20).prop_map(|name| format!("operator:{name}@h")),
        ],
        option::of("[A-Za-z0-9._~:-]{1,128}"),
        option::of(text(1..10)),
        option::of(prop_oneof![text(1..20), text(200)]),
        option::of("[!#-\\[\\]-~]{1,20}( [!#-\\[\\]-~]{1,20}){0,3}"),
    );
    let numbers = (
        0..END_OF_TIME,
        option::of(0..END_OF_TIME),
        1..=MAX_INTEGER,
        option::of(0..=MAX_INTEGER),
        proptest::sample::select(EventKind::ALL),
    );
    let ids = (option::of(any::<u128>()), option::of(any::<u128>()));
    let request = option::of(prop_oneof![
        any::<(u64, u64)>().prop_map(Ok),
        text(1..64).prop_map(Err),
        "[0-9a-f]{16}-[0-9]{1,3}".prop_map(Err),
    ]);
    let precision = proptest::sample::select(vec![
        SourcePrecision::Prefix,
        SourcePrecision::Full,
        SourcePrecision::None,
    ]);
    let from = (option::of(any::<IpAddr>()), precision);
    let all = (texts, numbers, ids, request, from, option::of(detail()));
    all.prop_map(|(texts, numbers, ids, request, from, detail)| {
        let client_request = request.clone().and_then(Result::err);
        let request_id = request.map(|request| match request {
            Ok((process, count)) => RequestRef::Ours { process, count },
            Err(text) => RequestRef::of_client(&text),
        });
        let event = LoggedEvent {
            actor: texts.0.into(),
            agent_id: texts.1.map(|id| AgentId::parse(&id).unwrap()),
            at: Timestamp(numbers.0),
            credential_id: ids.0.map(|id| CredentialId(Uuid::from_u128(id))),
            detail: detail.as_ref().map(|members| Detail::new(members).unwrap()),
            epoch: numbers.3.map(|epoch| SafeInteger::new(epoch).unwrap()),
            exp: numbers.1.map(Timestamp),
            id: SafeInteger::new(numbers.2).unwrap(),
            jti: ids.1.map(|id| Jti(Uuid::from_u128(id))),
            kind: numbers.4,
            org_id: texts.2,
            reason: texts.3,
            request_id,
            scope: texts.4.map(Into::into),
            source: from.0.and_then(|address| from.1.cut(address)),
        };
        Parts {
            event,
            detail,
            client_request,
            address: from.0,
            precision: from.1,
        }
    })
}

fn line(parts: &Parts) -> Value {
    let event = &parts.event;
    let request = event.request_id.map(|ours| match &parts.client_request {
        Some(text) => json!({ "client": text }),
        None => json!({ "ours": ours.to_string() }),
    });
    json!({
        "event": {
            "v": 1,
            "scope": event.scope.as_deref(),
            "reason": event.reason,
            "orgId": event.org_id,
            "kind": event.kind.as_str(),
            "jti": event.jti.map(|jti| jti.to_string()),
            "id": event.id.get(),
            "exp": event.exp.map(Timestamp::to_rfc3339),
            "epoch": event.epoch.map(SafeInteger::get),
            "credentialId": event.credential_id.map(|id| id.to_string()),
            "at": event.at.to_rfc3339(),
            "agentId": event.agent_id.as_ref().map(AgentId::as_str),
            "actor": &*event.actor
        },
        "detail": parts.detail,
        "request": request,
        "address": parts.address,
        "precision": parts.precision.as_str(),
        "bytes": String::from_utf8(event.bytes()).unwrap()
    })
}

fn main() {
    let (mut runner, parts) = (TestRunner::deterministic(), parts());
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for _ in 0..EVENTS {
        let parts = parts.new_tree(&mut runner).unwrap().current();
        writeln!(out, "{}", line(&parts)).unwrap();
    }
    out.flush().unwrap();
}
