//! How much waits, fires and is open: for metrics. Nothing here grows with what is done.

use std::time::Duration;

use jiff::Timestamp;
use treasury_domain::Severity;
use treasury_domain::duration::between;

use super::{Dialect, Store, StoreError, moment};

/// What waits somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Queue {
    /// How many.
    pub waiting: u64,
    /// For how long the oldest waits; zero when none does.
    pub oldest: Duration,
}

/// How the store stands now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figures {
    /// Requests that are not answered yet.
    pub inbox: Queue,
    /// Messages on their way to Slack; the oldest of those that were never posted.
    pub outbox: Queue,
    /// Timers that are due.
    pub timers: Queue,
    /// Each channel of which anything is not sent: what waits for it, and how many are dead.
    pub notifications: Vec<(String, Queue, u64)>,
    /// Open and mitigated incidents by severity, the worst first.
    pub incidents: [u64; 4],
    /// Firing alerts by severity, the worst first.
    pub alerts: [u64; 4],
    /// Bytes of the database, without its log of writes.
    pub size: u64,
}

type Counted = (i64, Option<i64>);

impl Store {
    /// Counts what there is.
    pub async fn figures(&self) -> Result<Figures, StoreError> {
        let now = self.now();
        let counted = async |query: &'static str| -> Result<Queue, StoreError> {
            let row: Counted = sqlx::query_as(query)
                .bind(now.as_microsecond())
                .fetch_one(self.readers())
                .await?;
            Ok(queue(row, now))
        };
        // What is in the future is no one's turn; `$1` is now.
        let inbox = counted(
            "SELECT COUNT(*), MIN(received_at) FROM inbox \
             WHERE state <> 'done' AND received_at <= $1",
        )
        .await?;
        let outbox = counted(
            "SELECT COUNT(*), MIN(CASE WHEN sent_version = 0 THEN created_at END) FROM outbox \
             WHERE state = 'waiting' AND created_at <= $1",
        )
        .await?;
        let timers = counted("SELECT COUNT(*), MIN(due_at) FROM timer WHERE due_at <= $1").await?;
        let rows: Vec<(String, i64, Option<i64>, i64)> = sqlx::query_as(
            "SELECT channel, CAST(SUM(CASE WHEN state = 'waiting' THEN 1 ELSE 0 END) AS BIGINT), \
             MIN(CASE WHEN state <> 'waiting' THEN NULL WHEN attempts = 0 THEN due_at \
             ELSE created_at END), \
             CAST(SUM(CASE WHEN state = 'dead' THEN 1 ELSE 0 END) AS BIGINT) \
             FROM notification WHERE state IN ('waiting', 'dead') GROUP BY channel",
        )
        .fetch_all(self.readers())
        .await?;
        let channel = |(name, waiting, oldest, dead): (String, i64, Option<i64>, i64)| {
            (name, queue((waiting, oldest), now), dead.unsigned_abs())
        };
        Ok(Figures {
            inbox,
            outbox,
            timers,
            notifications: rows.into_iter().map(channel).collect(),
            incidents: self
                .by_severity(
                    "SELECT severity, COUNT(*) FROM incident \
                     WHERE status IN ('open', 'mitigated') GROUP BY severity",
                )
                .await?,
            alerts: self
                .by_severity(
                    "SELECT CAST(severity AS TEXT), CAST(SUM(alerts) AS BIGINT) FROM alert_count \
                     WHERE firing = 1 GROUP BY severity",
                )
                .await?,
            size: self.size().await?,
        })
    }

    async fn by_severity(&self, query: &'static str) -> Result<[u64; 4], StoreError> {
        let rows: Vec<(String, i64)> = sqlx::query_as(query).fetch_all(self.readers()).await?;
        let mut counts = [0; 4];
        for (word, count) in rows {
            let severity = Severity::parse(&word);
            let severity =
                severity.ok_or_else(|| StoreError::Unreadable(format!("severity `{word}`")))?;
            counts[severity as usize] += count.unsigned_abs();
        }
        Ok(counts)
    }

    async fn size(&self) -> Result<u64, StoreError> {
        let query = match self.dialect() {
            Dialect::Sqlite => {
                "SELECT CAST(page_count * page_size AS BIGINT) \
                 FROM pragma_page_count(), pragma_page_size()"
            }
            Dialect::Postgres => "SELECT pg_database_size(current_database())",
        };
        let size: i64 = sqlx::query_scalar(query).fetch_one(self.readers()).await?;
        Ok(size.unsigned_abs())
    }
}

fn queue((waiting, oldest): Counted, now: Timestamp) -> Queue {
    Queue {
        waiting: waiting.unsigned_abs(),
        oldest: oldest.map_or(Duration::ZERO, |at| between(moment(at), now)),
    }
}
