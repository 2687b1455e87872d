//! The options of `sealwright partner create` and `partner update`.

use std::path::PathBuf;

use clap::{ArgGroup, Args};

use crate::domain::agent::Audience;
use crate::domain::org::OrgId;
use crate::domain::partner::draft::{PartnerDraft, PartnerPatch};
use crate::domain::partner::pointer::ClaimPointer;
use crate::domain::partner::preset::PartnerPreset;
use crate::domain::partner::source::{JwksUri, PartnerIssuer, PartnerKeySet};
use crate::domain::partner::terms::{
    AlgorithmName, MaxAge, PartnerAlgorithms, PartnerAudiences, PartnerId, PartnerName,
    RequiredClaims,
};
use crate::service::manage::client_keys::NewKeys;

use super::failure::CommandFailure;
use super::input::{self, Item, Why};

#[derive(Args)]
pub(super) struct CreatePartner {
    /// Its name
    #[arg(long, value_parser = PartnerName::parse)]
    name: PartnerName,
    /// What is known of the platform: generic, github or kubernetes; fills what is left out
    #[arg(long, value_parser = PartnerPreset::parse)]
    preset: Option<PartnerPreset>,
    /// The `iss` of its tokens
    #[arg(long, value_name = "URL", value_parser = PartnerIssuer::parse)]
    issuer: Option<PartnerIssuer>,
    #[command(flatten)]
    keys: KeyArgs,
    /// An audience of which its tokens have one; repeatable; this server's issuer without it
    #[arg(long, value_name = "AUDIENCE", value_parser = Audience::parse)]
    audience: Vec<Audience>,
    /// A claim that each credential pins, as a JSON Pointer; repeatable
    #[arg(long, value_name = "POINTER", value_parser = ClaimPointer::parse)]
    require: Vec<ClaimPointer>,
    /// An algorithm of its tokens; repeatable; every one that its keys have without it
    #[arg(long, value_name = "ALG", value_parser = AlgorithmName::parse)]
    algorithm: Vec<AlgorithmName>,
    /// How many seconds old its tokens may be
    #[arg(long, value_name = "SECS", value_parser = MaxAge::parse)]
    max_age: Option<MaxAge>,
    /// The organization that it serves; `default`, which serves all, without it
    #[arg(long, value_name = "ORG", value_parser = OrgId::parse)]
    pub org: Option<OrgId>,
    #[command(flatten)]
    pub why: Why,
}

#[derive(Args)]
#[command(group = ArgGroup::new("change").required(true).multiple(true).args(["name", "jwks_uri", "jwks", "audience", "require", "algorithm", "max_age"]))]
pub(super) struct UpdatePartner {
    /// Its id
    #[arg(value_parser = PartnerId::parse)]
    pub id: PartnerId,
    /// Its name
    #[arg(long, value_parser = PartnerName::parse)]
    name: Option<PartnerName>,
    #[command(flatten)]
    keys: KeyArgs,
    /// An audience of which its tokens have one; repeatable; an empty text means this server's issuer
    #[arg(long, value_name = "AUDIENCE", value_parser = input::audience)]
    audience: Vec<Item<Audience>>,
    /// A claim that each credential pins, as a JSON Pointer; repeatable; an empty text means those of the preset
    #[arg(long, value_name = "POINTER", value_parser = input::claim)]
    require: Vec<Item<ClaimPointer>>,
    /// An algorithm of its tokens; repeatable; an empty text means those of the preset, or every one
    #[arg(long, value_name = "ALG", value_parser = input::algorithm)]
    algorithm: Vec<Item<AlgorithmName>>,
    /// How many seconds old its tokens may be
    #[arg(long, value_name = "SECS", value_parser = MaxAge::parse)]
    max_age: Option<MaxAge>,
    #[command(flatten)]
    pub why: Why,
}

#[derive(Args)]
struct KeyArgs {
    /// Where its keys are
    #[arg(long, value_name = "URL", value_parser = JwksUri::parse)]
    jwks_uri: Option<JwksUri>,
    /// Its public keys, if they are not fetched: a JWK Set, a JWK or PEM
    #[arg(long, value_name = "FILE", conflicts_with = "jwks_uri")]
    jwks: Option<PathBuf>,
}

impl KeyArgs {
    fn set(&self) -> Result<Option<PartnerKeySet>, CommandFailure> {
        let read = |path: &PathBuf| {
            let text = std::fs::read_to_string(path)
                .map_err(|error| CommandFailure::Usage(format!("{}: {error}", path.display())))?;
            NewKeys::read_file(&text)
                .map(PartnerKeySet::from)
                .map_err(|errors| {
                    let told = errors.iter().map(|error| {
                        let place = error.field.strip_prefix("/jwks").unwrap_or(&error.field);
                        format!("{place} {}", error.reason).trim_start().to_owned()
                    });
                    let told: Vec<String> = told.collect();
                    CommandFailure::Usage(format!("{}: {}", path.display(), told.join("; ")))
                })
        };
        self.jwks.as_ref().map(read).transpose()
    }
}

impl CreatePartner {
    /// The partner that the options describe.
    pub(super) fn draft(&self) -> Result<PartnerDraft, CommandFailure> {
        Ok(PartnerDraft {
            name: self.name.clone(),
            issuer: self.issuer.clone(),
            jwks_uri: self.keys.jwks_uri.clone(),
            jwks: self.keys.set()?,
            audiences: list(self.audience.clone(), PartnerAudiences::new)?,
            required_claims: list(self.require.clone(), RequiredClaims::new)?,
            algorithms: list(self.algorithm.clone(), PartnerAlgorithms::new)?,
            max_age: self.max_age,
            preset: self.preset,
        })
    }
}

impl UpdatePartner {
    /// The change that the options describe.
    pub(super) fn patch(&self) -> Result<PartnerPatch, CommandFailure> {
        Ok(PartnerPatch {
            name: self.name.clone(),
            jwks_uri: self.keys.jwks_uri.clone().map(Some),
            jwks: self.keys.set()?.map(Some),
            audiences: patch(self.audience.clone(), PartnerAudiences::new)?,
            required_claims: patch(self.require.clone(), RequiredClaims::new)?,
            algorithms: patch(self.algorithm.clone(), PartnerAlgorithms::new)?,
            max_age: self.max_age.map(Some),
        })
    }
}

/// The list of a repeated option. `None` without any such option.
fn list<I, T>(
    items: Vec<I>,
    new: impl Fn(Vec<I>) -> Result<T, crate::domain::Invalid>,
) -> Result<Option<T>, CommandFailure> {
    if items.is_empty() {
        return Ok(None);
    }
    new(items)
        .map(Some)
        .map_err(|rule| CommandFailure::Usage(rule.0.to_owned()))
}

/// The change of the list of a repeated option. An empty text removes the list.
#[expect(
    clippy::option_option,
    reason = "a patch leaves, removes or sets a value"
)]
fn patch<I, T>(
    items: Vec<Item<I>>,
    new: impl Fn(Vec<I>) -> Result<T, crate::domain::Invalid>,
) -> Result<Option<Option<T>>, CommandFailure> {
    match input::all_items(items) {
        None => Ok(None),
        Some(items) => list(items, new).map(Some),
    }
}
