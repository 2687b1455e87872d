//! Measures one store: creates and fills the store, starts and warms up the server, and measures
//! row by row.

use std::time::Duration;

use crate::args::Args;
use crate::measure::{Bench, Subject};
use crate::postgres::{Listens, Postgres};
use crate::report::{self, Found, Row};
use crate::rows::{self, Kind, Planned, STORM, World};
use crate::seed::{self, REAL, Wanted};
use crate::server::{Place, Server};
use crate::{Fallible, interrupt, master_key, process};

/// How long after its start a server's memory is measured as idle.
const SETTLED: Duration = Duration::from_secs(2);

/// Measures the wanted rows of a store. The first row starts the server several times. All other
/// rows share one server.
pub fn measure_store(
    kind: Kind,
    args: &Args,
    bench: &Bench,
    argon2: f64,
    found: &mut Found,
) -> Fallible<()> {
    let starts = rows::start_name(kind);
    let planned: Vec<Planned> = rows::plan(kind, args)
        .into_iter()
        .filter(|row| args.wants(&row.name))
        .collect();
    if !args.wants(&starts) && planned.is_empty() {
        return Ok(());
    }
    let temporary = || {
        tempfile::Builder::new()
            .prefix("sealwright-load-")
            .tempdir_in(&args.data)
    };
    // Postgres needs a folder of its own, because the folder may be given to another user.
    let (folder, cluster) = (temporary()?, temporary()?);
    let postgres = match kind {
        Kind::Postgres => Some(Postgres::start(
            cluster.path(),
            &bench.cores,
            Listens::OnSocket,
        )?),
        Kind::Sqlite => None,
    };
    let database = match &postgres {
        Some(postgres) => {
            found.settings = postgres.settings()?;
            let settings = found
                .settings
                .iter()
                .map(|(name, value)| format!("{name} {value}"));
            println!(
                "\nPostgreSQL as installed: {}",
                settings.collect::<Vec<_>>().join(", ")
            );
            postgres.create_database("load")?
        }
        None => format!("sqlite://{}", folder.path().join("sealwright.db").display()),
    };
    let place = Place {
        database,
        master_key: master_key()?,
    };
    let timing = &bench.timing;
    let warm = if args.full {
        timing.known.max(10_000)
    } else {
        timing.known
    };
    let wanted = Wanted {
        warm: warm.max(REAL),
        real: REAL,
        cold: STORM + timing.cold,
    };
    let seeded = seed::seed(&place, wanted)?;
    report::begin();
    if args.wants(&starts) {
        let row = rows::measure_starts(bench, &place, folder.path());
        keep(found, starts, row);
    }
    let server = Server::start(&place, &bench.cores)?;
    interrupt::pause(SETTLED)?;
    let idle = process::memory(server.process())?;
    let subject = Subject {
        server: &server,
        postgres: postgres.as_ref(),
    };
    let warmed = rows::warm_up(bench, subject, &seeded.warm[..REAL], Duration::from_mins(2))?;
    warmed.notes.iter().for_each(|note| println!("{note}"));
    let world = World {
        kind,
        bench,
        subject,
        place: &place,
        seeded: &seeded,
        idle,
        folder: folder.path(),
        argon2,
    };
    for Planned { name, measure } in planned {
        let row = measure(&world);
        interrupt::check()?;
        keep(found, name, row);
    }
    Ok(())
}

/// Keeps and prints a row. A row that failed gets a note, and the other rows are still measured.
fn keep(found: &mut Found, name: String, row: Fallible<Row>) {
    let row = match row {
        Ok(row) => Row { name, ..row },
        Err(problem) => Row {
            name,
            notes: vec![format!("NOT MEASURED: {problem}")],
            ..Row::default()
        },
    };
    report::show(&row);
    found.rows.push(row);
}
