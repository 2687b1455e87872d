//! The auditor: compares a ledger with the database, by SQL and without the program.

use std::collections::HashSet;
use std::time::Duration;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, SqliteConnection};

use super::ledger::Ledger;
use super::server::{Agent, Server, Site};

impl Site {
    async fn sqlite_connection(&self) -> SqliteConnection {
        let options = SqliteConnectOptions::new()
            .filename(self.file())
            .busy_timeout(Duration::from_secs(20));
        options.connect().await.unwrap()
    }

    /// The one number that `sql` selects.
    pub async fn number(&self, sql: &str) -> i64 {
        let sql = AssertSqlSafe(format!("select cast(coalesce(({sql}), 0) as bigint)"));
        if self.is_sqlite() {
            let mut conn = self.sqlite_connection().await;
            let number = sqlx::query_scalar(sql).fetch_one(&mut conn).await.unwrap();
            conn.close().await.unwrap();
            number
        } else {
            let mut conn = PgConnection::connect(&self.database).await.unwrap();
            let number = sqlx::query_scalar(sql).fetch_one(&mut conn).await.unwrap();
            conn.close().await.unwrap();
            number
        }
    }

    /// The texts that `sql` selects, in one column.
    pub async fn texts(&self, sql: &str) -> Vec<String> {
        let sql = AssertSqlSafe(sql.to_owned());
        if self.is_sqlite() {
            let mut conn = self.sqlite_connection().await;
            let texts = sqlx::query_scalar(sql).fetch_all(&mut conn).await.unwrap();
            conn.close().await.unwrap();
            texts
        } else {
            let mut conn = PgConnection::connect(&self.database).await.unwrap();
            let texts = sqlx::query_scalar(sql).fetch_all(&mut conn).await.unwrap();
            conn.close().await.unwrap();
            texts
        }
    }

    /// Runs statements directly in the database, without the program.
    pub async fn execute(&self, sql: &str) {
        let sql = AssertSqlSafe(sql.to_owned());
        if self.is_sqlite() {
            let mut conn = self.sqlite_connection().await;
            sqlx::raw_sql(sql).execute(&mut conn).await.unwrap();
            conn.close().await.unwrap();
        } else {
            let mut conn = PgConnection::connect(&self.database).await.unwrap();
            sqlx::raw_sql(sql).execute(&mut conn).await.unwrap();
            conn.close().await.unwrap();
        }
    }

    /// The time that the store's clock shows, in seconds: that of PostgreSQL, or the machine's on
    /// SQLite.
    pub async fn now(&self) -> i64 {
        let sqlite = "select unixepoch()";
        let postgres = "select floor(extract(epoch from clock_timestamp()))";
        self.number(if self.is_sqlite() { sqlite } else { postgres })
            .await
    }

    fn hex(&self, column: &str) -> String {
        if self.is_sqlite() {
            format!("lower(hex({column}))")
        } else {
            format!("replace({column}::text, '-', '')")
        }
    }

    /// An agent's counter of issued tokens, summed over all months.
    pub async fn used(&self, agent_id: &str) -> i64 {
        self.number(&format!(
            "select sum(used) from quota where agent_id = '{agent_id}'"
        ))
        .await
    }

    /// Checks every account of the ledger against the database.
    pub async fn audit(&self, ledger: &Ledger) {
        for (id, account) in &ledger.accounts {
            let used = self.used(id).await;
            let jti = self.hex("jti");
            let events = self
                .texts(&format!(
                    "select {jti} from token_event e left join token_terms t on t.id = e.terms
                     where coalesce(e.agent_id, t.agent_id) = '{id}'"
                ))
                .await;
            let counted = i64::try_from(events.len()).unwrap();
            let recorded: HashSet<&str> = events.iter().map(String::as_str).collect();
            let delivered = i64::try_from(account.delivered.len()).unwrap();
            assert_eq!(
                used, counted,
                "counted once: counter against events of {id}"
            );
            assert_eq!(
                recorded.len(),
                events.len(),
                "counted once: a jti twice among the events of {id}"
            );
            let distinct: HashSet<&str> = account.delivered.iter().map(String::as_str).collect();
            assert_eq!(
                distinct.len(),
                account.delivered.len(),
                "a jti was delivered twice to {id}"
            );
            let lost: Vec<&&str> = distinct
                .iter()
                .filter(|jti| !recorded.contains(**jti))
                .collect();
            assert!(
                lost.is_empty(),
                "nothing delivered uncounted: {lost:?} of {id}"
            );
            assert!(
                delivered <= used && used <= delivered + account.unknown,
                "bounded loss: {delivered} delivered, {used} counted, {} unknown for {id}",
                account.unknown
            );
        }
        self.audit_revocations(ledger).await;
    }

    /// Demands that every revocation that was answered 200 is in the table.
    async fn audit_revocations(&self, ledger: &Ledger) {
        let jti = self.hex("jti");
        let rows = self
            .texts(&format!("select {jti} from revoked_token"))
            .await;
        let revoked: HashSet<&str> = rows.iter().map(String::as_str).collect();
        for one in ledger.revoked.iter().filter(|one| one.promised) {
            let jti = super::ledger::jti_of(&one.token);
            assert!(
                revoked.contains(jti.as_str()),
                "kept revocations: {jti} was answered 200"
            );
        }
    }
}

/// Demands by introspection that the tokens whose revocation was answered 200 are inactive, and
/// that the kept token is active.
pub async fn introspect_all(server: &Server, asker: &Agent, ledger: &Ledger) {
    let mut client = server.client();
    for one in ledger.revoked.iter().filter(|one| one.promised) {
        assert!(
            !client.introspect(asker, &one.token).await.active(),
            "kept revocations: still active"
        );
    }
    if let Some(kept) = &ledger.kept {
        assert!(
            client.introspect(asker, kept).await.active(),
            "a token without a revocation is inactive"
        );
    }
}

impl Site {
    /// Clears counters and events, so that the next ledger starts from zero.
    pub async fn forget_counts(&self) {
        self.execute("delete from quota; delete from token_event")
            .await;
    }
}
