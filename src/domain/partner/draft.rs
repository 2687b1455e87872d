//! A partner as an operator describes it: what was left out is filled from its preset, and all
//! faults are told. Must not know who asks.

use crate::domain::rejection::FieldError;

use super::preset::PartnerPreset;
use super::record::{Partner, PartnerTerms};
use super::source::{JwksUri, KeySource, PartnerIssuer, PartnerKeySet};
use super::terms::{MaxAge, PartnerAlgorithms, PartnerAudiences, PartnerName, RequiredClaims};

const EITHER: &str = "a partner has either `jwksUri` or `jwks`";
const NO_KEYS: &str = "is missing: where the keys are, or the keys themselves as `jwks`";
const NO_ISSUER: &str = "is missing";
const NO_CLAIMS: &str =
    "is missing: which claims each credential pins, or a preset that knows them";

/// A partner to be made.
#[derive(Debug, Clone)]
pub struct PartnerDraft {
    /// Its name.
    pub name: PartnerName,
    /// Its issuer.
    pub issuer: Option<PartnerIssuer>,
    /// Where its keys are.
    pub jwks_uri: Option<JwksUri>,
    /// Its keys.
    pub jwks: Option<PartnerKeySet>,
    /// The audiences; this server's issuer without them.
    pub audiences: Option<PartnerAudiences>,
    /// The claims that each credential pins.
    pub required_claims: Option<RequiredClaims>,
    /// The algorithms.
    pub algorithms: Option<PartnerAlgorithms>,
    /// How old its tokens may be.
    pub max_age: Option<MaxAge>,
    /// What fills the rest.
    pub preset: Option<PartnerPreset>,
}

impl PartnerDraft {
    /// The issuer and the terms, or everything that is missing or contradicts.
    pub fn complete(self) -> Result<(PartnerIssuer, PartnerTerms), Vec<FieldError>> {
        let preset = self.preset;
        let issuer = self.issuer.or(preset.and_then(PartnerPreset::issuer));
        let keys = match (self.jwks_uri, self.jwks) {
            (Some(_), Some(_)) => Err(FieldError::new("/jwks", EITHER)),
            (Some(uri), None) => Ok(KeySource::Uri(uri)),
            (None, Some(set)) => Ok(KeySource::Set(set)),
            (None, None) => known_keys(preset).ok_or(FieldError::new("/jwksUri", NO_KEYS)),
        };
        let claims = self
            .required_claims
            .or(preset.and_then(PartnerPreset::required_claims));
        match (issuer, keys, claims) {
            (Some(issuer), Ok(keys), Some(required_claims)) => {
                let known = preset.and_then(PartnerPreset::algorithms);
                let terms = PartnerTerms {
                    name: self.name,
                    keys,
                    audiences: self.audiences,
                    required_claims,
                    algorithms: self.algorithms.or(known),
                    max_age: self.max_age.unwrap_or_else(|| default_age(preset)),
                };
                Ok((issuer, terms))
            }
            (issuer, keys, claims) => {
                let mut errors = Vec::new();
                if issuer.is_none() {
                    errors.push(FieldError::new("/issuer", NO_ISSUER));
                }
                errors.extend(keys.err());
                if claims.is_none() {
                    errors.push(FieldError::new("/requiredClaims", NO_CLAIMS));
                }
                Err(errors)
            }
        }
    }
}

/// The changes to a partner. `None` leaves a value as it is, and `Some(None)` makes it what creation
/// would have made it without the value.
#[derive(Debug, Clone, Default)]
#[expect(
    clippy::option_option,
    reason = "a patch leaves, removes or sets a value"
)]
pub struct PartnerPatch {
    /// Its name.
    pub name: Option<PartnerName>,
    /// Where its keys are. It takes the place of `jwks`.
    pub jwks_uri: Option<Option<JwksUri>>,
    /// Its keys. They take the place of `jwks_uri`.
    pub jwks: Option<Option<PartnerKeySet>>,
    /// The audiences.
    pub audiences: Option<Option<PartnerAudiences>>,
    /// The claims that each credential pins.
    pub required_claims: Option<Option<RequiredClaims>>,
    /// The algorithms.
    pub algorithms: Option<Option<PartnerAlgorithms>>,
    /// How old its tokens may be.
    pub max_age: Option<Option<MaxAge>>,
}

