//! People and user groups, as Slack tells of them.

use super::{Store, StoreError, Tx};
use treasury_domain::{Line, Person, Span};

impl Tx {
    /// Gives those whom a line mentions their names, as far as they are known.
    pub async fn name_people(&mut self, line: &mut Line) -> Result<(), StoreError> {
        for span in &mut line.0 {
            if let Span::Person(person) = span {
                *person = self.known_as(person.clone()).await?;
            }
        }
        Ok(())
    }

    /// What somebody typed, with names in place of Slack's marks: `cc @ben in #room`.
    pub async fn named(&mut self, text: &str) -> Result<String, StoreError> {
        let mut line = Line::mentioning(text);
        self.name_people(&mut line).await?;
        let mut out = String::with_capacity(text.len());
        for span in line.0 {
            if let Span::Person(person) = &span {
                out.push_str(&format!("@{person}"));
            } else {
                out.push_str(&Line(vec![span]).plain());
            }
        }
        Ok(out)
    }
}

/// Whoever is called so, and one more.
const NAMED: &str = "SELECT id, name FROM person WHERE lower(name) = lower($1) \
                     OR lower(real_name) = lower($1) ORDER BY id LIMIT 2";

/// The only one who is called so.
fn only(mut rows: Vec<(String, String)>) -> Option<Person> {
    match (rows.pop(), rows.is_empty()) {
        (Some((id, name)), true) => Some(Person { id, name }),
        _ => None,
    }
}

impl Tx {
    /// Somebody by name, as [`Store::person_named`] does.
    pub async fn person_named(&mut self, name: &str) -> Result<Option<Person>, StoreError> {
        let rows = sqlx::query_as(NAMED).bind(name.to_owned());
        Ok(only(rows.fetch_all(self.connection()).await?))
    }

    /// The ids of a user group's members, as far as they are known.
    pub async fn group_members(&mut self, group: &str) -> Result<Vec<String>, StoreError> {
        let members = sqlx::query_scalar("SELECT person_id FROM group_member WHERE group_id = $1");
        let members = members.bind(group.to_owned());
        Ok(members.fetch_all(self.connection()).await?)
    }
}

impl Store {
    /// Records people with their full names, replacing what was known of them.
    pub async fn people_put(&self, people: Vec<(Person, String)>) -> Result<(), StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                for (person, real_name) in people {
                    sqlx::query(
                        "INSERT INTO person (id, name, real_name) VALUES ($1, $2, $3) \
                         ON CONFLICT (id) DO UPDATE SET name = excluded.name, \
                         real_name = excluded.real_name",
                    )
                    .bind(person.id)
                    .bind(person.name)
                    .bind(real_name)
                    .execute(tx.connection())
                    .await?;
                }
                Ok(())
            })
        })
        .await
    }

    /// Somebody by id.
    pub async fn person(&self, id: &str) -> Result<Option<Person>, StoreError> {
        let row: Option<(String, String)> =
            sqlx::query_as("SELECT id, name FROM person WHERE id = $1")
                .bind(id.to_owned())
                .fetch_optional(self.readers())
                .await?;
        Ok(row.map(|(id, name)| Person { id, name }))
    }

    /// Somebody by user name or full name, without regard to case; `None` when nobody or more than
    /// one is called so.
    pub async fn person_named(&self, name: &str) -> Result<Option<Person>, StoreError> {
        let rows = sqlx::query_as(NAMED).bind(name.to_owned());
        Ok(only(rows.fetch_all(self.readers()).await?))
    }

    /// Replaces the members of a user group.
    pub async fn group_put(&self, group: &str, members: Vec<String>) -> Result<(), StoreError> {
        let group = group.to_owned();
        self.write(move |tx| {
            Box::pin(async move {
                sqlx::query("DELETE FROM group_member WHERE group_id = $1")
                    .bind(group.clone())
                    .execute(tx.connection())
                    .await?;
                for member in members {
                    sqlx::query(
                        "INSERT INTO group_member (group_id, person_id) VALUES ($1, $2) \
                         ON CONFLICT DO NOTHING",
                    )
                    .bind(group.clone())
                    .bind(member)
                    .execute(tx.connection())
                    .await?;
                }
                Ok(())
            })
        })
        .await
    }

    /// The groups somebody is a member of.
    pub async fn groups_of(&self, person: &str) -> Result<Vec<String>, StoreError> {
        Ok(
            sqlx::query_scalar("SELECT group_id FROM group_member WHERE person_id = $1")
                .bind(person.to_owned())
                .fetch_all(self.readers())
                .await?,
        )
    }
}
