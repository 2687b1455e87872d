//! Reports the figures: for people on stdout, and for programs as JSON.

use std::fs;
use std::path::Path;

use serde::Serialize;
use serde_json::{Value, json};

use crate::Fallible;
use crate::machine::Machine;
use crate::measure::Repetition;

/// How a value is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// A ratio. Only ratios can be compared between machines.
    Ratio,
    PerSecond,
    Micros,
    Millis,
    Megabytes,
    Bytes,
    Count,
}

impl Unit {
    fn show(self, value: f64) -> String {
        if !value.is_finite() {
            return "-".to_owned();
        }
        match self {
            Self::Ratio if value.abs() < 10.0 => format!("{value:.3}"),
            Self::PerSecond => format!("{value:.0}/s"),
            Self::Micros => format!("{:.1} us", value * 1e6),
            Self::Millis => format!("{:.2} ms", value * 1e3),
            Self::Bytes => format!("{value:.1} B"),
            Self::Megabytes => format!("{:.1} MB", value / 1e6),
            Self::Ratio | Self::Count => format!("{value:.1}"),
        }
    }
}

/// The target of a figure.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    AtLeast(f64),
    AtMost(f64),
}

impl Reach {
    fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
        }
    }

    fn show(self, unit: Unit) -> String {
        match self {
            Self::AtLeast(least) => format!(">= {}", unit.show(least)),
            Self::AtMost(most) => format!("<= {}", unit.show(most)),
        }
    }
}

/// One figure of a row, with one value for each repetition.
#[derive(Debug, Clone)]
pub struct Figure {
    pub name: &'static str,
    pub unit: Unit,
    pub values: Vec<f64>,
    pub reach: Option<Reach>,
}

impl Figure {
    pub fn new(name: &'static str, unit: Unit, values: Vec<f64>) -> Self {
        Self {
            name,
            unit,
            values,
            reach: None,
        }
    }

    pub fn of(
        name: &'static str,
        unit: Unit,
        repetitions: &[Repetition],
        value: impl Fn(&Repetition) -> f64,
    ) -> Self {
        Self::new(name, unit, repetitions.iter().map(value).collect())
    }

    pub fn reach(mut self, reach: Option<Reach>) -> Self {
        self.reach = reach;
        self
    }

    pub fn median(&self) -> f64 {
        let mut sorted = self.values.clone();
        sorted.sort_by(f64::total_cmp);
        match sorted.len() {
            0 => f64::NAN,
            n if n % 2 == 1 => sorted[n / 2],
            n => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
        }
    }

    /// The least and the most.
    pub fn range(&self) -> (f64, f64) {
        let least = self.values.iter().copied().fold(f64::INFINITY, f64::min);
        (
            least,
            self.values
                .iter()
                .copied()
                .fold(f64::NEG_INFINITY, f64::max),
        )
    }

    fn verdict(&self) -> Option<bool> {
        self.reach.map(|reach| reach.is_met(self.median()))
    }

    fn json(&self) -> Value {
        let (least, most) = self.range();
        json!({
            "name": self.name, "unit": self.unit, "median": self.median(), "min": least, "max": most,
            "values": self.values, "reach": self.reach, "reached": self.verdict(),
        })
    }
}

/// A row of the table.
#[derive(Debug, Clone, Default)]
pub struct Row {
    pub name: String,
    pub figures: Vec<Figure>,
    /// What a reader must know besides the figures.
    pub notes: Vec<String>,
    pub repetitions: Vec<Repetition>,
}

impl Row {
    /// Adds the repetitions, and a note if requests failed.
    pub fn with(mut self, repetitions: Vec<Repetition>) -> Self {
        let failed: u64 = repetitions.iter().map(|r| r.failed).sum();
        if failed > 0 {
            let why = repetitions
                .iter()
                .find_map(|r| r.complaint.clone())
                .unwrap_or_default();
            self.notes
                .push(format!("{failed} requests FAILED, the first one: {why}"));
        }
        self.repetitions.extend(repetitions);
        self
    }
}

/// All results.
#[derive(Default)]
pub struct Found {
    pub rows: Vec<Row>,
    /// The settings of Postgres.
    pub settings: Vec<(String, String)>,
}

/// Prints the head of the table.
pub fn begin() {
    println!(
        "\n{:<34} {:>11}   {:<25} {:>12}  reached",
        "", "median", "min .. max", "reach"
    );
}

/// Prints a measured row. Ratios and figures with a target come first.
pub fn show(row: &Row) {
    println!("{}", row.name);
    let (ratios, absolute): (Vec<&Figure>, Vec<&Figure>) = row
        .figures
        .iter()
        .partition(|figure| figure.unit == Unit::Ratio || figure.reach.is_some());
    for figure in ratios.into_iter().chain(absolute) {
        let (least, most) = figure.range();
        let range = if figure.values.len() > 1 {
            format!("{} .. {}", figure.unit.show(least), figure.unit.show(most))
        } else {
            String::new()
        };
        let reach = figure
            .reach
            .map_or_else(String::new, |reach| reach.show(figure.unit));
        let verdict = match figure.verdict() {
            Some(true) => "yes",
            Some(false) => "NO",
            None => "",
        };
        let line = format!(
            "  {:<32} {:>11}   {:<25} {:>12}  {verdict}",
            figure.name,
            figure.unit.show(figure.median()),
            range,
            reach
        );
        println!("{}", line.trim_end());
    }
    for note in &row.notes {
        println!("  {note}");
    }
}

/// Prints how many figures have reached their target, and which have not.
pub fn conclude(rows: &[Row]) {
    let judged = || {
        rows.iter()
            .flat_map(|row| row.figures.iter().map(move |figure| (row, figure)))
    };
    let wanted = judged()
        .filter(|(_, figure)| figure.reach.is_some())
        .count();
    let missed: Vec<_> = judged()
        .filter(|(_, figure)| figure.verdict() == Some(false))
        .collect();
    println!("\n{} of {wanted} figures reached", wanted - missed.len());
    for (row, figure) in missed {
        let reach = figure
            .reach
            .map_or_else(String::new, |reach| reach.show(figure.unit));
        println!(
            "  not reached: {}: {} {} ({reach})",
            row.name,
            figure.name,
            figure.unit.show(figure.median())
        );
    }
}

/// Writes all results, with every repetition, as JSON.
pub fn write(path: &Path, machine: &Machine, facts: &Value, found: &Found) -> Fallible<()> {
    let rows: Vec<Value> = found
        .rows
        .iter()
        .map(|row| {
            let figures: Vec<Value> = row.figures.iter().map(Figure::json).collect();
            json!({ "name": row.name, "figures": figures, "notes": row.notes, "repetitions": row.repetitions })
        })
        .collect();
    let settings: serde_json::Map<String, Value> = found
        .settings
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str().into()))
        .collect();
    let whole = json!({ "machine": machine, "postgres": settings, "facts": facts, "rows": rows });
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, serde_json::to_string_pretty(&whole)? + "\n")?;
    println!("written to {}", path.display());
    Ok(())
}
