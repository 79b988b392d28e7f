//! `db terminate`.

use clap::Args;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;

use super::cancel::{Ended, pid};
use crate::bot::actions::sessions::end_session;
use crate::bot::request::{Ask, Effect};
use crate::bot::table::{Action, Command};
use crate::bot::{Context, Fault};
use crate::domain::service::End;
use crate::domain::{Guarded, Role};

/// End a session and roll its transaction back
#[derive(Debug, Args, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(description = "Which session of which database.")]
pub struct Terminate {
    /// The session's number.
    #[arg(value_parser = pid)]
    pid: i32,
    /// When that session started: what makes the number mean this very session
    #[arg(long, hide = true)]
    #[serde(rename = "started_at")]
    #[schemars(
        with = "Timestamp",
        description = "When it started: only that very session is meant."
    )]
    started: Option<Timestamp>,
    /// Which database, where there are several
    #[arg(long, value_name = "NAME")]
    #[serde(default)]
    #[schemars(description = "The database's name; needed only where there are several.")]
    database: Option<String>,
}

impl Command for Terminate {
    const WORDS: &'static str = "db terminate";
    const ROLE: Role = Role::Responder;
    const GUARDED: Option<Guarded> = Some(Guarded::Db);

    async fn carry_out(self, context: &Context, ask: &Ask) -> Result<Effect, Fault> {
        let (database, confirmed) = (self.database.as_deref(), ask.confirmed.clone());
        end_session(
            context,
            ask,
            database,
            self.pid,
            self.started,
            End::Terminate,
            confirmed,
        )
        .await
    }
}

impl Action for Terminate {
    const STEP: &'static str = "db.terminate";
    const SUMMARY: &'static str = "Ends a session";
    type Outcome = Ended;
}
