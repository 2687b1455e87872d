//! Many rows of tokens' events in one row of a result, as JSON.
//!
//! Owns that JSON. Must not know what the columns mean. The driver hands over each row of a result by
//! itself, from the thread of the connection to the one that asked, with a copy of each column: that
//! costs more than all that the ledger does with an event.

use serde::{Deserialize, Deserializer};
use sqlx::sqlite::SqliteConnection;
use uuid::Uuid;

use crate::domain::digest::{parse_hex, parse_hex_bytes};
use crate::store::piece::LeanColumns;

use super::errors::broken;

/// A row, in the order of the statement.
#[derive(Deserialize)]
struct PackedToken(
    i64,
    i64,
    #[serde(deserialize_with = "id")] Uuid,
    i64,
    #[serde(deserialize_with = "bytes")] Option<Vec<u8>>,
    #[serde(deserialize_with = "bytes")] Option<Vec<u8>>,
    Option<String>,
    Option<String>,
    Option<i32>,
);

/// The first `limit` rows of tokens with these ids. SQLite promises no order within the text.
pub(super) async fn read(
    conn: &mut SqliteConnection,
    after: i64,
    through: i64,
    limit: i64,
) -> sqlx::Result<Vec<LeanColumns>> {
    // `hex` makes an empty text of a null.
    let (packed, number): (String, Option<i64>) = sqlx::query_as(
        "select json_group_array(json_array(
                    id, at, hex(jti), epoch, iif(request is null, null, hex(request)),
                    iif(source is null, null, hex(source)), agent_id, inline, terms)),
                (select version from revision where name = 'terms')
         from (select id, at, jti, epoch, request, source, agent_id, inline, terms
               from token_event
               where id > ?1 and id <= ?2
               order by id
               limit ?3)",
    )
    .bind(after)
    .bind(through)
    .bind(limit)
    .fetch_one(conn)
    .await?;
    let packed: Vec<PackedToken> = serde_json::from_str(&packed).map_err(broken)?;
    let columns = |token| {
        let PackedToken(id, at, jti, epoch, request, source, agent_id, inline, terms) = token;
        (
            id, at, jti, epoch, request, source, agent_id, inline, terms, number,
        )
    };
    Ok(packed.into_iter().map(columns).collect())
}

fn id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Uuid, D::Error> {
    let digits = <&str>::deserialize(deserializer)?;
    let bytes = parse_hex(digits).ok_or_else(|| malformed("an id is 16 bytes"))?;
    Ok(Uuid::from_bytes(bytes))
}

fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<u8>>, D::Error> {
    let digits = Option::<&str>::deserialize(deserializer)?;
    let parsed = |digits| parse_hex_bytes(digits).ok_or_else(|| malformed("bytes are hexadecimal"));
    digits.map(parsed).transpose()
}

fn malformed<E: serde::de::Error>(rule: &str) -> E {
    E::custom(rule)
}
