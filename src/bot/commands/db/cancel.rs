//! `db cancel`.

use clap::Args;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bot::actions::sessions::end_session;
use crate::bot::request::{Ask, Effect};
use crate::bot::table::{Action, Command};
use crate::bot::{Context, Fault};
use crate::domain::service::End;
use crate::domain::{Guarded, Role};

/// Cancel the running query of a session; the session stays
#[derive(Debug, Args, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(description = "Which session of which database.")]
pub struct Cancel {
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

impl Command for Cancel {
    const WORDS: &'static str = "db cancel";
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
            End::Cancel,
            confirmed,
        )
        .await
    }
}

impl Action for Cancel {
    const STEP: &'static str = "db.cancel";
    const SUMMARY: &'static str = "Cancels the running query of a session";
    type Outcome = Ended;
}

/// What ending a session came to.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Ended {
    /// That session was there and is ended.
    ended: bool,
}

pub(super) fn pid(text: &str) -> Result<i32, String> {
    text.parse()
        .ok()
        .filter(|pid| *pid > 0)
        .ok_or_else(|| "write the number of a session, as `db connections` shows it".to_owned())
}
