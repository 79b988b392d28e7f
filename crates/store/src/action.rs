//! Actions on services: intent first, outcome after.

use super::{Store, StoreError, Tx, moment};
use treasury_domain::ServiceName;
use treasury_domain::action::{ActionKind, ActionRecord, ActionRow};
use treasury_domain::service::Attachment;

type Row = (i64, String, i64);

fn action(row: Row) -> Result<ActionRow, StoreError> {
    let (id, record, intended_at) = row;
    Ok(ActionRow {
        id,
        record: serde_json::from_str(&record)?,
        intended_at: moment(intended_at),
    })
}

impl Tx {
    /// Records the intent and takes the service's lock. `None` when the lock is taken or when this
    /// request has had its action already.
    pub async fn action_intend(
        &mut self,
        request_key: &str,
        owner: &str,
        record: &ActionRecord,
    ) -> Result<Option<i64>, StoreError> {
        let now = self.now.as_microsecond();
        Ok(sqlx::query_scalar(
            "INSERT INTO action (request_key, service, record, state, owner, intended_at) \
             VALUES ($1, $2, $3, 'intended', $4, $5) ON CONFLICT DO NOTHING RETURNING id",
        )
        .bind(request_key.to_owned())
        .bind(record.service.to_string())
        .bind(serde_json::to_string(record)?)
        .bind(owner.to_owned())
        .bind(now)
        .fetch_optional(self.connection())
        .await?)
    }

    /// Records that the action is over and frees the service. `false` when another process has taken
    /// it over or finished it: then nothing may be recorded of it here.
    pub async fn action_finish(
        &mut self,
        id: i64,
        owner: &str,
        good: bool,
    ) -> Result<bool, StoreError> {
        let now = self.now.as_microsecond();
        let done = sqlx::query(
            "UPDATE action SET state = 'finished', finished_at = $1, good = $4 \
             WHERE id = $2 AND owner = $3 AND state = 'intended'",
        )
        .bind(now)
        .bind(id)
        .bind(owner.to_owned())
        .bind(i64::from(good))
        .execute(self.connection())
        .await?;
        Ok(done.rows_affected() == 1)
    }
}

impl Store {
    /// What was cut off from a service and not joined again since: the ties of all isolations after
    /// the last release that went well.
    pub async fn attachments_cut(
        &self,
        service: &ServiceName,
    ) -> Result<Vec<Attachment>, StoreError> {
        // A quote within a text is escaped in JSON: only the kind itself is found.
        let rows: Vec<(String, Option<i64>)> = sqlx::query_as(
            "SELECT record, good FROM action WHERE service = $1 AND \
             (record LIKE '%\"isolate\":{%' OR record LIKE '%\"release\":{%') \
             ORDER BY id DESC LIMIT 100",
        )
        .bind(service.to_string())
        .fetch_all(self.readers())
        .await?;
        let mut cut: Vec<Attachment> = Vec::new();
        for (record, good) in rows {
            let record: ActionRecord = serde_json::from_str(&record)?;
            match record.what {
                ActionKind::Isolate(isolation) => {
                    for attachment in isolation.attachments {
                        if !cut
                            .iter()
                            .any(|one| one.id == attachment.id && one.to == attachment.to)
                        {
                            cut.push(attachment);
                        }
                    }
                }
                ActionKind::Release(_) if good == Some(1) => break,
                _ => {}
            }
        }
        Ok(cut)
    }

    /// The newest deployments and rollbacks of a service that are over, newest first, with whether
    /// they went well.
    pub async fn deployments(
        &self,
        service: &ServiceName,
    ) -> Result<Vec<(ActionRow, bool)>, StoreError> {
        // A quote within a text is escaped in JSON: only the kind itself is found.
        let rows: Vec<(i64, String, i64, i64)> = sqlx::query_as(
            "SELECT id, record, intended_at, good FROM action WHERE service = $1 AND \
             good IS NOT NULL AND record LIKE '%\"deploy\":{%' ORDER BY id DESC LIMIT 50",
        )
        .bind(service.to_string())
        .fetch_all(self.readers())
        .await?;
        let row = |(id, record, at, good)| Ok((action((id, record, at))?, good == 1));
        rows.into_iter().map(row).collect()
    }

    /// The id of the newest action on a service.
    pub async fn action_newest(&self, service: &ServiceName) -> Result<Option<i64>, StoreError> {
        let newest = "SELECT id FROM action WHERE service = $1 ORDER BY id DESC LIMIT 1";
        let newest = sqlx::query_scalar(newest).bind(service.to_string());
        Ok(newest.fetch_optional(self.readers()).await?)
    }

    /// The unfinished action on a service, if there is one.
    pub async fn action_on(&self, service: &ServiceName) -> Result<Option<ActionRow>, StoreError> {
        let row: Option<Row> = sqlx::query_as(
            "SELECT id, record, intended_at FROM action WHERE service = $1 AND state = 'intended'",
        )
        .bind(service.to_string())
        .fetch_optional(self.readers())
        .await?;
        row.map(action).transpose()
    }

    /// Takes over the unfinished actions of dead processes.
    pub async fn actions_take_over(&self, owner: &str) -> Result<Vec<ActionRow>, StoreError> {
        let columns = "id, record, intended_at";
        let unfinished = "state = 'intended'";
        let rows: Vec<Row> = self.take_over(owner, "action", unfinished, columns).await?;
        rows.into_iter().map(action).collect()
    }
}
