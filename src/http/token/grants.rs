//! The grants: what each grant reads from a request. Must not know the endpoint, or how the
//! response looks.

use url::Url;

use crate::domain::agent::Audience;
use crate::domain::grant::TokenRequest;
use crate::domain::refusal::Refusal;
use crate::domain::scope::parse_scope_list;
use crate::http::parameters::Parameters;
use crate::service::codes::PresentedCode;
use crate::service::issue::Ask;

/// The most audiences that a request may ask for: a token has few, and a list of thousands must
/// cost nothing.
const MAX_AUDIENCES: usize = 32;

/// A way to be granted a token (RFC 6749 §1.3). Its fields are private, so that only this file makes
/// one: a grant that a dialect made could read the request in its own way.
pub(crate) struct GrantType {
    name: &'static str,
    known: &'static [&'static str],
    read: fn(&Parameters<'_>) -> Result<Ask, Refusal>,
}

impl GrantType {
    /// The value of `grant_type`.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// The parameters that clients may send besides their credentials.
    pub(crate) const fn known(&self) -> &'static [&'static str] {
        self.known
    }

    /// Reads what the request asks for, and the code that it presents, if any.
    pub(crate) fn read(&self, parameters: &Parameters<'_>) -> Result<Ask, Refusal> {
        (self.read)(parameters)
    }
}

/// RFC 6749 §4.4: a token for the agent itself.
pub(crate) static CLIENT_CREDENTIALS: GrantType = GrantType {
    name: "client_credentials",
    known: &["grant_type", "scope", "audience", "resource"],
    read: |parameters| {
        Ok(Ask {
            request: read_request(parameters)?,
            code: None,
        })
    },
};

/// RFC 6749 §4.1.3: exchanges a code for its token. The parameters have the names that AIRisk's
/// clients use, and `code_verifier` is RFC 7636's.
pub(crate) static AUTHORIZATION_CODE: GrantType = GrantType {
    name: "authorization_code",
    known: &[
        "grant_type",
        "redirect_uri",
        "code",
        "userid",
        "code_verifier",
        "scope",
        "audience",
        "resource",
    ],
    read: |parameters| {
        let code = PresentedCode {
            redirect_uri: parameters.required("redirect_uri")?.to_owned(),
            code: parameters.required("code")?.to_owned(),
            user: parameters.one("userid")?.map(str::to_owned),
            verifier: parameters.one("code_verifier")?.map(str::to_owned),
        };
        Ok(Ask {
            request: read_request(parameters)?,
            code: Some(code),
        })
    },
};

/// What a request may ask for with any grant: `scope`, `audience` and `resource`. `audience` and
/// `resource` may repeat (RFC 8693 §2.1, RFC 8707 §2). One `audience` may hold several audiences,
/// separated by spaces, because some clients have only one field for them.
fn read_request(form: &Parameters<'_>) -> Result<TokenRequest, Refusal> {
    let scopes = match form.one("scope")? {
        None => None,
        Some(text) => match parse_scope_list(text) {
            Ok(scopes) => Some(scopes),
            Err(_) => return Err(Refusal::MalformedScope),
        },
    };
    let mut audience: Vec<Audience> = Vec::new();
    let named = form
        .all("audience")?
        .into_iter()
        .flat_map(|text| text.split(' '));
    let named = named
        .filter(|text| !text.is_empty())
        .map(|text| ("audience", text));
    let resources = form
        .all("resource")?
        .into_iter()
        .map(|text| ("resource", text));
    for (name, text) in named.chain(resources) {
        match Audience::parse(text) {
            Ok(one) if name == "audience" || is_absolute_uri(text) => {
                if !audience.contains(&one) {
                    audience.push(one);
                }
            }
            _ => return Err(Refusal::MalformedTarget(name)),
        }
        if audience.len() > MAX_AUDIENCES {
            return Err(Refusal::InvalidTarget);
        }
    }
    Ok(TokenRequest { scopes, audience })
}

/// RFC 8707 §2: a resource is an absolute URI without a fragment.
fn is_absolute_uri(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| url.fragment().is_none())
}
