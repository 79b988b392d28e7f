//! `db cancel` and `db terminate`: a session of a database, or its query, is ended.
//!
//! The number and the start of a session name it beyond doubt, so that doing it again after a crash
//! can't hit anybody else.

use async_trait::async_trait;
use clap::Args;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::job::{Failure, Found, Job, NOT_CONFIGURED, Worked};
use super::kind::{Intent, Kind, Plan, Rules, Sentences, Words, buttons};
use super::probe::{ended, recover};
use crate::bot::services::Named;
use crate::bot::{Context, Fault, Refusal};
use crate::domain::action::{ActionKind, ActionRecord, SessionEnd};
use crate::domain::service::End;
use crate::domain::timeline::cut;
use crate::domain::{Guarded, Line, Role, duration};
use crate::probe::Database;
use crate::probe::database::{MAX_QUERY, Session};

pub(in crate::bot) const CANCEL: Rules = Rules {
    verb: "db cancel",
    guarded: Guarded::Db,
    needs: Role::Responder,
};
pub(in crate::bot) const TERMINATE: Rules = Rules {
    verb: "db terminate",
    ..CANCEL
};

/// Which session of which database, and how it is ended.
#[derive(Debug, Clone, PartialEq, Eq, Args, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EndSession {
    /// The session's number.
    #[arg(value_parser = pid)]
    pub pid: i32,
    /// When it started: only that very session is meant.
    #[arg(long = "started", hide = true, value_name = "STARTED")]
    #[serde(deserialize_with = "required")]
    #[schemars(required)]
    pub started_at: Option<Timestamp>,
    /// Which database, where there are several
    #[arg(long, value_name = "NAME")]
    #[serde(default)]
    #[schemars(description = "The database's name; needed only where there are several.")]
    pub database: Option<String>,
    /// How; the command's name says it.
    #[arg(skip = End::Terminate)]
    #[serde(skip, default = "terminate")]
    pub how: End,
}

fn pid(text: &str) -> Result<i32, String> {
    text.parse()
        .ok()
        .filter(|pid| *pid > 0)
        .ok_or_else(|| "write the number of a session, as `db connections` shows it".to_owned())
}

fn terminate() -> End {
    End::Terminate
}

/// A step names the very session; people are asked whether they mean the one that is shown.
fn required<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
    Timestamp::deserialize(from).map(Some)
}

impl EndSession {
    fn intent(
        &self,
        found: &Named<dyn Database>,
        started_at: Timestamp,
        before_text: String,
    ) -> Intent {
        Intent {
            service: found.service.clone(),
            kind: ActionKind::Session(SessionEnd {
                database: found.name.clone(),
                pid: self.pid,
                started_at,
                how: self.how,
            }),
            before: Vec::new(),
            before_text,
            along: Vec::new(),
        }
    }
}

/// What ending a session came to, as a runbook's step gets it.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(in crate::bot) struct Ended {
    /// That session was there and is ended.
    ended: bool,
}

fn rules(how: End) -> Rules {
    match how {
        End::Cancel => CANCEL,
        End::Terminate => TERMINATE,
    }
}

/// The application, or the user where it has no name.
pub(in crate::bot) fn who(session: &Session) -> &str {
    if session.application.is_empty() {
        &session.user
    } else {
        &session.application
    }
}

#[async_trait]
impl Words for EndSession {
    async fn plan(&self, context: &Context) -> Result<Plan, Fault> {
        let (pid, how) = (self.pid, self.how);
        let found = context.catalogue().database(self.database.as_deref())?;
        let session = found.probe.session(pid).await?;
        if self.started_at.is_some_and(|at| at != session.started_at) {
            return Err(Refusal::new(format!(
                "Session {pid} is another one by now: the one you mean has ended. Nothing was done"
            ))
            .suggest("Connections", "db connections")
            .into());
        }
        if session.own || session.kind != "client backend" {
            let why = if session.own {
                "is the bot's own".to_owned()
            } else {
                format!("is the server's own ({})", session.kind)
            };
            return Err(Refusal::new(format!("Session {pid} {why}. Nothing was done")).into());
        }
        let application = if session.application.is_empty() {
            "a session"
        } else {
            &session.application
        };
        let before_text = format!(
            "{application} of {}@{}, {}",
            session.user, session.database, session.state
        );
        let sentence = format!(
            "{} {pid} --started {} --database {}",
            rules(how).verb,
            session.started_at,
            found.name
        );
        let intent = self.intent(found, session.started_at, before_text);
        Ok(question(
            &session,
            context.now(),
            how,
            Plan::new(rules(how), intent, sentence),
        ))
    }

