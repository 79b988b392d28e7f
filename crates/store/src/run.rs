//! Runs of runbooks: what they were started with, their steps, and what they have to take up.
//!
//! What a step holds is the engine's own affair; here it is text.

use super::{Store, StoreError, Tx, moment};
use treasury_domain::{IncidentId, ServiceName};

/// A run that is to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRun {
    /// One run for ever: the request's key, or the calling step's.
    pub key: String,
    /// Name of the runbook.
    pub name: String,
    /// Text of the runbook.
    pub source: String,
    /// What it is started with, JSON.
    pub start: String,
    /// Where it is told, JSON.
    pub message: String,
    /// The incident that it belongs to.
    pub incident: Option<IncidentId>,
}

/// A run as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRow {
    /// Its number.
    pub id: i64,
    /// Name of the runbook.
    pub name: String,
    /// Text of the runbook.
    pub source: String,
    /// What it was started with, JSON.
    pub start: String,
    /// Where it is told, JSON.
    pub message: String,
    /// Why it is being ended early, JSON.
    pub stop: Option<String>,
    /// How it ended, JSON.
    pub verdict: Option<String>,
    /// When it began.
    pub started_at: jiff::Timestamp,
    /// When it ended.
    pub ended_at: Option<jiff::Timestamp>,
}

type Row = (
    i64,
    String,
    String,
    String,
    String,
    Option<String>,
    Option<String>,
    i64,
    Option<i64>,
);

const COLUMNS: &str = "id, name, source, start, told, stop, verdict, started_at, ended_at";

fn run(row: Row) -> RunRow {
    let (id, name, source, start, message, stop, verdict, started_at, ended_at) = row;
    RunRow {
        id,
        name,
        source,
        start,
        message,
        stop,
        verdict,
        started_at: moment(started_at),
        ended_at: ended_at.map(moment),
    }
}

/// What is written of a run in one go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunWrite {
    /// Steps by path, JSON.
    pub steps: Vec<(String, String)>,
    /// It is being ended early, JSON.
    pub stop: Option<String>,
    /// It has ended, JSON: its services are free again.
    pub verdict: Option<String>,
    /// Events that are taken up with this.
    pub events: Vec<i64>,
}

/// Whether a run may change a service now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunLock {
    /// It may, until it ends.
    Held,
    /// Another run does.
    Behind(i64),
}

impl Tx {
    /// Begins a run, once for each key; the number of the one that has this key, and whether it is
    /// new.
    pub async fn run_begin(
        &mut self,
        new: &NewRun,
        owner: &str,
    ) -> Result<(i64, bool), StoreError> {
        let now = self.now.as_microsecond();
        let made: Option<(i64,)> = sqlx::query_as(
            "INSERT INTO run (key, name, source, start, told, state, owner, started_at, incident) \
             VALUES ($1, $2, $3, $4, $5, 'running', $6, $7, $8) \
             ON CONFLICT DO NOTHING RETURNING id",
        )
        .bind(new.key.clone())
        .bind(new.name.clone())
        .bind(new.source.clone())
        .bind(new.start.clone())
        .bind(new.message.clone())
        .bind(owner.to_owned())
        .bind(now)
        .bind(new.incident.map(|id| id.0))
        .fetch_optional(self.connection())
        .await?;
        if let Some((id,)) = made {
            return Ok((id, true));
        }
        let (id,): (i64,) = sqlx::query_as("SELECT id FROM run WHERE key = $1")
            .bind(new.key.clone())
            .fetch_one(self.connection())
            .await?;
        Ok((id, false))
    }

    /// Writes how far a run has got. `false` when another process has taken it over: then nothing
    /// is written.
    pub async fn run_write(
        &mut self,
        id: i64,
        owner: &str,
        write: &RunWrite,
    ) -> Result<bool, StoreError> {
        let now = self.now.as_microsecond();
        let ended = write.verdict.is_some();
        let owned = sqlx::query(
            "UPDATE run SET stop = COALESCE($1, stop), verdict = COALESCE($2, verdict), \
             state = $3, ended_at = $4 WHERE id = $5 AND owner = $6 AND state = 'running'",
        )
        .bind(write.stop.clone())
        .bind(write.verdict.clone())
        .bind(if ended { "ended" } else { "running" })
        .bind(ended.then_some(now))
        .bind(id)
        .bind(owner.to_owned())
        .execute(self.connection())
        .await?;
        if owned.rows_affected() != 1 {
            return Ok(false);
        }
        for (path, record) in &write.steps {
            sqlx::query(
                "INSERT INTO run_step (run, path, record) VALUES ($1, $2, $3) \
                 ON CONFLICT (run, path) DO UPDATE SET record = excluded.record",
            )
            .bind(id)
            .bind(path.clone())
            .bind(record.clone())
            .execute(self.connection())
            .await?;
        }
        for event in &write.events {
            sqlx::query("DELETE FROM run_event WHERE id = $1 AND run = $2")
                .bind(*event)
                .bind(id)
                .execute(self.connection())
                .await?;
        }
        if ended {
            sqlx::query("DELETE FROM run_lock WHERE run = $1")
                .bind(id)
                .execute(self.connection())
                .await?;
        }
        Ok(true)
    }

