//! One-time links to the incident pages, and the sessions that they begin. Both are found by the
//! digest of their token; the tokens themselves are not kept.

use jiff::Timestamp;

use super::instance::alive;
use super::{Store, StoreError, Tx, moment};
use treasury_domain::{IncidentId, Outgoing, Person};

/// Links and sessions are removed when they have been over for so long, µs: until then a link can
/// be told to be used or too old.
const KEPT: i64 = 24 * 3_600 * 1_000_000;
/// For so long the browser that used a link may use it again, µs: a button is pressed twice.
const AGAIN: i64 = 60 * 1_000_000;

/// A one-time link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageLink {
    /// Digest of its token, hexadecimal.
    pub digest: String,
    /// Whose it is.
    pub person: Person,
    /// Where it leads; `None`: to the list.
    pub incident: Option<IncidentId>,
    /// Key of the message that says it; `None` once the message has forgotten it.
    pub message: Option<String>,
    /// Until when it can be used.
    pub expires_at: Timestamp,
    /// When it was.
    pub used_at: Option<Timestamp>,
    /// Digest of what tells the browser that used it, if it said.
    pub used_by: Option<String>,
    /// What it says for its person, such as `ack INC-1`; `None`: it begins a session.
    pub sentence: Option<String>,
}

impl PageLink {
    /// The browser of this digest used it just before and presses again.
    pub fn is_pressed_again(&self, browser: Option<&str>, now: Timestamp) -> bool {
        let just = |at: Timestamp| now.as_microsecond() - at.as_microsecond() < AGAIN;
        self.used_at.is_some_and(just) && browser.is_some() && self.used_by.as_deref() == browser
    }
}

/// Somebody's browser that is signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageSession {
    /// Digest of its token, hexadecimal.
    pub digest: String,
    /// Whose it is.
    pub person: Person,
    /// Until when.
    pub expires_at: Timestamp,
}

type LinkRow = (
    String,
    String,
    Option<i64>,
    Option<String>,
    i64,
    Option<i64>,
    Option<String>,
    Option<String>,
);

const LINK: &str = "digest, person, incident, message, expires_at, used_at, used_by, sentence";

fn link(row: LinkRow) -> Result<PageLink, StoreError> {
    let (digest, person, incident, message, expires_at, used_at, used_by, sentence) = row;
    Ok(PageLink {
        digest,
        person: serde_json::from_str(&person)?,
        incident: incident.map(IncidentId),
        message,
        expires_at: moment(expires_at),
        used_at: used_at.map(moment),
        used_by,
        sentence,
    })
}

impl Tx {
    /// Records a new link.
    pub async fn page_link_put(&mut self, link: &PageLink) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO page_link (digest, person, incident, message, expires_at, sentence) \
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(link.digest.clone())
        .bind(serde_json::to_string(&link.person)?)
        .bind(link.incident.map(|id| id.0))
        .bind(link.message.clone())
        .bind(link.expires_at.as_microsecond())
        .bind(link.sentence.clone())
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Uses a link up. Only one call for each link, within its time, is told `true`, and those of the
    /// same browser within a minute.
    pub async fn page_link_use(
        &mut self,
        digest: &str,
        browser: Option<&str>,
    ) -> Result<bool, StoreError> {
        let used = sqlx::query(
            "UPDATE page_link SET used_at = COALESCE(used_at, $1), used_by = COALESCE(used_by, $3) \
             WHERE digest = $2 AND expires_at > $1 \
             AND (used_at IS NULL OR (used_by = $3 AND used_at > $4))",
        )
        .bind(self.now.as_microsecond())
        .bind(digest.to_owned())
        .bind(browser.map(str::to_owned))
        .bind(self.now.as_microsecond() - AGAIN)
        .execute(self.connection())
        .await?;
        Ok(used.rows_affected() == 1)
    }

    /// The message that says this link says `instead` from now on. What was delivered stays
    /// delivered: it is only that the store does not hold the link any more.
    pub async fn page_link_forget(
        &mut self,
        digest: &str,
        instead: Option<&Outgoing>,
    ) -> Result<(), StoreError> {
        if let Some(outgoing) = instead {
            sqlx::query("UPDATE outbox SET outgoing = $1 WHERE key = $2")
                .bind(serde_json::to_string(outgoing)?)
                .bind(outgoing.key.clone())
                .execute(self.connection())
                .await?;
        }
        sqlx::query("UPDATE page_link SET message = NULL WHERE digest = $1")
            .bind(digest.to_owned())
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// Begins a session.
    pub async fn page_session_put(&mut self, session: &PageSession) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO page_session (digest, person, expires_at) VALUES ($1, $2, $3)")
            .bind(session.digest.clone())
            .bind(serde_json::to_string(&session.person)?)
            .bind(session.expires_at.as_microsecond())
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// Ends a session, if there is one of this digest.
    pub async fn page_session_end(&mut self, digest: &str) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM page_session WHERE digest = $1")
            .bind(digest.to_owned())
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// Removes what has been over for a day.
    pub async fn pages_tidy(&mut self) -> Result<(), StoreError> {
        for table in ["page_link", "page_session"] {
            sqlx::query(sqlx::AssertSqlSafe(format!(
                "DELETE FROM {table} WHERE expires_at < $1"
            )))
            .bind(self.now.as_microsecond() - KEPT)
            .execute(self.connection())
            .await?;
        }
        Ok(())
    }
}

impl Store {
    /// The link of this digest, used or not.
    pub async fn page_link(&self, digest: &str) -> Result<Option<PageLink>, StoreError> {
        let query = format!("SELECT {LINK} FROM page_link WHERE digest = $1");
        let row: Option<LinkRow> = sqlx::query_as(sqlx::AssertSqlSafe(query))
            .bind(digest.to_owned())
            .fetch_optional(self.readers())
            .await?;
        row.map(link).transpose()
    }

    /// Links that are over while a message still says them, at most 100.
    pub async fn page_links_overdue(&self) -> Result<Vec<PageLink>, StoreError> {
        let query = format!(
            "SELECT {LINK} FROM page_link WHERE message IS NOT NULL AND expires_at <= $1 LIMIT 100"
        );
        let rows: Vec<LinkRow> = sqlx::query_as(sqlx::AssertSqlSafe(query))
            .bind(self.now().as_microsecond())
            .fetch_all(self.readers())
            .await?;
        rows.into_iter().map(link).collect()
    }

    /// The session of this digest, while it lasts.
    pub async fn page_session(&self, digest: &str) -> Result<Option<PageSession>, StoreError> {
        let row: Option<(String, i64)> = sqlx::query_as(
            "SELECT person, expires_at FROM page_session WHERE digest = $1 AND expires_at > $2",
        )
        .bind(digest.to_owned())
        .bind(self.now().as_microsecond())
        .fetch_optional(self.readers())
        .await?;
        row.map(|(person, expires_at)| {
            Ok(PageSession {
                digest: digest.to_owned(),
                person: serde_json::from_str(&person)?,
                expires_at: moment(expires_at),
            })
        })
        .transpose()
    }

    /// A process serves from this store now.
    pub async fn is_served(&self) -> Result<bool, StoreError> {
        let alive = alive(self.dialect());
        let serving = format!("{alive} AND kind = 'serve' LIMIT 1");
        self.finds(sqlx::query(sqlx::AssertSqlSafe(serving))).await
    }
}
