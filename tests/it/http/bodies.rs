//! Bodies of the management API, read from any bytes: every fault is told once, at its place.

use std::collections::BTreeSet;

use proptest::prelude::*;
use sealwright::testing::domain::rejection::FieldError;
use sealwright::testing::http::manage::body::{FieldPlace, FromJson, ObjectReader, PatchMember};
use sealwright::testing::http::manage::json_value::{JsonText, JsonValue};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema};

/// A body with a member of each sort.
#[derive(Debug, PartialEq)]
struct Sample {
    name: String,
    count: Option<i64>,
    tags: PatchMember<Vec<String>>,
    flag: PatchMember<bool>,
}

impl FromJson for Sample {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new().into()
    }

    fn from_json(
        value: &JsonValue<'_>,
        at: FieldPlace<'_>,
        errors: &mut Vec<FieldError>,
    ) -> Option<Self> {
        let mut object = ObjectReader::open(value, at, errors)?;
        let name = object.required("name");
        let count = object.optional("count");
        let (tags, flag) = (object.patch("tags"), object.patch("flag"));
        object.finish();
        Some(Self {
            name: name?,
            count: count?,
            tags: tags?,
            flag: flag?,
        })
    }
}

fn read(text: &str) -> (Option<Sample>, Vec<(String, String)>) {
    let text = JsonText::read(text.as_bytes()).unwrap();
    let mut errors = vec![];
    let sample = Sample::from_json(&text.value, FieldPlace::Root, &mut errors);
    let told = errors
        .into_iter()
        .map(|error| (error.field.into_owned(), error.reason.into_owned()));
    (sample, told.collect())
}

