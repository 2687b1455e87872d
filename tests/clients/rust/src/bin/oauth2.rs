//! oauth2: HTTP Basic, form-encoded. It can introspect tokens, and revokes tokens over https only.

use std::error::Error;

use clients::{Given, Outcome, Report, WRONG_SECRET};
use oauth2::basic::{BasicClient, BasicErrorResponseType};
use oauth2::{
    ClientId, ClientSecret, HttpRequest, HttpResponse, IntrospectionUrl, RequestTokenError, Scope,
    TokenIntrospectionResponse, TokenResponse, TokenUrl,
};

/// Sends a request. The library accepts any function that does this.
fn send(request: HttpRequest) -> Result<HttpResponse, ureq::Error> {
    let agent = ureq::Agent::from(
        ureq::config::Config::builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .build(),
    );
    let (head, mut body) = agent.run(request)?.into_parts();
    Ok(HttpResponse::from_parts(head, body.read_to_vec()?))
}

fn main() -> Outcome {
    let given = Given::read()?;
    let mut report = Report::default();
    let log_in = |id: &str, secret: &str| -> Result<_, Box<dyn Error>> {
        Ok(BasicClient::new(ClientId::new(id.to_owned()))
            .set_client_secret(ClientSecret::new(secret.to_owned()))
            .set_token_uri(TokenUrl::new(given.endpoint("token_endpoint"))?)
            .set_introspection_url(IntrospectionUrl::new(
                given.endpoint("introspection_endpoint"),
            )?))
    };
    let client = log_in(&given.client_id, &given.client_secret)?;
    let service = log_in(&given.service_id, &given.service_secret)?;

    let scopes: Vec<Scope> = given
        .scope
        .split(' ')
        .map(|scope| Scope::new(scope.to_owned()))
        .collect();
    let answer = client
        .exchange_client_credentials()
        .add_scopes(scopes.clone())
        .request(&send)?;
    assert_eq!(answer.scopes(), Some(&scopes));
    assert!(
        answer
            .expires_in()
            .is_some_and(|lifetime| lifetime.as_secs() <= 600)
    );
    let token = answer.access_token();
    report.did("token");
    let told = service.introspect(token).request(&send)?;
    assert!(told.active() && told.client_id().is_some_and(|id| **id == given.client_id));
    assert_eq!(told.scopes(), Some(&scopes));
    report.did("introspection");
    given.revoke(token.secret())?;
    assert!(!service.introspect(token).request(&send)?.active());
    report.did("inactive after revocation");

    let wrong = log_in(&given.client_id, WRONG_SECRET)?;
    match wrong.exchange_client_credentials().request(&send) {
        Err(RequestTokenError::ServerResponse(refusal)) => {
            assert_eq!(*refusal.error(), BasicErrorResponseType::InvalidClient);
            assert!(refusal.error_description().is_some());
        }
        other => return Err(format!("a wrong secret: {other:?}").into()),
    }
    report.did("a wrong secret is `InvalidClient`");
    report.done("oauth2")
}
