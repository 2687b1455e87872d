//! Verifiers: services that verify tokens by themselves and report which version of the revocation list
//! they enforce. Who of them already enforces a version, as a pure function.
//!
//! Must not know how a report arrives, or where reports are kept.

use std::fmt;

use super::id::AgentId;
use super::time::Moment;

/// The most verifiers that are known. With more, nobody can say that all of them enforce a version.
pub(crate) const MAX_VERIFIERS: usize = 10_000;

/// The most names without a proof that are counted.
pub(crate) const MAX_UNPROVEN: usize = 1_000;

/// A verifier that was silent for so many milliseconds is forgotten.
pub(crate) const VERIFIER_TTL: i64 = 86_400_000;

/// A verifier that was silent for so many of its own intervals may not run any more.
const SILENT_AFTER: i64 = 3;

/// The bounds of an interval, in milliseconds. A verifier that was asked to come again soon may come
/// a little later.
const MIN_EVERY: i64 = 5_000;
const MAX_EVERY: i64 = 3_600_000;

/// The interval of a verifier that has reported once and does not say when it comes again.
const USUAL_EVERY: i64 = 15_000;

/// The longest part of a name.
const MAX_PART: usize = 64;

/// How many verifiers are named that do not enforce a version.
const MAX_NAMED: usize = 20;

/// The name that a verifier gives itself: `<name>/<instance>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VerifierName(String);

impl VerifierName {
    /// Two parts of 1 to 64 characters of `[A-Za-z0-9._~:-]`, with a slash between them.
    pub fn parse(text: &str) -> Option<Self> {
        let is_part = |part: &str| {
            let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._~:-".contains(&b);
            (1..=MAX_PART).contains(&part.len()) && part.bytes().all(allowed)
        };
        let (name, instance) = text.split_once('/')?;
        (is_part(name) && is_part(instance)).then(|| Self(text.to_owned()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A verifier: the agent whose token it has sent, and its name. Without an agent it is a name that
/// anybody may have sent.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VerifierId {
    /// Whose token the verifier sends.
    pub agent_id: Option<AgentId>,
    /// What it calls itself.
    pub name: VerifierName,
}

impl VerifierId {
    /// The id of a proven verifier: `<agent>/<name>/<instance>`. An agent's id has no slash.
    pub fn parse(text: &str) -> Option<Self> {
        let (agent_id, name) = text.split_once('/')?;
        Some(Self {
            agent_id: Some(AgentId::parse(agent_id).ok()?),
            name: VerifierName::parse(name)?,
        })
    }
}

impl fmt::Display for VerifierId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(agent_id) = &self.agent_id {
            write!(f, "{agent_id}/")?;
        }
        f.write_str(&self.name.0)
    }
}

/// What is known of a verifier from its reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierReport {
    /// The verifier.
    pub id: VerifierId,
    /// The version that it enforces, by its newest report.
    pub version: i64,
    /// The version that it enforced before, or `version` if that is not known.
    pub previous: i64,
    /// When it first reported `version`.
    pub version_at: Moment,
    /// When it last reported.
    pub seen_at: Moment,
    /// How often it reports, in milliseconds.
    pub every: i64,
}

impl VerifierReport {
    /// The first report of a verifier. `every` is how often it says that it will report.
    pub fn first(id: VerifierId, version: i64, at: Moment, every: Option<i64>) -> Self {
        let every = every.unwrap_or(USUAL_EVERY);
        Self {
            id,
            version,
            previous: version,
            version_at: at,
            seen_at: at,
            every: every.clamp(MIN_EVERY, MAX_EVERY),
        }
    }

    /// The same after one more report. `every` is how often it says that it will report; otherwise
    /// the time between reports tells.
    #[must_use]
    pub fn after(&self, version: i64, at: Moment, every: Option<i64>) -> Self {
        let changed = version != self.version;
        // A verifier that got news comes again at once. That is not its interval.
        let gap = at.0.saturating_sub(self.seen_at.0);
        let every = every.unwrap_or_else(|| gap.max(self.every / 4 * 3));
        Self {
            id: self.id.clone(),
            version,
            previous: if changed { self.version } else { self.previous },
            version_at: if changed { at } else { self.version_at },
            seen_at: at.max(self.seen_at),
            every: every.clamp(MIN_EVERY, MAX_EVERY),
        }
    }

    /// What is known after a newer report of the same verifier, which another process may have got.
    #[must_use]
    pub fn replaced_by(&self, newer: &Self) -> Self {
        let (previous, version_at) = if newer.version == self.version {
            (self.previous, self.version_at)
        } else {
            (self.version, newer.version_at)
        };
        Self {
            previous,
            version_at,
            ..newer.clone()
        }
    }

    /// Whether it was seen within three of its intervals.
    fn is_seen(&self, now: Moment) -> bool {
        let since = now.0.saturating_sub(self.seen_at.0);
        since <= self.every.saturating_mul(SILENT_AFTER)
    }

    /// When it began to enforce this version, if that is known.
    fn reached(&self, version: i64) -> Option<Moment> {
        (self.previous < version && version <= self.version).then_some(self.version_at)
    }
}