#[test]
fn a_good_body_is_read_and_null_is_told_from_absent() {
    let (sample, errors) = read(r#"{"name":"a","count":2.0,"tags":["x","y"],"flag":null}"#);
    assert_eq!(errors, []);
    let expected = Sample {
        name: "a".to_owned(),
        count: Some(2),
        tags: PatchMember::Value(vec!["x".to_owned(), "y".to_owned()]),
        flag: PatchMember::Null,
    };
    assert_eq!(sample, Some(expected));
    let (sample, errors) = read(r#"{"count":null,"n\u0061me":"\u0061"}"#);
    assert_eq!(errors, []);
    let sample = sample.unwrap();
    assert_eq!((sample.name.as_str(), sample.count), ("a", None));
    assert_eq!(
        (sample.tags, sample.flag),
        (PatchMember::Absent, PatchMember::Absent)
    );
}

#[test]
fn every_fault_is_told_at_its_place() {
    let (_, errors) = read(
        r#"{"tags":["x",1,"y",null,{}],"count":1.5,"flag":"no","nam":"a","count ":2,"é":1,"nam":2}"#,
    );
    let expected = [
        ("/name", "is missing"),
        ("/count", "must be a whole number"),
        ("/tags/1", "must be a text"),
        ("/tags/3", "must be a text"),
        ("/tags/4", "must be a text"),
        ("/flag", "must be true or false"),
        ("/nam", "is not known here"),
        ("", "has a member that is not known here"),
    ];
    assert_eq!(
        errors,
        expected.map(|(field, reason)| (field.to_owned(), reason.to_owned()))
    );
    for text in ["[]", "null", "7", "\"name\""] {
        let expected = (String::new(), "must be a JSON object".to_owned());
        assert_eq!(read(text), (None, vec![expected]), "{text}");
    }
}

#[test]
fn whole_numbers_are_read_to_the_last_digit() {
    for (text, count) in [
        ("9223372036854775807", Some(i64::MAX)),
        ("-9223372036854775808", Some(i64::MIN)),
        ("9223372036854775808", None),
        ("-0.0", Some(0)),
        ("1e3", Some(1_000)),
        ("1e300", None),
        ("\"1\"", None),
        ("true", None),
    ] {
        let (sample, errors) = read(&format!(r#"{{"name":"a","count":{text}}}"#));
        assert_eq!(sample.map(|sample| sample.count), count.map(Some), "{text}");
        assert_eq!(errors.is_empty(), count.is_some(), "{text}");
    }
}

/// One member as text, and whether its value has the member's type.
fn any_member() -> impl Strategy<Value = (String, String)> {
    let name = prop_oneof![
        8 => proptest::sample::select(vec!["name", "count", "tags", "flag"]).prop_map(str::to_owned),
        2 => "[a-z]{1,5}",
        1 => proptest::sample::select(vec!["", "a b", "é", "a/b", "~", "\\u0000", "Name"]).prop_map(str::to_owned),
    ];
    let scalar = || {
        prop_oneof![
            Just("\"x\"".to_owned()),
            (-3_i64..3).prop_map(|number| number.to_string()),
            Just("0.5".to_owned()),
            Just("true".to_owned()),
            Just("null".to_owned()),
        ]
    };
    let list = proptest::collection::vec(scalar(), 0..4);
    let value = prop_oneof![
        4 => scalar(),
        2 => list.prop_map(|items| format!("[{}]", items.join(","))),
        1 => Just("{\"name\":\"y\",\"name\":1}".to_owned()),
    ];
    (name, value)
}

/// The faults of these members, by the rules as they are written down, not as they are programmed.
fn faults_of(members: &[(String, String)]) -> BTreeSet<(String, String)> {
    let mut faults = BTreeSet::new();
    let mut note = |field: String, reason: &str| {
        assert!(faults.insert((field, reason.to_owned())) || reason.contains("not known"));
    };
    for known in ["name", "count", "tags", "flag"] {
        let field = format!("/{known}");
        let values: Vec<&str> = members
            .iter()
            .filter(|(name, _)| name == known)
            .map(|(_, value)| value.as_str())
            .collect();
        let value = match values.as_slice() {
            [] if known == "name" => {
                note(field, "is missing");
                continue;
            }
            [] => continue,
            [value] => *value,
            _ => {
                note(field, "is given more than once");
                continue;
            }
        };
        match known {
            "name" if !value.starts_with('"') => note(field, "must be a text"),
            "name" => {}
            _ if value == "null" => {}
            "count" if value.parse::<i64>().is_err() => note(field, "must be a whole number"),
            "flag" if value != "true" => note(field, "must be true or false"),
            "tags" => match value.strip_prefix('[').and_then(|v| v.strip_suffix(']')) {
                None => note(field, "must be a list"),
                Some("") => {}
                Some(items) => {
                    let items: Vec<&str> = items.split(',').collect();
                    for (index, item) in items.iter().enumerate() {
                        let field = format!("{field}/{index}");
                        if !item.starts_with('"') {
                            note(field, "must be a text");
                        } else if items[..index].contains(item) {
                            note(field, "stands in the list already");
                        }
                    }
                }
            },
            _ => {}
        }
    }
    for (name, _) in members {
        if ["name", "count", "tags", "flag"].contains(&name.as_str()) {
            continue;
        }
        if name.bytes().all(|b| b.is_ascii_alphanumeric()) {
            note(format!("/{name}"), "is not known here");
        } else {
            note(String::new(), "has a member that is not known here");
        }
    }
    faults
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn all_faults_of_any_object_are_told_once(members in proptest::collection::vec(any_member(), 0..9)) {
        let pairs: Vec<String> = members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        let (sample, errors) = read(&format!("{{{}}}", pairs.join(" , ")));
        let expected = faults_of(&members);
        // A member that is not known is noted, but keeps no other from being read.
        let is_read = expected.iter().all(|(_, reason)| reason.contains("not known"));
        prop_assert_eq!(sample.is_some(), is_read);
        let told: BTreeSet<_> = errors.iter().cloned().collect();
        prop_assert_eq!(told.len(), errors.len(), "told twice: {:?}", errors);
        prop_assert_eq!(told, expected);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let is_json = serde_json::from_slice::<serde_json::Value>(&bytes).is_ok();
        prop_assert_eq!(JsonText::read(&bytes).is_ok(), is_json);
    }

    #[test]
    fn brackets_of_any_depth_and_order_take_no_more_stack(brackets in "[\\[\\]{}\":,a0]{0,4000}", depth in 0_usize..20_000) {
        let nested = format!("{}{brackets}", "[".repeat(depth));
        let _ = JsonText::read(nested.as_bytes());
        let closed = format!("{{\"name\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        if let Ok(text) = JsonText::read(closed.as_bytes()) {
            prop_assert_eq!(text.is_too_deep, depth > 31);
        } else {
            prop_assert_eq!(depth, 0);
        }
    }
}
