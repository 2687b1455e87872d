//! Which methods a route answers, and which bodies it reads. Must not know what it does with them.

use axum::http::Method;

/// The methods of one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Methods {
    /// GET, and HEAD as every GET answers it.
    Get,
    /// GET and HEAD of a document that scripts of any origin may read, and OPTIONS, by which they ask whether they may.
    PublicGet,
    /// POST.
    Post,
    /// All, since a gateway passes its client's method on, or since there is nothing here that a method could do.
    Any,
}

impl Methods {
    /// Whether the row answers this method.
    pub fn allows(self, method: &Method) -> bool {
        self == Self::Any || self.names().contains(&method.as_str())
    }

    /// Their names, for `Allow` (RFC 9110 §10.2.1).
    pub fn names(self) -> &'static [&'static str] {
        match self {
            Self::Get => &["GET", "HEAD"],
            Self::PublicGet => &["GET", "HEAD", "OPTIONS"],
            Self::Post => &["POST"],
            Self::Any => &[],
        }
    }
}

/// Which request bodies a route reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reads {
    /// None.
    Nothing,
    /// `application/x-www-form-urlencoded`.
    Form,
    /// A form or a JSON object (`application/json`).
    FormOrJson,
    /// None, and a gateway may announce one that it does not send.
    Relayed,
}

impl Reads {
    /// Whether a client may prove itself in the body.
    pub fn takes_credentials(self) -> bool {
        matches!(self, Self::Form | Self::FormOrJson)
    }
}
