//! The outbox: the wanted state of every message, and how far it has been delivered.

use std::time::Duration;

use jiff::Timestamp;
use sqlx::AssertSqlSafe;

use super::instance::{alive, free};
use super::store::Statement;
use super::writer::Changed;
use super::{Dialect, Store, StoreError, Tx, moment, readable};
use treasury_domain::timeline::cut;
use treasury_domain::{Content, Outgoing};

/// A process that claims a parcel and then forgets it, such as by a panic, claims it again after this.
const LEASE: Duration = Duration::from_secs(60);

/// Something to deliver now.
#[derive(Debug, Clone, PartialEq)]
pub struct Parcel {
    /// Its row.
    pub id: i64,
    /// The process that has claimed it.
    pub owner: String,
    /// When it did, by its own clock.
    pub claimed_at: Timestamp,
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

/// A delivery that went well, as it is to be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    id: i64,
    owner: String,
    version: i64,
    sent: Sent,
    /// What is kept of it, if not all.
    left: Option<String>,
}

impl Delivered {
    /// This was delivered, and ended up there.
    pub fn new(parcel: &Parcel, sent: Sent) -> Result<Self, StoreError> {
        let left = parcel.outgoing.delivered();
        Ok(Self {
            id: parcel.id,
            owner: parcel.owner.clone(),
            version: parcel.version,
            sent,
            left: left.map(|left| serde_json::to_string(&left)).transpose()?,
        })
    }

    fn record(&self) -> Statement {
        let record = "UPDATE outbox SET sent_version = $3, channel = COALESCE($4, channel), \
             ts = COALESCE($5, ts), via_url = $6, attempts = 0, attempted = 0, \
             error = NULL, lease_until = 0, \
             outgoing = CASE WHEN version > $3 THEN outgoing ELSE COALESCE($7, outgoing) END, \
             state = CASE WHEN version > $3 THEN 'waiting' ELSE 'done' END \
             WHERE id = $1 AND owner = $2";
        let record = sqlx::query(record).bind(self.id).bind(self.owner.clone());
        let record = record.bind(self.version).bind(self.sent.channel.clone());
        record
            .bind(self.sent.ts.clone())
            .bind(i64::from(self.sent.via_response_url))
            .bind(self.left.clone())
    }

    /// Where it is another's by now: a newer state was perhaps shown before this one, and is shown
    /// again.
    fn again(&self) -> Statement {
        let newer = "UPDATE outbox SET state = 'waiting' \
                     WHERE id = $1 AND state = 'done' AND version > $2 AND ts IS NOT NULL";
        sqlx::query(newer).bind(self.id).bind(self.version)
    }
}

type Row = (
    i64,
    String,
    String,
    i64,
    Option<String>,
    Option<String>,
    i64,
    i64,
    i64,
    i64,
);

