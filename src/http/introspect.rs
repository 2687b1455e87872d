//! `POST /api/v1/token/introspect` (RFC 7662, contract §3).

use std::sync::Arc;

use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::domain::refusal::Refusal;
use crate::keys::claims::{Aud, Claims};
use crate::store::Freshness;
use crate::telemetry::metrics;

use super::error::{Challenge, Failure};
use super::extract::{Authorization, Form, Incoming, authorization, client_credentials};
use super::state::State;

const TOKENS_READ: &str = "tokens:read";

#[derive(Serialize)]
struct Reply<'a> {
    active: bool,
    sub: &'a str,
    client_id: &'a str,
    scope: &'a str,
    token_type: &'static str,
    iat: i64,
    exp: i64,
    aud: &'a Aud,
    iss: &'a str,
    jti: &'a str,
}

/// Says whether a token is alive, to a caller that may ask.
pub async fn introspect_token(state: Arc<State>, incoming: Incoming) -> Result<Response, Failure> {
    let authorization = authorization(&incoming.headers)?;
    let form = Form::parse(&incoming.body)?;
    let token = required_token(&form)?;
    let found = if let Authorization::Bearer(bearer) = &authorization {
        refuse_second_method(&form)?;
        state.tokens.introspect_as(bearer, token).await.map_err(|e| Failure::of(e, Challenge::None))?
    } else {
        let Some((credentials, challenge)) = client_credentials(&authorization, &form, incoming.peer)? else {
            return Err(Failure::Refused(Refusal::MissingToken, Challenge::None));
        };
        let failed = |error| Failure::of(error, challenge);
        // No counting statement checks the row here, so it is read fresh.
        let record =
            state.authenticator.authenticate(&credentials, Freshness::Fresh).await.map_err(failed)?;
        record.agent.status.admit().map_err(|refusal| failed(refusal.into()))?;
        if !record.agent.profile.scopes.iter().any(|s| s.as_str() == TOKENS_READ) {
            return Err(failed(Refusal::InsufficientScope(TOKENS_READ).into()));
        }
        state.tokens.introspect(token).await.map_err(failed)?
    };
    metrics::introspection(found.is_some());
    Ok(render(found.as_deref().map(|genuine| &genuine.claims)))
}

/// The `token` parameter that introspection and revocation require.
pub fn required_token<'f>(form: &'f Form<'_>) -> Result<&'f str, Failure> {
    let missing = Refusal::InvalidRequest("The token parameter is required.");
    form.one("token")?.ok_or(Failure::Refused(missing, Challenge::None))
}

/// RFC 6749 §2.3: a Bearer token beside a secret is two methods.
pub fn refuse_second_method(form: &Form<'_>) -> Result<(), Failure> {
    if form.one("client_secret")?.is_some() || form.one("access_token")?.is_some() {
        let two = Refusal::InvalidRequest("More than one authentication method is used.");
        return Err(Failure::Refused(two, Challenge::None));
    }
    Ok(())
}

/// RFC 7662 §2.2: an inactive token is told nothing else about.
fn render(claims: Option<&Claims>) -> Response {
    let body = match claims {
        None => "{\"active\":false}".to_owned(),
        Some(claims) => serde_json::to_string(&Reply {
            active: true,
            sub: &claims.sub,
            client_id: &claims.client_id,
            scope: &claims.scope,
            token_type: "Bearer",
            iat: claims.iat,
            exp: claims.exp,
            aud: &claims.aud,
            iss: &claims.iss,
            jti: &claims.jti,
        })
        // Strings and integers always serialise.
        .unwrap_or_default(),
    };
    let mut response = body.into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
