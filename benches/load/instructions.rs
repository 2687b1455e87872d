//! Counts the instructions that one warm token costs outside its signature. This figure has no
//! noise: it shows a change of one per cent even on a busy machine.
//!
//! A process issues tokens to itself, through the whole router and on a SQLite file, under
//! callgrind. Callgrind does not count while the signing function runs. It reports what it counted
//! between two marks, so the figure contains neither start-up nor warm-up.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use sealwright::testing::app::{self, Wrapping};
use sealwright::testing::clock::{Clock as _, SystemClock};
use sealwright::testing::entropy::SystemEntropy;
use sealwright::testing::http;
use sealwright::testing::service::readiness::Draining;
use sealwright::testing::store::TermsBounds;
use sealwright::testing::telemetry::{self, Format, Output};
use serde::Serialize;
use tower::Service as _;

use crate::Fallible;
use crate::machine::toolchain;
use crate::seed::{self, Wanted};
use crate::server::Place;

/// The number of concurrent requests, and so of tokens in a batch.
const AT_ONCE: usize = 16;

/// The rounds between the two marks.
const ROUNDS: usize = 32;

/// The most rounds before the first mark. Under callgrind on a busy machine, the first rounds may
/// be so slow that requests fail.
const WARM_ROUNDS: usize = 50;

/// How many rounds show the store that the terms of the tokens are common ones.
const SEEN_ROUNDS: usize = 5;

/// A pattern for the function whose instructions are not counted, including the functions that it
/// calls. It is the signing function of the C library, whose name begins with the library's
/// version.
const SIGNING: &str = "*EVP_DigestSign";

/// A pattern for [`mark`].
const MARK: &str = "*instructions*mark*";

/// A count above the baseline times this factor fails.
const TOLERANCE: f64 = 1.10;

/// The count, and the toolchain with which it was made.
#[derive(Debug, Clone, Serialize)]
pub struct Count {
    pub instructions_per_token: u64,
    pub rustc: String,
    pub target: String,
}

/// Prints the count and compares it with the baseline. Fails if the count is too high or could not
/// be made.
pub fn check(baseline: &Path, update: bool) -> Fallible<()> {
    let count = count()?;
    let pair = format!("{} | {}", count.rustc, count.target);
    let lines = fs::read_to_string(baseline).unwrap_or_default();
    let known = lines.lines().find_map(|line| {
        let (number, of) = line.split_once(" | ")?;
        (of == pair).then(|| number.trim().parse::<u64>().ok())?
    });
    let counted = count.instructions_per_token;
    println!("instructions of one warm token outside the signature: {counted} ({pair})");
    if update {
        let others = lines.lines().filter(|line| !line.ends_with(&pair));
        let mut text: String = others.flat_map(|line| [line, "\n"]).collect();
        writeln!(text, "{counted} | {pair}")?;
        return Ok(fs::write(baseline, text)?);
    }
    let Some(known) = known else {
        println!(
            "there is no baseline for this toolchain and target in {}",
            baseline.display()
        );
        return Ok(());
    };
    let ratio = counted as f64 / known as f64;
    println!("the baseline is {known}: {:+.1} %", (ratio - 1.0) * 100.0);
    if ratio > TOLERANCE {
        return Err(format!(
            "that is more than {:.0} % above the baseline: mend it, or say why in a commit that writes the new \
             one with `tests/instructions --update`",
            (TOLERANCE - 1.0) * 100.0
        )
        .into());
    }
    Ok(())
}

/// Counts with callgrind.
pub fn count() -> Fallible<Count> {
    let (rustc, target) = toolchain()?;
    let folder = tempfile::Builder::new()
        .prefix("sealwright-count-")
        .tempdir()?;
    let place = place(folder.path())?;
    // Create the store outside of callgrind. Under callgrind, generating the key would take about
    // a minute, and a different time in each run.
    let seeded = seed::seed(
        &place,
        Wanted {
            warm: AT_ONCE,
            real: 0,
            cold: 0,
        },
    )?;
    seed::write_agents(&folder.path().join("agents"), &seeded.warm)?;
    fs::write(folder.path().join("key"), &place.master_key)?;
    let instructions = run(folder.path(), ROUNDS)?;
    Ok(Count {
        instructions_per_token: instructions / (ROUNDS * AT_ONCE) as u64,
        rustc,
        target,
    })
}

