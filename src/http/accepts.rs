//! Which methods a route answers, and which bodies it reads. Must not know what it does with them.

use axum::http::Method;

/// The methods of one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Methods {
    /// GET, and HEAD, which every GET route answers.
    Get,
    /// GET and HEAD of a document that scripts of any origin may read, and OPTIONS, with which
    /// scripts ask whether they may read.
    PublicGet,
    /// POST.
    Post,
    /// PUT.
    Put,
    /// PATCH.
    Patch,
    /// DELETE.
    Delete,
    /// All methods: a gateway passes its client's method on, or the method makes no difference.
    Any,
}

impl Methods {
    /// Whether the row answers this method.
    pub fn allows(self, method: &Method) -> bool {
        self == Self::Any || self.names().contains(&method.as_str())
    }

    /// The names of the methods, for `Allow` (RFC 9110 §10.2.1).
    pub fn names(self) -> &'static [&'static str] {
        match self {
            Self::Get => &["GET", "HEAD"],
            Self::PublicGet => &["GET", "HEAD", "OPTIONS"],
            Self::Post => &["POST"],
            Self::Put => &["PUT"],
            Self::Patch => &["PATCH"],
            Self::Delete => &["DELETE"],
            Self::Any => &[],
        }
    }
}

/// Which request bodies a route reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reads {
    /// No body.
    Nothing,
    /// `application/x-www-form-urlencoded`.
    Form,
    /// A form or a JSON object (`application/json`).
    FormOrJson,
    /// A JSON object of the management API (`application/json`), or no body.
    Json,
    /// A JSON Merge Patch (RFC 7396; `application/merge-patch+json`), also as `application/json`,
    /// or no body.
    MergePatch,
    /// No body. A gateway may still announce a body that it does not send.
    Relayed,
}

impl Reads {
    /// Whether the body is JSON alone. Such a body may be absent: the operation decides what that
    /// means.
    pub fn is_json(self) -> bool {
        matches!(self, Self::Json | Self::MergePatch)
    }

    /// The media types of such a body.
    pub fn json_types(self) -> &'static [&'static str] {
        match self {
            Self::MergePatch => &["application/merge-patch+json", "application/json"],
            _ => &["application/json"],
        }
    }

    /// Whether a client may send its credentials in the body.
    pub fn takes_credentials(self) -> bool {
        matches!(self, Self::Form | Self::FormOrJson)
    }
}