impl PartnerPatch {
    /// The terms after the change, or everything that must not be.
    pub fn apply(&self, partner: &Partner) -> Result<PartnerTerms, Vec<FieldError>> {
        let (preset, old) = (partner.preset, &partner.terms);
        let mut errors = Vec::new();
        let keys = self.keys(&old.keys, preset);
        let claims = match &self.required_claims {
            None => Some(old.required_claims.clone()),
            Some(Some(claims)) => Some(claims.clone()),
            Some(None) => preset.and_then(PartnerPreset::required_claims),
        };
        if claims.is_none() {
            errors.push(FieldError::new("/requiredClaims", "cannot be removed"));
        }
        let keys = keys.map_err(|error| errors.push(error)).ok();
        let (Some(keys), Some(required_claims)) = (keys, claims) else {
            return Err(errors);
        };
        let algorithms = match &self.algorithms {
            None => old.algorithms.clone(),
            Some(given) => given.clone().or(preset.and_then(PartnerPreset::algorithms)),
        };
        Ok(PartnerTerms {
            name: self.name.clone().unwrap_or_else(|| old.name.clone()),
            keys,
            audiences: self.audiences.clone().unwrap_or(old.audiences.clone()),
            required_claims,
            algorithms,
            max_age: match self.max_age {
                None => old.max_age,
                Some(given) => given.unwrap_or_else(|| default_age(preset)),
            },
        })
    }

    fn keys(
        &self,
        old: &KeySource,
        preset: Option<PartnerPreset>,
    ) -> Result<KeySource, FieldError> {
        match (&self.jwks_uri, &self.jwks) {
            (Some(Some(_)), Some(Some(_))) => Err(FieldError::new("/jwks", EITHER)),
            (Some(Some(uri)), _) => Ok(KeySource::Uri(uri.clone())),
            (_, Some(Some(set))) => Ok(KeySource::Set(set.clone())),
            (removes_uri, removes_set) => {
                let removed = match old {
                    KeySource::Uri(_) => removes_uri.is_some().then_some("/jwksUri"),
                    KeySource::Set(_) => removes_set.is_some().then_some("/jwks"),
                };
                let Some(place) = removed else {
                    return Ok(old.clone());
                };
                known_keys(preset).ok_or(FieldError::new(place, "cannot be removed"))
            }
        }
    }
}

fn known_keys(preset: Option<PartnerPreset>) -> Option<KeySource> {
    preset.and_then(PartnerPreset::jwks_uri).map(KeySource::Uri)
}

