//! The one text of a JSON value, so that two programs hash the same bytes (RFC 8785, JCS).
//!
//! Must not know what the value means.
//!
//! Strings and numbers are written by hand. `serde_json` escapes strings as RFC 8785 demands, but it
//! sorts members by UTF-8 bytes (or keeps their order, if a crate in the build turns that on), and
//! writes `1.0` and `1e+30` in its own way.

use std::fmt::Write as _;

use serde_json::{Map, Number, Value};

use crate::json::{self, write_string};

use super::Invalid;

/// The greatest integer that every reader of JSON reads exactly: 2^53 - 1 (RFC 7493 §2.2).
pub(crate) const MAX_INTEGER: i64 = 9_007_199_254_740_991;

/// The double after [`MAX_INTEGER`]: 2^53.
const FIRST_UNSAFE_DOUBLE: f64 = 9_007_199_254_740_992.0;

/// The first double that is written with a positive exponent, and so never looks like an integer.
const FIRST_WITH_EXPONENT: f64 = 1e21;

/// How many lists and objects may stand in each other. `serde_json` reads no deeper text.
const MAX_DEPTH: usize = 128;

/// Why a value has no canonical text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.rule())]
pub enum NotCanonical {
    /// An integer that some readers would round: its absolute value is above 2^53 - 1. A double is
    /// refused too if its text looks like such an integer, since it would be read as one.
    IntegerTooLarge,
    /// A number that is not finite.
    NotFinite,
    /// Lists and objects stand in each other more than 128 deep.
    TooDeep,
}

impl NotCanonical {
    /// The rule that the value breaks.
    fn rule(self) -> &'static str {
        match self {
            Self::IntegerTooLarge => "an integer in canonical JSON is at most 2^53 - 1",
            Self::NotFinite => "a number in canonical JSON is finite",
            Self::TooDeep => "canonical JSON is at most 128 lists and objects deep",
        }
    }
}

impl From<NotCanonical> for Invalid {
    fn from(fault: NotCanonical) -> Self {
        Self(fault.rule())
    }
}

/// An integer that every reader of JSON reads exactly: at most 2^53 - 1 from zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SafeInteger(i64);

impl SafeInteger {
    /// Accepts an integer in the range.
    pub fn new(value: i64) -> Result<Self, Invalid> {
        if (-MAX_INTEGER..=MAX_INTEGER).contains(&value) {
            Ok(Self(value))
        } else {
            Err(NotCanonical::IntegerTooLarge.into())
        }
    }

    /// The integer.
    pub fn get(self) -> i64 {
        self.0
    }
}

/// The canonical text of a value.
pub fn canonicalize(value: &Value) -> Result<String, NotCanonical> {
    let mut out = String::new();
    write_value(value, MAX_DEPTH, &mut out)?;
    Ok(out)
}

/// The canonical text of an object.
pub(crate) fn canonicalize_object(members: &Map<String, Value>) -> Result<String, NotCanonical> {
    let mut out = String::new();
    write_object(members, MAX_DEPTH, &mut out)?;
    Ok(out)
}

fn write_value(value: &Value, depth: usize, out: &mut String) -> Result<(), NotCanonical> {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => write_number(number, out)?,
        Value::String(text) => write_string(text, out),
        Value::Array(items) => write_list(items, depth, out)?,
        Value::Object(members) => write_object(members, depth, out)?,
    }
    Ok(())
}

fn write_list(items: &[Value], depth: usize, out: &mut String) -> Result<(), NotCanonical> {
    let depth = depth.checked_sub(1).ok_or(NotCanonical::TooDeep)?;
    let mut mark = '[';
    for item in items {
        out.push(mark);
        mark = ',';
        write_value(item, depth, out)?;
    }
    if items.is_empty() {
        out.push(mark);
    }
    out.push(']');
    Ok(())
}

