//! Rows as values: the server writes each as JSON, and serde reads it by the names of its columns.

use serde::de::DeserializeOwned;
use serde_json::Value;
use sqlx_core::error::Error;
use sqlx_core::query_scalar::query_scalar;
use sqlx_core::sql_str::AssertSqlSafe;
use sqlx_postgres::PgConnection;

use super::mask::mask;

/// The longest text but a query's, bytes.
const LONGEST: usize = 128;

/// All rows of a query. Columns have the names of the fields; texts are made fit to be shown, and
/// literals in a `query` are masked.
pub(super) async fn rows<T: DeserializeOwned>(
    server: &mut PgConnection,
    query: &str,
) -> Result<Vec<T>, Error> {
    let query = AssertSqlSafe(format!("SELECT to_jsonb(one)::text FROM ({query}) AS one"));
    let texts: Vec<String> = query_scalar(query).fetch_all(server).await?;
    let read = |text: &String| {
        let mut row: Value = serde_json::from_str(text)?;
        show(&mut row);
        serde_json::from_value(row)
    };
    let all: Result<_, serde_json::Error> = texts.iter().map(read).collect();
    all.map_err(|error| Error::Decode(error.into()))
}

/// The only row of a query.
pub(super) async fn row<T: DeserializeOwned>(
    server: &mut PgConnection,
    query: &str,
) -> Result<T, Error> {
    rows(server, query).await?.pop().ok_or(Error::RowNotFound)
}

/// All rows of a query as one value within another.
pub(super) fn list(query: &str) -> String {
    format!("(SELECT coalesce(jsonb_agg(one), '[]') FROM ({query}) AS one)")
}

fn show(value: &mut Value) {
    match value {
        Value::String(text) => *text = clean(text, LONGEST),
        Value::Array(all) => all.iter_mut().for_each(show),
        Value::Object(fields) => {
            for (name, field) in fields {
                match field {
                    Value::String(text) if name == "query" => *text = mask(text),
                    field => show(field),
                }
            }
        }
        _ => {}
    }
}

/// Texts that clients choose: without control characters, at most `most` bytes.
pub(super) fn clean(text: &str, most: usize) -> String {
    let text: String = text.chars().filter(|c| !c.is_control()).collect();
    treasury_domain::timeline::cut(&text, most)
}

/// Milliseconds since a moment, as SQL; null where there is none.
pub(super) fn ms_since(moment: &str) -> String {
    format!(
        "CASE WHEN {moment} IS NOT NULL THEN
         greatest(extract(epoch FROM clock_timestamp() - {moment}) * 1000, 0)::bigint END"
    )
}
