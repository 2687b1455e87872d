//! Checks the tokens of a server as a resource server would: by the keys that the server publishes.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{AlgorithmParameters, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::Deserialize;

use crate::seed::Agent;
use crate::{Fallible, wire};

use super::table::Endpoint;

/// The size of the keys in bytes: RSA of 2,048 bits.
const MODULUS_LENGTH: usize = 256;

/// How many clients ask for a token that is checked.
const CHECKED: usize = 8;

#[derive(Deserialize)]
struct Claims {
    jti: String,
    sub: String,
}

/// A token request as all servers understand it.
pub fn token_request(endpoint: &Endpoint, client: &Agent) -> Vec<u8> {
    let form = format!(
        "grant_type=client_credentials&client_id={}&client_secret={}&scope=agents:read",
        client.id, client.secret
    );
    wire::post(endpoint.token_path, "", &form)
}

/// Fails unless every token has a signature by a published key of the right kind and size, the
/// right issuer, an expiry to come and an identity of its own.
pub fn check_tokens(
    address: SocketAddr,
    endpoint: &Endpoint,
    issuer: &str,
    clients: &[Agent],
) -> Fallible<()> {
    let reply = wire::ask_once(address, &wire::get(endpoint.keys_path, ""))?;
    let keys: JwkSet = serde_json::from_slice(&reply.body)?;
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_issuer(&[issuer]);
    validation.set_required_spec_claims(&["exp", "iss"]);
    validation.validate_aud = false;
    validation.leeway = 0;
    let (mut tokens, mut subjects) = (BTreeSet::new(), BTreeSet::new());
    let clients = &clients[..clients.len().min(CHECKED)];
    for client in clients {
        let reply = wire::ask_once(address, &token_request(endpoint, client))?;
        let token = reply.text("access_token")?;
        let kid = decode_header(&token)?.kid.ok_or("a token names no key")?;
        let key = keys
            .find(&kid)
            .ok_or("a token names a key that is not published")?;
        let AlgorithmParameters::RSA(parameters) = &key.algorithm else {
            return Err("a token is not signed by an RSA key".into());
        };
        let modulus = URL_SAFE_NO_PAD.decode(&parameters.n)?;
        if modulus.len() != MODULUS_LENGTH {
            return Err(format!("a key has {} bytes", modulus.len()).into());
        }
        let key = DecodingKey::from_jwk(key)?;
        let claims = decode::<Claims>(&token, &key, &validation)?.claims;
        tokens.insert(claims.jti);
        subjects.insert(claims.sub);
    }
    if tokens.len() != clients.len() || subjects.len() != clients.len() {
        return Err("two clients have the same token".into());
    }
    Ok(())
}
