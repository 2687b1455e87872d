//! `GET /openapi` on the operators' listener: the OpenAPI document as a page for people.

use std::sync::Arc;

use axum::http::header::{
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};

use crate::http::error::Failure;
use crate::http::incoming::Incoming;
use crate::http::openapi::pages;
use crate::http::state::State;

/// The page. It is made for each request, since few ask for it.
pub(crate) async fn get_openapi_page(state: Arc<State>, _: Incoming) -> Result<Response, Failure> {
    let document = serde_json::from_slice(&state.openapi.document().body)?;
    let policy = HeaderValue::from_str(&pages::content_security_policy())?;
    let mut response = pages::write(&document).into_response();
    let fixed: [(HeaderName, &'static str); 3] = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
    ];
    let headers = response.headers_mut();
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(CONTENT_SECURITY_POLICY, policy);
    Ok(response)
}
