//! What was kept of a service before it was cut off.

use sha2::{Digest, Sha256};

use super::{Store, StoreError, Tx, moment};
use treasury_domain::ServiceName;
use treasury_domain::service::Evidence;
use treasury_domain::timeline::hex;

/// A piece of evidence as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// A file name.
    pub name: String,
    /// Its content.
    pub text: String,
    /// SHA-256 of the content, hex; it stands on the timeline too.
    pub sha256: String,
}

impl From<Evidence> for Kept {
    fn from(piece: Evidence) -> Self {
        Self {
            name: piece.name,
            sha256: sha256(&piece.text),
            text: piece.text,
        }
    }
}

impl Kept {
    /// The text is the one that was kept.
    pub fn is_unchanged(&self) -> bool {
        sha256(&self.text) == self.sha256
    }
}

fn sha256(text: &str) -> String {
    hex(&Sha256::digest(text))
}

/// For which action evidence is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptFor {
    /// The action's number.
    pub action: i64,
    /// The service.
    pub service: ServiceName,
    /// When it was gathered.
    pub at: jiff::Timestamp,
    /// How many pieces.
    pub pieces: u64,
}

impl Tx {
    /// Keeps what was gathered for an action. `false` when there is some of it already: what was
    /// kept first stays.
    pub async fn evidence_put(&mut self, action: i64, pieces: &[Kept]) -> Result<bool, StoreError> {
        let now = self.now.as_microsecond();
        let mut new = true;
        for piece in pieces {
            let done = sqlx::query(
                "INSERT INTO evidence (action, name, at, text, sha256) \
                 VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
            )
            .bind(action)
            .bind(piece.name.clone())
            .bind(now)
            .bind(piece.text.clone())
            .bind(piece.sha256.clone())
            .execute(self.connection())
            .await?;
            new &= done.rows_affected() == 1;
        }
        Ok(new)
    }
}

impl Store {
    /// The actions with evidence, newest first, at most 100.
    pub async fn evidence_list(&self) -> Result<Vec<KeptFor>, StoreError> {
        let rows: Vec<(i64, String, i64, i64)> = sqlx::query_as(
            "SELECT e.action, a.service, e.at, e.pieces FROM (SELECT action, MIN(at) AS at, \
             COUNT(*) AS pieces FROM evidence GROUP BY action ORDER BY action DESC LIMIT 100) e \
             JOIN action a ON a.id = e.action ORDER BY e.action DESC",
        )
        .fetch_all(self.readers())
        .await?;
        rows.into_iter()
            .map(|(action, service, at, pieces)| {
                Ok(KeptFor {
                    action,
                    service: ServiceName::parse(&service)
                        .map_err(|error| StoreError::Unreadable(error.to_string()))?,
                    at: moment(at),
                    pieces: pieces.unsigned_abs(),
                })
            })
            .collect()
    }

    /// What was kept for an action, by name.
    pub async fn evidence(&self, action: i64) -> Result<Vec<Kept>, StoreError> {
        let rows: Vec<(String, String, String)> = sqlx::query_as(
            "SELECT name, text, sha256 FROM evidence WHERE action = $1 ORDER BY name",
        )
        .bind(action)
        .fetch_all(self.readers())
        .await?;
        let kept = |(name, text, sha256)| Kept { name, text, sha256 };
        Ok(rows.into_iter().map(kept).collect())
    }
}
