//! `sealwright audit verify`: the whole log against the events and kept checkpoints.

use std::io::{BufRead, BufReader, IsTerminal, Read};
use std::path::{Path, PathBuf};

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::api::log::VerificationJson;
use crate::service::journal::log::verify::{KeptNote, LogVerifier};

use super::failure::CommandFailure;
use super::output::Printer;

/// The longest file that is taken for one note. A log is read line by line.
const MAX_NOTE_BYTES: u64 = 65_536;

#[derive(Args)]
pub(super) struct VerifyArgs {
    /// Compare with the checkpoints in this file: a note, or lines of the server's log
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
}

pub(super) async fn run(
    args: &VerifyArgs,
    verifier: &LogVerifier,
    out: Printer,
) -> Result<(), CommandFailure> {
    let kept = match &args.against {
        Some(path) => read_kept(path)?,
        None => Vec::new(),
    };
    let bar = progress_bar();
    let mut progress = |done: i64, all: i64| {
        bar.set_length(u64::try_from(all).unwrap_or(0));
        bar.set_position(u64::try_from(done).unwrap_or(0));
    };
    let found = verifier.verify(&kept, &mut progress).await;
    bar.finish_and_clear();
    let found = found?;
    let shown = VerificationJson::from(&found);
    out.print_text(&shown, &text(&shown))?;
    match shown.broken {
        None => Ok(()),
        Some(broken) => Err(CommandFailure::Failed(format!(
            "the log is broken: {broken}"
        ))),
    }
}

fn text(shown: &VerificationJson) -> String {
    let mut lines = vec![
        format!("entries: {}", shown.entries),
        format!("events: {}", shown.events),
        format!("pruned: {}", shown.pruned),
        format!("pending: {}", shown.pending),
        format!("checkpoints: {}", shown.checkpoints),
    ];
    if shown.unreadable > 0 {
        lines.push(format!("unreadable: {}", shown.unreadable));
    }
    if let Some(broken) = &shown.broken {
        lines.push(format!("broken: {broken}"));
    }
    lines.join("\n") + "\n"
}

/// The checkpoints of a file. A file without any is bad usage: it would compare nothing.
fn read_kept(path: &Path) -> Result<Vec<KeptNote>, CommandFailure> {
    let shown = path.display();
    let failed = |error| CommandFailure::Failed(format!("cannot read {shown}: {error}"));
    let open = || std::fs::File::open(path).map_err(failed);
    let mut start = Vec::new();
    open()?
        .take(MAX_NOTE_BYTES)
        .read_to_end(&mut start)
        .map_err(failed)?;
    if let Some(note) = KeptNote::of_file(&start) {
        return Ok(vec![note]);
    }
    let (mut kept, mut line) = (Vec::new(), Vec::new());
    let mut lines = BufReader::new(open()?);
    while lines.read_until(b'\n', &mut line).map_err(failed)? > 0 {
        kept.extend(str::from_utf8(&line).ok().and_then(KeptNote::of_line));
        line.clear();
    }
    if kept.is_empty() {
        return Err(CommandFailure::Usage(format!(
            "{shown} is no signed note, and has no line with the message \"checkpoint\""
        )));
    }
    Ok(kept)
}

/// A progress bar on a terminal, nothing elsewhere.
fn progress_bar() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    match ProgressStyle::with_template("{bar:40} event {pos} of {len}, {eta} left") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
