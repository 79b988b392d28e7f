//! Trying a backup out: restored into a scratch database, compared, asked, dropped.

use std::time::{Duration, Instant};

use sqlx_core::query_scalar::query_scalar;
use sqlx_core::sql_str::AssertSqlSafe;
use sqlx_postgres::PgConnection;

use super::Database;
use super::restore::run;
use super::server::Server;
use crate::repository::{Manifest, Repository};
use crate::{Fault, Identities};

/// What the owner of the data wants to be asked of a restored database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// In words for people: `newest payment`.
    pub name: String,
    /// A query of one value.
    pub sql: String,
    /// The answer that is good; `None`: any.
    pub wanted: Option<String>,
}

/// What was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub name: String,
    /// The value as a text; why there is none.
    pub said: Result<String, String>,
    /// It is what was wanted.
    pub good: bool,
}

/// What a drill came to.
#[derive(Clone, Debug)]
pub struct Drilled {
    /// How long it took until the data could be asked.
    pub restored_in: Duration,
    /// What was lost or is otherwise, a sentence each.
    pub differences: Vec<String>,
    /// Rows of all tables that came back.
    pub rows: u64,
    pub answers: Vec<Answer>,
    /// What could not be cleaned away, a sentence each.
    pub left: Vec<String>,
}

impl Drilled {
    /// Nothing is lost, and all answers are good.
    pub fn is_good(&self) -> bool {
        self.differences.is_empty() && self.answers.iter().all(|answer| answer.good)
    }
}

/// The longest that a question may take.
const LONGEST: Duration = Duration::from_secs(60);

/// How the scratch database of a backup is called.
pub fn scratch(manifest: &Manifest) -> String {
    format!("treasury_drill_{}", manifest.id)
}

impl Database {
    /// Restores a backup into a scratch database on this server, compares it with what was recorded, puts
    /// the questions, and drops the scratch and the roles that were made for it. A scratch of the same
    /// backup that a drill left which was killed is dropped first.
    ///
    /// # Errors
    /// It can't be restored.
    pub async fn drill(
        admin: &Server,
        repository: &Repository,
        manifest: &Manifest,
        keys: Option<&Identities>,
        questions: &[Question],
    ) -> Result<Drilled, Fault> {
        let scratch = scratch(manifest);
        Self::drop_scratch(admin, &scratch).await?;
        let began = Instant::now();
        let restored = Self::restore(admin, &scratch, repository, manifest, keys).await?;
        let restored_in = began.elapsed();
        let answers = answers(&admin.with_database(&scratch), questions).await;
        let mut left = Vec::new();
        if let Err(error) = Self::drop_scratch(admin, &scratch).await {
            left.push(format!("the database {scratch}: {error}"));
        }
        match admin.connect("treasury-bot drill").await {
            Ok(mut session) => {
                for role in &restored.roles {
                    if let Err(error) = run(&mut session, &format!("DROP ROLE {role}")).await {
                        left.push(format!("the role {role}: {error}"));
                    }
                }
            }
            Err(error) => left.push(format!("the roles {}: {error}", restored.roles.join(", "))),
        }
        Ok(Drilled {
            restored_in,
            differences: restored.differences,
            rows: restored.recorded.rows(),
            answers: answers?,
            left,
        })
    }
}

async fn answers(server: &Server, questions: &[Question]) -> Result<Vec<Answer>, Fault> {
    let mut session = server.connect("treasury-bot drill").await?;
    let longest = LONGEST.as_millis();
    run(&mut session, "SET default_transaction_read_only = on").await?;
    run(&mut session, &format!("SET statement_timeout = {longest}")).await?;
    let mut answers = Vec::new();
    for question in questions {
        let said = answer(&mut session, &question.sql).await;
        let good = match (&said, &question.wanted) {
            (Ok(said), Some(wanted)) => said == wanted,
            (said, _) => said.is_ok(),
        };
        answers.push(Answer {
            name: question.name.clone(),
            said,
            good,
        });
    }
    Ok(answers)
}

/// The first value of the first row as a text.
async fn answer(session: &mut PgConnection, sql: &str) -> Result<String, String> {
    let sql = sql.trim().trim_end_matches(';');
    let asked = format!(
        "SELECT (SELECT v.value FROM jsonb_each_text(to_jsonb(one)) v LIMIT 1) FROM ({sql}) one LIMIT 1"
    );
    let said: Result<Option<Option<String>>, _> = query_scalar(AssertSqlSafe(asked))
        .fetch_optional(session)
        .await;
    match said {
        Ok(Some(said)) => Ok(said.unwrap_or_else(|| "null".to_owned())),
        Ok(None) => Err("no row".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}
