//! What an operator should know about a store, or about one agent, and how to mend what is wrong.
//!
//! Owns what counts as wrong. Reads only, and says of each read that fails why it failed. Must not
//! know how a finding is shown.

use crate::clock::{Clock as _, StoreClock};
use crate::domain::agent::Agent;
use crate::domain::credential::CredentialKind;
use crate::domain::id::AgentId;
use crate::domain::org::OrgStatus;
use crate::domain::quota::Plans;
use crate::domain::refusal::Refusal;
use crate::domain::time::Timestamp;
use crate::entropy::Entropy;
use crate::keys::seal::MasterKey;
use crate::store::{AgentRecord, Freshness, KeyState, ProcessRecord, Records, Store, StoreError};
use crate::telemetry::error_chain;

use super::clock::{MAX_SKEW_MILLIS, measure_clock};
use super::finding::Finding;
use super::journal::lag::measure_lag;
use super::processes::{describe, is_serving};
use super::reseal::count_seals;

/// How many seconds the ledger may lag before something is wrong. Ten are usual.
const MAX_LAG: i64 = 60;

/// Looks at a store: its schema, its clock, its keys, its ledger and its processes.
pub(crate) async fn examine_store(records: &dyn Records, clock: &StoreClock) -> Vec<Finding> {
    let schema = records.schema().await;
    let server = schema
        .as_ref()
        .ok()
        .and_then(|schema| schema.server.as_ref());
    let mut findings = Vec::from_iter(server.map(|server| Finding::fine("server", server)));
    findings.push(match schema {
        Ok(schema) if schema.version < schema.known => Finding::wrong(
            "schema",
            format!("{} of {}", schema.version, schema.known),
            "run `sealwright migrate`",
        ),
        Ok(schema) if schema.version > schema.known => Finding::notice(
            "schema",
            format!(
                "{}, newer than this program's {}",
                schema.version, schema.known
            ),
            "use the program of the newer release",
        ),
        Ok(schema) => Finding::fine("schema", schema.version),
        Err(error) => Finding::unread("schema", &error),
    });
    findings.push(match records.generation().await {
        Ok(found) if found.is_restored() => Finding::wrong(
            "restore",
            "a backup was restored, or the store was moved, and nobody has acknowledged it",
            "run `sealwright restore --acknowledge`",
        ),
        Ok(found) => Finding::fine("restore", format!("generation {}", found.number)),
        Err(error) => Finding::unread("restore", &error),
    });
    findings.push(match is_finished(records).await {
        Ok(true) => Finding::fine("upgrade", "finished"),
        Ok(false) => Finding::notice(
            "upgrade",
            "not finished: signing keys cannot be revoked, or no organization be made",
            "run `sealwright migrate --finish` once no server of an earlier release runs",
        ),
        Err(error) => Finding::unread("upgrade", &error),
    });
    findings.push(match measure_clock(records, clock).await {
        Ok(()) => clock_finding(clock.ahead_millis()),
        Err(error) => Finding::wrong("clock", error_chain(&error), ""),
    });
    findings.extend(match records.keys().await {
        Ok(keys) => {
            let states: Vec<_> = keys
                .keys
                .iter()
                .map(|key| (key.state, key.signs_from))
                .collect();
            key_findings(&states, clock.now())
        }
        Err(error) => vec![Finding::unread("keys", &error)],
    });
    findings.push(match measure_lag(records, clock).await {
        Ok(lag) if lag.seconds > MAX_LAG => Finding::wrong(
            "ledger",
            format!("lags by {} s and {} events at most", lag.seconds, lag.events),
            "look into the log of a server for `a background step fails` with the name `ledger`; without a server nothing is logged",
        ),
        Ok(lag) => Finding::fine("ledger", format!("lags by {} s", lag.seconds)),
        Err(error) => Finding::wrong("ledger", error_chain(&error), ""),
    });
    findings.extend(match records.processes(clock.moment()).await {
        Ok(processes) => processes.iter().map(process_finding).collect(),
        Err(error) => vec![Finding::unread("processes", &error)],
    });
    findings
}

