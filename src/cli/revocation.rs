//! `sealwright revocation`: which verifiers already enforce a revocation.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::api::verifiers::ConvergenceJson;
use crate::app::Opened;
use crate::config::Config;
use crate::domain::verifier::{Convergence, ConvergenceState};

use super::failure::CommandFailure;
use super::output::{Printer, Sheet};
use super::runtime::open;

/// How often the command looks.
const PERIOD: Duration = Duration::from_millis(250);

#[derive(Subcommand)]
pub(super) enum RevocationCommand {
    /// Wait until every known verifier enforces a version of the revocation list
    Watch(WatchArgs),
}

#[derive(Debug, Args)]
pub(super) struct WatchArgs {
    /// The version, as suspending an agent tells it (revocationVersion); by default, the present one
    #[arg(long, value_name = "VERSION")]
    version: Option<i64>,
    /// Give up after so many seconds
    #[arg(long, value_name = "SECS", default_value_t = 60)]
    timeout: u64,
}

/// The exit code is 0 once the state is complete.
pub(super) async fn run(
    command: RevocationCommand,
    config: &Config,
    out: Printer,
) -> Result<(), CommandFailure> {
    let RevocationCommand::Watch(args) = command;
    let opened = open(config).await?;
    let verifiers = opened.verifiers();
    let newest = verifiers.newest_version().await?;
    let version = args.version.unwrap_or(newest);
    if version > newest || version < 0 {
        let text =
            format!("{version} is no version of the revocation list, whose newest is {newest}");
        return Err(CommandFailure::Failed(text));
    }
    let ends = Instant::now() + Duration::from_secs(args.timeout);
    let bar = progress_bar();
    let found = loop {
        let found = verifiers.convergence(version).await?;
        draw(&bar, &found);
        let waits = matches!(
            found.state,
            ConvergenceState::Pending | ConvergenceState::Partial
        );
        if !waits || Instant::now() >= ends {
            break found;
        }
        tokio::time::sleep(PERIOD).await;
    };
    bar.finish_and_clear();
    let state = found.state;
    let shown = ConvergenceJson::from(found);
    out.print(&shown, || sheet(&shown))?;
    match state {
        ConvergenceState::Complete => Ok(()),
        ConvergenceState::Pending | ConvergenceState::Partial => Err(CommandFailure::Reported),
        ConvergenceState::Unknown => {
            let text = "no verifier has reported in the last 24 hours: see docs/feed.md";
            Err(CommandFailure::Failed(text.to_owned()))
        }
    }
}

/// The version of the revocation list that has a command's own kill, which is committed; `None` if
/// nothing was killed. `revocation watch` takes it.
pub(super) async fn version_of_kill(
    opened: &Opened,
    is_kill: bool,
) -> Result<Option<i64>, CommandFailure> {
    if !is_kill {
        return Ok(None);
    }
    Ok(Some(opened.verifiers().newest_version().await?))
}

/// The row that shows it to people.
pub(super) fn version_row(version: Option<i64>) -> Option<(&'static str, String)> {
    version.map(|version| ("revocation version", version.to_string()))
}

fn draw(bar: &ProgressBar, found: &Convergence) {
    let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    bar.set_length(number(found.total()));
    bar.set_position(number(found.converged));
    bar.set_message(format!(
        "{}, {} behind, {} silent",
        found.state.as_str(),
        found.behind,
        found.silent
    ));
}

/// A progress bar on a terminal, nothing elsewhere.
fn progress_bar() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} verifiers: {msg}");
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn sheet(shown: &ConvergenceJson) -> Sheet {
    let counts = &shown.verifiers;
    let mut rows = vec![
        ("version", shown.version.to_string()),
        ("state", shown.state.to_owned()),
        (
            "committed at",
            shown.committed_at.clone().unwrap_or_default(),
        ),
        ("verifiers", counts.total.to_string()),
        ("converged", counts.converged.to_string()),
        ("behind", counts.behind.to_string()),
        ("silent", counts.silent.to_string()),
        ("unauthenticated", counts.unauthenticated.to_string()),
    ];
    let millis = |millis: Option<i64>| millis.map(|millis| format!("{millis} ms"));
    let times = [("half after", shown.p50_ms), ("all after", shown.p100_ms)];
    rows.extend(
        times
            .into_iter()
            .filter_map(|(name, time)| Some((name, millis(time)?))),
    );
    let late = shown.slowest.iter().map(|late| {
        let text = format!(
            "{} (version {}, seen {})",
            late.verifier, late.version, late.seen_at
        );
        ("waits for", text)
    });
    rows.extend(late);
    Sheet::of(rows)
}
