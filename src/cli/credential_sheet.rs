//! How credentials are shown to people: one row of a list, or all properties of one.

use crate::api::credentials::CredentialJson;

use super::agent_sheet::hint;

/// The columns of a list.
pub(super) const HEAD: [&str; 10] = [
    "id",
    "kind",
    "label",
    "hint",
    "created at",
    "created by",
    "expires at",
    "ended at",
    "ended by",
    "last used at",
];

/// A credential as a row of a list.
pub(super) fn row(credential: &CredentialJson) -> Vec<String> {
    let or_empty = |text: &Option<String>| text.clone().unwrap_or_default();
    vec![
        credential.credential_id.clone(),
        credential.kind.to_owned(),
        or_empty(&credential.label),
        hint(credential),
        credential.created_at.clone(),
        or_empty(&credential.created_by),
        or_empty(&credential.expires_at),
        or_empty(&credential.ended_at),
        or_empty(&credential.ended_by),
        or_empty(&credential.last_used_at),
    ]
}

/// One new credential, one property in each row.
pub(super) fn credential_properties(credential: &CredentialJson) -> Vec<(&'static str, String)> {
    let never = || "never".to_owned();
    vec![
        ("credential id", credential.credential_id.clone()),
        ("kind", credential.kind.to_owned()),
        ("hint", credential.hint.clone()),
        ("label", credential.label.clone().unwrap_or_default()),
        ("created at", credential.created_at.clone()),
        (
            "expires at",
            credential.expires_at.clone().unwrap_or_else(never),
        ),
    ]
}
