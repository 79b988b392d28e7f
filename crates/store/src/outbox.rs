//! The outbox: the wanted state of every message, and how far it has been delivered.

use std::time::Duration;

use jiff::Timestamp;

use super::writer::Changed;
use super::{Dialect, Store, StoreError, Tx, moment};
use treasury_domain::timeline::cut;
use treasury_domain::{Content, Outgoing};

/// How long a claimed parcel is left to its process.
const LEASE: Duration = Duration::from_secs(60);

/// Something to deliver now.
#[derive(Debug, Clone, PartialEq)]
pub struct Parcel {
    /// Its row.
    pub id: i64,
    /// What is wanted, in its newest state.
    pub outgoing: Outgoing,
    /// The number of that state.
    pub version: i64,
    /// The channel id it was posted in, once it was.
    pub channel: Option<String>,
    /// Its timestamp there, once it was posted.
    pub ts: Option<String>,
    /// It was sent through the request's own address: edits have to go the same way.
    pub via_response_url: bool,
    /// A post was begun whose result is not known.
    pub attempted: bool,
    /// Failed attempts since the last success.
    pub attempts: i64,
    /// When it was first put.
    pub created_at: Timestamp,
}

/// A delivery that went well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    /// Its row.
    pub id: i64,
    /// The number of the state that was delivered.
    pub version: i64,
    /// Where it ended up.
    pub sent: Sent,
}

/// Where a delivery ended up.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sent {
    /// Channel id.
    pub channel: Option<String>,
    /// Timestamp there.
    pub ts: Option<String>,
    /// Through the request's own address.
    pub via_response_url: bool,
}

type Row = (
    i64,
    String,
    i64,
    Option<String>,
    Option<String>,
    i64,
    i64,
    i64,
    i64,
);

fn parcel(row: Row) -> Result<Parcel, StoreError> {
    let (id, outgoing, version, channel, ts, via_url, attempted, attempts, created_at) = row;
    Ok(Parcel {
        id,
        outgoing: serde_json::from_str(&outgoing)?,
        version,
        channel,
        ts,
        via_response_url: via_url != 0,
        attempted: attempted != 0,
        attempts,
        created_at: moment(created_at),
    })
}

impl Tx {
    /// Wants this delivered. A known key replaces the content: the newest state is what counts.
    pub async fn outbox_put(&mut self, outgoing: &Outgoing) -> Result<(), StoreError> {
        let now = self.now.as_microsecond();
        sqlx::query(
            "INSERT INTO outbox (key, lane, outgoing, version, sent_version, state, due_at, \
             created_at, urgency, opens) VALUES ($1, $2, $3, 1, 0, $5, $4, $4, $6, $7) \
             ON CONFLICT (key) DO UPDATE SET outgoing = excluded.outgoing, \
             version = outbox.version + 1, urgency = excluded.urgency, \
             due_at = CASE WHEN outbox.attempts = 0 THEN excluded.due_at ELSE outbox.due_at END, \
             state = CASE WHEN outbox.state = 'dead' THEN 'dead' ELSE excluded.state END",
        )
        .bind(outgoing.key.clone())
        .bind(outgoing.to.lane())
        .bind(serde_json::to_string(outgoing)?)
        .bind(now)
        .bind(if outgoing.to.is_terminal() {
            "local"
        } else {
            "waiting"
        })
        .bind(outgoing.urgency())
        .bind(i64::from(matches!(outgoing.content, Content::Room { .. })))
        .execute(self.connection())
        .await?;
        self.changed.outbox = true;
        Ok(())
    }

    async fn outbox_sent(&mut self, delivered: Delivered) -> Result<(), StoreError> {
        let Delivered { id, version, sent } = delivered;
        sqlx::query(
            "UPDATE outbox SET sent_version = $1, channel = COALESCE($2, channel), \
             ts = COALESCE($3, ts), via_url = $4, attempts = 0, attempted = 0, \
             error = NULL, lease_until = 0, \
             state = CASE WHEN version > $1 THEN 'waiting' ELSE 'done' END WHERE id = $5",
        )
        .bind(version)
        .bind(sent.channel)
        .bind(sent.ts)
        .bind(i64::from(sent.via_response_url))
        .bind(id)
        .execute(self.connection())
        .await?;
        self.changed.outbox = true;
        Ok(())
    }

