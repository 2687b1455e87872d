//! Which methods and bodies a route reads. Must not know what it does with them.

use axum::http::Method;

/// Which request bodies a route reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepts {
    /// None: GET (and HEAD).
    Nothing,
    /// None, for a document that scripts of any origin may read: GET and HEAD, and OPTIONS, by which they
    /// ask whether they may.
    Public,
    /// POST of `application/x-www-form-urlencoded`.
    Form,
    /// POST of a form or of a JSON object (`application/json`).
    FormOrJson,
    /// Any method, and no body: there is nothing here that a method could do.
    Any,
    /// Any method, which is another's, and no body: a gateway may announce one that it does not send.
    Relayed,
}

impl Accepts {
    /// Whether the route answers this method.
    pub fn allows(self, method: &Method) -> bool {
        let is_read = method == Method::GET || method == Method::HEAD;
        match self {
            Self::Nothing => is_read,
            Self::Public => is_read || method == Method::OPTIONS,
            Self::Form | Self::FormOrJson => method == Method::POST,
            Self::Any | Self::Relayed => true,
        }
    }

    /// What `Allow` says to any other method (RFC 9110 §15.5.6).
    pub fn allow(self) -> &'static str {
        match self {
            Self::Nothing => "GET, HEAD",
            Self::Public => "GET, HEAD, OPTIONS",
            Self::Form | Self::FormOrJson => "POST",
            Self::Any | Self::Relayed => "",
        }
    }
}