/// The instructions of this number of rounds.
fn run(folder: &Path, rounds: usize) -> Fallible<u64> {
    let out = folder.join("callgrind.out");
    let output = Command::new("valgrind")
        .args([
            "--tool=callgrind",
            &format!("--dump-before={MARK}"),
            &format!("--toggle-collect={SIGNING}"),
        ])
        // This must come after `--toggle-collect`, which alone would start counting at the first
        // signature.
        .arg("--collect-atstart=yes")
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(std::env::current_exe()?)
        .args([
            "issue-in-process",
            "--rounds",
            &rounds.to_string(),
            "--folder",
        ])
        .arg(folder)
        .stdout(Stdio::null())
        .output()
        .map_err(|error| format!("valgrind: {error} (Debian: apt-get install valgrind)"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("the counted run failed: {said}").into());
    }
    // The first dump ends at the first mark. The second dump covers the rounds between the marks.
    let total = fs::read_to_string(out.with_extension("out.2"))?;
    let line = total.lines().find_map(|line| line.strip_prefix("totals: "));
    let instructions = line.and_then(|rest| rest.split(' ').next()?.trim().parse().ok());
    Ok(instructions.ok_or("callgrind wrote no total")?)
}

fn place(folder: &Path) -> Fallible<Place> {
    let database = format!("sqlite://{}", folder.join("sealwright.db").display());
    Ok(Place {
        database,
        master_key: crate::master_key()?,
    })
}

/// Issues tokens in `rounds` rounds. In each round, every agent in `folder` gets one token, all at
/// the same time.
pub fn issue_in_process(folder: &Path, rounds: usize) -> Fallible<()> {
    let database = format!("sqlite://{}", folder.join("sealwright.db").display());
    let place = Place {
        database,
        master_key: fs::read_to_string(folder.join("key"))?,
    };
    let agents = seed::read_agents(&folder.join("agents"))?;
    let config = seed::config(&place)?;
    let _logging = telemetry::start_logging("info", Format::Json, Output::Stdout);
    crate::block_on(async {
        let (clock, entropy) = (
            Arc::new(SystemClock::default()),
            Arc::new(SystemEntropy::default()),
        );
        let opened = app::open_with(&config, Wrapping::Serving, clock, entropy).await?;
        opened.keys.ensure_signing_key().await?;
        let state = app::compose(&config, &opened, Arc::new(Draining::default()))?;
        let router = http::public_router(&state);
        let round = || async {
            let all = agents.iter().map(|agent| issue(router.clone(), agent));
            futures_util::future::try_join_all(all).await.map(drop)
        };
        let mut warm = 0;
        for _ in 0..WARM_ROUNDS {
            warm = if round().await.is_ok() { warm + 1 } else { 0 };
            if warm == 2 {
                break;
            }
        }
        // What a server's loops do: the terms of a warm token have a row of their own.
        let records = &opened.records;
        records.refresh_terms().await?;
        for _ in 0..SEEN_ROUNDS {
            round().await?;
        }
        records
            .intern_terms(opened.clock.now(), TermsBounds::DEFAULT)
            .await?;
        records.refresh_terms().await?;
        round().await?;
        mark(0);
        for _ in 0..rounds {
            round().await?;
        }
        mark(1);
        Ok(())
    })
}

/// Marks a point in the run. Callgrind finds this function by its name.
#[inline(never)]
fn mark(which: u32) -> u32 {
    std::hint::black_box(which)
}

async fn issue(mut router: Router, agent: &seed::Agent) -> Fallible<()> {
    let form = format!(
        "grant_type=client_credentials&client_id={}&client_secret={}&scope=agents:read",
        agent.id, agent.secret
    );
    let request = Request::builder()
        .method(Method::POST)
        .uri("/api/v1/token")
        .header("host", "localhost")
        .header("content-type", "application/x-www-form-urlencoded")
        .header("content-length", form.len())
        .body(Body::from(form))?;
    let response = router.call(request).await?;
    if response.status() != StatusCode::OK {
        return Err(format!("status {}", response.status()).into());
    }
    Ok(())
}
