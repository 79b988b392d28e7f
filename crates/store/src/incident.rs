//! Incidents as they stand now.

use super::{Store, StoreError, Tx, moment};
use jiff::Timestamp;
use treasury_domain::{Incident, IncidentId, Person, Place, ServiceName, Severity, Status};

/// What is known when an incident is declared.
#[derive(Debug, Clone)]
pub struct NewIncident {
    /// What is wrong.
    pub title: String,
    /// How bad.
    pub severity: Severity,
    /// Services concerned.
    pub services: Vec<ServiceName>,
    /// Who declares it.
    pub declared_by: Person,
}

type Row = (
    i64,
    String,
    String,
    String,
    String,
    Option<String>,
    Option<String>,
    String,
    String,
    String,
    i64,
    Option<i64>,
    Option<i64>,
);

const COLUMNS: &str = "id, title, severity, status, services, channel, thread, declared_by, \
                       assignments, links, declared_at, mitigated_at, resolved_at";

impl Tx {
    /// Records a new incident; it is open and has no place yet.
    pub async fn incident_insert(&mut self, new: NewIncident) -> Result<Incident, StoreError> {
        let now = self.now;
        let (id,): (i64,) = sqlx::query_as(
            "INSERT INTO incident (title, severity, status, services, declared_by, declarer, \
             assignments, links, declared_at) \
             VALUES ($1, $2, 'open', $3, $4, $6, '[]', '[]', $5) RETURNING id",
        )
        .bind(new.title.clone())
        .bind(new.severity.to_string())
        .bind(serde_json::to_string(&new.services)?)
        .bind(serde_json::to_string(&new.declared_by)?)
        .bind(now.as_microsecond())
        .bind(new.declared_by.id.clone())
        .fetch_one(self.connection())
        .await?;
        self.incident_concerns(IncidentId(id), &new.services)
            .await?;
        Ok(Incident {
            id: IncidentId(id),
            title: new.title,
            severity: new.severity,
            status: Status::Open,
            services: new.services,
            place: None,
            declared_by: new.declared_by,
            assignments: Vec::new(),
            links: Vec::new(),
            declared_at: now,
            mitigated_at: None,
            resolved_at: None,
        })
    }

    /// The incident, locked against other writes until this one is committed.
    pub async fn incident(&mut self, id: IncidentId) -> Result<Option<Incident>, StoreError> {
        let lock = self.dialect.for_update();
        let row: Option<Row> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM incident WHERE id = $1{lock}"
        )))
        .bind(id.0)
        .fetch_optional(self.connection())
        .await?;
        row.map(incident).transpose()
    }

    /// The newest open or mitigated incident that concerns this service.
    pub async fn incident_of(
        &mut self,
        service: &ServiceName,
    ) -> Result<Option<IncidentId>, StoreError> {
        let newest: Option<i64> =
            sqlx::query_scalar("SELECT MAX(incident) FROM incident_service WHERE service = $1")
                .bind(service.to_string())
                .fetch_one(self.connection())
                .await?;
        Ok(newest.map(IncidentId))
    }

    /// Records which services an incident concerns now; none, once it is over.
    async fn incident_concerns(
        &mut self,
        id: IncidentId,
        services: &[ServiceName],
    ) -> Result<(), StoreError> {
        for service in services {
            sqlx::query(
                "INSERT INTO incident_service (service, incident) VALUES ($1, $2) \
                 ON CONFLICT DO NOTHING",
            )
            .bind(service.to_string())
            .bind(id.0)
            .execute(self.connection())
            .await?;
        }
        Ok(())
    }

    /// The open incidents that somebody declared since then, newest first.
    pub async fn incidents_declared(
        &mut self,
        by: &str,
        since: Timestamp,
    ) -> Result<Vec<IncidentId>, StoreError> {
        let ids: Vec<i64> = sqlx::query_scalar(
            "SELECT id FROM incident WHERE status IN ('open', 'mitigated') AND declared_at >= $1 \
             AND declarer = $2 ORDER BY declared_at DESC, id DESC LIMIT 100",
        )
        .bind(since.as_microsecond())
        .bind(by.to_owned())
        .fetch_all(self.connection())
        .await?;
        Ok(ids.into_iter().map(IncidentId).collect())
    }

    /// Records how the incident stands now (all but its place).
    pub async fn incident_update(&mut self, incident: &Incident) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE incident SET title = $1, severity = $2, status = $3, services = $4, \
             assignments = $5, links = $6, mitigated_at = $7, resolved_at = $8 WHERE id = $9",
        )
        .bind(incident.title.clone())
        .bind(incident.severity.to_string())
        .bind(incident.status.to_string())
        .bind(serde_json::to_string(&incident.services)?)
        .bind(serde_json::to_string(&incident.assignments)?)
        .bind(serde_json::to_string(&incident.links)?)
        .bind(incident.mitigated_at.map(jiff::Timestamp::as_microsecond))
        .bind(incident.resolved_at.map(jiff::Timestamp::as_microsecond))
        .bind(incident.id.0)
        .execute(self.connection())
        .await?;
        sqlx::query("DELETE FROM incident_service WHERE incident = $1")
            .bind(incident.id.0)
            .execute(self.connection())
            .await?;
        if incident.status.is_open() {
            self.incident_concerns(incident.id, &incident.services)
                .await?;
        }
        Ok(())
    }

    /// Records where the incident is worked on from now on; a channel that it had stays known.
    pub async fn incident_place_set(
        &mut self,
        id: IncidentId,
        place: &Place,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE incident SET channel = $1, thread = $2, \
             room = CASE WHEN thread IS NULL AND channel <> $1 THEN channel ELSE room END \
             WHERE id = $3",
        )
        .bind(place.channel.clone())
        .bind(place.thread.clone())
        .bind(id.0)
        .execute(self.connection())
        .await?;
        self.changed.outbox = true;
        Ok(())
    }
}

