//! The figures of the comparison as a table in Markdown, ready for `docs/performance.md`.

use std::fs;
use std::path::Path;

use crate::machine::Machine;
use crate::measure::Repetition;
use crate::report::{Figure, Row, Unit};

use super::running::Running;
use super::series::Turn;
use super::table::{Product, Store};

const SHARE: &str = "share of the signing limit";
const TOKENS: &str = "tokens";
const COST: &str = "CPU a token";
const DATABASE: &str = "database CPU";
const RAW: &str = "raw signature";
const RESIDENT: &str = "resident";
const ROWS: &str = "rows a token";
const LOG: &str = "write-ahead log a token";

/// By how much the shares of the first and the last repetition may differ, as a part of the first.
const MAX_DRIFT: f64 = 0.1;

/// The figures of a row.
pub fn row(turn: Turn<'_>) -> Row {
    let name = turn.name();
    let repetitions = turn.repetitions;
    let of =
        |name, unit, value: fn(&Repetition) -> f64| Figure::of(name, unit, &repetitions, value);
    let mut figures = vec![
        of(SHARE, Unit::Ratio, Repetition::share),
        of(TOKENS, Unit::PerSecond, Repetition::per_second),
        of(COST, Unit::Micros, Repetition::cost),
        of(DATABASE, Unit::Micros, Repetition::database_cost),
        of(RAW, Unit::Micros, |r| 1.0 / r.raw.sign),
        of("p50", Unit::Millis, |r| r.p50),
        of("p99", Unit::Millis, |r| r.p99),
        of("load generator busy", Unit::Ratio, |r| r.client_busy),
        Figure::new(RESIDENT, Unit::Megabytes, turn.resident),
    ];
    if !turn.rows.is_empty() {
        figures.push(Figure::new(ROWS, Unit::Ratio, turn.rows));
    }
    if !turn.log.is_empty() {
        figures.push(Figure::new(LOG, Unit::Bytes, turn.log));
    }
    let notes = drift(&repetitions).into_iter().collect();
    Row {
        name,
        figures,
        notes,
        ..Row::default()
    }
    .with(repetitions)
}

/// Tells if a program became faster or slower in the course of the series: then its warm-up was too
/// short, or what it records makes it slower.
fn drift(repetitions: &[Repetition]) -> Option<String> {
    let (first, last) = (repetitions.first()?.share(), repetitions.last()?.share());
    let drifts = (last / first - 1.0).abs() > MAX_DRIFT;
    drifts.then(|| format!("NOT STEADY: the share was {first:.3} at first and {last:.3} at last"))
}

/// The versions of the programs that ran, one of each product.
pub fn versions(programs: &[Running], prepared: &Path, machine: &Machine) -> Vec<String> {
    let mut versions: Vec<String> = Vec::new();
    for running in programs {
        let version = match running.program.product {
            Product::Sealwright => format!("Sealwright {}", machine.commit),
            Product::Foreign(name) => fs::read_to_string(prepared.join(name).join("version"))
                .map_or_else(|_| name.to_owned(), |text| text.trim().to_owned()),
        };
        if !versions.contains(&version) {
            versions.push(version);
        }
    }
    versions
}

/// Prints the table.
pub fn print(rows: &[Row], machine: &Machine, versions: &[String]) {
    println!(
        "\n| server, where it keeps its data | tokens/s | CPU a token (of it database) | share of the raw \
         signing rate (least – most) | resident | recorded a token |\n|---|---|---|---|---|---|"
    );
    for row in rows {
        println!("{}", line(row));
    }
    let ifma = if machine.avx512ifma { "yes" } else { "no" };
    let raw = |without: bool| {
        let of_kind = rows.iter().filter(|row| is_without_ifma(row) == without);
        let rates: Vec<f64> = of_kind.filter_map(|row| median(row, RAW)).collect();
        let mean = rates.iter().sum::<f64>() / rates.len() as f64;
        mean.is_finite()
            .then(|| format!("{} a CPU second", grouped(1.0 / mean)))
    };
    for row in rows {
        for note in &row.notes {
            println!("\n{}: {note}.", row.name);
        }
    }
    println!(
        "\n{}, AVX512-IFMA: {ifma}, {} cores, {}, {}.\nRaw RS256 signatures: {}; without AVX512-IFMA: {}.\n{}.",
        machine.cpu,
        machine.cores,
        machine.system,
        machine.rustc,
        raw(false).unwrap_or_else(|| "not measured".to_owned()),
        raw(true).unwrap_or_else(|| "not measured".to_owned()),
        versions.join("; ")
    );
}

fn line(row: &Row) -> String {
    let value = |name| median(row, name).unwrap_or(f64::NAN);
    let database = match value(DATABASE) {
        0.0 => String::new(),
        seconds => format!(" ({})", micros(seconds)),
    };
    let range = figure(row, SHARE).map_or((f64::NAN, f64::NAN), Figure::range);
    format!(
        "| {} | {} | {}{database} | **{:.3}** ({:.3} – {:.3}) | {:.0} MB | {} |",
        row.name,
        grouped(value(TOKENS)),
        micros(value(COST)),
        value(SHARE),
        range.0,
        range.1,
        value(RESIDENT) / 1e6,
        recorded(row)
    )
}

fn recorded(row: &Row) -> String {
    let memory = row.name.contains(Store::Memory.word());
    match (median(row, ROWS), median(row, LOG)) {
        _ if memory => "nothing".to_owned(),
        (Some(rows), Some(log)) if rows >= 0.5 => {
            format!("{rows:.2} rows, {log:.0} B of write-ahead log")
        }
        (Some(rows), _) if rows >= 0.5 => format!("{rows:.2} rows"),
        _ => "nothing".to_owned(),
    }
}

fn is_without_ifma(row: &Row) -> bool {
    row.name.ends_with("AVX512-IFMA")
}

fn figure<'a>(row: &'a Row, name: &str) -> Option<&'a Figure> {
    row.figures.iter().find(|figure| figure.name == name)
}

fn median(row: &Row, name: &str) -> Option<f64> {
    figure(row, name).map(Figure::median)
}

fn micros(seconds: f64) -> String {
    format!("{} µs", grouped(seconds * 1e6))
}

/// A whole number with commas between its thousands.
fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
