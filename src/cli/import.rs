//! `sealwright agent import`: imports many agents from a file, a group of lines at a time, and
//! prints a report at the end.

use std::collections::{BTreeSet, HashSet};
use std::io::IsTerminal;
use std::path::Path;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::domain::act::Act;
use crate::domain::id::AgentId;
use crate::domain::scope::Scope;
use crate::service::manage::agents::Agents;
use crate::service::manage::import::{Imported, PIECE};
use crate::service::manage::row::Row;

use super::failure::{CommandFailure, tell};
use super::input::MIN_SECRET;
use super::output::{Printer, Sheet};
use super::rows::{self, FileLine};

/// How many odd lines are told one by one.
const MAX_ODDITIES: usize = 100;

/// The result of an import.
#[derive(Debug, Default, Serialize)]
struct Report {
    imported: u64,
    /// Lines whose agent already existed exactly as the line describes it.
    existing: u64,
    refused: u64,
    refusals: Vec<RefusedLine>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
    /// What is odd about lines that were imported.
    #[serde(skip)]
    oddities: Vec<String>,
    /// The scopes of all imported lines.
    #[serde(skip)]
    scopes: BTreeSet<Scope>,
}

/// A line that was refused.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct RefusedLine {
    line: u64,
    /// `null` when the line holds no id.
    client_id: Option<String>,
    reason: String,
}

impl Report {
    fn refuse(&mut self, line: u64, client_id: Option<String>, reason: String) {
        self.refused += 1;
        self.refusals.push(RefusedLine {
            line,
            client_id,
            reason,
        });
    }

    fn lines(&self) -> u64 {
        self.imported + self.existing + self.refused
    }
}

/// Imports the file. If a group of lines fails, the earlier groups stay imported.
pub(super) async fn run(
    agents: &Agents,
    act: &Act,
    path: &Path,
    out: Printer,
) -> Result<(), CommandFailure> {
    let cannot = |error: std::io::Error| {
        CommandFailure::Failed(format!("cannot read {}: {error}", path.display()))
    };
    let lines = rows::open(path).map_err(cannot)?;
    let bar = progress_bar(path);
    let mut report = Report::default();
    let mut piece: Vec<(u64, Row)> = Vec::with_capacity(PIECE);
    let mut seen: HashSet<String> = HashSet::new();
    let mut ended = Ok(());
    for line in lines {
        match line {
            Ok(FileLine {
                number,
                row: Ok(row),
            }) => {
                // Look for a repeated id here: after its import, an agent looks like one of an
                // earlier run.
                if seen.insert(row.client_id.clone()) {
                    piece.push((number, row));
                } else {
                    let why = "clientId: it stands on an earlier line";
                    report.refuse(number, shown_id(&row), why.to_owned());
                }
            }
            Ok(FileLine {
                number,
                row: Err(why),
            }) => report.refuse(number, None, why),
            Err(error) => {
                ended = Err(cannot(error));
                break;
            }
        }
        if piece.len() == PIECE {
            ended = import_piece(agents, act, &mut piece, &mut report).await;
            bar.set_position(report.lines());
            if ended.is_err() {
                break;
            }
        }
    }
    if ended.is_ok() {
        ended = import_piece(agents, act, &mut piece, &mut report).await;
    }
    bar.finish_and_clear();
    // A line that could not be read was refused before the other lines of its group.
    report.refusals.sort_by_key(|r| r.line);
    let scopes: Vec<Scope> = report.scopes.iter().cloned().collect();
    if ended.is_ok() && !scopes.is_empty() {
        match agents.scope_warnings(&scopes).await {
            Ok(warnings) => report.warnings = warnings,
            Err(error) => ended = Err(error.into()),
        }
    }
    tell_report(&report, out)?;
    ended?;
    if report.refused == 0 {
        Ok(())
    } else {
        Err(CommandFailure::Reported)
    }
}

async fn import_piece(
    agents: &Agents,
    act: &Act,
    piece: &mut Vec<(u64, Row)>,
    report: &mut Report,
) -> Result<(), CommandFailure> {
    let (numbers, rows): (Vec<u64>, Vec<Row>) = piece.drain(..).unzip();
    let verdicts = agents.import(&rows, act).await?;
    for ((number, row), verdict) in numbers.into_iter().zip(&rows).zip(verdicts) {
        match verdict {
            Ok(imported) => {
                match imported {
                    Imported::Made => {
                        report.imported += 1;
                        let id = &row.client_id;
                        let odd = oddities(row).into_iter();
                        report
                            .oddities
                            .extend(odd.map(|what| format!("line {number} ({id}): {what}")));
                    }
                    Imported::Existing => report.existing += 1,
                }
                report.scopes.extend(
                    row.scopes
                        .iter()
                        .filter_map(|scope| Scope::parse(scope).ok()),
                );
            }
            Err(fault) => report.refuse(number, shown_id(row), fault.to_string()),
        }
    }
    Ok(())
}

/// What `agent create` would refuse, or what an operator would hardly mean. A line is imported all
/// the same: its client has used the secret elsewhere, and the scopes can be changed later.
fn oddities(row: &Row) -> Vec<String> {
    let mut odd = Vec::new();
    if row
        .secret
        .as_ref()
        .is_some_and(|secret| secret.chars().count() < MIN_SECRET)
    {
        odd.push(format!(
            "secret: it has less than {MIN_SECRET} characters, rotate it soon"
        ));
    }
    if row.scopes.is_empty() {
        odd.push("scopes: there are none, so that the agent gets no token".to_owned());
    }
    let mut seen = HashSet::new();
    let twice = row.scopes.iter().filter(|scope| !seen.insert(*scope));
    odd.extend(twice.map(|scope| format!("scopes: {scope} stands there twice")));
    odd
}

/// The agent's id, if the text is a valid id. Any other text may be a secret in the wrong column
/// and is not shown.
fn shown_id(row: &Row) -> Option<String> {
    AgentId::parse(&row.client_id).ok().map(|id| id.to_string())
}

fn tell_report(report: &Report, out: Printer) -> Result<(), CommandFailure> {
    let (told, rest) = report
        .oddities
        .split_at(report.oddities.len().min(MAX_ODDITIES));
    for oddity in told {
        tell(&format!("warning: {oddity}"));
    }
    if !rest.is_empty() {
        tell(&format!("warning: {} more like these", rest.len()));
    }
    if out.is_json() {
        return out.print(report, || Sheet::of(vec![]));
    }
    for refusal in &report.refusals {
        let id = refusal
            .client_id
            .as_deref()
            .map(|id| format!(" ({id})"))
            .unwrap_or_default();
        tell(&format!("line {}{id}: {}", refusal.line, refusal.reason));
    }
    out.warn(&report.warnings);
    let Report {
        imported,
        existing,
        refused,
        ..
    } = report;
    tell(&format!(
        "imported {imported}, there already {existing}, refused {refused}"
    ));
    Ok(())
}

/// A progress bar on a terminal, nothing elsewhere.
fn progress_bar(path: &Path) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    // Count the lines in a first pass. This costs little compared with hashing the secrets.
    let lines = rows::open(path).map_or(0, |lines| lines.take_while(Result::is_ok).count());
    let length = u64::try_from(lines).ok();
    let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr());
    match ProgressStyle::with_template("{bar:40} {pos} of {len} agents, {eta} left") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
