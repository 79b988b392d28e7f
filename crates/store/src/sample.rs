//! What the bot measured itself, a mean each minute.

use std::time::Duration;

use jiff::Timestamp;
use sqlx::AssertSqlSafe;

use super::writer::Changed;
use super::{Store, StoreError, moment};
use treasury_domain::series::Series;

/// Minutes are kept so long; after that every tenth.
const FINE: Duration = Duration::from_secs(6 * 3_600);
/// Every tenth minute is kept so long.
const COARSE: Duration = Duration::from_secs(3 * 86_400);
/// Rows of one statement.
const ROWS: usize = 100;
/// A minute, microseconds.
const MINUTE: i64 = 60_000_000;

impl Store {
    /// Records the values of this minute. What another replica of the bot recorded for the same
    /// minute stays.
    pub async fn samples_put(&self, samples: Vec<(Series, f64)>) -> Result<(), StoreError> {
        let now = self.now().as_microsecond();
        let at = now - now.rem_euclid(MINUTE);
        for chunk in samples.chunks(ROWS) {
            let chunk = chunk.to_vec();
            self.write::<_, StoreError, _>(move |tx| {
                Box::pin(async move {
                    let places: Vec<String> = (0..chunk.len())
                        .map(|n| format!("(${}, ${}, ${})", n * 3 + 1, n * 3 + 2, n * 3 + 3))
                        .collect();
                    let text = format!(
                        "INSERT INTO sample (series, at, value) VALUES {} ON CONFLICT DO NOTHING",
                        places.join(", ")
                    );
                    let mut query = sqlx::query(AssertSqlSafe(text));
                    for (series, value) in chunk {
                        let thousandths = (value * 1_000.0).round() as i64;
                        query = query.bind(series.to_string()).bind(at).bind(thousandths);
                    }
                    query.execute(tx.connection()).await?;
                    Ok(())
                })
            })
            .await?;
        }
        Ok(())
    }

    /// The values of all series, oldest first.
    pub async fn samples(&self) -> Result<Vec<(Series, Timestamp, f64)>, StoreError> {
        let since = self.now().as_microsecond() - COARSE.as_micros() as i64;
        let rows: Vec<(String, i64, i64)> =
            sqlx::query_as("SELECT series, at, value FROM sample WHERE at >= $1 ORDER BY at")
                .bind(since)
                .fetch_all(self.readers())
                .await?;
        // A series that this version does not know is left alone.
        Ok(rows
            .into_iter()
            .filter_map(|(series, at, value)| {
                Some((series.parse().ok()?, moment(at), value as f64 / 1_000.0))
            })
            .collect())
    }

    /// Removes what is too old to be kept.
    pub async fn samples_thin(&self) -> Result<(), StoreError> {
        let now = self.now().as_microsecond();
        let fine = now - FINE.as_micros() as i64;
        let coarse = now - COARSE.as_micros() as i64;
        let old =
            sqlx::query("DELETE FROM sample WHERE at < $1 OR (at < $2 AND at % 600000000 <> 0)")
                .bind(coarse)
                .bind(fine);
        self.write_one(old, Changed::NOTHING).await?;
        Ok(())
    }
}
