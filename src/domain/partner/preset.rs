//! Presets: what is known of the tokens of widespread platforms. A preset fills what an operator
//! leaves out.
//!
//! Each requires a claim that is never given to anybody else: names of accounts, repositories and
//! namespaces can be registered anew.

use crate::domain::Invalid;

use super::pointer::ClaimPointer;
use super::source::{JwksUri, PartnerIssuer};
use super::terms::{AlgorithmName, MaxAge, PartnerAlgorithms, RequiredClaims};

/// A kind of platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartnerPreset {
    /// Any issuer: the subject is pinned as a whole.
    Generic,
    /// GitHub Actions of github.com.
    GitHub,
    /// Service accounts of a Kubernetes cluster.
    Kubernetes,
}

impl PartnerPreset {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Generic, Self::GitHub, Self::Kubernetes];

    /// The word in stores and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Generic => "generic",
            Self::GitHub => "github",
            Self::Kubernetes => "kubernetes",
        }
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let known = Self::ALL.into_iter().find(|one| one.as_str() == text);
        known.ok_or(Invalid("a preset is generic, github or kubernetes"))
    }

    /// The issuer, if there is only one.
    pub(crate) fn issuer(self) -> Option<PartnerIssuer> {
        match self {
            Self::GitHub => {
                PartnerIssuer::parse("https://token.actions.githubusercontent.com").ok()
            }
            Self::Generic | Self::Kubernetes => None,
        }
    }

    /// Where the keys are, if the issuer is known.
    pub(super) fn jwks_uri(self) -> Option<JwksUri> {
        let known = "https://token.actions.githubusercontent.com/.well-known/jwks";
        match self {
            Self::GitHub => JwksUri::parse(known).ok(),
            Self::Generic | Self::Kubernetes => None,
        }
    }

    /// The claims that each credential pins.
    pub(super) fn required_claims(self) -> Option<RequiredClaims> {
        let claim = match self {
            Self::Generic => "/sub",
            Self::GitHub => "/repository_owner_id",
            Self::Kubernetes => "/kubernetes.io/serviceaccount/uid",
        };
        RequiredClaims::new(vec![ClaimPointer::parse(claim).ok()?]).ok()
    }

    /// The algorithms, if the platform has chosen one.
    pub(super) fn algorithms(self) -> Option<PartnerAlgorithms> {
        match self {
            Self::GitHub => PartnerAlgorithms::new(vec![AlgorithmName::parse("RS256").ok()?]).ok(),
            // A cluster signs with the keys that its operator made.
            Self::Generic | Self::Kubernetes => None,
        }
    }

    /// How old tokens may be.
    pub(super) fn max_age(self) -> MaxAge {
        match self {
            // They live five minutes.
            Self::GitHub => MaxAge::new(600).unwrap_or(MaxAge::DEFAULT),
            // A kubelet renews the file of a token of an hour after 48 minutes.
            Self::Generic | Self::Kubernetes => MaxAge::DEFAULT,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_is_found_by_its_word_and_requires_a_claim() {
        for preset in PartnerPreset::ALL {
            assert_eq!(PartnerPreset::parse(preset.as_str()), Ok(preset));
            assert_eq!(preset.required_claims().unwrap().as_slice().len(), 1);
        }
        assert!(PartnerPreset::parse("GitHub").is_err());
        let github = PartnerPreset::GitHub;
        assert!(github.issuer().is_some() && github.jwks_uri().is_some());
        assert!(github.algorithms().is_some());
        assert_eq!(github.max_age().secs(), 600);
    }
}