fn default_age(preset: Option<PartnerPreset>) -> MaxAge {
    preset.map_or(MaxAge::DEFAULT, PartnerPreset::max_age)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::super::terms::{PartnerId, PartnerStatus};
    use super::*;
    use crate::domain::credential::PublicKeys;
    use crate::domain::org::OrgId;
    use crate::domain::time::Timestamp;

    fn draft(preset: Option<PartnerPreset>) -> PartnerDraft {
        PartnerDraft {
            name: PartnerName::parse("n").unwrap(),
            issuer: None,
            jwks_uri: None,
            jwks: None,
            audiences: None,
            required_claims: None,
            algorithms: None,
            max_age: None,
            preset,
        }
    }

    fn places(errors: &[FieldError]) -> Vec<&str> {
        errors.iter().map(|error| &*error.field).collect()
    }

    fn uri() -> JwksUri {
        JwksUri::parse("https://k8s.example/openid/v1/jwks").unwrap()
    }

    fn set() -> PartnerKeySet {
        PartnerKeySet {
            keys: PublicKeys("{}".into()),
            thumbprints: "t".into(),
        }
    }

    fn partner(preset: Option<PartnerPreset>, keys: KeySource) -> Partner {
        let (_, terms) = draft(Some(PartnerPreset::GitHub)).complete().unwrap();
        Partner {
            partner_id: PartnerId(Uuid::nil()),
            org_id: OrgId::default(),
            issuer: PartnerIssuer::parse("https://k8s.example").unwrap(),
            preset,
            terms: PartnerTerms { keys, ..terms },
            status: PartnerStatus::Active,
            version: 1,
            created_at: Timestamp(0),
            updated_at: Timestamp(0),
        }
    }

    #[test]
    fn a_preset_fills_what_was_left_out_and_nothing_else() {
        let (issuer, terms) = draft(Some(PartnerPreset::GitHub)).complete().unwrap();
        assert_eq!(
            issuer.as_str(),
            "https://token.actions.githubusercontent.com"
        );
        assert!(terms.keys.uri().is_some() && terms.algorithms.is_some());
        let given = PartnerDraft {
            issuer: Some(PartnerIssuer::parse("https://ghes.example").unwrap()),
            jwks: Some(set()),
            max_age: Some(MaxAge::new(60).unwrap()),
            ..draft(Some(PartnerPreset::GitHub))
        };
        let (issuer, terms) = given.complete().unwrap();
        assert_eq!(issuer.as_str(), "https://ghes.example");
        assert_eq!((terms.keys.set(), terms.max_age.secs()), (Some(&set()), 60));
    }

    #[test]
    fn everything_that_is_missing_is_told_at_once() {
        let missing = draft(None).complete().unwrap_err();
        assert_eq!(places(&missing), ["/issuer", "/jwksUri", "/requiredClaims"]);
        let cluster = draft(Some(PartnerPreset::Kubernetes)).complete();
        assert_eq!(places(&cluster.unwrap_err()), ["/issuer", "/jwksUri"]);
        let both = PartnerDraft {
            jwks_uri: Some(uri()),
            jwks: Some(set()),
            ..draft(Some(PartnerPreset::GitHub))
        };
        assert_eq!(places(&both.complete().unwrap_err()), ["/jwks"]);
    }

    #[test]
    fn keys_take_the_place_of_an_address_and_an_address_that_of_keys() {
        let of_uri = partner(None, KeySource::Uri(uri()));
        let of_set = partner(None, KeySource::Set(set()));
        let patch = |jwks_uri, jwks| PartnerPatch {
            jwks_uri,
            jwks,
            ..PartnerPatch::default()
        };
        let changed = patch(None, Some(Some(set()))).apply(&of_uri).unwrap();
        assert_eq!(changed.keys, KeySource::Set(set()));
        let changed = patch(Some(Some(uri())), Some(None)).apply(&of_set).unwrap();
        assert_eq!(changed.keys, KeySource::Uri(uri()));
        let kept = patch(None, Some(None)).apply(&of_uri).unwrap();
        assert_eq!(kept.keys, KeySource::Uri(uri()));
        for (change, of, place) in [
            (
                patch(Some(Some(uri())), Some(Some(set()))),
                &of_uri,
                "/jwks",
            ),
            (patch(Some(None), None), &of_uri, "/jwksUri"),
            (patch(Some(None), Some(None)), &of_set, "/jwks"),
        ] {
            assert_eq!(places(&change.apply(of).unwrap_err()), [place]);
        }
    }

    #[test]
    fn what_is_removed_becomes_what_creation_would_have_made_it() {
        let all = PartnerPatch {
            name: None,
            jwks_uri: Some(None),
            jwks: Some(None),
            audiences: Some(None),
            required_claims: Some(None),
            algorithms: Some(None),
            max_age: Some(None),
        };
        let github = partner(Some(PartnerPreset::GitHub), KeySource::Set(set()));
        let (_, fresh) = draft(Some(PartnerPreset::GitHub)).complete().unwrap();
        assert_eq!(all.apply(&github).unwrap(), fresh);
        let plain = partner(None, KeySource::Uri(uri()));
        let refused = all.apply(&plain).unwrap_err();
        assert_eq!(places(&refused), ["/requiredClaims", "/jwksUri"]);
    }
}
