//! The reports that this process was told: which of them the store lacks, and which speak of a version
//! that it does not know yet. Must not know when they are written.

use std::collections::HashMap;

use crate::domain::time::Moment;
use crate::domain::verifier::{MAX_UNPROVEN, MAX_VERIFIERS, VerifierId, VerifierReport};

/// For how many milliseconds a report of a version that is not known yet is kept: another process may
/// have given the version, and this one reads it twice a second.
const AHEAD_TTL: i64 = 3_000;

/// How many such reports are kept.
const MAX_AHEAD: usize = 1_000;

/// What a verifier says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The verifier.
    pub id: VerifierId,
    /// The version that it enforces.
    pub version: i64,
    /// After how many milliseconds it will report again, if it says so.
    pub every: Option<i64>,
}

/// The reports of one process.
#[derive(Default)]
pub(super) struct Noted {
    /// What this process was told, by verifier.
    reports: HashMap<VerifierId, VerifierReport>,
    /// Those that the store lacks, each with the number of its report.
    unwritten: HashMap<VerifierId, u64>,
    /// Reports of versions that this process does not know yet, and when they came.
    pub ahead: HashMap<VerifierId, (Said, Moment)>,
    proven: usize,
    /// How many reports were noted.
    pub count: u64,
}

impl Noted {
    /// Keeps a report of a version that this process does not know yet.
    pub(super) fn keep_ahead(&mut self, said: Said, now: Moment) {
        if self.ahead.len() < MAX_AHEAD || self.ahead.contains_key(&said.id) {
            self.ahead.insert(said.id.clone(), (said, now));
        }
    }

    pub(super) fn note(&mut self, said: Said, at: Moment) {
        let Said { id, version, every } = said;
        self.count += 1;
        let report = match self.reports.get(&id) {
            Some(known) => known.after(version, at, every),
            None if !self.has_room(&id) => return,
            None => VerifierReport::first(id.clone(), version, at, every),
        };
        self.unwritten.insert(id.clone(), self.count);
        if self.reports.insert(id.clone(), report).is_none() && id.agent_id.is_some() {
            self.proven += 1;
        }
    }

    /// One more than may be known, so that it is known that there are too many.
    pub(super) fn has_room(&self, id: &VerifierId) -> bool {
        if id.agent_id.is_some() {
            self.proven <= MAX_VERIFIERS
        } else {
            self.reports.len().saturating_sub(self.proven) < MAX_UNPROVEN
        }
    }

    pub(super) fn remove(&mut self, id: &VerifierId) {
        self.unwritten.remove(id);
        if self.reports.remove(id).is_some() && id.agent_id.is_some() {
            self.proven = self.proven.saturating_sub(1);
        }
    }

    /// Takes the reports whose version is known by now, and drops those of versions that nobody gave.
    pub(super) fn settle_ahead(&mut self, known: i64, now: Moment) {
        let settled: Vec<_> = self
            .ahead
            .extract_if(|_, (said, at)| {
                said.version <= known || now.0.saturating_sub(at.0) > AHEAD_TTL
            })
            .map(|(_, kept)| kept)
            .collect();
        for (said, at) in settled {
            let is_newer = self
                .reports
                .get(&said.id)
                .is_none_or(|known| known.seen_at < at);
            if said.version <= known && is_newer {
                self.note(said, at);
            }
        }
    }

    pub(super) fn forget_before(&mut self, oldest: Moment) {
        let gone = self.reports.values().filter(|r| r.seen_at <= oldest);
        let gone: Vec<VerifierId> = gone.map(|r| r.id.clone()).collect();
        for id in gone {
            self.remove(&id);
        }
    }

    /// What the store lacks, each with the number of its report.
    pub(super) fn unwritten(&self) -> Vec<(u64, VerifierReport)> {
        let unwritten = self.unwritten.iter();
        unwritten
            .filter_map(|(id, number)| Some((*number, self.reports.get(id)?.clone())))
            .collect()
    }

    /// A report that came while these were written is still to be written.
    pub(super) fn note_written(&mut self, written: &[(u64, VerifierReport)]) {
        for (number, report) in written {
            if self.unwritten.get(&report.id) == Some(number) {
                self.unwritten.remove(&report.id);
            }
        }
    }

    /// These reports, with those that they lack.
    pub(super) fn merge(&self, stored: Vec<VerifierReport>) -> Vec<VerifierReport> {
        let mut newer: HashMap<&VerifierId, &VerifierReport> = self
            .unwritten
            .keys()
            .filter_map(|id| self.reports.get(id).map(|report| (id, report)))
            .collect();
        let mut merged: Vec<VerifierReport> = stored
            .into_iter()
            .map(|known| match newer.remove(&known.id) {
                Some(report) if report.seen_at >= known.seen_at => known.replaced_by(report),
                _ => known,
            })
            .collect();
        merged.extend(newer.into_values().cloned());
        merged
    }
}
