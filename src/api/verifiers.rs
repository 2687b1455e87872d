//! Who already enforces a version of the revocation list, as JSON.

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::time::Moment;
use crate::domain::verifier::{Convergence, VerifierReport};

/// Who enforces a version of the revocation list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Convergence)]
pub(crate) struct ConvergenceJson {
    /// The version.
    pub version: i64,
    /// When it was committed; `null` for a version of an early release.
    #[schema(format = DateTime, required)]
    pub committed_at: Option<String>,
    /// `complete` if every known verifier was seen lately and enforces it, `pending` while one that was
    /// seen lately does not, `partial` if others are silent or there are more than 10,000, `unknown`
    /// if no verifier is known.
    pub state: &'static str,
    /// How many verifiers there are.
    pub verifiers: VerifierCountsJson,
    /// Up to 20 verifiers that do not enforce it or are silent, the lowest version first.
    pub slowest: Vec<VerifierJson>,
    /// When the last one began to enforce it. Absent until it is complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub converged_at: Option<String>,
    /// Milliseconds from the commit until half of them enforced it. Absent until it is complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p50_ms: Option<i64>,
    /// Milliseconds from the commit until all of them enforced it. Absent until it is complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p100_ms: Option<i64>,
}

/// Verifiers by what they say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = VerifierCounts)]
pub(crate) struct VerifierCountsJson {
    /// All that have reported in the last 24 hours.
    pub total: usize,
    /// Those that were seen within three of their intervals and enforce the version.
    pub converged: usize,
    /// Those that were seen within three of their intervals and do not.
    pub behind: usize,
    /// Those that were not seen for longer.
    pub silent: usize,
    /// Names that came without a valid token. They count nowhere else.
    pub unauthenticated: usize,
}

/// A verifier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Verifier)]
pub(crate) struct VerifierJson {
    /// Its agent, name and instance, with slashes between them.
    pub verifier: String,
    /// The version that it enforces.
    pub version: i64,
    /// When it last reported.
    #[schema(format = DateTime)]
    pub seen_at: String,
}

fn second(moment: Moment) -> String {
    moment.second().to_rfc3339()
}

impl From<Convergence> for ConvergenceJson {
    fn from(found: Convergence) -> Self {
        Self {
            version: found.version,
            committed_at: found.committed_at.map(second),
            state: found.state.as_str(),
            verifiers: VerifierCountsJson {
                total: found.total(),
                converged: found.converged,
                behind: found.behind,
                silent: found.silent,
                unauthenticated: found.unauthenticated,
            },
            slowest: found.slowest.iter().map(VerifierJson::from).collect(),
            converged_at: found.converged_at.map(second),
            p50_ms: found.p50_millis,
            p100_ms: found.p100_millis,
        }
    }
}

impl From<&VerifierReport> for VerifierJson {
    fn from(report: &VerifierReport) -> Self {
        Self {
            verifier: report.id.to_string(),
            version: report.version,
            seen_at: second(report.seen_at),
        }
    }
}
