//! The time from the start of the process to its first response with 200, and the size of the
//! program.

use std::path::Path;

use crate::Fallible;
use crate::measure::Bench;
use crate::report::{Figure, Reach, Row, Unit};
use crate::server::{self, Place, Server};

/// Measures the starts. The store and its keys exist already, and no other server runs on the
/// store.
pub fn measure_starts(bench: &Bench, place: &Place, folder: &Path) -> Fallible<Row> {
    let mut times = Vec::new();
    for _ in 0..bench.timing.starts {
        times.push(Server::start(place, &bench.cores)?.started_in.as_secs_f64());
    }
    let mut figures =
        vec![Figure::new("first 200", Unit::Millis, times).reach(Some(Reach::AtMost(0.060)))];
    let mut notes = Vec::new();
    match server::stripped_size(folder) {
        Some(size) => figures.push(
            Figure::new("program, stripped", Unit::Megabytes, vec![size])
                .reach(Some(Reach::AtMost(20e6))),
        ),
        None => notes.push("the program's size is not known: no strip here".to_owned()),
    }
    Ok(Row {
        figures,
        notes,
        ..Row::default()
    })
}