    /// Whether the session is still there is found out when it is ended.
    async fn plan_step(&self, context: &Context) -> Result<Intent, Fault> {
        let found = context.catalogue().database(self.database.as_deref())?;
        let started_at = self.started_at;
        let started_at = started_at.ok_or_else(|| Refusal::new("`started_at` is missing"))?;
        Ok(self.intent(found, started_at, String::new()))
    }
}

#[async_trait]
impl Kind for SessionEnd {
    fn rules(&self) -> Rules {
        rules(self.how)
    }

    fn sentences(&self, _: &ActionRecord) -> Sentences {
        let Self { database, pid, .. } = self;
        let (doing, noun) = match self.how {
            End::Cancel => ("Cancelling the query of session ", "cancelling"),
            End::Terminate => ("Terminating session ", "end"),
        };
        let doing = Line::new()
            .text(doing)
            .bold(pid)
            .text(" of ")
            .code(database);
        let subject = format!("The {noun} of session {pid} of ");
        let subject = Line::new().text(subject).code(database);
        let next = [("Locks", "db locks"), ("Connections", "db connections")];
        Sentences {
            buttons: buttons(&next, &format!("--database {database}")),
            ..Sentences::new(doing, subject, "worked on")
        }
    }

    fn is_on_platform(&self) -> bool {
        false
    }

    async fn work(&self, job: &Job<'_>) -> Worked {
        let Self {
            database,
            pid,
            started_at,
            how,
        } = self;
        let Ok(found) = job.context.catalogue().database(Some(database.as_str())) else {
            return Err(Failure::new(NOT_CONFIGURED, None));
        };
        let there = found.probe.end(*pid, *started_at, *how).await;
        let there = there.map_err(|error| Failure::new(error.to_string(), None))?;
        let what = match (how, there) {
            (End::Cancel, true) => "has its query cancelled",
            (End::Cancel, false) => "was running nothing any more: nothing was cancelled",
            (End::Terminate, true) => "is terminated",
            (End::Terminate, false) => "had ended by itself before",
        };
        let title = Line::new()
            .text(format!("Session {pid} of "))
            .code(database)
            .text(format!(" {what}"));
        Ok(ended(job, title, &Ended { ended: there }))
    }

    async fn recover(&self, job: &Job<'_>) -> Result<Found, Found> {
        recover(self, job).await
    }
}

/// The question before a session is ended.
fn question(session: &Session, now: Timestamp, how: End, plan: Plan) -> Plan {
    let (title, label, effect) = match how {
        End::Cancel => (
            "Cancel the query of session ",
            "Cancel",
            "Its query ends with an error; the session stays",
        ),
        End::Terminate => (
            "Terminate session ",
            "Terminate",
            "Its connection is closed and its transaction rolled back",
        ),
    };
    let field = |name: &str, value: &str| (name.to_owned(), Line::from(cut(value, 200)));
    let connected = duration::text(duration::between(session.started_at, now));
    let mut fields = vec![
        field("Application", who(session)),
        field("User", &format!("{}@{}", session.user, session.database)),
        field("State", &session.state),
        field("Connected", &format!("{connected} ago")),
    ];
    if let Some(ms) = session.transaction_ms {
        let open = duration::text(std::time::Duration::from_millis(ms));
        fields.push(field("Transaction", &format!("open for {open}")));
    }
    Plan {
        title: Line::new().text(title).bold(session.pid).text("?"),
        label: format!("{label} {}", session.pid),
        effect: effect.to_owned(),
        fields,
        detail: cut(&session.query, MAX_QUERY),
        ..plan
    }
}
