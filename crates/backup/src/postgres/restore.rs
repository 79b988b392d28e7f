//! A backup as a database again.

use std::collections::BTreeSet;
use std::process::Stdio;

use sqlx_core::connection::Connection;
use sqlx_core::query::query;
use sqlx_core::query_scalar::query_scalar;
use sqlx_core::sql_str::AssertSqlSafe;
use sqlx_postgres::PgConnection;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::child::{end_of, hand, last_words};
use super::fingerprint::{self, Fingerprint};
use super::programs::major;
use super::server::{Server, refused};
use super::{Database, differences};
use crate::repository::{Manifest, Repository};
use crate::{Fault, Identities};

/// What a restore came to.
#[derive(Clone, Debug)]
pub struct Restored {
    /// What it has otherwise than the source had at the time of the backup, a sentence each.
    pub differences: Vec<String>,
    /// What the source was.
    pub recorded: Fingerprint,
    /// The roles that were made for it, as they are quoted.
    pub roles: Vec<String>,
}

impl Database {
    /// Restores a backup into a new database of this name and compares it with what was recorded. Roles
    /// that the server lacks are made first: policies, grants and default privileges need them. Tables go
    /// to the server's usual tablespace.
    ///
    /// # Errors
    /// There is such a database already (it is left alone), or it can't be restored whole: then there is
    /// none of this name.
    pub async fn restore(
        admin: &Server,
        name: &str,
        repository: &Repository,
        manifest: &Manifest,
        keys: Option<&Identities>,
    ) -> Result<Restored, Fault> {
        let recorded = {
            let mut part = open(repository, manifest, "fingerprint", keys).await?;
            fingerprint::read(&mut part).await?
        };
        let mut session = admin.connect("treasury-bot restore").await?;
        let mut globals = String::new();
        let mut part = open(repository, manifest, "globals", keys).await?;
        part.read_to_string(&mut globals).await?;
        let made = roles(&mut session, &globals).await?;
        run(&mut session, &created(name, &recorded)).await?;
        let filled = fill(admin, name, repository, manifest, keys, &recorded).await;
        match filled {
            Ok(differences) => Ok(Restored {
                differences,
                recorded,
                roles: made,
            }),
            Err(fault) => {
                if let Err(error) = dropped(&mut session, name).await {
                    tracing::warn!(name, %error, "what is left of a failed restore stays");
                }
                Err(fault)
            }
        }
    }

    /// Drops a database that we made, and ends whoever is in it.
    ///
    /// # Errors
    /// It is still there.
    pub async fn drop_scratch(admin: &Server, name: &str) -> Result<(), Fault> {
        let mut session = admin.connect("treasury-bot restore").await?;
        dropped(&mut session, name).await
    }
}

async fn dropped(session: &mut PgConnection, name: &str) -> Result<(), Fault> {
    let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", quoted(name));
    run(session, &drop).await
}

async fn open(
    repository: &Repository,
    manifest: &Manifest,
    name: &str,
    keys: Option<&Identities>,
) -> Result<Box<dyn AsyncRead + Unpin + Send>, Fault> {
    let part = manifest.parts.iter().find(|part| part.name == name);
    let part = part.ok_or_else(|| Fault::Damaged(format!("the backup has no part `{name}`")))?;
    repository.open(manifest, part, keys).await
}

async fn fill(
    admin: &Server,
    name: &str,
    repository: &Repository,
    manifest: &Manifest,
    keys: Option<&Identities>,
    recorded: &Fingerprint,
) -> Result<Vec<String>, Fault> {
    let server = admin.with_database(name);
    let mut dump = open(repository, manifest, "dump", keys).await?;
    let wrote = manifest
        .versions
        .get("dump.pg_dump")
        .and_then(|version| major(version));
    let suite = admin
        .programs
        .for_archive(wrote.unwrap_or_default())
        .await?;
    let mut program = server.program(&suite.folder, "pg_restore");
    program
        .args(["--exit-on-error", "--no-password", "--no-tablespaces"])
        .arg("--dbname")
        .arg(name);
    program
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut program = program.spawn()?;
    let mut to = program.stdin.take();
    let fed = async {
        let mut piece = vec![0; 256 * 1024];
        loop {
            let read = dump.read(&mut piece).await?;
            if read == 0 || to.is_none() {
                break;
            }
            hand(&mut to, piece.get(..read).unwrap_or_default()).await;
        }
        to = None;
        Ok(())
    };
    let ((), told) = tokio::try_join!(fed, last_words(program.stderr.take()))?;
    let ended = program.wait().await?;
    if !ended.success() {
        return Err(end_of("pg_restore", ended, &told));
    }
    let mut session = server.connect("treasury-bot restore").await?;
    // A dump carries no statistics of the planner.
    run(&mut session, "ANALYZE").await?;
    session.close().await.map_err(refused)?;
    let restored = Database::fingerprint(&server).await?;
    Ok(differences(recorded, &restored))
}

