//! Authorization server metadata (RFC 8414): the document, and the issuer's path.
//!
//! Must not know where the document is served.

use serde_json::json;
use url::Url;

use crate::document::Document;
use crate::domain::scope::BUILT_IN;
use crate::keys::client_algorithm::ClientAlgorithm;

/// The document. It is made once, because nothing in it changes while the process runs.
pub struct ServerMetadata {
    document: Document,
    issuer: String,
}

impl ServerMetadata {
    /// Makes the document for this issuer. The document holds the issuer's text exactly as
    /// configured.
    pub fn new(issuer: &str) -> Self {
        let methods = ["client_secret_basic", "client_secret_post"];
        // Only the statement that counts a token can spend an assertion.
        let token_methods = [&methods[..], &["private_key_jwt"]].concat();
        let algorithms = ClientAlgorithm::ALL.map(ClientAlgorithm::as_str);
        let scopes: Vec<&str> = BUILT_IN.iter().map(|b| b.name).collect();
        let document = json!({
            "issuer": issuer,
            // MCP SDKs and OpenID libraries refuse a document that lacks one of the next three
            // members, or that has an empty list of response types. The endpoint named here never
            // issues a code. `/api/oauth2` issues codes, for clients that know that path, and all
            // these members apply to its codes.
            "authorization_endpoint": format!("{issuer}/oauth/authorize"),
            "response_types_supported": ["code"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": true,
            "token_endpoint": format!("{issuer}/api/v1/token"),
            "token_endpoint_auth_methods_supported": token_methods,
            "token_endpoint_auth_signing_alg_values_supported": algorithms,
            "introspection_endpoint": format!("{issuer}/api/v1/token/introspect"),
            "introspection_endpoint_auth_methods_supported": methods,
            "revocation_endpoint": format!("{issuer}/api/v1/token/revoke"),
            "revocation_endpoint_auth_methods_supported": methods,
            // RFC 8414 §2 lets a server add members of its own.
            "sealwright_revocation_list": format!("{issuer}/api/v1/token/revoked"),
            "jwks_uri": format!("{issuer}/.well-known/jwks.json"),
            "grant_types_supported": ["client_credentials"],
            "scopes_supported": scopes,
            "subject_types_supported": ["public"],
            // Some resource servers take their list of allowed algorithms from here.
            "id_token_signing_alg_values_supported": ["RS256"],
        });
        Self {
            document: Document::new(document.to_string()),
            issuer: issuer.to_owned(),
        }
    }

    /// The document.
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// The issuer, as configured.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The issuer's path. `None` if the issuer has no path. Also `None` if the routes below that
    /// path would hide the metadata documents, or would let a request pass that a gateway asks
    /// about.
    pub fn path_of_issuer(&self) -> Option<String> {
        let url = Url::parse(&self.issuer).ok()?;
        let path = url.path().trim_end_matches('/');
        let first = path.split('/').nth(1)?;
        // The URL parser percent-encodes braces, which would otherwise be a pattern of the router.
        (first != ".well-known" && first != "forward-auth").then(|| path.to_owned())
    }
}
