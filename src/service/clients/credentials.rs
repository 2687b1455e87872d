//! What a client sent to prove itself, before anybody has looked whether it does.

use std::net::IpAddr;

use crate::domain::credential::Credential;
use crate::domain::id::ClientId;

use super::secret::Secret;

/// What a client sent to prove itself.
#[derive(Debug)]
pub struct ClientCredentials {
    /// Whose it claims to be.
    pub client_id: ClientId,
    /// The secret as sent; `None` when it is empty, too long or holds a NUL: it matches nothing.
    pub secret: Option<Secret>,
    /// The secret as it stood in HTTP Basic, where form-decoding changed it.
    pub raw_secret: Option<Secret>,
    /// Where the request came from, for the limit on failures.
    pub source: Option<IpAddr>,
}

impl ClientCredentials {
    /// Takes what was sent.
    pub fn new(client_id: ClientId, secret: &str, source: Option<IpAddr>) -> Self {
        Self {
            client_id,
            secret: Secret::parse(secret).ok(),
            raw_secret: None,
            source,
        }
    }

    /// With the secret as it stood in HTTP Basic, where form-decoding changed it.
    #[must_use]
    pub fn with_raw_secret(self, raw: Option<&str>) -> Self {
        Self {
            raw_secret: raw.and_then(|raw| Secret::parse(raw).ok()),
            ..self
        }
    }

    /// What is to be compared with this credential: one of the two, so that no request costs two hashes.
    pub(super) fn secret_for<'a>(
        &'a self,
        credential: &Credential,
        decoded: &'a Secret,
    ) -> &'a Secret {
        self.raw_secret
            .as_ref()
            .filter(|_| credential.raw_basic)
            .unwrap_or(decoded)
    }
}