impl Store {
    /// One incident.
    pub async fn incident(&self, id: IncidentId) -> Result<Option<Incident>, StoreError> {
        let row: Option<Row> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM incident WHERE id = $1"
        )))
        .bind(id.0)
        .fetch_optional(self.readers())
        .await?;
        row.map(incident).transpose()
    }

    /// The incident that is worked on in this place: in its thread, or anywhere in its channel, be
    /// it the one that it has or the one that it had.
    pub async fn incident_at(&self, place: &Place) -> Result<Option<Incident>, StoreError> {
        let row: Option<Row> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM incident WHERE id = (SELECT MAX(id) FROM \
             (SELECT MAX(id) AS id FROM incident WHERE channel = $1 AND thread IS NULL \
             UNION ALL SELECT MAX(id) FROM incident WHERE channel = $1 AND thread = $2 \
             UNION ALL SELECT MAX(id) FROM incident WHERE room = $1) found)"
        )))
        .bind(place.channel.clone())
        .bind(place.thread.clone().unwrap_or_default())
        .fetch_optional(self.readers())
        .await?;
        row.map(incident).transpose()
    }

    /// Open and mitigated incidents, newest first, at most 100.
    pub async fn incidents_open(&self) -> Result<Vec<Incident>, StoreError> {
        self.incident_list("WHERE status IN ('open', 'mitigated') ORDER BY id DESC LIMIT 100")
            .await
    }

    /// All incidents, newest first, at most `limit`.
    pub async fn incidents(&self, limit: u32) -> Result<Vec<Incident>, StoreError> {
        self.incident_list(&format!("ORDER BY id DESC LIMIT {limit}"))
            .await
    }

    /// Those that hurt first, the worst of them first; then the others, newest first.
    pub async fn incidents_page(
        &self,
        only_open: bool,
        limit: u32,
        offset: u32,
    ) -> Result<Vec<Incident>, StoreError> {
        let mut page = self
            .incident_list(&format!(
                "WHERE status IN ('open', 'mitigated') ORDER BY severity, id DESC \
                 LIMIT {limit} OFFSET {offset}"
            ))
            .await?;
        let left = limit - page.len() as u32;
        if !only_open && left > 0 {
            let hurt: i64 = sqlx::query_scalar(
                "SELECT COUNT(*) FROM incident WHERE status IN ('open', 'mitigated')",
            )
            .fetch_one(self.readers())
            .await?;
            let skip = (i64::from(offset) - hurt).max(0);
            let rest = format!(
                "WHERE status NOT IN ('open', 'mitigated') ORDER BY id DESC \
                 LIMIT {left} OFFSET {skip}"
            );
            page.extend(self.incident_list(&rest).await?);
        }
        Ok(page)
    }

    async fn incident_list(&self, rest: &str) -> Result<Vec<Incident>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM incident {rest}"
        )))
        .fetch_all(self.readers())
        .await?;
        rows.into_iter().map(incident).collect()
    }

    /// Where the incident is worked on, once there is such a place.
    pub async fn incident_place(&self, id: IncidentId) -> Result<Option<Place>, StoreError> {
        Ok(self.incident(id).await?.and_then(|incident| incident.place))
    }

    /// Records where the incident is worked on: what waited for the place can go out now.
    pub async fn incident_place_set(&self, id: IncidentId, place: Place) -> Result<(), StoreError> {
        self.write(move |tx| Box::pin(async move { tx.incident_place_set(id, &place).await }))
            .await
    }
}

fn incident(row: Row) -> Result<Incident, StoreError> {
    let (
        id,
        title,
        severity,
        status,
        services,
        channel,
        thread,
        declared_by,
        assignments,
        links,
        declared_at,
        mitigated_at,
        resolved_at,
    ) = row;
    Ok(Incident {
        id: IncidentId(id),
        title,
        severity: Severity::parse(&severity)
            .ok_or_else(|| StoreError::Unreadable(format!("severity `{severity}`")))?,
        status: Status::parse(&status)
            .ok_or_else(|| StoreError::Unreadable(format!("status `{status}`")))?,
        services: serde_json::from_str(&services)?,
        place: channel.map(|channel| Place { channel, thread }),
        declared_by: serde_json::from_str(&declared_by)?,
        assignments: serde_json::from_str(&assignments)?,
        links: serde_json::from_str(&links)?,
        declared_at: moment(declared_at),
        mitigated_at: mitigated_at.map(moment),
        resolved_at: resolved_at.map(moment),
    })
}
