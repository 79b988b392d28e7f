//! Who is on call in place of the one whose turn it is.

use jiff::Timestamp;

use super::{Store, StoreError, Tx, moment};
use treasury_domain::Person;
use treasury_domain::oncall::Override;

type Row = (i64, String, String, i64, Option<i64>, String);

/// Those that count now or later, oldest first. The sign keeps SQLite from going through all that
/// ever were, in the order of their numbers.
const STANDING: &str = "SELECT id, rotation, person, from_at, until_at, said_by \
     FROM oncall_override WHERE removed_at IS NULL \
     AND COALESCE(until_at, 9223372036854775807) > $1 ORDER BY +id LIMIT 1000";

fn overriding((id, rotation, person, from, until, by): Row) -> Result<Override, StoreError> {
    Ok(Override {
        id,
        rotation,
        person: serde_json::from_str(&person)?,
        from: moment(from),
        until: until.map(moment),
        by: serde_json::from_str(&by)?,
    })
}

impl Tx {
    /// The overrides that count now or later.
    pub async fn overrides(&mut self) -> Result<Vec<Override>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as(STANDING)
            .bind(self.now.as_microsecond())
            .fetch_all(self.connection())
            .await?;
        rows.into_iter().map(overriding).collect()
    }

    /// Records an override; its number is given here.
    pub async fn override_insert(&mut self, new: Override) -> Result<Override, StoreError> {
        let (id,): (i64,) = sqlx::query_as(
            "INSERT INTO oncall_override (rotation, person, from_at, until_at, said_by) \
             VALUES ($1, $2, $3, $4, $5) RETURNING id",
        )
        .bind(new.rotation.clone())
        .bind(serde_json::to_string(&new.person)?)
        .bind(new.from.as_microsecond())
        .bind(new.until.map(Timestamp::as_microsecond))
        .bind(serde_json::to_string(&new.by)?)
        .fetch_one(self.connection())
        .await?;
        Ok(Override { id, ..new })
    }

    /// Removes an override; `false`: it was removed before.
    pub async fn override_remove(&mut self, id: i64) -> Result<bool, StoreError> {
        let now = self.now.as_microsecond();
        let removed = sqlx::query(
            "UPDATE oncall_override SET removed_at = $2 WHERE id = $1 AND removed_at IS NULL",
        )
        .bind(id)
        .bind(now)
        .execute(self.connection())
        .await?;
        Ok(removed.rows_affected() == 1)
    }

    /// The same person by the name that people know, where only the id is known so far.
    pub async fn known_as(&mut self, person: Person) -> Result<Person, StoreError> {
        if person.name != person.id {
            return Ok(person);
        }
        let row: Option<(String,)> = sqlx::query_as("SELECT name FROM person WHERE id = $1")
            .bind(person.id.clone())
            .fetch_optional(self.connection())
            .await?;
        Ok(match row {
            Some((name,)) => Person { name, ..person },
            None => person,
        })
    }

    /// People by their ids, with the names that they are known by.
    pub async fn people_known(&mut self, ids: Vec<String>) -> Result<Vec<Person>, StoreError> {
        let mut people = Vec::new();
        for id in ids {
            let name = id.clone();
            people.push(self.known_as(Person { id, name }).await?);
        }
        Ok(people)
    }
}

impl Store {
    /// The overrides that count now or later.
    pub async fn overrides(&self) -> Result<Vec<Override>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as(STANDING)
            .bind(self.now().as_microsecond())
            .fetch_all(self.readers())
            .await?;
        rows.into_iter().map(overriding).collect()
    }
}