/// Looks at what is sealed under this master key, and under the one before it.
pub(crate) async fn examine_seals(
    records: &dyn Records,
    master: &MasterKey,
    entropy: &dyn Entropy,
) -> Finding {
    let counts = match count_seals(records, master, entropy).await {
        Ok(counts) => counts,
        Err(error) => return Finding::wrong("master key", error_chain(&error), ""),
    };
    let all = counts.newest.saturating_add(counts.previous);
    let says = format!(
        "{} seals {} of {all} keys",
        master.fingerprints().join(", before it "),
        counts.newest
    );
    if counts.previous > 0 {
        let mend = "`sealwright key reseal`, once every process has both master keys";
        Finding::notice("master key", says, mend)
    } else if master.has_previous() {
        let mend = "take keys.master_key_previous away, and restart every process";
        Finding::notice("master key", says, mend)
    } else {
        Finding::fine("master key", says)
    }
}

fn process_finding(process: &ProcessRecord) -> Finding {
    let seconds = process.age_millis.max(0) / 1_000;
    let keys = process.report.master_keys.join(" and ");
    let says = format!(
        "{}, schema {}, master key {keys}, reported {seconds} s ago",
        describe(process),
        process.schema
    );
    if is_serving(process) {
        Finding::fine("processes", says)
    } else {
        let mend = "it died without a word, or no longer reaches the store";
        Finding::notice("processes", says, mend)
    }
}

fn clock_finding(ahead: i64) -> Finding {
    let says = format!("{ahead} ms ahead of the database's");
    if ahead.saturating_abs() > MAX_SKEW_MILLIS {
        let mend = "set this machine's clock: a server here is not ready until both agree";
        Finding::wrong("clock", says, mend)
    } else {
        Finding::fine("clock", says)
    }
}

fn key_findings(keys: &[(KeyState, Timestamp)], now: Timestamp) -> Vec<Finding> {
    let of = |state| keys.iter().filter(move |(other, _)| *other == state);
    let mut findings = vec![match of(KeyState::Signing).next() {
        Some((_, from)) => {
            let days = now.0.saturating_sub(from.0).max(0) / 86_400;
            let retiring = of(KeyState::Retiring).count();
            let says = format!(
                "one signs since {} ({days} days), {retiring} retiring",
                from.to_rfc3339()
            );
            Finding::fine("keys", says)
        }
        None => Finding::wrong(
            "keys",
            "none signs: no token can be issued",
            "start a server, which makes the first key; `sealwright key list` tells why a key is refused",
        ),
    }];
    findings.extend(of(KeyState::Announced).map(|(_, from)| {
        let says = format!("one is announced and signs from {}", from.to_rfc3339());
        if from.0.saturating_add(600) < now.0 {
            let mend = "start a server, which lets it sign";
            Finding::wrong("keys", format!("{says}, which is over"), mend)
        } else {
            Finding::fine("keys", says)
        }
    }));
    findings
}

/// Looks at one agent: whether it gets tokens now, and if not, why.
pub(crate) async fn examine_agent(
    (store, records): (&dyn Store, &dyn Records),
    plans: &Plans,
    clock: &StoreClock,
    agent_id: &AgentId,
) -> Vec<Finding> {
    let record = match store.agent(agent_id, Freshness::Fresh).await {
        Ok(Some(record)) => record,
        Ok(None) => {
            let mend =
                "see whether the client sends this id to the right server: `sealwright agent list`";
            return vec![Finding::wrong("agent", "no agent has this id: 401", mend)];
        }
        Err(error) => return vec![Finding::unread("agent", &error)],
    };
    let now = clock.now();
    let mut findings = vec![status_finding(&record.agent, now)];
    if record.org.status == OrgStatus::Suspended {
        let mend = "`sealwright org reactivate`";
        findings.push(Finding::wrong("organization", "suspended: 403", mend));
    }
    findings.push(credential_finding(&record, now));
    if record.agent.profile.terms.scopes.is_empty() {
        let mend = "`sealwright agent update --scope …`";
        findings.push(Finding::wrong("scopes", "it has none: 400 or 403", mend));
    }
    let used = records
        .used(std::slice::from_ref(agent_id), now.month())
        .await;
    findings.push(match used {
        Ok(used) => quota_finding(
            &record.agent,
            plans,
            used.get(agent_id).copied().unwrap_or(0),
        ),
        Err(error) => Finding::unread("quota", &error),
    });
    findings
}