    /// Gives a service to a run until it ends, unless another run has it.
    pub async fn run_lock(
        &mut self,
        service: &ServiceName,
        run: i64,
    ) -> Result<RunLock, StoreError> {
        sqlx::query("INSERT INTO run_lock (service, run) VALUES ($1, $2) ON CONFLICT DO NOTHING")
            .bind(service.to_string())
            .bind(run)
            .execute(self.connection())
            .await?;
        let (holder,): (i64,) = sqlx::query_as("SELECT run FROM run_lock WHERE service = $1")
            .bind(service.to_string())
            .fetch_one(self.connection())
            .await?;
        Ok(if holder == run {
            RunLock::Held
        } else {
            RunLock::Behind(holder)
        })
    }

    /// The run that was begun by this key, while it goes on.
    pub async fn run_going_on(&mut self, key: &str) -> Result<Option<i64>, StoreError> {
        Ok(
            sqlx::query_scalar("SELECT id FROM run WHERE key = $1 AND state = 'running'")
                .bind(key.to_owned())
                .fetch_optional(self.connection())
                .await?,
        )
    }

    /// Tells a run something; the same key again tells nothing.
    pub async fn run_tell(&mut self, run: i64, key: &str, event: &str) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO run_event (key, run, event) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        )
        .bind(key.to_owned())
        .bind(run)
        .bind(event.to_owned())
        .execute(self.connection())
        .await?;
        Ok(())
    }
}

impl Store {
    /// A run.
    pub async fn run(&self, id: i64) -> Result<Option<RunRow>, StoreError> {
        let query = format!("SELECT {COLUMNS} FROM run WHERE id = $1");
        let row: Option<Row> = sqlx::query_as(sqlx::AssertSqlSafe(query))
            .bind(id)
            .fetch_optional(self.readers())
            .await?;
        Ok(row.map(run))
    }

    /// The newest runs, newest first.
    pub async fn runs(&self, limit: u32) -> Result<Vec<RunRow>, StoreError> {
        let query = format!("SELECT {COLUMNS} FROM run ORDER BY id DESC LIMIT $1");
        let rows: Vec<Row> = sqlx::query_as(sqlx::AssertSqlSafe(query))
            .bind(i64::from(limit))
            .fetch_all(self.readers())
            .await?;
        Ok(rows.into_iter().map(run).collect())
    }

    /// The newest runs that belong to an incident, newest first.
    pub async fn runs_of(&self, id: IncidentId, limit: u32) -> Result<Vec<RunRow>, StoreError> {
        let query =
            format!("SELECT {COLUMNS} FROM run WHERE incident = $1 ORDER BY id DESC LIMIT $2");
        let rows: Vec<Row> = sqlx::query_as(sqlx::AssertSqlSafe(query))
            .bind(id.0)
            .bind(i64::from(limit))
            .fetch_all(self.readers())
            .await?;
        Ok(rows.into_iter().map(run).collect())
    }

    /// The steps of a run by path, JSON.
    pub async fn run_steps(&self, id: i64) -> Result<Vec<(String, String)>, StoreError> {
        Ok(
            sqlx::query_as("SELECT path, record FROM run_step WHERE run = $1 ORDER BY path")
                .bind(id)
                .fetch_all(self.readers())
                .await?,
        )
    }

    /// What a run has to take up, oldest first.
    pub async fn run_events(&self, id: i64) -> Result<Vec<(i64, String)>, StoreError> {
        Ok(
            sqlx::query_as("SELECT id, event FROM run_event WHERE run = $1 ORDER BY id LIMIT 100")
                .bind(id)
                .fetch_all(self.readers())
                .await?,
        )
    }

    /// The unfinished runs that have something to take up.
    pub async fn runs_told(&self) -> Result<Vec<i64>, StoreError> {
        Ok(sqlx::query_scalar(
            "SELECT id FROM run WHERE state = 'running' \
             AND EXISTS (SELECT 1 FROM run_event WHERE run = run.id) LIMIT 1000",
        )
        .fetch_all(self.readers())
        .await?)
    }

    /// Takes over the unfinished runs of dead processes.
    pub async fn runs_take_over(&self, owner: &str) -> Result<Vec<i64>, StoreError> {
        let unfinished = "state = 'running'";
        let rows: Vec<(i64,)> = self.take_over(owner, "run", unfinished, "id").await?;
        Ok(rows.into_iter().map(|(id,)| id).collect())
    }
}
