//! A program of the comparison while it runs, with its clients and its own database. Must not know
//! how it is measured.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sqlx::postgres::PgConnection;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};
use tempfile::TempDir;

use crate::cores::Cores;
use crate::measure::Subject;
use crate::postgres::{Listens, Postgres};
use crate::seed::{self, Agent, Wanted};
use crate::server::{Place, Server, free_address};
use crate::{Fallible, master_key};

use super::table::{Endpoint, Instructions, Product, Program, Store, WITHOUT_IFMA};

/// The issuer with which Sealwright is configured.
const ISSUER: &str = "http://tokens.example";

/// The database in a program's own cluster.
const DATABASE: &str = "tokens";

/// What a program inherits. The rest of the environment could change what is measured, for example
/// by options of a JVM.
const INHERITED: [&str; 4] = ["PATH", "HOME", "JAVA_HOME", "LANG"];

pub struct Running {
    pub program: &'static Program,
    pub clients: Vec<Agent>,
    // The server comes before what it uses, so that it ends first.
    pub server: Server,
    postgres: Option<Postgres>,
    issuer: String,
    folder: TempDir,
    /// Postgres needs a folder of its own, because the folder may be given to another user.
    _cluster: TempDir,
}

/// What a program has recorded until now.
pub struct Records {
    pub rows: i64,
    /// The length of the write-ahead log in bytes, which only Postgres tells.
    pub log: Option<i64>,
}

/// Where the programs come from, and where they keep their data.
pub struct Places<'a> {
    /// The folder of `benches/peers/run`, with what each product's `prepare` has made.
    pub prepared: &'a Path,
    pub data: &'a Path,
}

impl Running {
    /// Starts a program with at most `clients` clients, on the cores of the server.
    pub fn start(
        program: &'static Program,
        places: &Places<'_>,
        cores: &Cores,
        clients: usize,
    ) -> Fallible<Self> {
        let temporary = || {
            tempfile::Builder::new()
                .prefix("sealwright-peers-")
                .tempdir_in(places.data)
        };
        let (folder, cluster) = (temporary()?, temporary()?);
        let postgres = match program.store {
            Store::Postgres => Some(Postgres::start(cluster.path(), cores, Listens::OnLoopback)?),
            Store::Sqlite | Store::Memory => None,
        };
        if let Some(postgres) = &postgres {
            postgres.create_database(DATABASE)?;
        }
        let number = clients.min(program.clients);
        let (server, clients, issuer) = match program.product {
            Product::Sealwright => {
                let database = match &postgres {
                    // All programs reach their Postgres over TCP, as JDBC does.
                    Some(postgres) => format!(
                        "postgres://sealwright@{}",
                        postgres.place_on_loopback(DATABASE)
                    ),
                    None => format!("sqlite://{}", sqlite_file(folder.path()).display()),
                };
                let (server, clients) = start_sealwright(program, database, cores, number)?;
                (server, clients, ISSUER.to_owned())
            }
            Product::Foreign(name) => {
                let clients: Vec<Agent> = (0..number).map(new_client).collect::<Fallible<_>>()?;
                let database = postgres
                    .as_ref()
                    .map_or(String::new(), |p| p.place_on_loopback(DATABASE));
                let home = places.prepared.join(name);
                let (server, issuer) = start_foreign(
                    program,
                    name,
                    &home,
                    folder.path(),
                    &database,
                    cores,
                    &clients,
                )?;
                (server, clients, issuer)
            }
        };
        Ok(Self {
            program,
            clients,
            server,
            postgres,
            issuer,
            folder,
            _cluster: cluster,
        })
    }

    pub fn subject(&self) -> Subject<'_> {
        Subject {
            server: &self.server,
            postgres: self.postgres.as_ref(),
        }
    }

    /// The `iss` of the tokens of an endpoint.
    pub fn issuer_of(&self, endpoint: &Endpoint) -> String {
        format!("{}{}", self.issuer, endpoint.issuer_path)
    }

    /// Reads what tokens of an endpoint have left in the store. `None` if nothing is kept there.
    pub fn records(&self, endpoint: &Endpoint) -> Fallible<Option<Records>> {
        let Some(count) = endpoint.counted_by else {
            return Ok(None);
        };
        crate::block_on(async {
            let records = if let Some(postgres) = &self.postgres {
                let mut conn = PgConnection::connect(&postgres.url(DATABASE)).await?;
                let rows = sqlx::query_scalar(AssertSqlSafe(count))
                    .fetch_one(&mut conn)
                    .await?;
                let log = sqlx::query_scalar(
                    "select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint",
                )
                .fetch_one(&mut conn)
                .await?;
                conn.close().await?;
                Records {
                    rows,
                    log: Some(log),
                }
            } else {
                let file = sqlite_file(self.folder.path());
                let mut conn = SqliteConnectOptions::new().filename(file).connect().await?;
                let rows = sqlx::query_scalar(AssertSqlSafe(count))
                    .fetch_one(&mut conn)
                    .await?;
                conn.close().await?;
                Records { rows, log: None }
            };
            Ok(Some(records))
        })
    }
}

fn sqlite_file(folder: &Path) -> PathBuf {
    folder.join("sealwright.db")
}

fn new_client(number: usize) -> Fallible<Agent> {
    let mut secret = [0; 32];
    aws_lc_rs::rand::fill(&mut secret)?;
    Ok(Agent {
        id: format!("client-{number}"),
        secret: URL_SAFE_NO_PAD.encode(secret),
    })
}

fn environment(program: &Program) -> Vec<(&'static str, &'static str)> {
    match program.instructions {
        Instructions::All => vec![],
        Instructions::WithoutIfma => vec![WITHOUT_IFMA],
    }
}

fn start_sealwright(
    program: &Program,
    database: String,
    cores: &Cores,
    clients: usize,
) -> Fallible<(Server, Vec<Agent>)> {
    let place = Place {
        database,
        master_key: master_key()?,
    };
    let wanted = Wanted {
        warm: clients,
        real: clients,
        cold: 0,
    };
    let seeded = seed::seed(&place, wanted)?;
    let mut environment = environment(program);
    environment.push(("SEALWRIGHT_TOKEN__ISSUER", ISSUER));
    let server = Server::start_with(&place, cores, &environment)?;
    Ok((server, seeded.warm))
}

fn start_foreign(
    program: &Program,
    name: &str,
    home: &Path,
    folder: &Path,
    database: &str,
    cores: &Cores,
    clients: &[Agent],
) -> Fallible<(Server, String)> {
    let file = folder.join("clients");
    seed::write_agents(&file, clients)?;
    let address = free_address()?;
    let issuer = format!("http://localhost:{}", address.port());
    let ready = program.endpoints.first().map_or("/", |e| e.keys_path);
    let mut command = Command::new(Path::new("benches/peers").join(name).join("start"));
    command
        .env_clear()
        .envs(
            INHERITED
                .iter()
                .filter_map(|name| Some((name, std::env::var_os(name)?))),
        )
        .envs(environment(program))
        .env("PEER_HOME", home)
        .env("PEER_FOLDER", folder)
        .env("PEER_PORT", address.port().to_string())
        .env("PEER_ISSUER", &issuer)
        .env("PEER_CLIENTS", &file)
        .env("PEER_DATABASE", database)
        .env("PEER_VARIANT", program.variant);
    match Server::spawn(command, address, None, ready, cores) {
        Ok(server) => Ok((server, issuer)),
        Err(problem) => {
            let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let end = lines[lines.len().saturating_sub(15)..].join("\n");
            Err(format!("{name}: {problem}\n{end}").into())
        }
    }
}