/// Whether all known verifiers enforce a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConvergenceState {
    /// Every known verifier was seen lately and enforces it.
    Complete,
    /// A verifier that was seen lately does not enforce it yet.
    Pending,
    /// All that were seen lately enforce it. Others are silent, or there are too many to know.
    Partial,
    /// No verifier is known.
    Unknown,
}

impl ConvergenceState {
    /// All states.
    pub const ALL: [Self; 4] = [Self::Complete, Self::Pending, Self::Partial, Self::Unknown];

    /// The word in replies.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Pending => "pending",
            Self::Partial => "partial",
            Self::Unknown => "unknown",
        }
    }
}

/// Who enforces a version of the revocation list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Convergence {
    /// The version.
    pub version: i64,
    /// When it was committed. `None` if that is not known.
    pub committed_at: Option<Moment>,
    /// What can be said of all.
    pub state: ConvergenceState,
    /// Verifiers that were seen lately and enforce it.
    pub converged: usize,
    /// Verifiers that were seen lately and do not.
    pub behind: usize,
    /// Verifiers that were not seen lately.
    pub silent: usize,
    /// Names in reports without a proof, whether or not another report has proven the name.
    pub unauthenticated: usize,
    /// Those that do not enforce it or are silent: some of them, the lowest version first.
    pub slowest: Vec<VerifierReport>,
    /// When the last one began to enforce it.
    pub converged_at: Option<Moment>,
    /// Milliseconds from the commit until half of them, and until all of them, enforced it.
    pub p50_millis: Option<i64>,
    /// See `p50_millis`.
    pub p100_millis: Option<i64>,
}

impl Convergence {
    /// How many verifiers are known.
    pub fn total(&self) -> usize {
        self.converged + self.behind + self.silent
    }
}

/// Versions below this one are numbers of an early release. All others are the unix milliseconds of
/// their commit, or a few more.
const FIRST_TIMED_VERSION: i64 = 1_000_000_000_000;

/// When a version was committed.
pub(crate) fn committed_at(version: i64, now: Moment) -> Option<Moment> {
    (version >= FIRST_TIMED_VERSION).then(|| Moment(version).min(now))
}