    /// One statement: leases what has its turn.
    async fn outbox_lease(&mut self, owner: String, limit: i64) -> Result<Vec<Parcel>, StoreError> {
        let (now, due) = (self.now.as_microsecond(), due());
        // The conditions stand again outside: another replica may have leased the row
        // between the inner SELECT and the UPDATE.
        let rows: Vec<Row> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "UPDATE outbox SET owner = $2, lease_until = $3 WHERE id IN ({due} \
             ORDER BY worst, outbox.id LIMIT $4) AND state = 'waiting' AND lease_until <= $1 \
             RETURNING id, outgoing, version, channel, ts, via_url, attempted, attempts, created_at"
        )))
        .bind(now)
        .bind(owner)
        .bind(now + LEASE.as_micros() as i64)
        .bind(limit)
        .fetch_all(self.connection())
        .await?;
        let mut parcels: Vec<Parcel> = rows.into_iter().map(parcel).collect::<Result<_, _>>()?;
        // RETURNING has no order.
        parcels.sort_by_key(|parcel| (parcel.outgoing.urgency(), parcel.id));
        Ok(parcels)
    }

    /// What is wanted under this key, if anything ever was.
    pub async fn outbox_wanted(&mut self, key: &str) -> Result<Option<Outgoing>, StoreError> {
        let row: Option<String> = sqlx::query_scalar("SELECT outgoing FROM outbox WHERE key = $1")
            .bind(key.to_owned())
            .fetch_optional(self.connection())
            .await?;
        Ok(row.map(|row| serde_json::from_str(&row)).transpose()?)
    }

    /// Wants this no longer delivered, if it surely was not yet; whether that is so.
    pub async fn outbox_withdraw(&mut self, key: &str) -> Result<bool, StoreError> {
        let gone = sqlx::query(
            "DELETE FROM outbox WHERE key = $1 AND sent_version = 0 AND attempted = 0 \
             AND lease_until <= $2",
        )
        .bind(key.to_owned())
        .bind(self.now.as_microsecond())
        .execute(self.connection())
        .await?;
        Ok(gone.rows_affected() > 0)
    }
}

/// The turns of a lane: its new messages one after another, the worst first, and beside them its
/// edits. What makes a lane's place comes before all else. A lane is as urgent as the worst that
/// waits in it.
const TURNS: &str = "SELECT id, \
    ROW_NUMBER() OVER (PARTITION BY lane, sent_version = 0 ORDER BY opens DESC, urgency, id) AS turn, \
    MIN(urgency) OVER (PARTITION BY lane, sent_version = 0) AS worst \
    FROM outbox WHERE state = 'waiting'";

/// What has its turn, is due and not leased at `$1`.
fn due() -> String {
    format!(
        "SELECT outbox.id FROM outbox JOIN ({TURNS}) turns ON turns.id = outbox.id \
         WHERE turn = 1 AND due_at <= $1 AND lease_until <= $1"
    )
}

impl Store {
    /// Wants this delivered, in a write of its own.
    pub async fn outbox_put(&self, outgoing: Outgoing) -> Result<(), StoreError> {
        self.write(move |tx| Box::pin(async move { tx.outbox_put(&outgoing).await }))
            .await
    }

    /// Leases what has its turn, is due and not leased, the worst first, at most `limit`.
    pub async fn outbox_claim(&self, owner: &str, limit: i64) -> Result<Vec<Parcel>, StoreError> {
        self.outbox_turn(owner, limit, Vec::new()).await
    }

    /// Whether anything has its turn, is due and not leased.
    pub async fn outbox_is_due(&self) -> Result<bool, StoreError> {
        let due = sqlx::query(sqlx::AssertSqlSafe(due() + " LIMIT 1"));
        self.finds(due.bind(self.now().as_microsecond())).await
    }

    /// Records what was delivered, and leases what has its turn then, as [`Store::outbox_claim`] does:
    /// on SQLite in one write. On PostgreSQL a write that holds rows must not wait for others.
    pub async fn outbox_turn(
        &self,
        owner: &str,
        limit: i64,
        mut delivered: Vec<Delivered>,
    ) -> Result<Vec<Parcel>, StoreError> {
        if self.dialect() == Dialect::Postgres || limit == 0 {
            for one in delivered.drain(..) {
                self.outbox_sent(one.id, one.version, one.sent).await?;
            }
        }
        if limit == 0 {
            return Ok(Vec::new());
        }
        let owner = owner.to_owned();
        if delivered.is_empty() {
            return self
                .write_single(move |tx| {
                    Box::pin(async move { tx.outbox_lease(owner, limit).await })
                })
                .await;
        }
        self.write(move |tx| {
            Box::pin(async move {
                for one in delivered {
                    tx.outbox_sent(one).await?;
                }
                // What that lets go is leased right here.
                tx.changed = Changed::NOTHING;
                tx.outbox_lease(owner, limit).await
            })
        })
        .await
    }

    /// Records, before the first post of a message goes out, that its result may stay unknown.
    pub async fn outbox_attempting(&self, id: i64) -> Result<(), StoreError> {
        let attempted = sqlx::query("UPDATE outbox SET attempted = 1 WHERE id = $1").bind(id);
        self.write_one(attempted, Changed::NOTHING).await
    }

