//! Timelines: append and read. There is no other write, and the database refuses any.

use super::{Store, StoreError, Tx, moment};
use treasury_domain::timeline::{Draft, GENESIS};
use treasury_domain::{Entry, EntryKind, Person, Stream};

type Row = (
    String,
    i64,
    i64,
    String,
    String,
    String,
    String,
    String,
    String,
    String,
);

const COLUMNS: &str = "stream, seq, at, actor_id, actor_name, kind, text, data, prev, hash";

impl Tx {
    /// Appends one entry to a chain. Within one write append to the audit first, then to incidents
    /// in ascending order, so that two writes never wait for each other's chains. An incident's
    /// timeline is read without Slack: who is mentioned has a name there.
    pub async fn append(&mut self, stream: &Stream, mut draft: Draft) -> Result<Entry, StoreError> {
        if *stream != Stream::Audit {
            draft.text = self.named(&draft.text).await?;
        }
        let name = stream.to_string();
        let (seq, prev, last) = match self.chain_end(&name).await? {
            Some(end) => end,
            None => {
                sqlx::query(
                    "INSERT INTO stream (name, seq, hash, at) VALUES ($1, 0, $2, 0) \
                     ON CONFLICT (name) DO NOTHING",
                )
                .bind(name.clone())
                .bind(GENESIS)
                .execute(self.connection())
                .await?;
                // Another replica may have begun it just now, and gone on.
                let begun = self.chain_end(&name).await?;
                begun.unwrap_or_else(|| (0, GENESIS.to_owned(), 0))
            }
        };
        // Another replica's clock may be ahead of ours: a chain never goes back in time.
        let at = moment(self.now.as_microsecond().max(last));
        let entry = Entry::seal(stream.clone(), seq + 1, &prev, at, draft);
        sqlx::query(sqlx::AssertSqlSafe(format!(
            "INSERT INTO entry ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
        )))
        .bind(name.clone())
        .bind(entry.seq)
        .bind(entry.at.as_microsecond())
        .bind(entry.actor.id.clone())
        .bind(entry.actor.name.clone())
        .bind(entry.kind.as_str())
        .bind(entry.text.clone())
        .bind(entry.data.to_string())
        .bind(entry.prev.clone())
        .bind(entry.hash.clone())
        .execute(self.connection())
        .await?;
        sqlx::query("UPDATE stream SET seq = $1, hash = $2, at = $3 WHERE name = $4")
            .bind(entry.seq)
            .bind(entry.hash.clone())
            .bind(entry.at.as_microsecond())
            .bind(name)
            .execute(self.connection())
            .await?;
        Ok(entry)
    }

    /// The number, hash and moment of a chain's last entry, locked until the commit.
    async fn chain_end(&mut self, name: &str) -> Result<Option<(i64, String, i64)>, StoreError> {
        let lock = self.dialect.for_update();
        Ok(sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "SELECT seq, hash, at FROM stream WHERE name = $1{lock}"
        )))
        .bind(name.to_owned())
        .fetch_optional(self.connection())
        .await?)
    }
}