/// Who of these enforces `version` at `now`.
pub(crate) fn converge(reports: Vec<VerifierReport>, version: i64, now: Moment) -> Convergence {
    let committed_at = committed_at(version, now);
    let oldest = now.0.saturating_sub(VERIFIER_TTL);
    let (proven, unproven): (Vec<_>, Vec<_>) = reports
        .into_iter()
        .filter(|report| report.seen_at.0 > oldest)
        .partition(|report| report.id.agent_id.is_some());
    let is_crowded = proven.len() > MAX_VERIFIERS;
    let total = proven.len();
    let mut reached: Vec<i64> = proven
        .iter()
        .filter_map(|report| report.reached(version))
        .map(|at| at.0)
        .collect();
    reached.sort_unstable();
    let (mut converged, mut behind) = (0, 0);
    let mut slowest: Vec<VerifierReport> = Vec::new();
    for report in proven {
        match (report.is_seen(now), report.version >= version) {
            (true, true) => converged += 1,
            (true, false) => {
                behind += 1;
                slowest.push(report);
            }
            (false, _) => slowest.push(report),
        }
    }
    let silent = total - converged - behind;
    slowest.sort_by(|a, b| (a.version, a.seen_at, &a.id).cmp(&(b.version, b.seen_at, &b.id)));
    slowest.truncate(MAX_NAMED);
    let state = match (total, behind, silent) {
        (0, _, _) => ConvergenceState::Unknown,
        (_, 1.., _) => ConvergenceState::Pending,
        (_, 0, 0) if !is_crowded => ConvergenceState::Complete,
        _ => ConvergenceState::Partial,
    };
    let is_complete = state == ConvergenceState::Complete;
    let after_commit = |at: Option<&i64>| {
        let at = at.filter(|_| is_complete)?;
        committed_at.map(|committed| at.saturating_sub(committed.0).max(0))
    };
    Convergence {
        version,
        committed_at,
        state,
        converged,
        behind,
        silent,
        unauthenticated: unproven.len(),
        slowest,
        converged_at: reached.last().filter(|_| is_complete).copied().map(Moment),
        p50_millis: after_commit(reached.get(reached.len().saturating_sub(1) / 2)),
        p100_millis: after_commit(reached.last()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V: i64 = 1_764_201_600_000;

    fn id(agent: &str, name: &str) -> VerifierId {
        VerifierId {
            agent_id: AgentId::parse(agent).ok(),
            name: VerifierName::parse(name).unwrap(),
        }
    }

    fn at(millis: i64) -> Moment {
        Moment(V + millis)
    }

    /// One that enforced the version before, and reports every 25 seconds.
    fn verifier(name: &str) -> VerifierReport {
        VerifierReport::first(id("a", name), V - 1, at(-20_000), Some(25_000))
    }

    #[test]
    fn a_name_has_two_parts_of_few_characters() {
        for good in ["a/b", "orders-api/10.0.0.7:8080", "A~z_9/pod.1"] {
            assert_eq!(VerifierName::parse(good).unwrap().as_str(), good);
            let id = format!("agt_1/{good}");
            assert_eq!(VerifierId::parse(&id).unwrap().to_string(), id);
        }
        let long = format!("{}/b", "a".repeat(65));
        for bad in [
            "", "a", "/", "a/", "/b", "a/b/c", "a b/c", "a\"/b", "ä/b", "a/b\n", &long,
        ] {
            assert!(VerifierName::parse(bad).is_none(), "{bad:?}");
        }
        for bad in ["a/b", "/a/b", "a//b", "a b/c/d"] {
            assert!(VerifierId::parse(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn it_is_complete_only_when_all_were_seen_and_enforce_it() {
        let (one, two) = (verifier("a/1"), verifier("a/2"));
        let state = |reports: &[&VerifierReport], now| {
            let found = converge(reports.iter().copied().cloned().collect(), V, now);
            (found.state, found.converged, found.behind, found.silent)
        };
        assert_eq!(state(&[], at(0)), (ConvergenceState::Unknown, 0, 0, 0));
        assert_eq!(
            state(&[&one, &two], at(0)),
            (ConvergenceState::Pending, 0, 2, 0)
        );
        let (one, late) = (one.after(V, at(100), Some(25_000)), two.clone());
        assert_eq!(
            state(&[&one, &two], at(101)),
            (ConvergenceState::Pending, 1, 1, 0)
        );
        let two = two.after(V + 5, at(300), Some(25_000));
        assert_eq!(
            state(&[&one, &two], at(301)),
            (ConvergenceState::Complete, 2, 0, 0)
        );
        let found = converge(vec![one.clone(), two.clone()], V, at(301));
        let times = (found.converged_at, found.p50_millis, found.p100_millis);
        assert_eq!(times, (Some(at(300)), Some(100), Some(300)));
        // One that does not come again, behind or not.
        assert_eq!(
            state(&[&one, &late], at(55_001)),
            (ConvergenceState::Partial, 1, 0, 1)
        );
        assert_eq!(
            state(&[&one, &two], at(75_101)),
            (ConvergenceState::Partial, 1, 0, 1)
        );
        assert_eq!(
            state(&[&one, &two], at(75_100)),
            (ConvergenceState::Complete, 2, 0, 0)
        );
        // One that falls behind.
        let back = two.after(V - 1, at(400), Some(25_000));
        let found = converge(vec![one.clone(), back.clone()], V, at(401));
        assert_eq!(
            (found.state, found.converged_at),
            (ConvergenceState::Pending, None)
        );
        assert_eq!(found.slowest, [back]);
        // A day later it is forgotten.
        let day = at(VERIFIER_TTL + 300);
        let one = one.after(V, day, None);
        assert_eq!(
            state(&[&one, &two], day),
            (ConvergenceState::Complete, 1, 0, 0)
        );
    }

    #[test]
    fn a_name_without_a_proof_never_counts() {
        let forged = VerifierReport::first(
            VerifierId {
                agent_id: None,
                ..id("a", "a/1")
            },
            V,
            at(0),
            Some(25_000),
        );
        let found = converge(vec![forged.clone()], V, at(0));
        assert_eq!(
            (found.state, found.unauthenticated),
            (ConvergenceState::Unknown, 1)
        );
        let found = converge(vec![forged, verifier("a/1")], V, at(0));
        assert_eq!((found.state, found.total()), (ConvergenceState::Pending, 1));
    }

    #[test]
    fn too_many_are_never_complete() {
        let many = |count: usize| {
            let one = |n| VerifierReport::first(id("a", &format!("a/{n}")), V, at(0), Some(25_000));
            converge((0..count).map(one).collect(), V, at(0))
        };
        assert_eq!(many(MAX_VERIFIERS).state, ConvergenceState::Complete);
        let found = many(MAX_VERIFIERS + 1);
        assert_eq!(
            (found.state, found.converged_at),
            (ConvergenceState::Partial, None)
        );
    }

    #[test]
    fn one_that_joined_later_tells_no_time() {
        let joined = VerifierReport::first(id("a", "a/2"), V, at(9_000_000), None);
        let found = converge(vec![joined], V, at(9_000_000));
        assert_eq!(
            (found.state, found.converged_at),
            (ConvergenceState::Complete, None)
        );
        assert_eq!(converge(vec![], 7, at(0)).committed_at, None);
        assert_eq!(converge(vec![], V, at(0)).committed_at, Some(at(0)));
    }

    #[test]
    fn its_interval_is_what_it_says_or_the_time_between_its_reports() {
        let polls = VerifierReport::first(id("a", "a/1"), V, at(0), None);
        let again = polls.after(V, at(60_000), None);
        assert_eq!(again.every, 60_000);
        // It comes at once after news, and later again.
        let soon = again.after(V + 1, at(60_100), None);
        assert_eq!(soon.every, 45_000);
        assert_eq!(soon.after(V, at(60_200), Some(1)).every, MIN_EVERY);
        assert_eq!(soon.after(V, at(i64::MAX - V), None).every, MAX_EVERY);
    }
}