fn parcel(row: Row, claimed_at: Timestamp) -> Result<Parcel, StoreError> {
    let (id, owner, outgoing, version, channel, ts, via_url, attempted, attempts, created_at) = row;
    Ok(Parcel {
        id,
        owner,
        claimed_at,
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
        let gone = format!(
            "DELETE FROM outbox WHERE key = $1 AND sent_version = 0 AND attempted = 0 \
             AND (lease_until = 0 OR owner NOT IN ({}))",
            alive(self.dialect)
        );
        let gone = sqlx::query(AssertSqlSafe(gone))
            .bind(key.to_owned())
            .execute(self.connection())
            .await?;
        Ok(gone.rows_affected() > 0)
    }
}

/// A change of a parcel's row: `$1` is its number, `$2` who claimed it.
fn of_parcel(parcel: &Parcel, change: &'static str) -> Statement {
    let change = sqlx::query(change).bind(parcel.id);
    change.bind(parcel.owner.clone())
}

/// The turns of a lane: its new messages one after another, the worst first, and beside them its
/// edits. What makes a lane's place comes before all else. A lane is as urgent as the worst that
/// waits in it. Triggers mark which may be the first of their lanes: few, whatever waits behind them.
const TURNS: &str = "SELECT o.id, 1 AS turn, CASE WHEN o.opens = 0 OR o.sent_version > 0 \
    THEN o.urgency ELSE COALESCE((SELECT b.urgency FROM outbox b WHERE b.state = 'waiting' \
    AND b.sent_version = 0 AND b.lane = o.lane AND b.opens = 0 AND b.urgency < o.urgency \
    ORDER BY b.urgency LIMIT 1), o.urgency) END AS worst \
    FROM outbox o WHERE o.foremost = 1 AND o.id = CASE WHEN o.sent_version = 0 THEN \
    (SELECT b.id FROM outbox b WHERE b.state = 'waiting' AND b.sent_version = 0 \
    AND b.lane = o.lane ORDER BY b.opens DESC, b.urgency, b.id LIMIT 1) ELSE \
    (SELECT b.id FROM outbox b WHERE b.state = 'waiting' AND b.sent_version > 0 \
    AND b.lane = o.lane ORDER BY b.opens DESC, b.urgency, b.id LIMIT 1) END";

/// What has its turn, is due at `$1`, and free for `$2`.
fn due(dialect: Dialect) -> String {
    let free = free(dialect);
    format!(
        "SELECT outbox.id FROM outbox JOIN ({TURNS}) turns ON turns.id = outbox.id \
         WHERE turn = 1 AND due_at <= $1 AND {free}"
    )
}

impl Tx {
    /// One statement: claims what has its turn.
    async fn outbox_claim(&mut self, owner: String, limit: i64) -> Result<Vec<Parcel>, StoreError> {
        let (now, due, free) = (self.now, due(self.dialect), free(self.dialect));
        // The conditions stand again outside: another replica may have claimed the row between the
        // inner SELECT and the UPDATE.
        let rows: Vec<Row> = sqlx::query_as(AssertSqlSafe(format!(
            "UPDATE outbox SET owner = $2, lease_until = $3 WHERE id IN ({due} \
             ORDER BY worst, outbox.id LIMIT $4) AND state = 'waiting' AND {free} \
             RETURNING id, owner, outgoing, version, channel, ts, via_url, attempted, \
             attempts, created_at"
        )))
        .bind(now.as_microsecond())
        .bind(owner)
        .bind(now.as_microsecond() + LEASE.as_micros() as i64)
        .bind(limit)
        .fetch_all(self.connection())
        .await?;
        let mut parcels = readable(rows.into_iter().map(|row| (row.0, parcel(row, now))));
        // RETURNING has no order.
        parcels.sort_by_key(|parcel| (parcel.outgoing.urgency(), parcel.id));
        Ok(parcels)
    }
}

impl Store {
    /// Wants this delivered, in a write of its own.
    pub async fn outbox_put(&self, outgoing: Outgoing) -> Result<(), StoreError> {
        self.write(move |tx| Box::pin(async move { tx.outbox_put(&outgoing).await }))
            .await
    }

    /// Claims what has its turn, is due and free, the worst first, at most `limit`, for as long as its
    /// owner lives.
    pub async fn outbox_claim(&self, owner: &str, limit: i64) -> Result<Vec<Parcel>, StoreError> {
        self.outbox_turn(owner, limit, &mut Vec::new()).await
    }

    /// Whether anything has its turn, is due and free.
    pub async fn outbox_is_due(&self, owner: &str) -> Result<bool, StoreError> {
        let due = format!("{} LIMIT 1", due(self.dialect()));
        let due = sqlx::query(AssertSqlSafe(due)).bind(self.now().as_microsecond());
        self.finds(due.bind(owner.to_owned())).await
    }

    /// Records what was delivered, and claims what has its turn then, as [`Store::outbox_claim`] does: on
    /// SQLite in one write. On PostgreSQL a write that holds rows must not wait for others. What is left
    /// of `delivered` after an error is not recorded yet.
    pub async fn outbox_turn(
        &self,
        owner: &str,
        limit: i64,
        delivered: &mut Vec<Delivered>,
    ) -> Result<Vec<Parcel>, StoreError> {
        if self.dialect() == Dialect::Postgres || limit == 0 {
            while let Some(one) = delivered.first() {
                match self.outbox_delivered(one).await {
                    Err(error @ StoreError::Lost) => {
                        tracing::warn!(id = one.id, %error, "a delivery");
                    }
                    recorded => recorded?,
                }
                delivered.remove(0);
            }
        }
        if limit == 0 {
            return Ok(Vec::new());
        }
        let owner = owner.to_owned();
        if delivered.is_empty() {
            let claim = self.write_single(move |tx| Box::pin(tx.outbox_claim(owner, limit)));
            return claim.await;
        }
        let recorded = delivered.clone();
        let claimed = self.write(move |tx| {
            Box::pin(async move {
                for one in recorded {
                    let done = one.record().execute(tx.connection()).await?;
                    if done.rows_affected() == 0 {
                        tracing::warn!(id = one.id, error = %StoreError::Lost, "a delivery");
                        one.again().execute(tx.connection()).await?;
                    }
                }
                // What that lets go is claimed right here.
                tx.outbox_claim(owner, limit).await
            })
        });
        let claimed = claimed.await?;
        delivered.clear();
        Ok(claimed)
    }

    /// Records, before the first post of a message goes out, that its result may stay unknown.
    /// [`StoreError::Lost`] from this and from all that record what came of a parcel: it is another
    /// process's by now.
    pub async fn outbox_attempting(&self, parcel: &Parcel) -> Result<(), StoreError> {
        let attempted = "UPDATE outbox SET attempted = 1 WHERE id = $1 AND owner = $2";
        let attempted = of_parcel(parcel, attempted);
        self.outbox_record(attempted, Changed::NOTHING).await
    }

    /// Records that a state was delivered; a picture is not kept then. A newer one, put
    /// meanwhile, stays waiting; the lane's next can go.
    pub async fn outbox_sent(&self, parcel: &Parcel, sent: Sent) -> Result<(), StoreError> {
        self.outbox_delivered(&Delivered::new(parcel, sent)?).await
    }

    async fn outbox_delivered(&self, one: &Delivered) -> Result<(), StoreError> {
        let recorded = self.outbox_record(one.record(), Changed::OUTBOX).await;
        if matches!(recorded, Err(StoreError::Lost)) {
            self.write_one(one.again(), Changed::OUTBOX).await?;
        }
        recorded
    }

    /// The terminal has shown it: a picture is not kept.
    pub async fn outbox_shown(&self, outgoing: &Outgoing) -> Result<(), StoreError> {
        let Some(left) = outgoing.delivered() else {
            return Ok(());
        };
        let shown = sqlx::query("UPDATE outbox SET outgoing = $1 WHERE key = $2")
            .bind(serde_json::to_string(&left)?)
            .bind(outgoing.key.clone());
        self.write_one(shown, Changed::NOTHING).await?;
        Ok(())
    }

    /// Records a failed attempt that is to be repeated at `at`. The lane waits for it, but for worse.
    pub async fn outbox_retry(
        &self,
        parcel: &Parcel,
        at: Timestamp,
        error: &str,
    ) -> Result<(), StoreError> {
        let retry = of_parcel(
            parcel,
            "UPDATE outbox SET attempts = attempts + 1, due_at = $3, error = $4, \
             lease_until = 0 WHERE id = $1 AND owner = $2",
        )
        .bind(at.as_microsecond())
        .bind(cut(error, 500));
        self.outbox_record(retry, Changed::OUTBOX).await
    }

    /// Puts a delivery off without counting it as a failure (a rate limit, an edit too soon).
    pub async fn outbox_later(&self, parcel: &Parcel, at: Timestamp) -> Result<(), StoreError> {
        let later = "UPDATE outbox SET due_at = $3, lease_until = 0 WHERE id = $1 AND owner = $2";
        let later = of_parcel(parcel, later).bind(at.as_microsecond());
        self.outbox_record(later, Changed::OUTBOX).await
    }

    /// Records an attempt that was refused for a reason of its own: it is repeated at `at`, in a lane
    /// of its own, since the lane's others may well be taken.
    pub async fn outbox_aside(
        &self,
        parcel: &Parcel,
        at: Timestamp,
        error: &str,
    ) -> Result<(), StoreError> {
        let aside = of_parcel(
            parcel,
            "UPDATE outbox SET attempts = attempts + 1, due_at = $3, error = $4, \
             lease_until = 0, lane = 'aside:' || id WHERE id = $1 AND owner = $2",
        )
        .bind(at.as_microsecond())
        .bind(cut(error, 500));
        self.outbox_record(aside, Changed::OUTBOX).await
    }

    /// Records that this can't ever be delivered. The lane goes on.
    pub async fn outbox_dead(&self, parcel: &Parcel, error: &str) -> Result<(), StoreError> {
        let dead = of_parcel(
            parcel,
            "UPDATE outbox SET state = 'dead', error = $3, lease_until = 0 \
             WHERE id = $1 AND owner = $2",
        )
        .bind(cut(error, 500));
        self.outbox_record(dead, Changed::OUTBOX).await
    }

    /// Changes the row of a parcel, if it is still its owner's.
    async fn outbox_record(&self, change: Statement, put: Changed) -> Result<(), StoreError> {
        match self.write_one(change, put).await? {
            0 => Err(StoreError::Lost),
            _ => Ok(()),
        }
    }

    /// When the next waiting delivery is due, if one waits.
    pub async fn outbox_next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        let due: Option<i64> = sqlx::query_scalar(AssertSqlSafe(format!(
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
