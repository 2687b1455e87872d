//! The grants: what each reads of a request. Must not know at which endpoint, or how the reply looks.

use url::Url;

use crate::domain::agent::Audience;
use crate::domain::grant::TokenRequest;
use crate::domain::refusal::Refusal;
use crate::domain::scope::parse_scope_list;
use crate::http::parameters::Parameters;
use crate::service::codes::PresentedCode;
use crate::service::issue::Ask;

/// The most audiences that a request may ask for: a token carries few, and a list of thousands must cost nothing.
const MAX_AUDIENCES: usize = 32;

/// A way to be granted a token (RFC 6749 §1.3).
pub(crate) struct GrantType {
    /// The value of `grant_type`.
    pub name: &'static str,
    /// What its clients may send, besides what proves them.
    pub known: &'static [&'static str],
    /// Reads what is asked for, and what it is asked on.
    pub read: fn(&Parameters<'_>) -> Result<Ask, Refusal>,
}

/// RFC 6749 §4.4: a token of the agent's own.
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

/// RFC 6749 §4.1.3: the token that a code stands for, with the names of AIRisk's clients and RFC 7636's verifier.
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

/// What every grant may ask for: `scope`, `audience` and `resource`. The latter two may repeat (RFC 8693
/// §2.1, RFC 8707 §2), and an `audience` may hold several between spaces, as clients with one field send
/// them.
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

/// RFC 8707 §2: a resource is an absolute URI without fragment.
fn is_absolute_uri(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| url.fragment().is_none())
}