fn write_object(
    members: &Map<String, Value>,
    depth: usize,
    out: &mut String,
) -> Result<(), NotCanonical> {
    let depth = depth.checked_sub(1).ok_or(NotCanonical::TooDeep)?;
    let mut sorted: Vec<(&String, &Value)> = members.iter().collect();
    // RFC 8785 §3.2.3: by UTF-16 code units. The order of UTF-8 bytes is another one above U+FFFF.
    sorted.sort_by(|a, b| a.0.encode_utf16().cmp(b.0.encode_utf16()));
    let mut mark = '{';
    for (name, value) in sorted {
        out.push(mark);
        mark = ',';
        write_string(name, out);
        out.push(':');
        write_value(value, depth, out)?;
    }
    if members.is_empty() {
        out.push(mark);
    }
    out.push('}');
    Ok(())
}

/// Writes an integer.
pub(crate) fn write_integer(value: SafeInteger, out: &mut String) {
    json::write_integer(value.0, out);
}

fn write_number(number: &Number, out: &mut String) -> Result<(), NotCanonical> {
    if let Some(integer) = number.as_i64() {
        let integer = SafeInteger::new(integer).map_err(|_| NotCanonical::IntegerTooLarge)?;
        write_integer(integer, out);
        return Ok(());
    }
    if number.is_u64() {
        return Err(NotCanonical::IntegerTooLarge);
    }
    let double = number.as_f64().ok_or(NotCanonical::NotFinite)?;
    if (FIRST_UNSAFE_DOUBLE..FIRST_WITH_EXPONENT).contains(&double.abs()) {
        return Err(NotCanonical::IntegerTooLarge);
    }
    write_double(double, out)
}

/// Writes a double as ECMAScript does (RFC 8785 §3.2.2.3). No detail of ours holds a fraction, but
/// the claims that an operator pins for a partner may.
fn write_double(value: f64, out: &mut String) -> Result<(), NotCanonical> {
    if !value.is_finite() {
        return Err(NotCanonical::NotFinite);
    }
    if value == 0.0 {
        // Minus zero too.
        out.push('0');
        return Ok(());
    }
    if value < 0.0 {
        out.push('-');
    }
    let shortest = shortest(value.abs());
    let (mantissa, exponent) = shortest.split_once('e').ok_or(NotCanonical::NotFinite)?;
    let exponent: i32 = exponent.parse().map_err(|_| NotCanonical::NotFinite)?;
    let digits: String = mantissa.chars().filter(|c| *c != '.').collect();
    write_decimal(&digits, exponent, out);
    Ok(())
}

/// The shortest digits that are read back as the same double, and of these the closest
/// (ECMA-262 `Number::toString`, with its Note 2).
fn shortest(value: f64) -> String {
    let shortest = format!("{value:e}");
    let digits = shortest.bytes().take_while(|b| *b != b'e');
    let decimals = digits.count().saturating_sub(2);
    // RFC 8785 Appendix B, note on 43143ff3c1cb0959: of two that are equally close, the even one.
    // The shortest form rounds such a value up, the form with as many decimals rounds it to even.
    let even = format!("{value:.decimals$e}");
    if even.parse() == Ok(value) {
        even
    } else {
        shortest
    }
}

