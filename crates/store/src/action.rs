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
        let id: Option<i64> = sqlx::query_scalar(
            "INSERT INTO action (request_key, service, kind, record, state, owner, intended_at) \
             VALUES ($1, $2, $6, $3, 'intended', $4, $5) ON CONFLICT DO NOTHING RETURNING id",
        )
        .bind(request_key.to_owned())
        .bind(record.service.to_string())
        .bind(serde_json::to_string(record)?)
        .bind(owner.to_owned())
        .bind(now)
        .bind(record.what.word())
        .fetch_optional(self.connection())
        .await?;
        if let (Some(_), ActionKind::Isolate(isolation)) = (id, &record.what) {
            for (place, attachment) in isolation.attachments.iter().enumerate() {
                sqlx::query(
                    "INSERT INTO attachment_cut (service, replica, joined, record, action, place) \
                     VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (service, replica, joined) \
                     DO UPDATE SET record = excluded.record, action = excluded.action, \
                     place = excluded.place",
                )
                .bind(record.service.to_string())
                .bind(attachment.id.clone())
                .bind(attachment.to.clone())
                .bind(serde_json::to_string(attachment)?)
                .bind(id)
                .bind(place as i64)
                .execute(self.connection())
                .await?;
            }
        }
        Ok(id)
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
        let done: Option<(String, String)> = sqlx::query_as(
            "UPDATE action SET state = 'finished', finished_at = $1, good = $4 \
             WHERE id = $2 AND owner = $3 AND state = 'intended' RETURNING service, kind",
        )
        .bind(now)
        .bind(id)
        .bind(owner.to_owned())
        .bind(i64::from(good))
        .fetch_optional(self.connection())
        .await?;
        if let Some((service, kind)) = &done
            && (good && kind == ActionKind::RELEASE)
        {
            sqlx::query("DELETE FROM attachment_cut WHERE service = $1")
                .bind(service.clone())
                .execute(self.connection())
                .await?;
        }
        Ok(done.is_some())
    }
}

impl Store {
    /// What was cut off from a service and not joined again since: the ties of all isolations after
    /// the last release that went well.
    pub async fn attachments_cut(
        &self,
        service: &ServiceName,
    ) -> Result<Vec<Attachment>, StoreError> {
        let rows: Vec<(String,)> = sqlx::query_as(
            "SELECT record FROM attachment_cut WHERE service = $1 \
             ORDER BY action DESC, place",
        )
        .bind(service.to_string())
        .fetch_all(self.readers())
        .await?;
        rows.iter()
            .map(|(record,)| Ok(serde_json::from_str(record)?))
            .collect()
    }

    /// The newest deployments and rollbacks of a service that are over, newest first, with whether
    /// they went well.
    pub async fn deployments(
        &self,
        service: &ServiceName,
    ) -> Result<Vec<(ActionRow, bool)>, StoreError> {
        let rows: Vec<(i64, String, i64, i64)> = sqlx::query_as(
            "SELECT id, record, intended_at, good FROM action WHERE service = $1 AND \
             good IS NOT NULL AND kind = 'deploy' ORDER BY id DESC LIMIT 50",
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
