//! What the configuration means by the audience of a token. Must not know what is served.

use crate::config::Config;
use crate::domain::agent::Audience;
use crate::domain::grant::Policy;

use super::error::AppError;

/// The audience of a token whose request asks for none.
pub(super) fn default_audience(config: &Config) -> Result<Audience, AppError> {
    match &config.token.default_audience {
        Some(audience) => Ok(audience.clone()),
        None => Audience::parse_stored(&config.token.issuer)
            .map_err(|rule| AppError::Other(rule.to_string())),
    }
}

/// The server's rules for tokens.
pub(super) fn policy(config: &Config, default_audience: Audience) -> Policy {
    Policy {
        default_ttl: config.token.default_ttl,
        default_audience,
        risk: config.scopes.clone(),
        secretless: config.limits.secretless_scopes.clone(),
    }
}
