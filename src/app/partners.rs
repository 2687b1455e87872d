//! Builds the operations on partners, and what fetches their keys.

use std::sync::Arc;

use crate::config::Config;
use crate::outbound::fetch::Fetcher;
use crate::outbound::trust::Trust;
use crate::service::clients::assertion::Assertions;
use crate::service::clients::partner_token::PartnerTokens;
use crate::service::manage::partners::Partners;
use crate::service::partner_key_cache::PartnerKeyCache;

use super::error::AppError;
use super::open::Opened;

impl Opened {
    /// The operations on partners.
    pub fn partners(&self, config: &Config) -> Partners {
        Partners::new(
            Arc::clone(&self.store),
            Arc::clone(&self.records),
            Arc::clone(&self.clock),
            Arc::clone(&self.entropy),
            &config.token.issuer,
            config.limits.partners_per_org,
        )
    }
}

impl Opened {
    /// What authenticates by assertions.
    pub fn assertions(&self, config: &Config) -> Result<Assertions, AppError> {
        let (store, issuer) = (&self.store, &config.token.issuer);
        let clock = Arc::clone(&self.clock);
        let (fetcher, without_system) = self.fetcher(config)?;
        if let Some(why) = without_system {
            tracing::warn!("{why}");
        }
        let keys = Arc::new(PartnerKeyCache::new(fetcher, clock));
        let records = Arc::clone(&self.records);
        let partners = PartnerTokens::new(Arc::clone(store), records, keys, issuer);
        Ok(Assertions::new(Arc::clone(store), issuer, partners))
    }

    /// What makes requests of others, as configured, and what is wrong with the authorities of the system,
    /// in words for an operator.
    pub(crate) fn fetcher(&self, config: &Config) -> Result<(Fetcher, Option<String>), AppError> {
        let outbound = &config.outbound;
        let system = outbound.system_certs.as_deref();
        let loaded = Trust::load(system, outbound.ca_cert.as_deref());
        let loaded = loaded.map_err(|fault| AppError::Other(fault.to_string()))?;
        let whose = match system {
            Some(_) => "the file that the environment variable SSL_CERT_FILE names",
            None => "the system's file of authorities",
        };
        let told = loaded.without_system.map(|fault| {
            format!(
                "{whose} cannot be used, so no authority but outbound.ca_cert is trusted: {fault}"
            )
        });
        let network = Arc::clone(&self.network);
        Ok((
            Fetcher::new(outbound.allow.clone(), loaded.trust, network),
            told,
        ))
    }
}