/// As the source was made: the same encoding and locale, whatever the server's template has.
fn created(name: &str, recorded: &Fingerprint) -> String {
    let was = recorded.database();
    let mut sql = format!("CREATE DATABASE {} TEMPLATE template0", quoted(name));
    for (key, word) in [
        ("encoding", "ENCODING"),
        ("collate", "LC_COLLATE"),
        ("ctype", "LC_CTYPE"),
    ] {
        if let Some(value) = was.get(key) {
            sql += &format!(" {word} {}", literal(value));
        }
    }
    match (was.get("provider").map(String::as_str), was.get("locale")) {
        (Some("i"), Some(locale)) => {
            sql += &format!(" LOCALE_PROVIDER icu ICU_LOCALE {}", literal(locale));
        }
        (Some("b"), Some(locale)) => {
            sql += &format!(
                " LOCALE_PROVIDER builtin BUILTIN_LOCALE {}",
                literal(locale)
            );
        }
        _ => {}
    }
    if let Some(owner) = was.get("owner") {
        sql += &format!(" OWNER {}", quoted(owner));
    }
    sql
}

/// Makes the roles that are missing, with what they may do and whose members they are; those that are
/// there already stay as they are. Those that were made.
async fn roles(session: &mut PgConnection, globals: &str) -> Result<Vec<String>, Fault> {
    let asked = query_scalar("SELECT quote_ident(rolname) FROM pg_roles").fetch_all(&mut *session);
    let there: Vec<String> = asked.await.map_err(refused)?;
    let there: BTreeSet<String> = there.into_iter().collect();
    let mut made = Vec::new();
    for statement in statements(globals) {
        let member = statement
            .strip_prefix("GRANT ")
            .and_then(|rest| rest.split_once(" TO "));
        let role = ["CREATE ROLE ", "ALTER ROLE ", "COMMENT ON ROLE "]
            .iter()
            .find_map(|begin| statement.strip_prefix(begin))
            .or(member.map(|(_, role)| role));
        // Whatever else stands there is of the server: tablespaces, parameters.
        if let Some(role) = role.and_then(first_name)
            && !there.contains(role)
        {
            // The grantor may be a role that this server lacks.
            let statement = statement.split(" GRANTED BY ").next().unwrap_or(&statement);
            run(session, statement).await?;
            if statement.starts_with("CREATE ROLE ") {
                made.push(role.to_owned());
            }
        }
    }
    Ok(made)
}

/// The name at the beginning, quoted or not.
fn first_name(text: &str) -> Option<&str> {
    if let Some(rest) = text.strip_prefix('"') {
        let mut from = 0;
        loop {
            let end = from + rest.get(from..)?.find('"')?;
            if rest.get(end + 1..)?.starts_with('"') {
                from = end + 2;
            } else {
                return text.get(..end + 2);
            }
        }
    }
    text.split([' ', ';']).next()
}

/// The statements of `pg_dumpall`, without its comments and what only psql understands. One ends at a
/// line that ends with `;` outside of a text.
fn statements(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut statement = String::new();
    for line in text.lines() {
        if statement.is_empty()
            && (line.is_empty() || line.starts_with("--") || line.starts_with('\\'))
        {
            continue;
        }
        statement += line;
        let within_text = statement.matches('\'').count() % 2 == 1;
        if line.ends_with(';') && !within_text {
            statement.pop();
            found.push(std::mem::take(&mut statement));
        } else {
            statement.push('\n');
        }
    }
    found
}

pub(super) async fn run(session: &mut PgConnection, sql: &str) -> Result<(), Fault> {
    let done = query(AssertSqlSafe(sql.to_owned())).execute(session).await;
    done.map(drop).map_err(refused)
}

pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_of_pg_dumpall_are_taken_one_by_one() {
        let text = "--\n-- Roles\n--\n\n\\restrict xyz\n\nCREATE ROLE \"a;b\";\n\
                    COMMENT ON ROLE a IS 'one;\ntwo''s';\n\\unrestrict xyz\n";
        assert_eq!(
            statements(text),
            ["CREATE ROLE \"a;b\"", "COMMENT ON ROLE a IS 'one;\ntwo''s'"]
        );
    }

    #[test]
    fn the_role_that_a_statement_is_about_is_its_first_name() {
        assert_eq!(first_name("api WITH LOGIN"), Some("api"));
        assert_eq!(
            first_name("\"a \"\"b\"\" c\" WITH LOGIN"),
            Some("\"a \"\"b\"\" c\"")
        );
        assert_eq!(first_name("\"never ends"), None);
    }
}
