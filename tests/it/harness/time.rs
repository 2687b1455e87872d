//! Time under a test's control. Every process of the test and its database may have a clock of its
//! own; the test moves all of them.

use std::sync::{Arc, Mutex, mpsc};

use sealwright::testing::clock::{Clock, FakeClock};
use sealwright::testing::domain::time::Timestamp;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

/// 2023-11-14T22:13:20Z: what the clock of a new database shows.
pub const NOW: Timestamp = Timestamp(1_700_000_000);

/// The connection option that makes `now()` the test's clock: PostgreSQL finds the functions of the
/// schema `sw_clock` before those of the system.
pub const SEARCH_PATH: &str = "-c search_path=public,sw_clock,pg_catalog";

/// Until a test sets this clock, it shows the system's time. The primary key lets the reading be
/// found through an index. A lane that may not scan tables would take any other plan for a costly
/// one and compile it.
pub const CLOCK_SCHEMA: &str = "
    create schema sw_clock;
    create table sw_clock.reading (id int primary key, millis bigint not null);
    create function sw_clock.clock_timestamp() returns timestamptz stable language plpgsql as $$ begin
        return coalesce((select to_timestamp(millis / 1000.0) from sw_clock.reading where id = 1), pg_catalog.clock_timestamp());
    end $$;
    create function sw_clock.now() returns timestamptz stable language plpgsql as $$ begin
        return coalesce((select to_timestamp(millis / 1000.0) from sw_clock.reading where id = 1), pg_catalog.now());
    end $$";

/// The clock of one PostgreSQL database. [`Self::set`] returns once the clock is set. A separate
/// thread does the work, so that a test need not run in a Tokio runtime.
#[derive(Debug, Clone)]
pub struct DatabaseClock(mpsc::Sender<(i64, mpsc::Sender<()>)>);

impl DatabaseClock {
    /// Gives an empty database a clock.
    pub async fn install(url: &str) {
        let mut conn = PgConnection::connect(url).await.unwrap();
        sqlx::raw_sql(CLOCK_SCHEMA)
            .execute(&mut conn)
            .await
            .unwrap();
        conn.close().await.unwrap();
    }

    /// The clock of a database that has one.
    pub fn of(url: &str) -> Self {
        let (orders, taken) = mpsc::channel();
        let url = url.to_owned();
        std::thread::spawn(move || carry_out(&url, &taken));
        Self(orders)
    }

    pub fn set(&self, millis: i64) {
        let (done, told) = mpsc::channel();
        self.0.send((millis, done)).unwrap();
        told.recv().expect("the database's clock can be set");
    }
}

fn carry_out(url: &str, orders: &mpsc::Receiver<(i64, mpsc::Sender<()>)>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut conn = None;
    while let Ok((millis, done)) = orders.recv() {
        let sql = format!(
            "insert into sw_clock.reading values (1, {millis}) on conflict (id) do update set millis = {millis}"
        );
        runtime.block_on(async {
            // A test may have ended all connections, this one included.
            for _ in 0..2 {
                let open = match conn.take() {
                    Some(open) => Ok(open),
                    None => PgConnection::connect(url).await,
                };
                let Ok(mut open) = open else { continue };
                if sqlx::raw_sql(AssertSqlSafe(sql.clone()))
                    .execute(&mut open)
                    .await
                    .is_ok()
                {
                    conn = Some(open);
                    let _ = done.send(());
                    break;
                }
            }
        });
    }
}

/// The time that all processes of a test and its database share.
#[derive(Debug)]
pub struct Time {
    /// The true time, from which the clock of a process may deviate.
    true_clock: FakeClock,
    processes: Mutex<Vec<Arc<FakeClock>>>,
    database: Option<DatabaseClock>,
}

impl Time {
    pub fn at(now: Timestamp, database: Option<&DatabaseClock>) -> Self {
        let time = Self {
            true_clock: FakeClock::at(now),
            processes: Mutex::default(),
            database: database.cloned(),
        };
        time.tell_database();
        time
    }

    /// The clock of one more process. It is `ahead` seconds ahead of the true time.
    pub fn process(&self, ahead: i64) -> Arc<FakeClock> {
        let clock = Arc::new(FakeClock::at(self.now().saturating_add(ahead)));
        self.processes.lock().unwrap().push(Arc::clone(&clock));
        clock
    }

    /// Lets `seconds` pass everywhere.
    pub fn advance(&self, seconds: i64) {
        self.true_clock.advance(seconds);
        for process in &*self.processes.lock().unwrap() {
            process.advance(seconds);
        }
        self.tell_database();
    }

    /// Lets time pass until `now`, or sets it back when `now` is in the past.
    pub fn set(&self, now: Timestamp) {
        self.advance(now.0.saturating_sub(self.now().0));
    }

    pub fn now(&self) -> Timestamp {
        self.true_clock.now()
    }

    fn tell_database(&self) {
        if let Some(database) = &self.database {
            database.set(self.true_clock.unix_millis());
        }
    }
}