impl Store {
    /// The whole chain, first entry first.
    pub async fn entries(&self, stream: &Stream) -> Result<Vec<Entry>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM entry WHERE stream = $1 ORDER BY seq"
        )))
        .bind(stream.to_string())
        .fetch_all(self.readers())
        .await?;
        rows.into_iter().map(entry).collect()
    }

    /// The number and hash of a chain's last entry; 0 and [`GENESIS`] before the first.
    pub async fn chain_head(&self, stream: &Stream) -> Result<(i64, String), StoreError> {
        let row: Option<(i64, String)> =
            sqlx::query_as("SELECT seq, hash FROM stream WHERE name = $1")
                .bind(stream.to_string())
                .fetch_optional(self.readers())
                .await?;
        Ok(row.unwrap_or_else(|| (0, GENESIS.to_owned())))
    }

    /// The entries after the one of this number, oldest first, at most `limit`.
    pub async fn entries_after(
        &self,
        stream: &Stream,
        after: i64,
        limit: i64,
    ) -> Result<Vec<Entry>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM entry WHERE stream = $1 AND seq > $2 ORDER BY seq LIMIT $3"
        )))
        .bind(stream.to_string())
        .bind(after)
        .bind(limit)
        .fetch_all(self.readers())
        .await?;
        rows.into_iter().map(entry).collect()
    }

    /// The entries before the one of this number, newest first, at most `limit`.
    pub async fn entries_before(
        &self,
        stream: &Stream,
        before: i64,
        limit: i64,
    ) -> Result<Vec<Entry>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM entry WHERE stream = $1 AND seq < $2 ORDER BY seq DESC LIMIT $3"
        )))
        .bind(stream.to_string())
        .bind(before)
        .bind(limit)
        .fetch_all(self.readers())
        .await?;
        rows.into_iter().map(entry).collect()
    }

    /// The newest entries at or after `since` (microseconds), oldest first, and whether older ones
    /// were left out.
    pub async fn entries_since(
        &self,
        stream: &Stream,
        since: jiff::Timestamp,
        limit: i64,
    ) -> Result<(Vec<Entry>, bool), StoreError> {
        let query = sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "{BEFORE} SELECT {COLUMNS} FROM entry WHERE stream = $1 \
             AND seq > (SELECT low FROM span WHERE low = high) ORDER BY seq DESC LIMIT $3"
        )))
        .bind(stream.to_string())
        .bind(since.as_microsecond())
        .bind(limit + 1);
        newest(query.fetch_all(self.readers()).await?, limit)
    }

    /// The same of the audit, one person's.
    pub async fn audit_of(
        &self,
        actor: &str,
        since: jiff::Timestamp,
        limit: i64,
    ) -> Result<(Vec<Entry>, bool), StoreError> {
        let query = sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "{BEFORE} SELECT {COLUMNS} FROM entry WHERE stream = 'audit' AND actor_id = $4 \
             AND seq > (SELECT low FROM span WHERE low = high) ORDER BY seq DESC LIMIT $3"
        )))
        .bind(Stream::Audit.to_string())
        .bind(since.as_microsecond())
        .bind(limit + 1)
        .bind(actor.to_owned());
        newest(query.fetch_all(self.readers()).await?, limit)
    }
}

/// Finds the last entry of the chain `$1` before the moment `$2` (0: there is none) by halving: a
/// chain has no gaps and never goes back in time.
const BEFORE: &str = "WITH RECURSIVE span (low, high) AS (\
    SELECT CAST(0 AS BIGINT), COALESCE((SELECT seq FROM stream WHERE name = $1), 0) \
    UNION ALL SELECT CASE WHEN at < $2 THEN seq ELSE low END, \
    CASE WHEN at < $2 THEN high ELSE seq - 1 END \
    FROM span JOIN entry ON stream = $1 AND seq = (low + high + 1) / 2 WHERE low < high)";

/// The newest first, one more than `limit` where there are older ones.
fn newest(rows: Vec<Row>, limit: i64) -> Result<(Vec<Entry>, bool), StoreError> {
    let more = rows.len() as i64 > limit;
    let rows = rows.into_iter().take(limit as usize).rev();
    Ok((rows.map(entry).collect::<Result<_, _>>()?, more))
}

fn entry(row: Row) -> Result<Entry, StoreError> {
    let (stream, seq, at, actor_id, actor_name, kind, text, data, prev, hash) = row;
    Ok(Entry {
        stream: Stream::try_from(stream).map_err(StoreError::Unreadable)?,
        seq,
        at: moment(at),
        actor: Person {
            id: actor_id,
            name: actor_name,
        },
        kind: EntryKind::parse(&kind)
            .ok_or_else(|| StoreError::Unreadable(format!("entry kind `{kind}`")))?,
        text,
        data: serde_json::from_str(&data)?,
        prev,
        hash,
    })
}