/// Whether all is on that an earlier release would not enforce.
async fn is_finished(records: &dyn Records) -> Result<bool, StoreError> {
    Ok(records.may_revoke().await? && records.may_make_orgs().await?)
}

fn status_finding(agent: &Agent, now: Timestamp) -> Finding {
    match agent.admit(|| now) {
        Ok(()) => Finding::fine("agent", "active"),
        Err(Refusal::AgentSuspended) => {
            Finding::wrong("agent", "suspended: 403", "`sealwright agent reactivate`")
        }
        Err(Refusal::AgentExpired) => Finding::wrong(
            "agent",
            "expired: 403",
            "`sealwright agent update --expires-at …`",
        ),
        Err(_) => Finding::wrong(
            "agent",
            "decommissioned: 403, or 401 at /oauth/token",
            "make another agent; this one never works again",
        ),
    }
}

fn credential_finding(record: &AgentRecord, now: Timestamp) -> Finding {
    let live: Vec<_> = record
        .credentials
        .iter()
        .filter(|one| one.is_live(now))
        .collect();
    if live.is_empty() {
        let says = format!("none of its {} is live: 401", record.credentials.len());
        return Finding::wrong("credentials", says, "`sealwright credential create`");
    }
    let told: Vec<String> = live
        .iter()
        .map(|one| {
            let key = "public keys ".to_owned() + &one.prefix;
            let hint = if one.kind() == CredentialKind::PublicKey {
                &*key
            } else if one.prefix.is_empty() {
                "imported"
            } else {
                &*one.prefix
            };
            let end = one
                .expires_at
                .map(|end| format!(" until {}", end.to_rfc3339()));
            format!("{hint}{}", end.unwrap_or_default())
        })
        .collect();
    Finding::fine("credentials", told.join(", "))
}

fn quota_finding(agent: &Agent, plans: &Plans, used: i64) -> Finding {
    let plan = &agent.profile.terms.plan;
    match plans.limit(plan) {
        None => Finding::wrong(
            "quota",
            format!("its plan {plan} is not configured: 503"),
            format!("add {plan} to [plans], or `sealwright agent update --plan …`"),
        ),
        Some(None) => Finding::fine(
            "quota",
            format!("{used} tokens this month, without a limit"),
        ),
        Some(Some(limit)) if used >= limit => Finding::wrong(
            "quota",
            format!("{used} of {limit} tokens of this month are used: 403"),
            "wait for the next month, or `sealwright agent update --plan …`",
        ),
        Some(Some(limit)) => Finding::fine("quota", format!("{used} of {limit} tokens this month")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::FindingLevel;
    use super::*;

    fn levels(findings: &[Finding]) -> Vec<FindingLevel> {
        findings.iter().map(|finding| finding.level).collect()
    }

    #[test]
    fn a_clock_is_wrong_where_a_server_is_not_ready() {
        for (ahead, level) in [
            (0, FindingLevel::Fine),
            (-2_000, FindingLevel::Fine),
            (2_001, FindingLevel::Wrong),
            (i64::MIN, FindingLevel::Wrong),
        ] {
            assert_eq!(clock_finding(ahead).level, level, "{ahead}");
        }
    }

    #[test]
    fn a_store_without_a_signing_key_or_with_an_overdue_one_is_wrong() {
        use FindingLevel::{Fine, Wrong};
        let now = Timestamp(10_000);
        let signing = (KeyState::Signing, Timestamp(0));
        let announced = |from| (KeyState::Announced, Timestamp(from));
        for (keys, expected) in [
            (vec![], vec![Wrong]),
            (vec![signing], vec![Fine]),
            (vec![signing, announced(12_000)], vec![Fine, Fine]),
            (vec![signing, announced(9_000)], vec![Fine, Wrong]),
            (vec![(KeyState::Retiring, now)], vec![Wrong]),
        ] {
            assert_eq!(levels(&key_findings(&keys, now)), expected, "{keys:?}");
        }
    }
}