/// Writes the number `d.ddd × 10^exponent`, given its digits (ECMA-262 `Number::toString`).
fn write_decimal(digits: &str, exponent: i32, out: &mut String) {
    let zeros = |count: i32| std::iter::repeat_n('0', usize::try_from(count).unwrap_or(0));
    let whole = usize::try_from(exponent.saturating_add(1)).unwrap_or(0);
    let (before, after) = digits.split_at(whole.min(digits.len()));
    match exponent {
        0..=20 => {
            out.push_str(before);
            out.extend(std::iter::repeat_n('0', whole.saturating_sub(digits.len())));
            if !after.is_empty() {
                out.push('.');
                out.push_str(after);
            }
        }
        -6..=-1 => {
            out.push_str("0.");
            out.extend(zeros(-1 - exponent));
            out.push_str(digits);
        }
        _ => {
            let (first, rest) = digits.split_at(digits.len().min(1));
            out.push_str(first);
            if !rest.is_empty() {
                out.push('.');
                out.push_str(rest);
            }
            let _ = write!(out, "e{exponent:+}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn double(value: f64) -> String {
        let mut out = String::new();
        write_double(value, &mut out).unwrap();
        out
    }

    #[test]
    fn doubles_are_written_as_in_appendix_b() {
        for (bits, expected) in [
            (0x0000_0000_0000_0000, "0"),
            (0x8000_0000_0000_0000, "0"),
            (0x0000_0000_0000_0001, "5e-324"),
            (0x8000_0000_0000_0001, "-5e-324"),
            (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308"),
            (0xffef_ffff_ffff_ffff, "-1.7976931348623157e+308"),
            (0x4340_0000_0000_0000, "9007199254740992"),
            (0xc340_0000_0000_0000, "-9007199254740992"),
            (0x4340_0000_0000_0001, "9007199254740994"),
            (0x4430_0000_0000_0000, "295147905179352830000"),
            (0x44b5_2d02_c7e1_4af5, "9.999999999999997e+22"),
            (0x44b5_2d02_c7e1_4af6, "1e+23"),
            (0x44b5_2d02_c7e1_4af7, "1.0000000000000001e+23"),
            (0x444b_1ae4_d6e2_ef4e, "999999999999999700000"),
            (0x444b_1ae4_d6e2_ef4f, "999999999999999900000"),
            (0x444b_1ae4_d6e2_ef50, "1e+21"),
            (0x3eb0_c6f7_a0b5_ed8c, "9.999999999999997e-7"),
            (0x3eb0_c6f7_a0b5_ed8d, "0.000001"),
            (0x41b3_de43_5555_5553, "333333333.3333332"),
            (0x41b3_de43_5555_5554, "333333333.33333325"),
            (0x41b3_de43_5555_5555, "333333333.3333333"),
            (0x41b3_de43_5555_5556, "333333333.3333334"),
            (0x41b3_de43_5555_5557, "333333333.33333343"),
            (0xbecb_f647_612f_3696, "-0.0000033333333333333333"),
            (0x4314_3ff3_c1cb_0959, "1424953923781206.2"),
        ] {
            assert_eq!(double(f64::from_bits(bits)), expected, "{bits:016x}");
        }
        for bits in [0x7fff_ffff_ffff_ffff, 0x7ff0_0000_0000_0000] {
            let refused = write_double(f64::from_bits(bits), &mut String::new());
            assert_eq!(refused, Err(NotCanonical::NotFinite));
        }
    }

    #[test]
    fn the_example_of_section_3_2_2_is_written_as_there() {
        let value = json!({
            "numbers": [333_333_333.333_333_3_f64, 1E30, 4.50, 2e-3, 0.000_000_000_000_000_000_000_000_001],
            "string": "\u{20ac}$\u{f}\nA'B\"\\\\\"/",
            "literals": [null, true, false]
        });
        assert_eq!(
            canonicalize(&value).unwrap(),
            "{\"literals\":[null,true,false],\"numbers\":[333333333.3333333,1e+30,4.5,0.002,1e-27],\
             \"string\":\"\u{20ac}$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}"
        );
    }

    #[test]
    fn the_members_of_section_3_2_3_come_in_the_order_of_utf_16() {
        let value = json!({
            "\u{20ac}": "Euro Sign",
            "\r": "Carriage Return",
            "\u{fb33}": "Hebrew Letter Dalet With Dagesh",
            "1": "One",
            "\u{1f600}": "Emoji: Grinning Face",
            "\u{80}": "Control",
            "\u{f6}": "Latin Small Letter O With Diaeresis"
        });
        assert_eq!(
            canonicalize(&value).unwrap(),
            "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\u{80}\":\"Control\",\
             \"\u{f6}\":\"Latin Small Letter O With Diaeresis\",\"\u{20ac}\":\"Euro Sign\",\
             \"\u{1f600}\":\"Emoji: Grinning Face\",\
             \"\u{fb33}\":\"Hebrew Letter Dalet With Dagesh\"}"
        );
    }

    /// The cases of github.com/cyberphone/json-canonicalization, `testdata`.
    #[test]
    fn the_vectors_of_the_author_of_rfc_8785_hold() {
        for (input, output) in [
            (
                "[56, {\"d\": true, \"10\": null, \"1\": [ ]}]",
                "[56,{\"1\":[],\"10\":null,\"d\":true}]",
            ),
            (
                "{ \"1\": {\"f\": {\"f\": \"hi\",\"F\": 5} ,\"\\n\": 56.0}, \"10\": { }, \"\": \"empty\",
                   \"a\": { }, \"111\": [ { } ], \"A\": { } }",
                "{\"\":\"empty\",\"1\":{\"\\n\":56,\"f\":{\"F\":5,\"f\":\"hi\"}},\"10\":{},\"111\":[{}],\"A\":{},\"a\":{}}",
            ),
            (
                "{\"\\u20ac\": \"Euro Sign\", \"1\": \"One\", \"\\u0080\": \"Control\\u007f\",
                  \"\\ud83d\\ude02\": \"Smiley\", \"\\ufb33\": \"Hebrew\", \"</script>\": \"Browser Challenge\"}",
                "{\"1\":\"One\",\"</script>\":\"Browser Challenge\",\"\u{80}\":\"Control\u{7f}\",\
                 \"\u{20ac}\":\"Euro Sign\",\"\u{1f602}\":\"Smiley\",\"\u{fb33}\":\"Hebrew\"}",
            ),
            (
                "{\"Unnormalized Unicode\": \"A\\u030a\"}",
                "{\"Unnormalized Unicode\":\"A\u{30a}\"}",
            ),
        ] {
            let value: Value = serde_json::from_str(input).unwrap();
            assert_eq!(canonicalize(&value).unwrap(), output);
        }
    }

    #[test]
    fn what_readers_would_change_is_refused() {
        for (value, fault) in [
            (json!(MAX_INTEGER + 1), NotCanonical::IntegerTooLarge),
            (json!([-MAX_INTEGER - 1]), NotCanonical::IntegerTooLarge),
            (json!({ "a": u64::MAX }), NotCanonical::IntegerTooLarge),
            (json!(i64::MIN), NotCanonical::IntegerTooLarge),
            (json!(FIRST_UNSAFE_DOUBLE), NotCanonical::IntegerTooLarge),
            (json!(-1e20), NotCanonical::IntegerTooLarge),
        ] {
            assert_eq!(canonicalize(&value), Err(fault), "{value}");
        }
        assert_eq!(
            canonicalize(&json!([MAX_INTEGER, -MAX_INTEGER])).unwrap(),
            "[9007199254740991,-9007199254740991]"
        );
        assert_eq!(
            canonicalize(&json!([FIRST_WITH_EXPONENT, -9_007_199_254_740_991.0])).unwrap(),
            "[1e+21,-9007199254740991]"
        );
        let nested = |depth| (0..depth).fold(json!(1), |inner, _| json!([inner]));
        assert!(canonicalize(&nested(128)).is_ok());
        assert_eq!(canonicalize(&nested(129)), Err(NotCanonical::TooDeep));
    }

    /// Any JSON value without fractions, with strings from every plane of Unicode.
    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-MAX_INTEGER..=MAX_INTEGER).prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                proptest::collection::hash_map(any::<String>(), inner, 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_double_is_read_back_as_itself(value in proptest::num::f64::ANY) {
            prop_assume!(value.is_finite());
            let text = double(value);
            prop_assert_eq!(text.parse::<f64>().map(|read| read.total_cmp(&(value + 0.0))), Ok(Ordering::Equal));
            let plain = (1e-6..1e21).contains(&value.abs()) || value == 0.0;
            prop_assert_eq!(plain, !text.contains('e'), "{}", text);
        }

        #[test]
        fn a_value_has_one_text_that_reads_as_the_value(value in any_value()) {
            let text = canonicalize(&value).unwrap();
            let read: Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(canonicalize(&read).unwrap(), text);
            prop_assert_eq!(read, value);
        }

        #[test]
        fn members_are_sorted_by_utf_16(names in proptest::collection::hash_set(any::<String>(), 0..9)) {
            let members: Map<String, Value> = names.iter().map(|name| (name.clone(), Value::Null)).collect();
            let mut sorted: Vec<Vec<u16>> = names.iter().map(|name| name.encode_utf16().collect()).collect();
            sorted.sort();
            let expected: Vec<String> = sorted
                .iter()
                .map(|units| format!("{}:null", serde_json::to_string(&String::from_utf16(units).unwrap()).unwrap()))
                .collect();
            prop_assert_eq!(canonicalize_object(&members).unwrap(), format!("{{{}}}", expected.join(",")));
        }
    }
}
