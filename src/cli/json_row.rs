//! A line of an import's file that is a JSON object, as a [`Row`].
//!
//! A message names the field and the rule. It never repeats a value, which may be a secret.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::service::manage::row::Row;

use super::row_members::{RowMembers, RowValue};

/// Reads one line. Its members are among `fields`.
pub(super) fn json_row(line: &[u8], fields: &[&str]) -> Result<Row, String> {
    let members = match serde_json::from_slice(line) {
        Ok(RowMembers(members)) => members,
        Err(error) if error.is_data() => return Err("the line is no JSON object".to_owned()),
        // Give the column only: the library's message may repeat a value.
        Err(error) => return Err(format!("the line is not JSON: column {}", error.column())),
    };
    let mut object = BTreeMap::new();
    for (name, value) in members {
        if !fields.contains(&name.as_str()) {
            return Err(format!("no field is called {name:?}"));
        }
        // Nothing tells which of the two values is meant.
        if object.contains_key(&name) {
            return Err(format!("{name}: the field is repeated"));
        }
        object.insert(name, value);
    }
    let text = |field: &str| match object.get(field) {
        None | Some(RowValue::Plain(Value::Null)) => Ok(None),
        Some(RowValue::Plain(Value::String(text))) => Ok(Some(text.clone())),
        Some(RowValue::Plain(Value::Number(number))) if field == "ttl" => {
            Ok(Some(number.to_string()))
        }
        Some(RowValue::Plain(Value::Bool(yes))) if field == "rawBasic" => Ok(Some(yes.to_string())),
        Some(_) => Err(format!("{field}: a text is needed")),
    };
    let list = |field: &str| match object.get(field) {
        None | Some(RowValue::Plain(Value::Null)) => Ok(vec![]),
        Some(RowValue::Plain(Value::String(text))) => Ok(words(text)),
        Some(RowValue::Plain(Value::Array(parts))) => {
            let texts: Option<Vec<String>> = parts
                .iter()
                .map(|p| p.as_str().map(str::to_owned))
                .collect();
            texts.ok_or_else(|| format!("{field}: a list of texts is needed"))
        }
        Some(_) => Err(format!("{field}: a list of texts is needed")),
    };
    Ok(Row {
        client_id: text("clientId")?.unwrap_or_default(),
        name: text("name")?,
        description: text("description")?,
        owner: text("owner")?,
        labels: labels(object.get("labels"))?,
        secret: text("secret")?,
        secret_hash: text("secretHash")?,
        scopes: list("scopes")?,
        ttl: text("ttl")?,
        plan: text("plan")?,
        audiences: list("audiences")?,
        redirect_uris: list("redirectUris")?,
        user_ids: list("userIds")?,
        expires_at: text("expiresAt")?,
        status: text("status")?,
        raw_basic: text("rawBasic")?,
    })
}

/// Labels: an object whose members are texts, or `key=value` in words.
fn labels(value: Option<&RowValue>) -> Result<Vec<String>, String> {
    let pair = |(key, value): &(String, RowValue)| match value {
        RowValue::Plain(Value::String(value)) => Some(format!("{key}={value}")),
        _ => None,
    };
    let pairs = match value {
        None | Some(RowValue::Plain(Value::Null)) => return Ok(vec![]),
        Some(RowValue::Plain(Value::String(text))) => return Ok(words(text)),
        Some(RowValue::Members(RowMembers(pairs))) => pairs.iter().map(pair).collect(),
        Some(RowValue::Plain(_)) => None,
    };
    pairs.ok_or_else(|| "labels: an object of texts is needed".to_owned())
}

/// The words of a text.
pub(super) fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}
