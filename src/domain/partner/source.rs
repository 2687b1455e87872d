//! Where a partner's tokens and keys come from: its issuer, and its keys or their address. Must not
//! know how keys are fetched.

use url::Url;

use crate::domain::Invalid;
use crate::domain::agent::is_written_as_uri;
use crate::domain::credential::PublicKeys;

/// The longest issuer in bytes.
const MAX_ISSUER_BYTES: usize = 512;

/// The longest address of a key set in bytes.
const MAX_JWKS_URI_BYTES: usize = 1_024;

/// The `iss` of a partner's tokens (RFC 7519 §4.1.1), compared byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartnerIssuer(Box<str>);

impl PartnerIssuer {
    /// Accepts an https URL without user, query and fragment.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let fault = Invalid(
            "an issuer is an https:// URL of at most 512 characters, without user, query and fragment",
        );
        let url = https_url(text, MAX_ISSUER_BYTES).ok_or(fault)?;
        if url.query().is_some() {
            return Err(fault);
        }
        Ok(Self(text.into()))
    }

    /// The issuer as its tokens write it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is the same URL, in whatever way each of them is written: with capitals in the host,
    /// with the default port, or with slashes at the end.
    pub fn is_same_url(&self, other: &str) -> bool {
        let plain = |text: &str| {
            let url = Url::parse(text).ok()?;
            Some(url.as_str().trim_end_matches('/').to_owned())
        };
        plain(&self.0).is_some_and(|own| Some(own) == plain(other))
    }
}

/// Where a partner publishes its keys (RFC 7517 §5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwksUri(Box<str>);

impl JwksUri {
    /// Accepts an https URL without user and fragment.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let fault = Invalid(
            "the address of a key set is an https:// URL of at most 1024 characters, without user and fragment",
        );
        https_url(text, MAX_JWKS_URI_BYTES).ok_or(fault)?;
        Ok(Self(text.into()))
    }

    /// The address as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The URL that the text writes in the usual way: `https://` in small letters and a host, without
/// user and fragment.
fn https_url(text: &str, most: usize) -> Option<Url> {
    let rest = text.strip_prefix("https://")?;
    if text.len() > most || !is_written_as_uri(text) || rest.starts_with('/') {
        return None;
    }
    let url = Url::parse(text).ok()?;
    let has_user = !url.username().is_empty() || url.password().is_some();
    let is_plain = url.has_host() && !has_user && url.fragment().is_none();
    is_plain.then_some(url)
}

/// Keys that an operator handed in for a partner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartnerKeySet {
    /// The keys.
    pub keys: PublicKeys,
    /// Their RFC 7638 thumbprints, joined by spaces.
    pub thumbprints: Box<str>,
}

/// Where the keys come from that verify a partner's tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// They are fetched from this address.
    Uri(JwksUri),
    /// They were handed in.
    Set(PartnerKeySet),
}

impl KeySource {
    /// The address, if they are fetched.
    pub fn uri(&self) -> Option<&JwksUri> {
        match self {
            Self::Uri(uri) => Some(uri),
            Self::Set(_) => None,
        }
    }

    /// The keys, if they were handed in.
    pub fn set(&self) -> Option<&PartnerKeySet> {
        match self {
            Self::Uri(_) => None,
            Self::Set(set) => Some(set),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_url_may_be_written_in_several_ways() {
        let own = "https://as.example/tenant";
        for (text, is_same) in [
            ("https://as.example/tenant", true),
            ("https://AS.example/tenant/", true),
            ("https://as.example:443/tenant", true),
            ("https://as.example/a/../tenant", true),
            ("https://as.example/Tenant", false),
            ("https://as.example:8443/tenant", false),
            ("https://as.example", false),
            ("https://as.example.evil.example/tenant", false),
        ] {
            let issuer = PartnerIssuer::parse(text).unwrap();
            assert_eq!(issuer.is_same_url(own), is_same, "{text}");
        }
        let issuer = PartnerIssuer::parse("https://localhost").unwrap();
        assert!(!issuer.is_same_url("http://localhost") && !issuer.is_same_url("no url"));
    }

    #[test]
    fn issuers_and_addresses_are_https_urls() {
        for good in [
            "https://token.actions.githubusercontent.com",
            "https://kubernetes.default.svc.cluster.local",
            "https://oidc.eks.eu-west-1.amazonaws.com/id/ABC",
            "https://[::1]:6443/",
        ] {
            assert_eq!(PartnerIssuer::parse(good).unwrap().as_str(), good);
            assert!(JwksUri::parse(good).is_ok(), "{good}");
        }
        let long = format!("https://a.example/{}", "a".repeat(1_024));
        for bad in [
            "",
            "a.example",
            "http://a.example",
            "HTTPS://a.example",
            "https:a.example",
            "https://",
            "https:///a",
            "https://u@a.example",
            "https://u:p@a.example",
            "https://a.example#f",
            "https://a.example\\b",
            "https://a b",
            "https://a.example/%zz",
            "https://a.example/\n",
            "file:///etc/passwd",
            &long,
        ] {
            assert!(PartnerIssuer::parse(bad).is_err(), "{bad:?}");
            assert!(JwksUri::parse(bad).is_err(), "{bad:?}");
        }
        let queried = "https://a.example/keys?p=b2c";
        assert!(PartnerIssuer::parse(queried).is_err() && JwksUri::parse(queried).is_ok());
    }
}