    /// Records that a state was delivered. A newer one, put meanwhile, stays waiting; the lane's
    /// next can go.
    pub async fn outbox_sent(&self, id: i64, version: i64, sent: Sent) -> Result<(), StoreError> {
        let delivered = Delivered { id, version, sent };
        self.write_single(move |tx| Box::pin(async move { tx.outbox_sent(delivered).await }))
            .await
    }

    /// Records a failed attempt that is to be repeated at `at`. The lane waits for it, but for worse.
    pub async fn outbox_retry(
        &self,
        id: i64,
        at: Timestamp,
        error: &str,
    ) -> Result<(), StoreError> {
        let retry = sqlx::query(
            "UPDATE outbox SET attempts = attempts + 1, due_at = $1, error = $2, \
             lease_until = 0 WHERE id = $3",
        )
        .bind(at.as_microsecond())
        .bind(cut(error, 500))
        .bind(id);
        self.write_one(retry, Changed::OUTBOX).await
    }

    /// Puts a delivery off without counting it as a failure (a rate limit, an edit too soon).
    pub async fn outbox_later(&self, id: i64, at: Timestamp) -> Result<(), StoreError> {
        let later = sqlx::query("UPDATE outbox SET due_at = $1, lease_until = 0 WHERE id = $2")
            .bind(at.as_microsecond())
            .bind(id);
        self.write_one(later, Changed::OUTBOX).await
    }

    /// Records an attempt that was refused for a reason of its own: it is repeated at `at`, in a lane
    /// of its own, since the lane's others may well be taken.
    pub async fn outbox_aside(
        &self,
        id: i64,
        at: Timestamp,
        error: &str,
    ) -> Result<(), StoreError> {
        let aside = sqlx::query(
            "UPDATE outbox SET attempts = attempts + 1, due_at = $1, error = $2, \
             lease_until = 0, lane = 'aside:' || id WHERE id = $3",
        )
        .bind(at.as_microsecond())
        .bind(cut(error, 500))
        .bind(id);
        self.write_one(aside, Changed::OUTBOX).await
    }

    /// Records that this can't ever be delivered. The lane goes on.
    pub async fn outbox_dead(&self, id: i64, error: &str) -> Result<(), StoreError> {
        let dead = sqlx::query(
            "UPDATE outbox SET state = 'dead', error = $1, lease_until = 0 WHERE id = $2",
        )
        .bind(cut(error, 500))
        .bind(id);
        self.write_one(dead, Changed::OUTBOX).await
    }

    /// When the next waiting delivery is due, if one waits.
    pub async fn outbox_next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        let due: Option<i64> = sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
            "SELECT MIN(CASE WHEN due_at > lease_until THEN due_at ELSE lease_until END) \
             FROM outbox WHERE id IN (SELECT id FROM ({TURNS}) turns WHERE turn = 1)",
        )))
        .fetch_one(self.readers())
        .await?;
        Ok(due.map(moment))
    }

    /// How many deliveries wait.
    pub async fn outbox_depth(&self) -> Result<i64, StoreError> {
        Ok(
            sqlx::query_scalar("SELECT COUNT(*) FROM outbox WHERE state = 'waiting'")
                .fetch_one(self.readers())
                .await?,
        )
    }

    /// The wanted state of a message and its number, if there is one of this key.
    pub async fn outbox_read(&self, key: &str) -> Result<Option<(Outgoing, i64)>, StoreError> {
        let row: Option<(String, i64)> =
            sqlx::query_as("SELECT outgoing, version FROM outbox WHERE key = $1")
                .bind(key.to_owned())
                .fetch_optional(self.readers())
                .await?;
        row.map(|(outgoing, version)| Ok((serde_json::from_str(&outgoing)?, version)))
            .transpose()
    }

    /// It is still to be delivered, or delivered anew.
    pub async fn outbox_waits(&self, key: &str) -> Result<bool, StoreError> {
        let waiting = sqlx::query("SELECT id FROM outbox WHERE key = $1 AND state = 'waiting'");
        self.finds(waiting.bind(key.to_owned())).await
    }

    /// Where the message of this key was posted, once it was: channel id and timestamp.
    pub async fn outbox_posted(&self, key: &str) -> Result<Option<(String, String)>, StoreError> {
        let row: Option<(Option<String>, Option<String>)> =
            sqlx::query_as("SELECT channel, ts FROM outbox WHERE key = $1")
                .bind(key.to_owned())
                .fetch_optional(self.readers())
                .await?;
        Ok(match row {
            Some((Some(channel), Some(ts))) => Some((channel, ts)),
            _ => None,
        })
    }
}
